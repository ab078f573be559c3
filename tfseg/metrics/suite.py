"""All metrics of semantic segmentation, computed after every iteration."""

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics import confusion as formulas
from tfseg.metrics.instance_iou import InstanceCounts, instances_of


class SegmentationSuite:
    """Accumulates counts image by image; the order of the images does not matter.

    Args:
      info: what the labels mean.
      num_iterations: number of predictions per image.

    Attributes:
      confusions: [num_iterations, num_classes, num_classes] int64 confusion matrices.
      num_images: number of images added so far.
      instances: counts for instance-level IoU, from the images whose instances are known.
      num_images_with_instances: number of those images.
    """

    def __init__(self, info: DatasetInfo, num_iterations: int):
        self.info, self.num_images = info, 0
        self.confusions = np.zeros([num_iterations, info.num_classes, info.num_classes], np.int64)
        self.instances, self.num_images_with_instances = InstanceCounts(info, num_iterations), 0

    def update(self, label, predictions, instance_ids=None):
        """Adds one image.

        Args:
          label: [height, width] class ids or the ignore label.
          predictions: [height, width] class ids after each iteration, as any iterable; it is read once.
          instance_ids: [height, width] integers, 0 for no instance; None if the instances are not known.
        Raises:
          InputError: a label value is not a class.
          ValueError: shapes differ, or the number of predictions is not `num_iterations`.
        """
        rows = formulas.label_rows(label, self.info.num_classes, self.info.ignore_label)
        instances = None if instance_ids is None else instances_of(label, instance_ids, self.info)
        if instances is not None:
            self.instances.add_instances(instances)
            self.num_images_with_instances += 1
        for index, (confusion, prediction) in enumerate(zip(self.confusions, predictions, strict=True)):
            if np.shape(prediction) != np.shape(label):
                raise ValueError(f"prediction of shape {np.shape(prediction)} for a label of {np.shape(label)}")
            confusion += formulas.count_pairs(rows, prediction, self.info.num_classes)
            if instances is not None:
                self.instances.add_prediction(index, instances, prediction)
        self.num_images += 1

    def merge(self, other: "SegmentationSuite"):
        """Adds the counts of another suite with the same labels. Raises ValueError for other labels or iterations."""
        if other.info.label_hash() != self.info.label_hash() or other.confusions.shape != self.confusions.shape:
            raise ValueError("only suites of the same classes and iterations add up")
        self.instances.merge(other.instances)
        self.confusions += other.confusions
        self.num_images += other.num_images
        self.num_images_with_instances += other.num_images_with_instances

    def result(self) -> dict:
        """Returns the scores in plain JSON types; undefined values are None.

        Returns:
          "num_images", "num_images_with_instances" and "iterations", a list of {"iteration", "miou", "classes_left_out"
          (classes in neither labels nor predictions, which are not part of the mean), "fwiou", "pixel_accuracy",
          "mean_class_accuracy", "iou" and "accuracy" by class name, "confusion" (rows: label)}. Scores are shares,
          0 to 1. If classes have categories, there are also "category_iou" by category and its mean
          "mean_category_iou". If there are things and the instances of every image are known, there are also "iiou" by
          thing and "mean_iiou", and, for categories of things only, "category_iiou" and "mean_category_iiou".
        """
        entries = [
            self._entry(iteration, matrix)
            | self._category_scores(matrix)
            | self._instance_scores(iteration - 1, matrix)
            for iteration, matrix in enumerate(self.confusions, 1)
        ]
        return {
            "num_images": self.num_images,
            "num_images_with_instances": self.num_images_with_instances,
            "iterations": entries,
        }

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

    def _category_scores(self, matrix):
        if not self.info.categories:
            return {}
        ious = formulas.iou_per_class(formulas.grouped(matrix, self.info.category_ids))
        return _scores("category_iou", self.info.category_names, ious)

    def _instance_scores(self, index, matrix):
        if self.num_images_with_instances < max(self.num_images, 1):
            return {}
        info, counts = self.info, self.instances
        things = [name for class_id, name in enumerate(info.class_names) if class_id in info.thing_ids]
        scores = {}
        if things:
            scores |= _scores("iiou", info.class_names, counts.iou_per_class(index, matrix), things)
        if info.thing_categories:
            ious = counts.iou_per_category(index, matrix)
            scores |= _scores("category_iiou", info.category_names, ious, info.thing_categories)
        return scores


def _scores(key, names, values, shown=None):
    """Returns the values of the names in `shown` (None for all) under `key`, and the mean of the defined ones."""
    values = {name: float(value) for name, value in zip(names, values, strict=True) if shown is None or name in shown}
    defined = [value for value in values.values() if not np.isnan(value)]
    return {
        key: {name: _or_none(value) for name, value in values.items()},
        f"mean_{key}": float(np.mean(defined)) if defined else None,
    }


def _or_none(value):
    # JSON has no NaN.
    return None if np.isnan(value) else float(value)
