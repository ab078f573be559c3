"""Saves a network as a SavedModel for TensorFlow Serving, which takes and returns encoded images or tensors.

Signatures (https://www.tensorflow.org/tfx/serving/signature_defs); the first axis is always the batch of images:

- `serving_default`: image_bytes -> mask_png_bytes, iterations, class_pixels; runs the default number of iterations;
- `segment_bytes`: image_bytes, iterations -> the same; every image has its own number of iterations;
- `segment_tensors`: images, iterations -> mask, confidence, iterations;
- `panoptic_maps`, only for a panoptic network: images -> the maps from which `tfseg.postprocess.fusion` makes
  instances;
- `encode`, `initial_state`, `refine` and `decode`, only for a network that keeps a state: for callers that keep it
  themselves. If a state of zeros is not the network's own start, there is `start` in place of `initial_state`. If there
  is a learned gate, the state of the frame before goes through `gate`.

REST clients send and receive inputs and outputs whose names end in `_bytes` as base64.
"""

import json
from pathlib import Path

import tensorflow as tf

from tfseg.errors import InputError
from tfseg.export.functions import GATE, START, Steps, panoptic_maps
from tfseg.export.serving import image_files
from tfseg.export.serving.canvas_reader import CanvasReader
from tfseg.formats.export_manifest import DESCRIPTION
from tfseg.system.files import whole_folder

MAX_PIXELS = 2_200_000  # enough for 1025x2049; larger images would need too much memory


