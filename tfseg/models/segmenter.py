"""The contract of a network: what every segmentation network has, and what it may have.

`inference`, `evaluation`, `export` and `profiling` use networks through these two classes alone.
"""

import tensorflow as tf

from tfseg import backbones
from tfseg.errors import InputError


class SegmenterConfig:
    """What the config of every network answers. A network's config is a dataclass that extends it.

    Attributes:
      backbone: BackboneConfig, or None for a network without a backbone that can be exchanged and pre-trained.
      iterations: refinements in training; 1 for a network that does not iterate.
      has_any_output_stride: whether the weights fit every output stride of the backbone.
    """

    backbone = None
    iterations = 1
    has_any_output_stride = False

    @classmethod
    def current_fields(cls, values: dict) -> dict:
        """The fields of a stored config under today's names; configs of earlier versions may have others."""
        return values

    def check(self, data):
        """Checks values against each other and against the data that a training reads.

        Args:
          data: the DataConfig.
        Raises:
          InputError: values with which no training is possible.
        """
        if self.backbone is not None:
            backbones.build(self.backbone)

    def exported(self) -> "SegmenterConfig":
        """The config of the same function as exports compute it: what does not change is computed once an image."""
        return self

    def published(self) -> "SegmenterConfig":
        """The config of the same function as the published cost tables count it."""
        return self


class Segmenter:
    """A segmentation network; a Keras one extends this class and `keras.Model`.

    It runs in two parts: `encode` computes once an image what `refine` reads, and `refine` leads from one state to the
    next. A state is a dict of float32 maps [batch, h, w, channels], h = ceil(height / canvas_stride), w likewise;
    "canvas" are the class logits. A network that does not iterate is refined once. A panoptic network has in its state
    also the maps of `postprocess.instance_maps.NAMES`.

    A caller may keep the last state of a video frame and start the next frame with it, if `state_spec` is not empty.
    State None is the start of everything: the first frame, a frame after a cut, a frame of another size.

    Attributes:
      config: the SegmenterConfig it was built from; None for a network that is known only as an exported program.
      num_classes: channels of the canvas.
      canvas_stride: input pixels a canvas position, in both directions.
      padding: "same" or "symmetric": where canvas positions lie on the image, see `layers.resize.upsample`.
      backbone: Keras layer with `convolutions()`, the names of its pre-trained weights; there is none if the config's
        backbone is None.
      is_recurrent: whether refining more than once changes the canvas.
      fusion_settings: fields of `postprocess.fusion_config.FusionConfig.of_network` with which the maps of a panoptic
        network become instances; None for a network that does not tell instances apart.
      default_iterations: iterations if a caller does not say how many.
      trained_iterations: the most that training ran.
      distribute_strategy: the tf.distribute strategy it was built under.
    """

    config: SegmenterConfig | None = None
    num_classes: int
    canvas_stride: int
    padding: str = "same"
    # Without a value: Keras does not track a layer under a name that the class has already.
    backbone: tf.keras.layers.Layer
    is_recurrent = False
    default_iterations = trained_iterations = 1
    fusion_settings: dict | None = None

    @property
    def is_panoptic(self) -> bool:
        """Whether it tells instances apart."""
        return self.fusion_settings is not None

    def encode(self, images, training=False) -> dict:
        """Computes what all iterations share.

        Args:
          images: [batch, height, width, 3] float32 RGB, 0 to 255.
          training: whether batch normalisation uses the statistics of the batch.
        Returns:
          The features: a dict of tensors, for `refine`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no encode")

    def refine(self, features, state=None) -> dict:
        """One iteration.

        Args:
          features: what `encode` returned.
          state: the state before; None is the start.
        Returns:
          The state after, with "canvas".
        """
        raise NotImplementedError(f"{type(self).__name__} has no refine")

    def state_spec(self) -> dict[str, tf.TensorSpec]:
        """Names and shapes [None, None, None, channels] of a state with which a next frame can start.

        Returns:
          An empty dict if every frame starts anew.
        """
        return {}

    def initial_state(self, features) -> dict:
        """Zeros in the shapes of `state_spec`, for callers that need tensors: they mean the same as state None.

        Args:
          features: what `encode` returned, for the size of the maps.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps no state")

    def exported(self) -> "Segmenter":
        """The network with the same weights as `SegmenterConfig.exported` describes it; often this one."""
        if self.config is None or self.config.exported() == self.config:
            return self
        network = type(self)(self.config.exported(), self.num_classes)
        network(tf.zeros([1, 64, 64, 3]), training=False)
        network.set_weights(self.get_weights())
        return network


def set_output_stride(config: SegmenterConfig, output_stride: int, name: str):
    """Sets the output stride of the backbone in `config`, for weights that were trained at another one.

    Args:
      output_stride: 8, 16 or 32.
      name: what messages call the model.
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
