"""Compares exported files with the model on the same images: agreement of class ids, mIoU and time."""

import dataclasses
import functools
import io

import numpy as np
from PIL import Image

from tfseg.evaluation.tables import percent
from tfseg.export.serving.service import MAX_PIXELS
from tfseg.inference.runner import inference_of
from tfseg.inference.views import SINGLE_VIEW, View, resized_pixels
from tfseg.markdown import table
from tfseg.metrics.confusion import count_pairs, label_rows, mean_iou
from tfseg.system import timing
from tfseg.system.progress import with_progress

# Smallest share of pixels that must get the same class from the file as from the model.
LEAST_AGREEMENT = {"fp32": 0.999, "fp16": 0.995, "dynamic": 0.99, "int8": 0.98}
MOST_MIOU_LOST = 0.015
ROUNDS = 20  # timing rounds
# How many images also go to a server as files, and as what: photos of phones are compressed like this.
SERVED_IMAGES, SERVED_QUALITY = 4, 75


@dataclasses.dataclass(frozen=True)
class Compared:
    """One file after one number of iterations, compared with the model.

    Attributes:
      path: the file's path, relative to the export.
      size: (height, width) in which all images went through the network; None if they had several sizes.
      precision: a key of LEAST_AGREEMENT.
      iterations: how many iterations ran.
      agreement: share of pixels with the same class, 0 to 1, on images in the file's size, if it has one.
      miou, model_miou: mIoU of the file and of the model, 0 to 1; None if the images have no labels.
      num_images: number of images they were compared on.
      milliseconds: median time from an image to its class map; all files are timed in turn.
      served: like `agreement`, for JPEG files sent to the signature that servers call; None where none were sent.
      next_frame: like `agreement`, for the same images once more, as a video's next frame, which starts from the state
        of the first; None for a file that keeps no state, or that runs all frames by one step.
    """

    path: str
    size: tuple[int, int] | None
    precision: str
    iterations: int
    agreement: float
    miou: float | None
    model_miou: float | None
    num_images: int
    milliseconds: float
    served: float | None = None
    next_frame: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether agreement and mIoU are within the tolerance of the precision."""
        lost = 0 if self.miou is None else self.model_miou - self.miou
        shares = (self.agreement, self.served, self.next_frame)
        least = min(share for share in shares if share is not None)
        return least >= LEAST_AGREEMENT[self.precision] and lost <= MOST_MIOU_LOST


class _Same:
    """Counts the pixels that get the same class."""

    def __init__(self):
        self.same = self.pixels = 0

    def add(self, expected, found):
        self.same += int(np.count_nonzero(expected == found))
        self.pixels += expected.size

    def share(self):
        return self.same / self.pixels if self.pixels else None


class _Counts:
    """The counts for one file and one number of iterations."""

    def __init__(self, num_classes):
        self.plain, self.served, self.next_frame = _Same(), _Same(), _Same()
        self.matrix, self.model_matrix = (np.zeros([num_classes, num_classes], np.int64) for _ in range(2))

    def add_scores(self, rows, expected, found):
        num_classes = len(self.matrix)
        self.matrix += count_pairs(rows, found, num_classes)
        self.model_matrix += count_pairs(rows, expected, num_classes)

    def mious(self):
        return [mean_iou(matrix)[0] if matrix.any() else None for matrix in (self.matrix, self.model_matrix)]


def compare(network, info, files, examples, num_images) -> list[Compared]:
    """Runs the model and every file on images.

    Args:
      network: the model that was exported.
      info: the model's DatasetInfo.
      files: {path: (predictor, precision)}. Each file runs with every number of iterations that it allows. If a file
        has a size, agreement is measured on images resized to it, and mIoU on the images as they are.
      examples: the examples, as `pipeline.eval_examples` gives them.
      num_images: how many examples are used.
    """
    numbers = {path: range(file.min_iterations, file.max_iterations + 1) for path, (file, _) in files.items()}
    counts = {(path, n): _Counts(info.num_classes) for path in files for n in numbers[path]}
    most, sizes = max(n for _, n in counts), set()
    for index, example in enumerate(with_progress(iter(examples.take(num_images)), num_images, "comparing")):
        image, label = example["image"][0].numpy(), example["label"][0].numpy()
        rows = label_rows(label, info.num_classes, info.ignore_label)
        sizes.add(tuple(image.shape[:2]))
        expected = functools.lru_cache(maxsize=None)(functools.partial(_expected, network, image, most))
        for path, (predictor, _) in files.items():
            size = predictor.size
            found = _found(predictor, image, numbers[path])
            small = _found(predictor, resized_pixels(image, size), numbers[path]) if _is_other(size, image) else found
            expected_found, expected_small = expected(size)
            for n in numbers[path]:
                counts[path, n].add_scores(rows, expected_found[n - 1], found[n])
                counts[path, n].plain.add(expected_small[n - 1], small[n])
            for maps in _next_frames(network, resized_pixels(image, size) if size else image, predictor):
                counts[path, 1].next_frame.add(*maps)
            if predictor.serve and index < SERVED_IMAGES and image[..., 0].size <= MAX_PIXELS:
                counts[path, network.default_iterations].served.add(*_served(network, image, predictor))
    milliseconds = _milliseconds(files, counts, image)
    common = next(iter(sizes)) if len(sizes) == 1 else None
    return [
        Compared(
            path,
            files[path][0].size or common,
            files[path][1],
            n,
            count.plain.share(),
            *count.mious(),
            num_images,
            milliseconds[path, n],
            count.served.share(),
            count.next_frame.share(),
        )
        for (path, n), count in counts.items()
    ]


def _milliseconds(files, keys, image):
    calls = {(path, n): functools.partial(files[path][0].predict, image, n) for path, n in keys}
    return {key: timing.median(taken) for key, taken in timing.interleaved(calls, ROUNDS).items()}


def _is_other(size, image):
    return size is not None and size != tuple(image.shape[:2])


def _expected(network, image, iterations, size):
    """The model's class maps of an image that it sees in `size`: in the image's own size, and in `size`."""
    whole = _class_maps(network, image, iterations, size)
    if not _is_other(size, image):
        return whole, whole
    return whole, _class_maps(network, resized_pixels(image, size), iterations, None)


def _served(network, image, predictor):
    """The model's class map of an image that went through a JPEG file, and the server's of that file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=SERVED_QUALITY)
    pixels = np.asarray(Image.open(file, formats=["JPEG"]).convert("RGB"))
    expected = _class_maps(network, pixels, network.default_iterations, predictor.size)
    return expected[-1], predictor.serve(file.getvalue())