def save(network, path, description, max_iterations, size=None, max_pixels=MAX_PIXELS):
    """Writes a SavedModel folder.

    Args:
      network: a built `models.segmenter.Segmenter`. If it keeps a state, its features are a dict of maps; of a
        recurrent one they are with `hoist` in its config.
      path: the folder, which must not exist; for a server `<name>/<version>`, where the version is a whole number.
      description: JSON types, kept as assets.extra/tfseg.json.
      max_iterations: largest number of iterations; larger numbers in requests are cut to it.
      size: (height, width) to which images are resized before the network; None if images of any size go in unchanged.
      max_pixels: largest number of pixels; larger images are refused.
    Raises:
      InputError: the folder exists, or the limits contradict each other or the network.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path}: exists; servers expect another model under the next number beside it")
    signatures = Service(network, max_iterations, size, max_pixels)
    with whole_folder(path) as partial:
        tf.saved_model.save(signatures.holder(), partial, signatures.functions())
        (partial / "assets.extra").mkdir()
        (partial / "assets.extra" / DESCRIPTION).write_text(json.dumps(description, indent=1) + "\n")


class Service:
    """The functions behind the signatures. A bad request raises INVALID_ARGUMENT."""

    def __init__(self, network, max_iterations, size=None, max_pixels=MAX_PIXELS):
        if network.is_recurrent and not network.default_iterations <= max_iterations:
            raise InputError(
                f"max_iterations is {max_iterations}; the model's own number of iterations is "
                f"{network.default_iterations}, and at least that has to be allowed"
            )
        if size is not None and size[0] * size[1] > max_pixels:
            raise InputError(f"size {size[0]}x{size[1]} has more than the {max_pixels} pixels that are allowed")
        self._network, self._max_iterations = network, max_iterations
        self._size, self._max_pixels = size and tuple(size), max_pixels
        self._reader = CanvasReader(network, self._size)
        # These are separate functions, so that the file holds them once for all signatures.
        floats = tf.TensorSpec([None, *(self._size or (None, None)), 3], tf.float32)
        self._encode = tf.function(lambda images: network.encode(images, training=False), input_signature=[floats])
        self._segment_one = tf.function(
            self._one_of_any_size, input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)]
        )

    def holder(self) -> tf.Module:
        """A module that holds the network's variables and nothing else."""
        module = tf.Module()
        module.network_variables = list(self._network.variables)
        return module

    def functions(self) -> dict:
        """Returns {name of the signature: ConcreteFunction}."""
        image_bytes = tf.TensorSpec([None], tf.string, "image_bytes")
        images = tf.TensorSpec([None, *(self._size or (None, None)), 3], tf.uint8, "images")
        counts = tf.TensorSpec([None], tf.int32, "iterations")
        functions = {
            "serving_default": _traced(self.serving_default, image_bytes),
            "segment_bytes": _traced(self.segment_bytes, image_bytes, counts),
            "segment_tensors": _traced(self.segment_tensors, images, counts),
        }
        if self._network.is_panoptic:
            functions["panoptic_maps"] = _traced(self.panoptic_maps, images)
        return functions | self._steps(images) if self._network.keeps_state else functions

    def serving_default(self, image_bytes):
        """`segment_bytes` with the network's own number of iterations."""
        return self.segment_bytes(image_bytes, tf.fill(tf.shape(image_bytes), self._network.default_iterations))

    def segment_bytes(self, image_bytes, iterations):
        """Computes class ids of encoded images, which may differ in size.

        Args:
          image_bytes: [batch] string; files of the kinds that `image_files.decoded` reads.
          iterations: [batch] int32, cut to 1 .. max_iterations.
        Returns:
          mask_png_bytes: [batch] string, grey PNGs of class ids in the images' own sizes.
          iterations: [batch] int32, how many iterations ran.
          class_pixels: [batch, num_classes] int32, how many pixels each class has.
        """
        counts = self._counts(iterations, image_bytes)
        if self._size is None:
            masks, pixels = _each(lambda row: self._segment_one(*row), (image_bytes, counts), self._answer())
        else:
            spec = (tf.TensorSpec([*self._size, 3], tf.float32), tf.TensorSpec([2], tf.int32))
            images, sizes = _each(self._resized, image_bytes, spec)
            canvases = self._canvases(self._encode(images), counts)
            masks, pixels = _each(
                lambda row: self._packed(row[0][tf.newaxis], row[1]), (canvases, sizes), self._answer()
            )
        return {"mask_png_bytes": masks, "iterations": counts, "class_pixels": pixels}

    def segment_tensors(self, images, iterations):
        """Computes class ids of images of one size.

        Args:
          images: [batch, height, width, 3] uint8 RGB.
          iterations: [batch] int32, cut to 1 .. max_iterations.
        Returns:
          mask: [batch, height, width] uint8 class ids.
          confidence: [batch, height, width] float32, softmax probability of the class.
          iterations: [batch] int32, how many iterations ran.
        """
        counts = self._counts(iterations, images)
        canvases = self._canvases(self._encode(self._floats(images)), counts)
        mask, confidence = self._reader.read(canvases, self._size or tf.shape(images)[1:3], True)
        return {"mask": mask, "confidence": confidence, "iterations": counts}

    def panoptic_maps(self, images):
        """Computes the maps of images of one size.

        Args:
          images: [batch, height, width, 3] uint8 RGB.
        Returns:
          semantic_logits: [batch, h, w, num_classes] float32, h = ceil(height / stride), w likewise.
          heatmap_logits, long_offsets, short_offsets, middle_offsets: [batch, h, w, ...] float32, see
            `tfseg.postprocess.instance_maps`.
        """
        return panoptic_maps(self._network, self._floats(images))

    def _steps(self, images):
        """The signatures for callers that keep the state themselves."""
        encode = _traced(self._encode_images, images)
        features = {name: _spec(tensor, name) for name, tensor in encode.structured_outputs.items() if name != "size"}
        if not all(isinstance(spec, tf.TensorSpec) for spec in features.values()):
            raise InputError("the features of this model are not plain maps; a recurrent one is exported with hoist")
        first, steps = next(iter(features.values())), Steps(self._network, features)
        start = _traced(steps.start, *features.values())
        state = {name: _spec(tensor, name) for name, tensor in start.structured_outputs.items()}

        def initial_state(**features):
            shape = tf.shape(features[first.name])[:3]
            return {
                name: tf.zeros(tf.concat([shape, spec.shape[3:]], 0) if spec.shape.rank else [], spec.dtype)
                for name, spec in state.items()
            }

        sizes = tf.TensorSpec([None, 2], tf.int32, "size")
        gated = [*state.values(), *steps.error_spec(state).values()]
        return {
            "encode": encode,
            **({"initial_state": _traced(initial_state, first)} if self._network.starts_from_zeros else {START: start}),
            **({GATE: _traced(steps.gate, *features.values(), *gated)} if self._network.has_gate else {}),
            "refine": _traced(steps.refine, *features.values(), *state.values()),
            "decode": _traced(self._decode, state["canvas"], sizes),
        }

    def _encode_images(self, images):
        size = tf.repeat(tf.shape(images)[tf.newaxis, 1:3], tf.shape(images)[0], axis=0)  # [batch, 2]
        return self._encode(self._floats(images)) | {"size": size}

    def _decode(self, canvas, size):
        checks = _check(
            tf.shape(size)[0] == tf.shape(canvas)[0], "{} sizes for {} canvases", _count(size), _count(canvas)
        )
        whole = tf.constant(self._size) if self._size else tf.reduce_max(size, 0)
        wanted = list(self._size) if self._size else "alike"
        checks += _check(tf.reduce_all(size == whole), f"the sizes of a batch have to be {wanted}: {{}}", size)
        checks += self._check_size(whole)
        shape = tf.shape(canvas)[1:3]
        is_fitting = tf.reduce_all(shape == -(-whole // self._network.canvas_stride))
        checks += _check(is_fitting, "size {} does not belong to a canvas of {}", whole, shape)
        with tf.control_dependencies(checks):
            canvas = tf.identity(canvas)
        mask, confidence = self._reader.read(canvas, self._size or whole, True)
        return {"mask": mask, "confidence": confidence}

    def _one_of_any_size(self, image_bytes, count):
        image = self._decoded(image_bytes)
        features = self._encode(tf.cast(image[tf.newaxis], tf.float32))
        return self._packed(self._canvases(features, count[tf.newaxis]), tf.shape(image)[:2])

    def _resized(self, image_bytes):
        image = self._decoded(image_bytes)
        size = tf.shape(image)[:2]
        resized = tf.cond(
            tf.reduce_all(size == self._size),
            lambda: tf.cast(image, tf.float32),
            lambda: tf.image.resize(image, self._size, antialias=True),
        )
        return tf.ensure_shape(resized, [*self._size, 3]), size

    def _decoded(self, image_bytes):
        return image_files.decoded(image_bytes, self._check_size)

    def _floats(self, images):
        checks = _check(_count(images) > 0, "there is no image in the batch, shape {}", tf.shape(images))
        checks += self._check_size(tf.shape(images)[1:3])
        with tf.control_dependencies(checks):
            return tf.cast(images, tf.float32)

    def _check_size(self, size):
        # In float64 the product of the two sides cannot overflow.
        pixels = tf.reduce_prod(tf.cast(size, tf.float64))
        checks = _check(tf.reduce_all(size > 0), "an image of {} (height, width) has no pixels", size)
        message = f"an image of {{}} (height, width) has more than the {self._max_pixels} pixels that are allowed"
        return checks + _check(pixels <= self._max_pixels, message, size)

    def _counts(self, iterations, images):
        checks = _check(
            tf.shape(iterations)[0] == tf.shape(images)[0],
            "{} numbers of iterations for {} images; one for each is needed",
            *(_count(iterations), _count(images)),
        )
        with tf.control_dependencies(checks):
            iterations = tf.identity(iterations)
        return tf.clip_by_value(iterations, 1, self._max_iterations if self._network.is_recurrent else 1)

    def _canvases(self, features, counts):
        """[batch, h, w, num_classes] canvases, each after its image's own number of iterations."""
        state = self._network.refine(features, None)
        if not self._network.is_recurrent:
            return state["canvas"]

        def step(done, state, canvases):
            # All images run to the largest number; an image that has reached its own number keeps its canvas.
            state = self._network.refine(features, state)
            is_running = (done < counts)[:, tf.newaxis, tf.newaxis, tf.newaxis]
            return done + 1, state, tf.where(is_running, state["canvas"], canvases)

        last = tf.reduce_max(counts)
        start = (tf.constant(1), state, state["canvas"])
        return tf.while_loop(lambda done, *_: done < last, step, start, parallel_iterations=1)[2]

    def _packed(self, canvas, size):
        mask = self._reader.read(canvas, size, False)[0][0]
        num_classes = self._network.num_classes
        pixels = tf.math.bincount(tf.cast(mask, tf.int32), minlength=num_classes, maxlength=num_classes)
        return tf.io.encode_png(mask[..., tf.newaxis]), tf.ensure_shape(pixels, [num_classes])

    def _answer(self):
        return tf.TensorSpec([], tf.string), tf.TensorSpec([self._network.num_classes], tf.int32)


def _each(function, rows, spec):
    """Applies `function` to every row, one at a time, so that memory for only one is needed."""
    return tf.map_fn(function, rows, fn_output_signature=spec, parallel_iterations=1)


def _traced(function, *specs):
    return tf.function(function).get_concrete_function(**{spec.name: spec for spec in specs})


def _spec(tensor, name):
    return tf.TensorSpec(tensor.shape, tensor.dtype, name) if isinstance(tensor, tf.Tensor) else tensor


def _check(condition, message, *values):
    """Returns [assertion] for control dependencies.

    Without them an operation that reads the bad tensor may fail first, with a message of its own.
    """
    return [tf.debugging.Assert(condition, [tf.strings.format(message, values)])]


def _count(rows):
    return tf.shape(rows)[0]
