"""A .tflite file as an engine: a file made by tfseg, or a segmenter made by another program."""

import math
import time

import numpy as np

from tfseg.errors import InputError, listed, shortened
from tfseg.formats import tflite_metadata
from tfseg.inference.engines import description, tflite_runtime
from tfseg.inference.engines.description import noted_iterations
from tfseg.inference.engines.engine import ClassIds
from tfseg.inference.engines.foreign_tflite import ForeignSegmenter
from tfseg.inference.refinement import Layer, Refinement, Stopped
from tfseg.inference.views import Tiling, View, network_inputs
from tfseg.layers import settling
from tfseg.postprocess import instance_maps
from tfseg.postprocess.fusion import fuse
from tfseg.postprocess.resizing import resized, resized_ids
from tfseg.system.progress import say

START = "start"  # the signature of frames that start afresh, in stream files that do not start from zeros
CLASS_IDS = "class_ids"  # the output of class_map files
GATE = "gate"  # the signature through which the state of the frame before goes, in stream files with a learned gate


class TFLiteEngine:
    """Runs a .tflite file: resizes images to its input size, and its logits to the image's size. See `engine.py`."""

    serve = segmenter = None

    def __init__(self, path, threads=1, trust=False, normalization=None):
        """Opens the file.

        Args:
          path: the file's path.
          threads: number of threads of the interpreter.
          trust: whether to skip the trial in a separate process.
          normalization: (mean, std), see `ForeignSegmenter`; None uses what the file says.
        Raises:
          InputError: the file is damaged, was changed since the manifest was written, or is no segmenter.
        """
        self.path, self.panoptic, self.answer_until, self.carry, self.encode = str(path), None, None, None, None
        self.state_channels = {}
        self._program = tflite_runtime.load(path, threads, trust)
        if self._program.listed is None and not trust:
            note = "no manifest.json beside it lists it; its structure was checked, its sha256 could not be"
            say(f"note: {path}: {note}")
        try:
            found = tflite_metadata.read_metadata(self._program.content, self._program.model)
        except ValueError as error:
            reason = shortened(error, 150)
            raise InputError(f"{path}: its metadata is damaged ({reason}); export or download it again") from error
        self._foreign = None
        if found.description is None:
            self._foreign = ForeignSegmenter(self._program, found, normalization)
            self.info, self.size = self._foreign.info, self._foreign.size
            self.is_recurrent, self.has_every_iteration = False, True
            self.default_iterations = self.trained_iterations = self.min_iterations = self.max_iterations = 1
            return
        if normalization is not None:
            raise InputError(f"--mean and --std do not apply to {path}: it normalises images itself")
        self._use(description.parse(found.description, path))

    def answer(self, image, iterations, last_only):
        if self._foreign is not None:
            return self._foreign.answer(image)
        if self._has_class_map:
            return self._class_ids(image)
        return self._answer(image, self._canvases(self._pixels(image), iterations, last_only))

    def _answer(self, image, canvases):
        # Each canvas is [1, h, w, num_classes], all together [iterations, h, w, num_classes].
        return Refinement([self._layer(np.concatenate(canvases), image.shape[:2])], image.shape[:2])

    def _class_ids(self, image):
        found = self._program.run(self._signature, {"image": self._pixels(image)})[CLASS_IDS][0]
        if found.max() >= self.info.num_classes:
            known = self.info.num_classes - 1
            raise InputError(f"{self.path}: its map has class id {found.max()}; known are 0 to {known}")
        return ClassIds([(resized_ids(found, image.shape[:2]), None)], self.path)

    def _pixels(self, image):
        """Returns [1, height, width, 3] float32, resized to the file's input size if that is fixed."""
        size = self.size or image.shape[:2]
        if image.shape[:2] == tuple(size):
            return np.asarray(image, np.float32)[np.newaxis]
        [pixels] = network_inputs(image, View(base_size=size), Tiling(size, size))
        return pixels.numpy()

    def _instances(self, image):
        outputs = self._program.run(self._signature, {"image": self._pixels(image)})
        semantic, *maps = (outputs[name][0] for name in ("semantic_logits", *instance_maps.NAMES))
        maps = instance_maps.InstanceMaps(*maps, stride=self._stride)
        found = fuse(semantic, maps, self.info.thing_ids, self.info.label_divisor, self.size, self._fusion)
        return resized(found, image.shape[:2])

    def _use(self, described):
        """Sets up a file made by tfseg."""
        self.info, self._padding, self._stride = described.info, described.padding, described.stride
        self.is_recurrent = described.is_recurrent
        self.default_iterations = noted_iterations(self._program.listed, described)
        kinds = {"segment": self._segment, "resizable": self._segment}
        kinds |= {"class_map": None, "dynamic": self._dynamic, "stream": self._stream, "panoptic": self._semantic}
        if described.kind not in kinds:
            raise InputError(
                f"{self.path}: of the kind {shortened(described.kind, 30)!r}, this version runs {listed(kinds)}"
            )
        self._canvases, self._has_class_map = kinds[described.kind], described.kind == "class_map"
        self._check_signatures(described)
        if described.kind not in ("stream", "dynamic"):
            self.min_iterations = self.max_iterations = described.iterations
        else:
            self.min_iterations, self.max_iterations = 1, described.max_iterations
        self.trained_iterations, self.has_every_iteration = self.max_iterations, self.min_iterations == 1
        self.answer_until = {"stream": self._stream_until, "dynamic": self._dynamic_until}.get(described.kind)
        self.encode = self._encode if described.kind == "stream" else None
        if described.kind == "stream":
            outputs = self._program.signatures["refine"].outputs
            self.state_channels = {name: tensor.shape[-1] for name, tensor in outputs.items()}
        self.carry = described.carry if described.kind == "stream" else None
        if described.kind == "panoptic":
            if described.fusion is None:
                raise InputError(f"{self.path}: does not say how its instances are found; export it again")
            self._fusion, self.panoptic = described.fusion, self._instances

    def _check_signatures(self, described):
        """Raises InputError unless the file has the signatures that its description promises."""
        signatures = self._program.signatures
        first = "encode" if described.kind == "stream" else next(iter(signatures))
        last = "refine" if described.kind == "stream" else first
        wanted = {"stream": "canvas", "panoptic": "semantic_logits", "class_map": CLASS_IDS}
        wanted = wanted.get(described.kind, "logits")
        inputs = {"image", "iterations", "tolerance"} if described.kind == "dynamic" else {"image"}
        is_whole = first in signatures and last in signatures and set(signatures[first].inputs) == inputs
        is_whole = is_whole and (described.kind != "dynamic" or "iterations" in signatures[first].outputs)
        if is_whole and described.kind == "stream" and START in signatures:
            is_whole = signatures[START].outputs == signatures[last].outputs
        answer = signatures[last].outputs.get(wanted) if is_whole else None
        shape = signatures[first].inputs["image"].shape if answer else ()
        is_open = described.kind == "resizable"
        is_whole = len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and (None in shape) == is_open
        if described.kind == "class_map":
            is_whole = is_whole and (answer.shape, answer.dtype) == (shape[:3], "uint8")
        else:
            is_whole = is_whole and len(answer.shape) == 4 and answer.shape[3] == described.info.num_classes
        if not is_whole:
            raise InputError(
                f"{self.path}: its signatures are not those of a {described.kind} file of "
                f"{described.info.num_classes} classes; export it again"
            )
        self._signature, self.size = first, None if is_open else shape[1:3]

    def _segment(self, pixels, iterations, last_only):
        return [self._program.run(self._signature, {"image": pixels})["logits"]]

    def _semantic(self, pixels, iterations, last_only):
        return [self._program.run(self._signature, {"image": pixels})["semantic_logits"]]

    def _dynamic(self, pixels, iterations, last_only):
        counts = [iterations] if last_only else range(1, iterations + 1)
        return [self._loop(pixels, count, settling.NEVER)["logits"] for count in counts]

    def _dynamic_until(self, image, iterations, latest_start=math.inf, tolerance=settling.NEVER, start=None):
        outputs = self._loop(self._pixels(image), iterations, tolerance)
        return Stopped(self._answer(image, [outputs["logits"]]), int(outputs["iterations"][0]))

    def _loop(self, pixels, iterations, tolerance):
        """Runs a dynamic file; returns all its outputs."""
        numbers = {"iterations": np.int32([iterations]), "tolerance": np.float32([tolerance])}
        return self._program.run(self._signature, {"image": pixels} | numbers)

    def _stream(self, pixels, iterations, last_only):
        features = self._program.run("encode", {"image": pixels})
        canvases = [state["canvas"] for _, state in self._refined(features, iterations)]
        return canvases[-1:] if last_only else canvases

    def _encode(self, image):
        return self._program.run("encode", {"image": self._pixels(image)})

    def _stream_until(
        self, image, iterations, latest_start=math.inf, tolerance=settling.NEVER, start=None, features=None
    ):
        canvas = None if start is None else start["canvas"]
        features = self._encode(image) if features is None else features
        for count, (began, state) in enumerate(self._refined(features, iterations, start), 1):  # noqa: B007
            before, canvas = canvas, state["canvas"]
            if time.perf_counter() > latest_start or (tolerance >= 0 and _changed_share(before, canvas) <= tolerance):
                break
        return Stopped(self._answer(image, [canvas]), count, began if count > 1 else None, state)

    def _refined(self, features, iterations, state=None):
        """Yields (time.perf_counter() at its start, state after it) for each iteration of a stream file."""
        if state is not None and GATE in self._program.signatures:
            state = self._program.run(GATE, features | state)
        for _ in range(iterations):
            began = time.perf_counter()
            if state is None and START in self._program.signatures:
                state = self._program.run(START, features)
            else:
                # Omitted inputs are zeros, which is the state before the first iteration.
                state = self._program.run("refine", features | (state or {}))
            yield began, state

    def _layer(self, canvases, image_size):
        """Returns the canvases with their place on the image, computed as `Inference` does for a resized view."""
        shape, image_size = canvases.shape[1:3], tuple(image_size)
        if self._padding == "same" or shape == (self.size or image_size):
            return Layer(canvases, tuple(shape[axis] / image_size[axis] for axis in range(2)))
        pitch = tuple(self.size[axis] / image_size[axis] / self._stride for axis in range(2))
        return Layer(canvases, pitch, (0.5 / self._stride, 0.5 / self._stride))


def _changed_share(before, after):
    """Returns `settling.changed_share` of two canvases; 1 if there is none before."""
    return 1.0 if before is None else np.mean(before.argmax(-1) != after.argmax(-1))
