"""A SavedModel that was exported by tfseg, as an engine."""

import contextlib
import functools
import itertools
import math
import re

import numpy as np
import tensorflow as tf

from tfseg.errors import InputError
from tfseg.formats import export_manifest, saved_model
from tfseg.inference.engines import description
from tfseg.inference.engines.description import noted_iterations
from tfseg.inference.engines.engine import Maps
from tfseg.inference.panoptic import PanopticInference
from tfseg.inference.runner import Inference
from tfseg.inference.views import WHOLE_IMAGE_PIXELS, View, network_inputs, resized_pixels, rounded, tiling_of
from tfseg.layers import settling
from tfseg.models.segmenter import Segmenter
from tfseg.postprocess.fusion_config import network_fields
from tfseg.system.small_files import FieldError, read_bytes

SEGMENT, SERVED = "segment_tensors", "serving_default"
PANOPTIC = "panoptic_maps"
STEPS, ZEROS, START, GATE = ("encode", "refine"), "initial_state", "start", "gate"
PROBED_SIZE = (97, 161)  # of an image whose maps of different strides differ in size


class SavedModelEngine:
    """Runs the signatures of a SavedModel. See `tfseg.inference.engines.engine` for the interface.

    An image of a size that `segment_tensors` takes, up to `whole_image_pixels`, goes through that signature. All other
    images go through `encode` and `refine` as through a network, resized or in tiles; so do images of which every
    iteration is wanted, and frames of a video. A model that keeps no state does not have these two signatures: there
    the class maps of tiles are joined in the middle of their overlap, and those of resized images are enlarged by
    nearest neighbour.
    """

    min_iterations, has_every_iteration, encode = 1, True, None

    def __init__(self, signature, whole_image_pixels=WHOLE_IMAGE_PIXELS):
        """Sets up a SavedModel that was loaded.

        Args:
          signature: its `formats.saved_model.ImageSignature`.
          whole_image_pixels: number of pixels above which an image is cut into tiles.
        Raises:
          InputError: the model is not made by tfseg, or is damaged.
        """
        path, program = signature.path, signature.program
        described = _description(signature)
        self.path, self.info, self.size = str(path), described.info, described.size
        self.is_recurrent = described.is_recurrent
        self.default_iterations = noted_iterations(program.listed, described)
        self.max_iterations = self.trained_iterations = described.max_iterations if described.is_recurrent else 1
        self._whole_image_pixels, self._view = whole_image_pixels, View(base_size=described.size)
        self._segment, signatures = signature, program.loaded.signatures
        if self._segment.name != SEGMENT:
            raise InputError(f"{path}: has no signature {SEGMENT} of images and iterations; export it again")
        self._inference = None
        network = SavedSegmenter(signatures, described)
        self.segmenter = network if network.has_steps or network.is_panoptic else None
        if network.has_steps:
            self._inference = Inference(network, whole_image_pixels)
        self.answer_until = self._answer_until if self._inference else None
        self.carry = described.carry if self._inference else None
        self.state_channels = {name: spec.shape[-1] for name, spec in network.state_spec().items()}
        self.panoptic = PanopticInference(network, described.info, self._view).predict if network.is_panoptic else None
        self._served = signatures.get(SERVED)
        self.serve = self._serve if self._served is not None else None

    def answer(self, image, iterations, last_only):
        size = image.shape[:2]
        is_direct = self.size in (None, size) and size[0] * size[1] <= self._whole_image_pixels
        with saved_model.refusing(self._segment, size), _with_reason():
            if self._inference and not (is_direct and last_only):
                [answer] = self._inference.refine([image], iterations, (self._view,), last_only)
                return answer
            counts = [iterations] if last_only else range(1, iterations + 1)
            if is_direct:
                return Maps([self._maps(image, count) for count in counts])
            run = self._tiled if self.size is None else self._resized
            return Maps([run(image, count) for count in counts])

    def _answer_until(self, image, iterations, latest_start=math.inf, tolerance=settling.NEVER, start=None):
        with saved_model.refusing(self._segment, image.shape[:2]), _with_reason():
            return self._inference.refine_until(image, iterations, latest_start, tolerance, self._view, start)

    def _serve(self, content):
        answer = self._served(image_bytes=tf.constant([content]))
        return tf.io.decode_png(answer["mask_png_bytes"][0])[..., 0].numpy()

    def _maps(self, image, iterations):
        """Returns the [height, width] class ids and confidence of an image that is neither resized nor tiled."""
        images = tf.constant(np.asarray(image)[np.newaxis])  # [1, height, width, 3]
        given = {self._segment.image_name: images, saved_model.ITERATIONS: tf.constant([iterations])}
        outputs = self._segment.function(**given)
        return outputs["mask"].numpy()[0], outputs["confidence"].numpy()[0]

    def _resized(self, image, iterations):
        resized = resized_pixels(image, self.size)
        class_ids, confidence = (part[..., np.newaxis] for part in self._maps(resized, iterations))  # [*self.size, 1]
        size = image.shape[:2]
        class_ids = tf.image.resize(class_ids, size, method="nearest")
        return class_ids.numpy()[..., 0], tf.image.resize(confidence, size).numpy()[..., 0]

    def _tiled(self, image, iterations):
        size = image.shape[:2]
        tiling = tiling_of(size, self._whole_image_pixels)
        class_ids, confidence = (np.zeros(tiling.padded_size, dtype) for dtype in (np.uint8, np.float32))
        rows, columns = _begins(tiling.tops, tiling.tile[0]), _begins(tiling.lefts, tiling.tile[1])
        for (top, left), piece in zip(tiling.corners, network_inputs(image, View(), tiling), strict=True):
            row, column = rows[top], columns[left]
            inner = np.s_[row - top :, column - left :]
            place = np.s_[row : top + tiling.tile[0], column : left + tiling.tile[1]]
            ids, share = self._maps(rounded(piece[0]), iterations)
            class_ids[place], confidence[place] = ids[inner], share[inner]
        return class_ids[: size[0], : size[1]], confidence[: size[0], : size[1]]


