"""arch2 on videos: the first frame by its decoder, every further one by a cheaper dynamic cell.

See Nekrasov et al. 2020, "Architecture Search of Dynamic Cells for Semantic Video Segmentation" (arXiv:1904.02371).
"""

import dataclasses

import tensorflow as tf

from tfseg.errors import InputError
from tfseg.layers.conv import Conv2D
from tfseg.layers.resize import map_size, shape_of
from tfseg.models import clips
from tfseg.models.arch2 import Arch2, Arch2Config
from tfseg.models.cells import genotype
from tfseg.models.cells.aggregations import PREDICTIVE
from tfseg.models.cells.cell import DynamicCell
from tfseg.models.segmenter import CarryConfig

LAYERS = ("layer2", "layer3", "layer4")  # the backbone's maps of strides 8, 16 and 32
STATE = ("canvas", "dec", "layer4")


def _carry():
    return CarryConfig(iterations=1, scale=1.0, with_motion=False, trust_scale=0.0, blend=0.2)


@dataclasses.dataclass
class Arch2VideoConfig(Arch2Config):
    """arch2 and a dynamic cell.

    Attributes:
      auxiliary_weight: 0, since a cell is trained without those heads.
      genotype: the cell: a name of `cells.genotype.CELLS`, or numbers, see `cells.genotype.parse`.
      frames: number of frames of a training clip, at least 2. All but the first have a loss.
      trains_static: whether training changes arch2 itself, too. Otherwise only the cell and its classifier learn.
      share_classifier: whether the cell's map is classified by arch2's classifier. Otherwise it has one of its own,
        which starts as a copy of arch2's.
      sep_repeats: how often a separable convolution of the cell is repeated.
      has_modulation: whether deformable convolutions weigh their taps (version 2).
      predictive: kernels of the predictive aggregation: "local", one for every position, or "global", one for every
        channel.
      zoom, shift: how images without a frame before them are moved to make one, see `seeding.SeedingConfig`.
      carry: how the state goes from frame to frame. The paper carries it as it is; `with_motion` moves it along. Its
        answers are not blended; here they are a little by default, which steadies them at no cost.
    """

    auxiliary_weight: float = 0.0
    genotype: str = "cell1_like"
    frames: int = 3
    trains_static: bool = False
    share_classifier: bool = False
    sep_repeats: int = 1
    has_modulation: bool = True
    predictive: str = "local"
    zoom: float = 0.05
    shift: float = 0.03
    carry: CarryConfig = dataclasses.field(default_factory=_carry)

    def __post_init__(self):
        super().__post_init__()
        genotype.parse(self.genotype)
        if self.frames < 2:
            raise InputError(f"frames is {self.frames}; at least 2, since the first of a clip has no loss")
        if self.sep_repeats < 1:
            raise InputError(f"sep_repeats is {self.sep_repeats}; at least 1")
        if self.predictive not in PREDICTIVE:
            raise InputError(f"predictive is one of {', '.join(PREDICTIVE)}, not {self.predictive!r}")
        if not (0 <= self.zoom < 0.5 and 0 <= self.shift < 0.5):
            raise InputError(f"zoom {self.zoom} and shift {self.shift} must be in [0, 0.5)")
        if self.carry.iterations != 1 or not self.carry.with_memory:
            raise InputError("carry: a dynamic cell runs once a frame, and reads all that the frame before left")
        if self.carry.has_gate:
            raise InputError("carry.has_gate: a dynamic cell has no gate; it is of the recurrent network")
        if self.auxiliary_weight:
            raise InputError("auxiliary_weight does nothing here: the frames that arch2 decodes have no loss")

    @property
    def frames_before(self):
        return self.frames - 1


