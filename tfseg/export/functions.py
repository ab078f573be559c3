"""Turns a network into functions of one image of a fixed size, which converters can read."""

import contextlib
import functools

import tensorflow as tf

from tfseg.errors import InputError
from tfseg.layers.conv_lstm import ConvLSTMCell
from tfseg.layers.resize import upsample
from tfseg.layers.settling import changed_share

PREVIOUS = "previous_"
SEGMENT, START, GATE = "serving_default", "start", "gate"


class NetworkFunctions:
    """Traces the functions of a network that are exported, see `as_exported`.

    Args:
      network: a `models.segmenter.Segmenter`.
      size: (height, width) of the image, pixels; `resizable` leaves it open.

    Attributes:
      holder: tf.Module that holds the network's variables and nothing else.

    Every method returns {name of the signature: ConcreteFunction}. Images are [1, height, width, 3] float32 RGB, 0 to
    255; logits are [1, height, width, num_classes].
    """

    def __init__(self, network, size):
        self.network, self._size = network, tuple(size)
        self.holder = tf.Module()
        self.holder.network_variables = list(network.variables)

    def segment(self, iterations):
        """serving_default(image) -> logits, after a fixed number of iterations; a feed-forward network ignores it."""

        return self._segment(iterations, self._size)

    def class_map(self, iterations):
        """serving_default(image) -> class_ids, [1, height, width] uint8: the argmax of the logits of `segment`.

        Of classes with equal logits it is the first, as in NumPy.
        """
        logits = self._logits(iterations, self._size)

        def run(image):
            return {"class_ids": tf.cast(tf.argmax(logits(image), -1, output_type=tf.int32), tf.uint8)}

        return {SEGMENT: self._traced(run, {"image": self._image()})}

    def resizable(self, iterations):
        """`segment` for images of any size; the caller resizes the interpreter's input when the size changes."""
        return self._segment(iterations, (None, None))

    def _segment(self, iterations, size):
        logits = self._logits(iterations, size)
        image = {"image": tf.TensorSpec([1, *size, 3], tf.float32)}
        return {SEGMENT: self._traced(lambda image: {"logits": logits(image)}, image)}

    def _logits(self, iterations, size):
        def run(image):
            features, state = self.network.encode(image, training=False), None
            for _ in range(iterations if self.network.is_recurrent else 1):
                state = self.network.refine(features, state)
            return self._enlarged(state["canvas"], tf.shape(image)[1:3] if None in size else size)

        return run

    def panoptic(self):
        """serving_default(image) -> "semantic_logits" and the instance maps, at the network's stride.

        Raises InputError if the network does not tell instances apart.
        """
        if not self.network.is_panoptic:
            raise InputError("maps of instances are for panoptic models; this one tells classes apart only")
        run = functools.partial(panoptic_maps, self.network)
        return {SEGMENT: self._traced(run, {"image": self._image()})}

    def stream(self):
        """encode(image) -> features, refine(features, state) -> state, decode(canvas) -> logits.

        A stream starts with a state of zeros. If that is not the network's own start, there is start(features) -> state
        for the frames that start afresh. If the network has a gate, gate(features, state, error) -> state gives the
        state with which the other frames start. `refine` takes all features and the whole state, whether it reads them
        or not. Raises InputError if the network keeps no state.
        """
        if not self.network.keeps_state:
            raise InputError("a stream is for models that keep a state; this one keeps none")
        encode = self._traced(lambda image: self.network.encode(image, training=False), {"image": self._image()})
        features = _specs(encode.structured_outputs)
        steps = Steps(self.network, features)
        start = self._traced(steps.start, features)
        state = _specs(start.structured_outputs)

        def decode(canvas):
            return {"logits": self._enlarged(canvas)}

        return {
            "encode": encode,
            **({} if self.network.starts_from_zeros else {START: start}),
            **(
                {GATE: self._traced(steps.gate, features | state | steps.error_spec(state))}
                if self.network.has_gate
                else {}
            ),
            "refine": self._traced(steps.refine, features | state),
            "decode": self._traced(decode, {"canvas": state["canvas"]}),
        }

    def dynamic(self, max_iterations):
        """serving_default(image, iterations int32 [1], tolerance float32 [1]) -> logits, iterations int32 [1] that ran.

        `iterations` is clamped to 1..max_iterations. The loop stops earlier once an iteration has changed the class of
        at most the share `tolerance` of the canvas positions; a negative tolerance never stops it. Raises InputError if
        the network is not recurrent.
        """
        if not self.network.is_recurrent:
            raise InputError("a number of iterations at run time is for recurrent models; this one runs once")

        def run(image, iterations, tolerance):
            features = self.network.encode(image, training=False)
            limit = tf.clip_by_value(iterations[0], 1, max_iterations)

            def step(count, _, state):
                refined = self.network.refine(features, state)
                return count + 1, changed_share(state["canvas"], refined["canvas"]), refined

            count, _, state = tf.while_loop(
                lambda count, changed, _: tf.logical_and(count < limit, changed > tolerance[0]),
                step,
                (tf.constant(1), tf.constant(1.0), self.network.refine(features)),
            )
            return {"logits": self._enlarged(state["canvas"]), "iterations": tf.reshape(count, [1])}

        specs = {"iterations": tf.TensorSpec([1], tf.int32), "tolerance": tf.TensorSpec([1], tf.float32)}
        return {SEGMENT: self._traced(run, {"image": self._image()} | specs)}

    def _image(self):
        return tf.TensorSpec([1, *self._size, 3], tf.float32)

    def _enlarged(self, canvas, size=None):
        return upsample(canvas, self._size if size is None else size, self.network.canvas_stride, self.network.padding)

    def _traced(self, function, specs):
        named = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}
        with as_exported(self.network):
            return tf.function(function).get_concrete_function(**named)


