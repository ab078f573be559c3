"""Instance-level IoU (iIoU): IoU in which every instance of a class weighs the same, however large it is.

Cordts et al. 2016 (arXiv:1604.01685), section 4.1: iIoU = iTP / (iTP + FP + iFN), where a labelled pixel of an instance
counts (average instance size of its class / size of its instance) times. False positives count once, because they
belong to no instance. Labelled pixels of a thing that belong to no instance, such as groups, are neither iTP nor iFN;
if another class is predicted there, they are that class' false positives. In the iIoU of a category, any class of the
category is right.
"""

from typing import ClassVar

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics import confusion as formulas
from tfseg.metrics.instances import Instances
from tfseg.metrics.metric import Metric, with_mean

# Found shares of instances, 0 to 1, are summed in whole units of 2^-36: the images' order does not change such sums.
SHARE_UNIT = 2**36


class InstanceCounts:
    """Accumulates the counts for instance-level IoU, image by image, in any order.

    Args:
      info: what the labels mean; its things have instances.
      num_iterations: number of predictions per image.

    Attributes:
      num_instances, num_pixels: [num_classes] int64 number of labelled instances, and number of their pixels together.
      found: [num_iterations, num_classes] int64: for every instance the share of its pixels predicted as its class,
        summed over the instances of a class, in units of 1 / SHARE_UNIT.
      found_category: the same sum for pixels predicted as any class of the instance's category.
    """

    def __init__(self, info: DatasetInfo, num_iterations: int):
        self.info = info
        self.num_instances, self.num_pixels = np.zeros([2, info.num_classes], np.int64)
        self.found, self.found_category = np.zeros([2, num_iterations, info.num_classes], np.int64)
        categories = info.category_ids or np.arange(info.num_classes)
        self._is_same_category = np.equal.outer(categories, categories)

    def add_instances(self, instances: Instances):
        """Adds the label of one image."""
        np.add.at(self.num_instances, instances.class_ids, 1)
        np.add.at(self.num_pixels, instances.class_ids, instances.sizes)

    def add_prediction(self, index: int, instances: Instances, prediction):
        """Adds the prediction of one image by iteration `index`, counted from 0: [height, width] class ids."""
        class_ids, shape = instances.class_ids, (len(instances.sizes), self.info.num_classes)
        called = np.asarray(prediction).reshape(-1)[instances.pixels]
        # [num_instances, num_classes] pixels of each instance that are predicted as each class
        counts = np.bincount(instances.rows + called, minlength=shape[0] * shape[1]).reshape(shape)
        right = counts[np.arange(len(class_ids)), class_ids]
        right_category = (counts * self._is_same_category[class_ids]).sum(1)
        for found, pixels in ((self.found, right), (self.found_category, right_category)):
            shares = np.rint(pixels / instances.sizes * SHARE_UNIT).astype(np.int64)
            np.add.at(found[index], class_ids, shares)

    def merge(self, other: "InstanceCounts"):
        """Adds other counts of the same labels. Raises ValueError for other labels or iterations."""
        if _meaning(other.info) != _meaning(self.info) or other.found.shape != self.found.shape:
            raise ValueError("only counts of the same things, categories and iterations add up")
        self.num_instances += other.num_instances
        self.num_pixels += other.num_pixels
        self.found += other.found
        self.found_category += other.found_category

    def average_sizes(self) -> np.ndarray:
        """Returns [num_classes] average sizes of instances in pixels: the benchmark's, or those seen; 0 for none."""
        fixed = self.info.average_instance_sizes
        if fixed:
            return np.array([fixed.get(name, 0.0) for name in self.info.class_names])
        return self.num_pixels / np.maximum(self.num_instances, 1)

    def iou_per_class(self, index: int, confusion) -> np.ndarray:
        """Returns [num_classes] iIoU after iteration `index`, given its confusion matrix.

        The iIoU is NaN for stuff and for a thing that has neither instances nor false positives.
        """
        sizes = self.average_sizes()
        ious = _iou(sizes * self.found[index] / SHARE_UNIT, sizes * self.num_instances, confusion)
        return np.where(np.isin(np.arange(self.info.num_classes), list(self.info.thing_ids)), ious, np.nan)

    def iou_per_category(self, index: int, confusion) -> np.ndarray:
        """Returns [num_categories] iIoU, like `iou_per_class`; NaN for a category that contains stuff."""
        sizes, category_ids = self.average_sizes(), self.info.category_ids
        found = np.bincount(category_ids, sizes * self.found_category[index] / SHARE_UNIT)
        labelled = np.bincount(category_ids, sizes * self.num_instances)
        ious = _iou(found, labelled, formulas.grouped(confusion, category_ids))
        return np.where(np.isin(self.info.category_names, self.info.thing_categories), ious, np.nan)


class InstanceIoU(Metric):
    """iIoU of things, and of categories that consist only of things. It needs the instances of every image."""

    columns: ClassVar = {"iIoU": "mean_iiou", "iIoU cat": "mean_category_iiou"}
    tables: ClassVar = {"iIoU, %": ("iiou", "mean_iiou"), "iIoU cat, %": ("category_iiou", "mean_category_iiou")}

    def __init__(self, info, num_iterations):
        super().__init__(info, num_iterations)
        self.counts, self._num_images, self._num_known = InstanceCounts(info, num_iterations), 0, 0

    def update_label(self, image):
        self._num_images += 1
        if image.instances is not None:
            self._num_known += 1
            self.counts.add_instances(image.instances)

    def update(self, index, image, prediction):
        if image.instances is not None:
            self.counts.add_prediction(index, image.instances, prediction)

    def merge(self, other):
        self.counts.merge(other.counts)
        self._num_images += other._num_images
        self._num_known += other._num_known

    def result(self, index, confusion):
        if self._num_known < max(self._num_images, 1):
            return {}
        info, scores = self.info, {}
        things = [name for class_id, name in enumerate(info.class_names) if class_id in info.thing_ids]
        if things:
            scores |= with_mean("iiou", info.class_names, self.counts.iou_per_class(index, confusion), things)
        if info.thing_categories:
            ious = self.counts.iou_per_category(index, confusion)
            scores |= with_mean("category_iiou", info.category_names, ious, info.thing_categories)
        return scores


def _iou(found, labelled, confusion):
    false_positives = confusion.sum(0) - np.diag(confusion)
    return formulas.ratio(found, labelled + false_positives)


def _meaning(info):
    return info.label_hash(), info.thing_ids, info.categories, info.average_instance_sizes
