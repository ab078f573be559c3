"""Recurrent canvas segmentation (McIntosh et al., "Recurrent Segmentation for Variable Computational Budgets")."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv_lstm import ConvLSTMCell
from tfseg.layers.projection import FeatureProjection
from tfseg.layers.resize import map_size
from tfseg.layers.state_gate import StateGate
from tfseg.models import seeding
from tfseg.models.feed_forward import backbone_features, feature_strides
from tfseg.models.seeding import SeedingConfig
from tfseg.models.segmenter import CarryConfig, Segmenter, SegmenterConfig

INVARIANT = tuple(f"invariant_{gate}" for gate in "ifgo")


@dataclasses.dataclass
class RNNConfig(SegmenterConfig):
    """Config of the recurrent segmenter.

    Attributes:
      backbone: the network that runs once per image.
      iterations: number of refinements in training, and the default in use.
      widths: numbers of channels of the first two LSTM layers; the last layer has one channel per class.
      kernel_size: side of the LSTM kernels. The paper uses 1; larger kernels did worse there.
      canvas_stride: input pixels per canvas position: 4, 8, 16 or 32; None is the backbone's output stride.
      feature_strides: strides of the backbone maps that the LSTM reads beside the last one, e.g. (4, 8).
      hoist: whether the products with the features are computed once per image instead of once per iteration. The
        function is the same.
      loss_at: ((iteration, weight), ...): iterations, from 1, whose canvas has a loss; empty for the last one only.
      iterations_range: (first, last): range from which each training step draws its number of iterations; empty is off.
      carry: how a video frame starts from the one before.
      seeding: how training starts from such states; off unless its `rate` is above 0.
    """

    backbone: BackboneConfig = dataclasses.field(default_factory=BackboneConfig)
    iterations: int = 6
    widths: tuple[int, int] = (512, 256)
    kernel_size: int = 1
    canvas_stride: int | None = None
    feature_strides: tuple[int, ...] = ()
    hoist: bool = True
    loss_at: tuple[tuple[int, float], ...] = ()
    iterations_range: tuple[int, ...] = ()
    carry: CarryConfig = dataclasses.field(default_factory=CarryConfig)
    seeding: SeedingConfig = dataclasses.field(default_factory=SeedingConfig)

    def __post_init__(self):
        if self.iterations < 1:
            raise InputError(f"iterations is {self.iterations}; at least 1")
        if self.iterations_range and not (
            len(self.iterations_range) == 2 and 1 <= self.iterations_range[0] <= self.iterations_range[1]
        ):
            raise InputError(f"iterations_range is first:last with 1 <= first <= last, not {self.iterations_range}")
        for iteration, _ in self.loss_at:
            if not 1 <= iteration <= self.iterations:
                raise InputError(f"loss_at names iteration {iteration}; training runs 1..{self.iterations}")
        if self.loss_at and self.iterations_range:
            raise InputError(
                "loss_at and iterations_range exclude each other: the range draws the one iteration with a loss; "
                "--iters_range=off or --loss_at=off"
            )

    @property
    def frames_before(self):
        return int(self.seeding.rate > 0)  # the others of a clip are made

    def check(self, data):
        super().check(data)
        if self.iterations_range and not self.iterations_range[0] <= self.iterations <= self.iterations_range[1]:
            first, last = self.iterations_range
            raise InputError(
                f"--iters={self.iterations} lies outside {first}:{last}, from which training draws its iterations; "
                "give --iters_range=FIRST:LAST around it, too, or --iters_range=off"
            )

        if self.seeding.gate_alone and not self.carry.has_gate:
            raise InputError("model.seeding.gate_alone: there is no gate to train; set model.carry.has_gate")
        if self.seeding.rate and (self.loss_at or not self.hoist):
            raise InputError("model.seeding: its clips have a loss on the last canvas only, and need hoist")

    def exported(self):
        return dataclasses.replace(self, hoist=True)

    def published(self):
        return dataclasses.replace(self, hoist=False)


class RNNSegmenter(Segmenter, keras.Model):
    """A backbone, and three convolutional LSTM layers that refine a canvas of class logits.

    The state is a dict of float32 maps at the canvas' stride: `canvas` [batch, h, w, num_classes] and, for each layer
    1 to 3, `h<layer>` and `c<layer>`. The state None stands for zeros and skips the products with them.
    """

    is_recurrent = True

    def __init__(self, config: RNNConfig, num_classes: int):
        super().__init__(name="rnn", autocast=False)
        self.config, self.num_classes = config, num_classes
        self.default_iterations, self.carry = config.iterations, config.carry
        self.trained_iterations = max(config.iterations, *(config.iterations_range or (1,)))
        self.canvas_stride = config.canvas_stride or config.backbone.output_stride
        self.padding = config.backbone.padding
        self.backbone = backbones.build(config.backbone)
        filters = (*config.widths, num_classes)
        inputs = (num_classes, *config.widths)
        self.projection = FeatureProjection(
            4 * filters[0],
            feature_strides(config),
            self.canvas_stride,
            self.padding,
            fan_in_extra=num_classes + filters[0],
            name="projection",
        )
        self.cells = [
            ConvLSTMCell(filters[i], inputs[i], kernel_size=config.kernel_size, name=f"conv_lstm_{i + 1}")
            for i in range(3)
        ]
        self.state_gate = None
        if config.carry.has_gate:
            channels = {name: spec.shape[-1] for name, spec in self.state_spec().items()}
            self.state_gate = StateGate(channels, name="state_gate")
        if config.seeding.gate_alone:
            for layer in (self.backbone, self.projection, *self.cells):
                layer.trainable = False

    def call(self, images, training=False, iterations=None):
        """Runs the whole network.

        Args:
          images: [batch, height, width, 3] RGB, 0 to 255.
          training: whether batch normalisation uses the statistics of the batch.
          iterations: Python int (unrolled) or int32 scalar tensor (runs as a loop); None is the configured number.
        Returns:
          "semantic_logits": the canvas after the last iteration, [batch, h, w, num_classes], h = ceil(height / stride).
          If `iterations` is not a tensor, also "canvases": the list of the canvases after each iteration.
        """
        iterations = self.default_iterations if iterations is None else iterations
        features = self.encode(images, training=training)
        if self.state_gate is not None and not self.state_gate.built:
            state = self.initial_state(features)
            self.gated(features, state | {"error": tf.zeros_like(state["canvas"][..., :1])})
        if isinstance(iterations, int):
            canvases = []
            state = None
            for _ in range(iterations):
                state = self.refine(features, state)
                canvases.append(state["canvas"])
            return {"semantic_logits": canvases[-1], "canvases": canvases}
        return {"semantic_logits": self.refine_for(features, iterations)["canvas"]}

    def encode(self, images, training=False):
        """Computes what is needed only once per image.

        Returns:
          What the features add to the four gates of the first LSTM layer: "invariant_i", "invariant_f", "invariant_g"
          and "invariant_o", each [batch, h, w, widths[0]] float32. Without `hoist`, the feature maps instead: "maps", a
          list, and "size", the (height, width) of the canvas.
        """
        endpoints = backbone_features(self.backbone, self.config, images, training)
        size = map_size(images, self.canvas_stride)
        if not self.config.hoist:
            return {"maps": endpoints, "size": size}
        return dict(zip(INVARIANT, self._project(endpoints, size), strict=True))

    def state_spec(self):
        """Describes the canvas, and the hidden state `h<layer>` and memory `c<layer>` of every LSTM layer."""
        channels = {"canvas": self.num_classes}
        channels |= {f"{part}{layer}": cell.filters for layer, cell in enumerate(self.cells, 1) for part in "hc"}
        return {name: tf.TensorSpec([None, None, None, count], tf.float32, name) for name, count in channels.items()}

    def initial_state(self, features):
        some_map = features[INVARIANT[0]] if self.config.hoist else features["maps"][-1]
        size = tuple(some_map.shape[1:3]) if self.config.hoist else features["size"]
        size = [tf.shape(some_map)[axis + 1] if length is None else length for axis, length in enumerate(size)]
        return {
            name: tf.zeros([tf.shape(some_map)[0], *size, spec.shape[3]]) for name, spec in self.state_spec().items()
        }

    def refine(self, features, state=None):
        """Runs one iteration: (features of `encode`, state or None) -> state."""
        invariant = self._invariant(features)
        value = None if state is None else state["canvas"]
        new_state = {}
        for layer, cell in enumerate(self.cells, 1):
            memory = None if state is None else (state[f"h{layer}"], state[f"c{layer}"])
            value, cell_state = cell(value, memory, invariant if layer == 1 else None)
            new_state |= {f"h{layer}": value, f"c{layer}": cell_state}
        new_state["canvas"] = value if state is None else state["canvas"] + value
        return new_state

    def refine_for(self, features, iterations, state=None):
        """Runs `iterations` refinements (int32 scalar tensor, at least 1) as a loop; returns the last state."""
        state = self.refine(features, state)
        _, state = tf.while_loop(
            lambda step, _: step < iterations,
            lambda step, state: (step + 1, self.refine(features, state)),
            (tf.constant(1), state),
        )
        return state

    def gated(self, features, start):
        if self.state_gate is None:
            return start
        start = dict(start)
        error = start.pop("error")
        return self.state_gate(tf.concat(self._invariant(features), -1), start, error)

    def _invariant(self, features):
        if self.config.hoist:
            return [features[name] for name in INVARIANT]
        return self._project(features["maps"], features["size"])

    def _project(self, endpoints, size):
        gates = tf.split(self.projection(endpoints, size), 4, axis=-1)  # four of [batch, h, w, widths[0]]
        return [gate + bias for gate, bias in zip(gates, tf.unstack(self.cells[0].gate_bias()), strict=True)]


def training_outputs(network: RNNSegmenter, batch, seed):
    """Returns the outputs in training for a batch {"image": [batch, height, width, 3], ...}.

    If `iterations_range` is configured, `seed` ([2] int32, a new one for each step) draws the number of iterations.
    With `seeding` it also draws the clip that ends with the images.
    """
    config = network.config
    if not config.iterations_range and not config.seeding.rate:
        return network(batch["image"], training=True)
    first, last = config.iterations_range or (config.iterations, config.iterations)
    iterations = tf.random.stateless_uniform([], seed, first, last + 1, dtype=tf.int32)
    if config.seeding.rate:
        return seeding.training_outputs(network, batch, seed, iterations)
    return network(batch["image"], training=True, iterations=iterations)
