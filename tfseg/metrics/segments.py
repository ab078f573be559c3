"""Which segments of a labelled and a predicted panoptic map overlap, and in how many pixels.

Everything is counted once here; panoptic quality and parsing covering are formulas on these counts.
"""

import dataclasses

import numpy as np

from tfseg.errors import InputError
from tfseg.labels import DatasetInfo

VOID = -1
# Ids up to this many times the number of values are numbered through a table, larger ones by sorting.
TABLE_RATIO = 8
# Where more than one pixel in this many differs from the one before it, pixels are counted one by one.
NOISY_RATIO = 4


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The ids of two maps of one size, and how often each two of them meet.

    Attributes:
      label_ids, prediction_ids: ascending, each once; only ids that occur.
      rows, columns: [num_pairs] indices in `label_ids` and `prediction_ids`; only pairs that occur, each once.
      pixels: [num_pairs] int64.
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
      class_ids: [num_ids]; VOID for an id that stands for pixels of no segment.
      crowd_numbers: [num_ids] 0, or for a crowd its place among the crowds of the image, from 1.
    """

    class_ids: np.ndarray
    crowd_numbers: np.ndarray


@dataclasses.dataclass(frozen=True)
class Overlaps:
    """Pairs of an image, and what their ids mean: `label` goes with `pairs.label_ids`, `prediction` with the others."""

    pairs: Pairs
    label: Segments
    prediction: Segments

    @property
    def num_pixels(self) -> int:
        """Of the image."""
        return int(self.pairs.pixels.sum())

    def label_areas(self) -> np.ndarray:
        """[num_label_ids] int64 pixels."""
        return summed(self.pairs.rows, self.pairs.pixels, len(self.pairs.label_ids))

    def prediction_areas(self, is_counted=True) -> np.ndarray:
        """[num_prediction_ids] int64 pixels of all pairs, or of those where `is_counted`, [num_pairs] bool, is true."""
        return summed(self.pairs.columns, self.pairs.pixels * is_counted, len(self.pairs.prediction_ids))


def summed(indices, values, length) -> np.ndarray:
    """[length] int64: at every index the sum of its values, which are integers and add up to less than 2**53."""
    return np.bincount(indices, values, length).astype(np.int64)


def count_pairs(label, prediction) -> Pairs:
    """Counts how often the ids of two maps meet.

    Neighbours that agree in both maps are counted together, so the cost is that of the outlines.

    Args:
      label, prediction: [height, width] integers from 0.
    Raises:
      ValueError: shapes that differ.
    """
    if np.shape(label) != np.shape(prediction):
        raise ValueError(f"label has shape {np.shape(label)}, prediction {np.shape(prediction)}")
    label, prediction = np.asarray(label).reshape(-1), np.asarray(prediction).reshape(-1)
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
    """Overlaps of maps of panoptic ids, class id * label_divisor + instance id.

    Ids of the ignored class are void, whatever their instance. In the label, instance 0 of a thing is a crowd.

    Args:
      label, prediction: [height, width] integers.
    Raises:
      InputError: an id of no class.
      ValueError: shapes that differ.
    """
    for name, values in (("label", label), ("prediction", prediction)):
        if np.min(values, initial=0) < 0:
            raise InputError(f"the {name} has the panoptic id {np.min(values)}: they are not negative")
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
    """{"all", "things", "stuff"} -> the mean of every entry of `values` over the classes of the group that have one.

    Args:
      values: name -> [num_classes] floats, NaN for a class that is not counted; all are NaN at the same classes.
    Returns:
      Plain JSON types; a group also has its "num_classes". Without any class the means are 0.
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
    """(distinct values, ascending; index of every value among them). Values are integers from 0."""
    num_codes = int(values.max()) + 1 if values.size else 0
    if num_codes > TABLE_RATIO * values.size:
        return np.unique(values, return_inverse=True)
    if values.dtype == np.uint64:
        values = values.astype(np.int64)  # NumPy does not take by uint64
    is_present = np.zeros(num_codes, bool)
    is_present[values] = True
    present = np.flatnonzero(is_present)
    numbers = np.zeros(num_codes, np.int32)
    numbers[present] = np.arange(len(present))
    return present, numbers.take(values)


def _counted(codes, lengths, num_codes):
    """(distinct codes, ascending; int64 sum of the lengths of each, or their number without lengths)."""
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
    """{class name: {score: share, or None for NaN}} of {score: [num_classes] floats}, plain JSON types."""
    classes = {}
    for class_id, name in enumerate(info.class_names):
        entry = {key: float(values[class_id]) for key, values in scores.items()}
        classes[name] = {key: None if np.isnan(value) else value for key, value in entry.items()}
    return classes