class Steps:
    """`refine` as functions of named tensors: features, and a state whose names no feature has.

    A map of the state that has a feature's name is called "previous_<name>", in inputs and in outputs.

    Args:
      network: a `models.segmenter.Segmenter`.
      features: names of its features.
    """

    def __init__(self, network, features):
        self._network, self._features = network, tuple(features)

    def start(self, **features):
        """Returns the state after the first iteration of a frame that starts afresh."""
        return self._named(self._network.refine(features, None))

    def refine(self, **inputs):
        """Returns the state after an iteration that starts from a state."""
        features = {name: inputs[name] for name in self._features}
        own = {self._own_name(name): maps for name, maps in inputs.items() if name not in features}
        return self._named(self._network.refine(features, own))

    def gate(self, **inputs):
        """Returns the state from which a frame starts: "error" and the state before it, through the gate."""
        features = {name: inputs[name] for name in self._features}
        own = {self._own_name(name): maps for name, maps in inputs.items() if name not in features}
        return self._named(self._network.gated(features, own))

    @staticmethod
    def error_spec(state):
        """Returns {"error": TensorSpec}, in the size of the canvas in `state`, {name: TensorSpec}."""
        return {"error": tf.TensorSpec([*state["canvas"].shape[:3], 1], tf.float32, "error")}

    def _named(self, state):
        return {f"{PREVIOUS}{name}" if name in self._features else name: maps for name, maps in state.items()}

    def _own_name(self, name):
        own = name.removeprefix(PREVIOUS)
        return own if own in self._features else name


def panoptic_maps(network, image):
    """The maps of a panoptic network for [batch, height, width, 3] float32 images; its canvas is "semantic_logits"."""
    maps = dict(network.encode(image, training=False))
    return {"semantic_logits": maps.pop("canvas"), **maps}


@contextlib.contextmanager
def as_exported(network):
    """Within this context, traced graphs have the operations that other programs run fastest; see `ConvLSTMCell`."""
    cells = [layer for layer in network.submodules if isinstance(layer, ConvLSTMCell)]
    for cell in cells:
        cell.is_exported = True
    try:
        yield
    finally:
        for cell in cells:
            cell.is_exported = False


def _specs(outputs):
    return {name: tf.TensorSpec(spec.shape, spec.dtype) for name, spec in outputs.items()}
