"""Counts which segments of a labelled and a predicted panoptic map overlap, and in how many pixels.

Panoptic quality and parsing covering are formulas on these counts.
"""

import dataclasses

import numpy as np

from tfseg.errors import InputError
from tfseg.labels import DatasetInfo

VOID = -1
# Ids up to this many times the number of values are numbered with a table, larger ids by sorting.
TABLE_RATIO = 8
# If more than one pixel in this many differs from the pixel before it, pixels are counted one by one.
NOISY_RATIO = 4


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The ids in two maps of the same size, and how often each pair of ids meets in a pixel.

    Attributes:
      label_ids, prediction_ids: [num_label_ids], [num_prediction_ids] ids that occur, ascending, each once.
      rows, columns: [num_pairs] indices into `label_ids` and `prediction_ids` of the pairs that occur, each once.
      pixels: [num_pairs] int64 number of pixels of each pair.
    """

    label_ids: np.ndarray
    prediction_ids: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Segments:
    """What the ids of one map mean.

    Attributes:
      class_ids: [num_ids] class of each id; VOID for pixels that belong to no segment.
      crowd_numbers: [num_ids] 0, or for a crowd its number among the crowds of the image, counted from 1.
    """

    class_ids: np.ndarray
    crowd_numbers: np.ndarray


@dataclasses.dataclass(frozen=True)
class Overlaps:
    """The pairs of ids in an image, and what the ids mean.

    Attributes:
      pairs: which ids meet, and how often.
      label: what `pairs.label_ids` mean.
      prediction: what `pairs.prediction_ids` mean.
    """

    pairs: Pairs
    label: Segments
    prediction: Segments

    @property
    def num_pixels(self) -> int:
        """Number of pixels of the image."""
        return int(self.pairs.pixels.sum())

    def label_areas(self) -> np.ndarray:
        """Returns [num_label_ids] int64 numbers of pixels."""
        return summed(self.pairs.rows, self.pairs.pixels, len(self.pairs.label_ids))

    def prediction_areas(self, is_counted=True) -> np.ndarray:
        """Returns [num_prediction_ids] int64 numbers of pixels, over all pairs or where [num_pairs] `is_counted`."""
        return summed(self.pairs.columns, self.pairs.pixels * is_counted, len(self.pairs.prediction_ids))


def summed(indices, values, length) -> np.ndarray:
    """Returns [length] int64: the sum of the values at every index. Values are integers; sums must be below 2**53."""
    return np.bincount(indices, values, length).astype(np.int64)


def count_pairs(label, prediction) -> Pairs:
    """Counts how often the ids of two maps meet.

    Runs of pixels that are equal in both maps are counted together, so the cost grows with the outlines' length.

    Args:
      label, prediction: [height, width] integers, at least 0.
    Raises:
      ValueError: the shapes differ.
    """
    if np.shape(label) != np.shape(prediction):
        raise ValueError(f"label has shape {np.shape(label)}, prediction {np.shape(prediction)}")
    label, prediction = np.asarray(label).reshape(-1), np.asarray(prediction).reshape(-1)  # [height * width]
    is_start = np.ones(label.size, bool)
    np.not_equal(label[1:], label[:-1], out=is_start[1:])
    is_start[1:] |= prediction[1:] != prediction[:-1]
    if NOISY_RATIO * np.count_nonzero(is_start) > label.size:
        starts, lengths = slice(None), None
    else:
        starts = np.flatnonzero(is_start)
        lengths = np.diff(starts, append=label.size)
    label_ids, rows = _numbered(label[starts])
    prediction_ids, columns = _numbered(prediction[starts])
    num_columns = max(len(prediction_ids), 1)
    num_codes = len(label_ids) * num_columns
    codes = rows.astype(np.min_scalar_type(-num_codes), copy=False) * num_columns + columns
    codes, pixels = _counted(codes, lengths, num_codes)
    return Pairs(label_ids, prediction_ids, *divmod(codes, num_columns), pixels)


def panoptic_overlaps(label, prediction, info: DatasetInfo) -> Overlaps:
    """Counts the overlaps of maps of panoptic ids, class id * label_divisor + instance id.

    Ids of the ignored class are void, whatever their instance id. In the label, instance 0 of a thing is a crowd.

    Args:
      label, prediction: [height, width] integers.
      info: what the labels mean.
    Raises:
      InputError: an id is negative or belongs to no class.
      ValueError: the shapes differ.
    """
    for name, values in (("label", label), ("prediction", prediction)):
        if np.min(values, initial=0) < 0:
            raise InputError(f"the {name} has the panoptic id {np.min(values)}; ids must not be negative")
    pairs = count_pairs(label, prediction)
    label_classes = _class_ids(pairs.label_ids, info, "label")
    is_thing = np.isin(label_classes, list(info.thing_ids))
    is_crowd = is_thing & (pairs.label_ids % info.label_divisor == 0)
    prediction_classes = _class_ids(pairs.prediction_ids, info, "prediction")
    return Overlaps(
        pairs,
        Segments(label_classes, np.cumsum(is_crowd) * is_crowd),
        Segments(prediction_classes, np.zeros(len(prediction_classes), np.int64)),
    )


def group_means(info: DatasetInfo, values: dict) -> dict:
    """Averages scores over all classes, over things and over stuff.

    Args:
      info: what the labels mean.
      values: {name: [num_classes] floats}, NaN for a class that is not counted; all are NaN at the same classes.
    Returns:
      {"all", "things", "stuff"}, each {name: mean over the group's counted classes} and "num_classes", the number of
      these classes, in plain JSON types. The means are 0 if no class is counted.
    """
    is_thing = np.isin(np.arange(info.num_classes), list(info.thing_ids))
    is_counted = ~np.isnan(next(iter(values.values())))
    groups = {}
    for name, members in (("all", np.ones_like(is_thing)), ("things", is_thing), ("stuff", ~is_thing)):
        counted = members & is_counted
        means = {key: float(each[counted].mean()) if counted.any() else 0.0 for key, each in values.items()}
        groups[name] = means | {"num_classes": int(counted.sum())}
    return groups


def _numbered(values):
    """Returns (distinct values, ascending; index of every value among them). Values are integers, at least 0."""
    num_codes = int(values.max()) + 1 if values.size else 0
    if num_codes > TABLE_RATIO * values.size:
        return np.unique(values, return_inverse=True)
    if values.dtype == np.uint64:
        values = values.astype(np.int64)  # NumPy's take does not accept uint64 indices
    is_present = np.zeros(num_codes, bool)
    is_present[values] = True
    present = np.flatnonzero(is_present)
    numbers = np.zeros(num_codes, np.int32)
    numbers[present] = np.arange(len(present))
    return present, numbers.take(values)


def _counted(codes, lengths, num_codes):
    """Returns (distinct codes, ascending; int64 sum of each code's lengths, or its count if `lengths` is None)."""
    if num_codes <= TABLE_RATIO * codes.size:
        counts = np.bincount(codes, lengths, num_codes)
        present = np.flatnonzero(counts)
        return present, counts[present].astype(np.int64)
    present, indices = np.unique(codes, return_inverse=True)
    return present, np.bincount(indices, lengths, len(present)).astype(np.int64)


def _class_ids(panoptic_ids, info, name):
    class_ids = panoptic_ids.astype(np.int64) // info.label_divisor
    is_void = class_ids == info.ignore_label
    unknown = np.flatnonzero((class_ids >= info.num_classes) & ~is_void)
    if len(unknown):
        raise InputError(
            f"the {name} has the panoptic id {panoptic_ids[unknown[0]]}: class {class_ids[unknown[0]]} of "
            f"{info.num_classes}; is an instance id at or above the label divisor {info.label_divisor}?"
        )
    return np.where(is_void, VOID, class_ids)


def scores_by_name(info: DatasetInfo, scores: dict) -> dict:
    """Turns {score: [num_classes] floats} into {class name: {score: share, or None for NaN}}, plain JSON types."""
    classes = {}
    for class_id, name in enumerate(info.class_names):
        entry = {key: float(values[class_id]) for key, values in scores.items()}
        classes[name] = {key: None if np.isnan(value) else value for key, value in entry.items()}
    return classes
