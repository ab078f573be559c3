"""All metrics of semantic segmentation, after every iteration."""

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics import confusion as formulas


class SegmentationSuite:
    """Accumulates counts image by image; what it knows does not depend on their order.

    Args:
      info: the labels.
      num_iterations: predictions an image.

    Attributes:
      confusions: [num_iterations, num_classes, num_classes] int64.
      num_images: seen so far.
    """

    def __init__(self, info: DatasetInfo, num_iterations: int):
        self.info, self.num_images = info, 0
        self.confusions = np.zeros([num_iterations, info.num_classes, info.num_classes], np.int64)

    def update(self, label, predictions):
        """Adds one image.

        Args:
          label: [height, width] class ids or the ignore label.
          predictions: [height, width] class ids after each iteration; any iterable, read once.
        Raises:
          InputError: a label value that is no class.
        """
        rows = formulas.label_rows(label, self.info.num_classes, self.info.ignore_label)
        for confusion, prediction in zip(self.confusions, predictions, strict=True):
            if np.shape(prediction) != np.shape(label):
                raise ValueError(f"prediction of shape {np.shape(prediction)} for a label of {np.shape(label)}")
            confusion += formulas.count_pairs(rows, prediction, self.info.num_classes)
        self.num_images += 1

    def merge(self, other: "SegmentationSuite"):
        """Adds what another suite of the same labels has seen."""
        if other.info.label_hash() != self.info.label_hash() or other.confusions.shape != self.confusions.shape:
            raise ValueError("only suites of the same classes and iterations add up")
        self.confusions += other.confusions
        self.num_images += other.num_images

    def result(self) -> dict:
        """Plain JSON types; undefined values are None.

        Returns:
          "num_images" and "iterations", a list of {"iteration", "miou", "classes_left_out" (in neither labels nor
          predictions, so not part of the mean), "fwiou", "pixel_accuracy", "mean_class_accuracy", "iou" and
          "accuracy" by class name, "confusion" (rows: label)}. All are shares, 0 to 1.
        """
        entries = [self._entry(iteration, matrix) for iteration, matrix in enumerate(self.confusions, 1)]
        return {"num_images": self.num_images, "iterations": entries}

    def _entry(self, iteration, matrix):
        names = self.info.class_names
        ious = formulas.iou_per_class(matrix)
        accuracies = formulas.accuracy_per_class(matrix)
        return {
            "iteration": iteration,
            "miou": _or_none(formulas.mean_iou(matrix)[0]),
            "classes_left_out": [name for name, iou in zip(names, ious, strict=True) if np.isnan(iou)],
            "fwiou": _or_none(formulas.frequency_weighted_iou(matrix)),
            "pixel_accuracy": _or_none(formulas.pixel_accuracy(matrix)),
            "mean_class_accuracy": _or_none(formulas.mean_class_accuracy(matrix)),
            "iou": {name: _or_none(iou) for name, iou in zip(names, ious, strict=True)},
            "accuracy": {name: _or_none(accuracy) for name, accuracy in zip(names, accuracies, strict=True)},
            "confusion": matrix.tolist(),
        }


def _or_none(value):
    # JSON has no NaN.
    return None if np.isnan(value) else float(value)
