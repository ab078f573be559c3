"""The contract of a network: what every segmentation network has, and what it may have.

The packages `inference`, `evaluation`, `export` and `profiling` use networks only through these two classes.
"""

import dataclasses

import tensorflow as tf

from tfseg import backbones
from tfseg.errors import InputError


@dataclasses.dataclass
class CarryConfig:
    """How a video frame starts from the state in which the frame before ended.

    Attributes:
      iterations: number of iterations of such a frame.
      scale: factor of all that is carried, 0 to 1. A network that was trained on single images saturates when it starts
        from a finished canvas; reduced, the canvas is a hint.
      with_memory: whether the memory of the recurrent cells is carried, too; otherwise only the canvas.
      with_motion: whether the maps are moved along with the picture, by the optical flow between the two frames.
      trust_scale: with motion: grey levels, 0 to 255, by which the moved frame may differ before a position keeps only
        1/e of its value, see `inference.motion.moved`; 0 keeps everything.
      has_gate: whether the network has a learned gate, which says for every position and every map how much is kept,
        see `layers.state_gate`. It is multiplied with scale and trust.
      blend: share of a frame's answer that is the answer of the frame before, moved along, where the picture fits; less
        where it does not. The network does not see it: it steadies what comes out. 0 is off.
    """

    iterations: int = 2
    scale: float = 0.25
    with_memory: bool = True
    with_motion: bool = True
    trust_scale: float = 8.0
    has_gate: bool = False
    blend: float = 0.7

    def __post_init__(self):
        if self.iterations < 1:
            raise InputError(f"carry.iterations is {self.iterations}; at least 1")
        if not 0 <= self.scale <= 1:
            raise InputError(f"carry.scale is {self.scale}; it must be in [0, 1]")
        if not 0 <= self.blend < 1:
            raise InputError(f"carry.blend is {self.blend}; it must be at least 0 and below 1")
        if self.trust_scale < 0:
            raise InputError(f"carry.trust_scale is {self.trust_scale}; it must be 0 or more")


class SegmenterConfig:
    """What every network's config has. A network's config is a dataclass that extends this class.

    Attributes:
      backbone: BackboneConfig; None for a network that has no exchangeable, pre-trained backbone.
      iterations: number of refinements in training; 1 for a network that does not iterate.
      has_any_output_stride: whether the weights fit every output stride of the backbone.
      carry: how a video frame starts from the one before; None for a network that keeps no state.
    """

    backbone = None
    iterations = 1
    has_any_output_stride = False
    carry = None

    @property
    def frames_before(self) -> int:
        """Number of frames before a labelled one that training reads, if `data.frame_gap` says that there are any."""
        return 0

    @classmethod
    def current_fields(cls, values: dict) -> dict:
        """Renames the fields of a stored config to today's names.

        Args:
          values: {field: value} as stored, perhaps by an earlier version that named fields differently.
        Returns:
          {field: value} that this class accepts.
        """
        return values

    def check(self, data):
        """Checks the fields against each other and against the data that training reads.

        Args:
          data: the run's DataConfig.
        Raises:
          InputError: the network cannot be trained with these values.
        """
        if data.frame_gap and not self.frames_before:
            raise InputError(
                "config: data.frame_gap does nothing unless an rnn is trained with model.seeding.rate above 0, or an "
                "arch2_video"
            )
        if self.backbone is not None:
            backbones.build(self.backbone)

    def exported(self) -> "SegmenterConfig":
        """Returns the config with which exports compute the same function.

        It makes the network compute only once per image whatever does not change between iterations.
        """
        return self

    def published(self) -> "SegmenterConfig":
        """Returns the config with which the published cost tables count the same function."""
        return self