class SavedSegmenter(Segmenter):
    """The network in a SavedModel, whose parts are computed by signatures.

    Args:
      signatures: the SavedModel's signatures. A network that keeps a state has `STEPS`, and how a frame starts afresh:
        from `ZEROS` or by `START`. A panoptic network has `PANOPTIC`.
      described: the SavedModel's Description.

    Attributes:
      has_steps: whether it keeps a state.
    """

    def __init__(self, signatures, described):
        self.num_classes, self.padding, self.canvas_stride = (
            described.info.num_classes,
            described.padding,
            described.stride,
        )
        self.is_recurrent, self._size = described.is_recurrent, described.size
        self.default_iterations, self.trained_iterations = described.iterations, described.max_iterations
        if described.fusion and PANOPTIC in signatures:
            self.fusion_settings = network_fields(described.fusion)
        self.distribute_strategy = tf.distribute.get_strategy()
        self._signatures = signatures
        self.starts_from_zeros = START not in signatures
        self.has_steps = all(name in signatures for name in (*STEPS, ZEROS if self.starts_from_zeros else START))

    def encode(self, images, training=False):
        if self._size is not None:
            images = tf.ensure_shape(images, [1, *self._size, 3])
        function = self._signatures["encode" if self.has_steps else PANOPTIC]
        features = _called(function, {name: _as_pixels(images) for name in _names(function)})
        if self.has_steps:
            return features
        maps = dict(features)
        return {"canvas": maps.pop("semantic_logits"), **maps}

    def refine(self, features, state=None):
        if not self.has_steps:
            return features
        if state is None and not self.starts_from_zeros:
            return _called(self._signatures[START], features)
        if state is None:
            state = self.initial_state(features)
        return _called(self._signatures["refine"], features | state)

    def state_spec(self):
        if not self.has_steps:
            return {}
        inputs = _names(self._signatures["refine"])
        return {name: inputs[name] for name in self._signatures["refine"].structured_outputs}

    @property
    def has_gate(self):
        return GATE in self._signatures

    def gated(self, features, start):
        return _called(self._signatures[GATE], features | start) if self.has_gate else start

    def initial_state(self, features):
        if self.starts_from_zeros:
            return _called(self._signatures[ZEROS], features)
        return {
            name: tf.zeros([*tf.unstack(tf.shape(features[self._alike[name]]))[:3], spec.shape[-1]])
            for name, spec in self.state_spec().items()
        }

    @functools.cached_property
    def _alike(self):
        """{name of a map of the state: a feature of its size}, found on a black image: signatures do not tell it."""
        with tf.init_scope():
            features = self.encode(tf.zeros([1, *(self._size or PROBED_SIZE), 3]))
            state = self.refine(features)
        sizes = {tuple(maps.shape[1:3]): name for name, maps in features.items() if len(maps.shape) == 4}
        return {name: sizes[tuple(maps.shape[1:3])] for name, maps in state.items()}


@contextlib.contextmanager
def _with_reason():
    """Turns TensorFlow's long error for a failed assertion into a ValueError with the assertion's own message."""
    try:
        yield
    except tf.errors.OpError as error:
        if said := re.search(r"assertion failed: \[(.+)\]", error.message):
            raise ValueError(said[1]) from error
        raise


def _called(function, tensors):
    """Calls a signature with those of the tensors that it takes."""
    return function(**{name: tensors[name] for name in _names(function)})


def _names(function):
    return function.structured_input_signature[1]


def _begins(starts, side):
    """Returns {start of a tile: start of the part used}, on an axis: the middle of its overlap with the tile before."""
    begins = {starts[0]: starts[0]}
    for before, start in itertools.pairwise(starts):
        begins[start] = (before + side + start) // 2
    return begins


def _as_pixels(images):
    return tf.cast(tf.round(images), tf.uint8)


def is_described(signature) -> bool:
    """Whether a SavedModel says about itself that tfseg made it."""
    return _description_file(signature).exists()


def _description(signature):
    file = _description_file(signature)
    try:
        content = read_bytes(file)
    except FieldError as error:
        raise InputError(f"{signature.path}: its {file.name} is damaged ({error}); export it again") from None
    except OSError as error:
        raise InputError(f"{signature.path}: its {file.name} cannot be read ({error.strerror})") from error
    return description.parse(content, signature.path)


def _description_file(signature):
    return signature.program.folder / "assets.extra" / export_manifest.DESCRIPTION