def _next_frames(network, image, predictor):
    """Yields the model's and the file's class map of a frame that equals the one before, if a step of its own runs it.

    Nothing is yielded for an image that is cut into tiles, whose frames all start afresh.
    """
    if (network.starts_from_zeros and not network.has_gate) or predictor.engine.carry is None:
        return
    found = []
    for answer_until in (inference_of(network).refine_until, predictor.engine.answer_until):
        state = answer_until(image, 1).state
        if state is None:
            return
        error = {"error": np.zeros_like(state["canvas"][..., :1])} if network.has_gate else {}
        found.append(answer_until(image, 1, start=state | error).answer.class_ids())
    yield found


def _class_maps(network, image, iterations, size):
    views = SINGLE_VIEW if size is None else (View(base_size=tuple(size)),)
    [answer] = inference_of(network).refine([image], iterations, views)
    return [answer.class_ids(index) for index in range(len(answer))]


def _found(predictor, image, numbers):
    if len(numbers) == 1 and not predictor.is_panoptic:
        return {numbers[0]: predictor.predict(image, numbers[0]).class_ids}
    # For a panoptic model these are the classes before instances overrule them; `_class_maps` returns the same.
    maps = predictor.predict_iterations(image, max(numbers))
    return {n: maps[n - 1] for n in numbers}


def as_markdown(rows) -> str:
    """A table of `Compared`; it has a column for the next frame of a video if a file has one."""
    has_next_frame = any(row.next_frame is not None for row in rows)
    lines = [
        [
            row.path,
            str(row.iterations),
            percent(row.agreement),
            *("" if value is None else percent(value) for value in (row.miou, row.model_miou)),
            *("" if share is None else percent(share) for share in (row.served, row.next_frame)[: 1 + has_next_frame]),
            f"{row.milliseconds:.1f}",
            "yes" if row.is_good else "NO",
        ]
        for row in rows
    ]
    shares = ["same class, %", "mIoU, %", "mIoU of the model, %", "served JPEGs, %"]
    shares += ["next frame, %"] if has_next_frame else []
    return table(["file", "iterations", *shares, "ms", "good"], lines)