class Segmenter:
    """A segmentation network. A Keras network extends this class and `keras.Model`.

    A network runs in two parts. `encode` runs once per image and computes the features. `refine` runs once per
    iteration: it reads the features and the state, and returns the next state. A network that does not iterate is
    refined once.

    A state is a dict of float32 maps [batch, h, w, channels]. Its entry "canvas" holds the class logits, with h =
    ceil(height / canvas_stride) and w = ceil(width / canvas_stride); other maps may have strides of their own, those of
    some features. The state of a panoptic network also holds the maps of `postprocess.instance_maps.NAMES`.

    If `state_spec` is not empty, a caller may keep the last state of a video frame and start the next frame with it.
    The state None means a fresh start: for the first frame, after a cut, or when the frame size changes.

    Attributes:
      config: the SegmenterConfig it was built from; None for a network that is known only as an exported program.
      num_classes: number of classes, which is the number of canvas channels.
      canvas_stride: input pixels per canvas position, in both directions.
      padding: "same" or "symmetric": where canvas positions lie on the image, see `layers.resize.upsample`.
      backbone: Keras layer whose `convolutions()` lists its convolutions by the names of pre-trained weights. The
        attribute is missing if the config's backbone is None.
      is_recurrent: whether refining more than once changes the canvas.
      node_names: names of the maps that operations of its graph bear, if the network is a shelf of maps, see
        `profiling.paths`; from the first to the last column, and in a column from fine to coarse.
      carry: how a video frame starts from the one before; None where every frame starts afresh.
      starts_from_zeros: whether the state None means a state of zeros. If not, a video's first frame is computed in
        another way than the others.
      fusion_settings: arguments of `postprocess.fusion_config.FusionConfig.of_network`, which say how the maps of a
        panoptic network become instances; None for a network that does not tell instances apart.
      default_iterations: number of iterations if the caller does not choose one.
      trained_iterations: largest number of iterations that training ran.
      distribute_strategy: the tf.distribute strategy it was built under.
    """

    config: SegmenterConfig | None = None
    num_classes: int
    canvas_stride: int
    padding: str = "same"
    # It has no value here, because Keras does not track a layer under a name that the class already has.
    backbone: tf.keras.layers.Layer
    is_recurrent = False
    default_iterations = trained_iterations = 1
    node_names: tuple[str, ...] = ()
    carry: CarryConfig | None = None
    starts_from_zeros = True
    fusion_settings: dict | None = None

    @property
    def is_panoptic(self) -> bool:
        """Whether the network tells instances apart."""
        return self.fusion_settings is not None

    @property
    def keeps_state(self) -> bool:
        """Whether `refine` can start from a state, be it that of the iteration or that of the frame before."""
        return self.is_recurrent or bool(self.state_spec())

    def encode(self, images, training=False) -> dict:
        """Computes the features, which all iterations share.

        Args:
          images: [batch, height, width, 3] float32 RGB, 0 to 255.
          training: whether batch normalisation uses the statistics of the batch.
        Returns:
          The features for `refine`, as a dict.
        """
        raise NotImplementedError(f"{type(self).__name__} has no encode")

    def refine(self, features, state=None) -> dict:
        """Runs one iteration.

        Args:
          features: what `encode` returned.
          state: the state before this iteration; None at the start.
        Returns:
          The state after this iteration, with at least "canvas" [batch, h, w, num_classes].
        """
        raise NotImplementedError(f"{type(self).__name__} has no refine")

    def state_spec(self) -> dict[str, tf.TensorSpec]:
        """Describes the part of a state with which the next frame can start.

        Returns:
          {name: TensorSpec of shape [None, None, None, channels]}; an empty dict if every frame starts afresh.
        """
        return {}

    def start_spec(self) -> dict[str, tf.TensorSpec]:
        """Describes what `gated` takes: the state, and "error" [None, None, None, 1] if there is a gate."""
        spec = self.state_spec()
        if spec and self.has_gate:
            spec["error"] = tf.TensorSpec([None, None, None, 1], tf.float32, "error")
        return spec

    @property
    def has_gate(self) -> bool:
        """Whether a learned gate says what a frame takes over; see `CarryConfig.has_gate`."""
        return self.carry is not None and self.carry.has_gate

    def gated(self, features, start) -> dict:
        """Returns the state from which a frame starts.

        Args:
          features: what `encode` returned for the frame.
          start: the state of the frame before, moved and scaled, and, if `carry.has_gate`, "error" [batch, h, w, 1]:
            grey levels by which the moved picture differs from the new one.
        """
        return start

    def backbone_layers(self) -> list:
        """Returns the layers that training may treat as the backbone, see `TrainingConfig.backbone_multiplier`."""
        return [] if self.config.backbone is None else [self.backbone]

    def initial_state(self, features) -> dict:
        """Returns a state of zeros, for callers that need tensors; see `starts_from_zeros` for what it means.

        Args:
          features: what `encode` returned; it determines the size of the maps.
        Returns:
          {name: float32 zeros [batch, h, w, channels]} for every name in `state_spec`.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps no state")

    def weights_were_loaded(self, missing):
        """Sets weights that follow from others, after a training was started from another model's weights.

        Args:
          missing: set of the names of the weights that were not loaded.
        """

    def exported(self) -> "Segmenter":
        """Returns a network with these weights and the config `SegmenterConfig.exported`; often this network itself."""
        if self.config is None or self.config.exported() == self.config:
            return self
        network = type(self)(self.config.exported(), self.num_classes)
        network(tf.zeros([1, 64, 64, 3]), training=False)
        for ours, theirs in zip(self.exported_layers(), network.exported_layers(), strict=True):
            theirs.set_weights(ours.get_weights())
        return network

    def exported_layers(self) -> list[tf.keras.layers.Layer]:
        """Returns the layers that `encode` and `refine` use, in the same order for every config of one function."""
        return [self]


def set_output_stride(config: SegmenterConfig, output_stride: int, name: str):
    """Sets the backbone's output stride in `config`, even if the weights were trained at another one.

    Args:
      config: the network's config; it is changed.
      output_stride: 8, 16 or 32.
      name: the model's name in messages.
    Raises:
      InputError: the weights do not fit another stride, or there is no backbone.
    """
    if config.backbone is None:
        raise InputError(f"--output_stride={output_stride}: {name} has no backbone with an output stride")
    if output_stride == config.backbone.output_stride:
        return
    if not config.has_any_output_stride:
        raise InputError(f"--output_stride={output_stride}: the weights of {name} are made for the one they have")
    config.backbone.output_stride = output_stride
