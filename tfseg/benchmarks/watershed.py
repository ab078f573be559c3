"""Scores a panoptic model beside the classical way to find touching objects: a threshold and a watershed.

python -m tfseg.benchmarks.watershed --objects_dir=photos --panoptic_model=runs/mine
    PQ of the things on all images, and on those where labelled objects touch: of the model, of its class map by
    connected components, of Otsu's threshold by components, and of the watershed of its distance transform. Data have
    one class of things. Without --panoptic_model, the classical rows alone.

The numbers of the watershed were chosen on nuclei in microscopy, on 70 images of the training set.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from absl import flags
from scipy import ndimage
from skimage import feature, filters, measure, segmentation

from tfseg import markdown
from tfseg.commands import entry
from tfseg.data.opening import open_split
from tfseg.errors import InputError
from tfseg.evaluation.panoptic import panoptic_label, with_components
from tfseg.inference.predictor import Predictor
from tfseg.labels import DatasetInfo
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.system import timing
from tfseg.system.progress import with_progress

DATASET = flags.DEFINE_string("objects_dataset", "folder", "Data set; it has one class of things.")
DATA_DIR = flags.DEFINE_string("objects_dir", None, "Folder of the raw data, or of records.")
SPLIT = flags.DEFINE_string("objects_split", "val", "Split that is scored.")
MODEL = flags.DEFINE_string("panoptic_model", None, "Trained panoptic model: run directory or zoo:NAME.")
MIN_AREA = flags.DEFINE_integer("smallest_area", 20, "Pixels below which an area above the threshold is noise.")
MIN_DISTANCE = flags.DEFINE_integer("peak_distance", 5, "Smallest distance of two objects' centres, pixels.")
SMOOTHING = flags.DEFINE_float("smoothing", 2.0, "Standard deviation that smooths the distances, pixels; 0 for none.")
MODEL_ROW, COMPONENTS_ROW = "model", "its class map by components"


@dataclasses.dataclass
class Row:
    """One line of the table.

    Attributes:
      everywhere, touching: PanopticQuality of all images, and of those where labelled objects touch.
      milliseconds: of each image; empty for what only reads another line's class map.
    """

    everywhere: PanopticQuality
    touching: PanopticQuality
    milliseconds: list[float] = dataclasses.field(default_factory=list)

    def update(self, label, panoptic_ids, is_touching):
        """Adds an image."""
        self.everywhere.update(label, panoptic_ids)
        if is_touching:
            self.touching.update(label, panoptic_ids)


def foreground(image) -> np.ndarray:
    """Returns [height, width] bool: Otsu's threshold of the grey image; the smaller part is foreground.

    Args:
      image: [height, width, 3] uint8.
    """
    grey = image.mean(axis=2)
    if grey.min() == grey.max():
        return np.zeros(grey.shape, bool)
    is_bright = grey > filters.threshold_otsu(grey)
    return ~is_bright if is_bright.mean() > 0.5 else is_bright


def components(is_foreground, min_area: int) -> np.ndarray:
    """Returns [height, width] numbers of the 8-connected areas of at least `min_area` pixels; 0 elsewhere."""
    numbers = measure.label(is_foreground, connectivity=2)
    areas = np.bincount(numbers.reshape(-1))
    areas[0] = 0
    return np.where(areas[numbers] >= min_area, numbers, 0)


def watershed(is_foreground, min_area: int, min_distance: int, smoothing: float) -> np.ndarray:
    """Returns [height, width] numbers of objects: basins of the distance to the background, which is smoothed.

    Args:
      is_foreground: [height, width] bool; holes are filled.
      min_area: see `components`.
      min_distance: smallest distance of two maxima of the distance, pixels.
      smoothing: standard deviation of a Gaussian, pixels; 0 for none.
    """
    is_object = ndimage.binary_fill_holes(components(is_foreground, min_area) > 0)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(is_object), smoothing)
    peaks = feature.peak_local_max(
        distance, min_distance=min_distance, labels=measure.label(is_object, connectivity=2), exclude_border=False
    )
    markers = np.zeros(is_object.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return segmentation.watershed(-distance, markers, mask=is_object)


def objects_touch(panoptic_ids, info: DatasetInfo) -> bool:
    """Whether pixels of two instances of things are neighbours, 8-connected."""
    is_thing = np.isin(panoptic_ids // info.label_divisor, list(info.thing_ids))
    ids = np.where(is_thing, panoptic_ids, 0)
    beside = (ids[:, :-1], ids[:, 1:]), (ids[:-1], ids[1:])
    diagonal = (ids[:-1, :-1], ids[1:, 1:]), (ids[:-1, 1:], ids[1:, :-1])
    return any(((one != other) & (one > 0) & (other > 0)).any() for one, other in (*beside, *diagonal))


def compare(examples, num_examples, info: DatasetInfo, methods: dict[str, Callable]) -> dict[str, Row]:
    """Scores all methods on the same images.

    Args:
      examples: batches of one with instances, see `pipeline.eval_examples`.
      num_examples: number of examples, for the progress bar.
      info: what the labels mean; one class is a thing.
      methods: {name: [height, width, 3] uint8 image -> [height, width] panoptic ids}.
    Returns:
      {name: Row}. Of the method "model", its class map by connected components is a row, too.
    Raises:
      InputError: the instances of an image are not known.
    """
    rows = {}
    for name in methods:
        rows[name] = Row(PanopticQuality(info), PanopticQuality(info))
        if name == MODEL_ROW:
            rows[COMPONENTS_ROW] = Row(PanopticQuality(info), PanopticQuality(info))
    for example in with_progress(iter(examples), num_examples, "finding objects"):
        image = example["image"][0].numpy()
        if not bool(example["has_instances"][0]):
            raise InputError(f"{example['filename'][0].numpy().decode()}: its record has no instances")
        label = panoptic_label(example["label"][0].numpy(), example["instance"][0].numpy(), info)
        is_touching = objects_touch(label, info)
        for name, method in methods.items():
            begin = time.perf_counter()
            found = method(image)
            rows[name].milliseconds.append(1000 * (time.perf_counter() - begin))
            rows[name].update(label, found, is_touching)
            if name == MODEL_ROW:
                rows[COMPONENTS_ROW].update(label, with_components(found // info.label_divisor, info), is_touching)
    return rows


def classical_methods(info: DatasetInfo, min_area: int, min_distance: int, smoothing: float) -> dict[str, Callable]:
    """Returns the classical methods for `compare`; the arguments are those of `watershed`.

    Raises:
      InputError: there is not exactly one class of things.
    """
    if len(info.thing_ids) != 1 or info.num_classes < 2:
        raise InputError(
            f"{info.name}: {info.num_classes} classes, of which {len(info.thing_ids)} have objects; a threshold tells "
            "objects of one class from what is no object"
        )
    [thing] = info.thing_ids
    ground = next(class_id for class_id in range(info.num_classes) if class_id != thing) * info.label_divisor

    def panoptic(numbers):
        # Numbers have gaps where noise was left out.
        ids = np.minimum(segmentation.relabel_sequential(numbers)[0], info.label_divisor - 1)
        return np.where(numbers > 0, thing * info.label_divisor + ids, ground)

    return {
        "Otsu, components": lambda image: panoptic(components(foreground(image), min_area)),
        "Otsu, watershed": lambda image: panoptic(watershed(foreground(image), min_area, min_distance, smoothing)),
    }


def as_markdown(rows: dict[str, Row], info: DatasetInfo) -> str:
    """The table: things in per cent."""
    lines = []
    for name, row in rows.items():
        things, touching = (quality.result()["things"] for quality in (row.everywhere, row.touching))
        time_of_image = f"{timing.median(row.milliseconds):.0f}" if row.milliseconds else ""
        scores = [100 * things[key] for key in ("pq", "sq", "rq")] + [100 * touching["pq"]]
        lines.append([name, *(f"{score:.1f}" for score in scores), time_of_image])
    some = next(iter(rows.values()))
    head = ["", "PQ", "SQ", "RQ", "PQ where they touch", "ms an image"]
    return (
        f"{', '.join(info.class_names[one] for one in info.thing_ids)}: {some.everywhere.num_images} images, in "
        f"{some.touching.num_images} of which labelled objects touch\n\n"
        f"{markdown.table(head, lines, [False, True, True, True, True, True])}"
    )


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if not DATA_DIR.value:
        raise InputError("--objects_dir is missing: a folder of images with instances, or of their records")
    split = open_split(DATASET.value, DATA_DIR.value, SPLIT.value)
    methods = classical_methods(split.info, MIN_AREA.value, MIN_DISTANCE.value, SMOOTHING.value)
    if MODEL.value:
        predictor = Predictor.load(MODEL.value)
        if not predictor.is_panoptic:
            raise InputError(f"--panoptic_model={MODEL.value}: finds no objects; a panoptic model is wanted")
        methods = {MODEL_ROW: lambda image: predictor.predict(image).panoptic_ids} | methods
    rows = compare(split.examples(with_instances=True), split.num_examples, split.info, methods)
    print(as_markdown(rows, split.info))


if __name__ == "__main__":
    entry.run(main)
