"""The confusion matrix of class ids, and the scores computed from it.

Rows are labels, columns predictions: entry [i, j] counts the pixels of class i that were predicted as j. The matrices
of parts of a data set add up to the matrix of the whole. A formula that would divide by 0 gives NaN.
"""

import numpy as np

from tfseg.errors import InputError
from tfseg.labels import IGNORE_LABEL


def confusion_matrix(label, prediction, num_classes: int, ignore_label: int = IGNORE_LABEL) -> np.ndarray:
    """Counts pixels by label and prediction.

    Args:
      label: integer class ids of any shape; pixels with `ignore_label` are not counted.
      prediction: integer class ids, 0 to num_classes - 1, of the same shape.
      num_classes: number of classes.
      ignore_label: class id of pixels without a label.
    Returns:
      [num_classes, num_classes] int64.
    Raises:
      InputError: a label is neither a class id nor `ignore_label`.
      ValueError: the shapes differ, or a prediction is not a class id.
    """
    if np.shape(label) != np.shape(prediction):
        raise ValueError(f"label has shape {np.shape(label)}, prediction {np.shape(prediction)}")
    return count_pairs(label_rows(label, num_classes, ignore_label), prediction, num_classes)


def label_rows(label, num_classes: int, ignore_label: int = IGNORE_LABEL) -> np.ndarray:
    """Returns where each pixel's row begins in the flattened matrix; several predictions can share this work.

    Returns:
      [number of pixels] int64, multiples of num_classes. Ignored pixels have an extra row, the last one.
    Raises:
      InputError: see `confusion_matrix`.
    """
    label = np.asarray(label).reshape(-1).astype(np.int64)  # [number of pixels]
    is_ignored = label == ignore_label
    is_bad = ~is_ignored & ((label < 0) | (label >= num_classes))
    if is_bad.any():
        value = label[is_bad][0]
        raise InputError(
            f"label value {value} ({np.count_nonzero(label == value)} pixels) is neither a class id "
            f"0 to {num_classes - 1} nor {ignore_label} (ignored)"
        )
    return np.where(is_ignored, num_classes, label) * num_classes


def count_pairs(rows, prediction, num_classes: int) -> np.ndarray:
    """Returns the confusion matrix from `label_rows` and a prediction of the same pixels."""
    prediction = np.asarray(prediction).reshape(-1)  # [number of pixels]
    if prediction.size and not 0 <= prediction.min() <= prediction.max() < num_classes:
        raise ValueError(f"predictions from {prediction.min()} to {prediction.max()} for {num_classes} classes")
    counts = np.bincount(rows + prediction, minlength=(num_classes + 1) * num_classes)
    # The last of num_classes + 1 rows counts ignored pixels and is dropped.
    return counts.reshape(num_classes + 1, num_classes)[:-1].astype(np.int64)


def grouped(confusion, group_ids) -> np.ndarray:
    """Returns the confusion matrix of groups of classes: any class of the right group counts as right.

    Args:
      confusion: [num_classes, num_classes].
      group_ids: [num_classes] group of each class, 0 to num_groups - 1.
    Returns:
      [num_groups, num_groups] int64.
    """
    is_in_group = np.equal.outer(np.arange(np.max(group_ids) + 1), group_ids).astype(np.int64)
    return is_in_group @ confusion @ is_in_group.T


def iou_per_class(confusion) -> np.ndarray:
    """Returns [num_classes] TP / (TP + FP + FN); NaN for a class in neither labels nor predictions."""
    true_positives = np.diag(confusion)
    return ratio(true_positives, confusion.sum(0) + confusion.sum(1) - true_positives)


def mean_iou(confusion) -> tuple[float, int]:
    """Returns (mean IoU of the classes in labels or predictions, number of classes left out of the mean)."""
    ious = iou_per_class(confusion)
    present = ious[~np.isnan(ious)]
    return (float(present.mean()) if present.size else float("nan")), ious.size - present.size


def frequency_weighted_iou(confusion) -> float:
    """Returns the mean IoU, weighted by each class' share of the labelled pixels."""
    frequencies = confusion.sum(1)
    weighted = np.nansum(iou_per_class(confusion) * frequencies)
    return float(ratio(weighted, frequencies.sum()))


def pixel_accuracy(confusion) -> float:
    """Returns the share of labelled pixels that are predicted right."""
    return float(ratio(np.trace(confusion), confusion.sum()))


def accuracy_per_class(confusion) -> np.ndarray:
    """Returns [num_classes] shares of each class' labelled pixels that were found (recall); NaN for an absent class."""
    return ratio(np.diag(confusion), confusion.sum(1))


def mean_class_accuracy(confusion) -> float:
    """Returns the mean of `accuracy_per_class` over the classes that have labelled pixels."""
    accuracies = accuracy_per_class(confusion)
    labelled = accuracies[~np.isnan(accuracies)]
    return float(labelled.mean()) if labelled.size else float("nan")


def ratio(numerator, denominator) -> np.ndarray:
    """Returns the quotients; NaN where a denominator is 0."""
    numerator = np.asarray(numerator, float)
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=np.asarray(denominator) > 0)