class Arch2Video(Arch2):
    """arch2 with a dynamic cell. Without a state, a frame goes through arch2; with one, through the cell.

    The state is {"canvas": logits [batch, h8, w8, num_classes], "dec": [batch, h8, w8, width], "layer4": [batch, h32,
    w32, 320]}. The cell's classifier starts as a copy of arch2's, once weights are loaded.
    """

    starts_from_zeros = False

    def __init__(self, config: Arch2VideoConfig, num_classes: int):
        super().__init__(config, num_classes, "arch2_video")
        self.carry, self.genotype = config.carry, genotype.parse(config.genotype)
        self.cell = DynamicCell(
            self.genotype, config.width, config.sep_repeats, config.has_modulation, config.predictive, name="cell"
        )
        # None is arch2's: under two names, it would be stored under one that arch2's files do not have.
        self.cell_classifier = None
        if not config.share_classifier:
            self.cell_classifier = Conv2D(num_classes, 3, use_bias=True, name="cell_logits", dtype=tf.float32)
        if not config.trains_static:
            for layer in self.backbone_layers():
                layer.trainable = False

    def call(self, images, training=False):
        """Runs arch2, as on the first frame of a video; returns what `Arch2.call` does."""
        outputs = super().call(images, training=training)
        if not self.cell.built:
            features = self.encode(images)
            self.refine(features, self.initial_state(features))
        return outputs

    def encode(self, images, training=False):
        """Runs the backbone; returns its maps of strides 8, 16 and 32 as "layer2", "layer3" and "layer4"."""
        features = dict(zip(LAYERS, self.maps(images, training)[1:], strict=True))
        self._layer4_channels = features["layer4"].shape[-1]
        return features

    def refine(self, features, state=None, training=False):
        """Makes the state of a frame from its features: by arch2's decoder, or from the frame before by the cell.

        `training` says whether the cell normalises by the statistics of the batch; arch2 never does here.
        """
        layers = [features[name] for name in LAYERS]
        if state is None:
            _, dec = self.decode([None, *layers])
            canvas = self.classifier(tf.cast(dec, tf.float32))
        else:
            size = map_size(layers[0], 1)
            dec = self.cell((state["layer4"], state["dec"], *layers), size, training=training)
            canvas = (self.cell_classifier or self.classifier)(tf.cast(dec, tf.float32))
        return {"canvas": canvas, "dec": tf.cast(dec, tf.float32), "layer4": tf.cast(layers[-1], tf.float32)}

    def state_spec(self):
        channels = {"canvas": self.num_classes, "dec": self.config.width, "layer4": self._layer4_channels}
        return {name: tf.TensorSpec([None, None, None, channels[name]], tf.float32, name) for name in STATE}

    def initial_state(self, features):
        """Returns zeros in the shapes of a state. A video does not start with them, but without a state."""
        maps = dict(zip(STATE, (features["layer2"], features["layer2"], features["layer4"]), strict=True))
        return {name: tf.zeros([*shape_of(one)[:3], self.state_spec()[name].shape[-1]]) for name, one in maps.items()}

    def backbone_layers(self):
        """Returns all of arch2: it is trained before the cell is."""
        return super().exported_layers()

    def exported_layers(self):
        own = [self.cell_classifier] if self.cell_classifier else []
        return [*super().exported_layers(), self.cell, *own]

    def weights_were_loaded(self, missing):
        if self.cell_classifier and any(name.startswith("cell_classifier/") for name in missing):
            self.cell_classifier.set_weights(self.classifier.get_weights())


def training_outputs(network: Arch2Video, batch, seed):
    """Runs a clip that ends with the labelled images, with gradients through its states.

    Args:
      network: the network.
      batch: see `clips.frame_before`.
      seed: [2] int32; equal seeds give equal clips.
    Returns:
      {"semantic_logits": those of the labelled frames, "earlier_logits": a list of those of the frames before them, in
      their order and without the first}, each [batch, h, w, num_classes].
    """
    config = network.config
    motion = clips.draw_motion(tf.shape(batch["image"])[0], seed, config)
    frames = [clips.frame_before(batch, motion, steps) for steps in range(config.frames - 1, 0, -1)]
    features = network.encode(tf.concat([*frames, batch["image"]], 0))
    of_frames = [
        dict(zip(features, maps, strict=True))
        for maps in zip(*(tf.split(maps, config.frames) for maps in features.values()), strict=True)
    ]
    state, canvases = network.refine(of_frames[0]), []
    for steps, now in zip(range(config.frames - 1, 0, -1), of_frames[1:], strict=True):
        start = clips.carried(state, batch, motion, steps, network.carry)
        state = network.refine(now, start, training=True)
        canvases.append(state["canvas"])
    return {"semantic_logits": canvases[-1], "earlier_logits": canvases[:-1]}
