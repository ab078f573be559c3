"""Metrics that need only the confusion matrix: IoU of classes, IoU of categories, and accuracies."""

from typing import ClassVar

import numpy as np

from tfseg.metrics import confusion as formulas
from tfseg.metrics.metric import Metric, by_name, or_none, with_mean


class ClassIoU(Metric):
    """IoU of every class, and the mean over classes. A class in neither labels nor predictions is not in the mean."""

    columns: ClassVar = {"mIoU": "miou"}
    tables: ClassVar = {"IoU, %": ("iou", "miou")}

    def result(self, index, confusion):
        ious = formulas.iou_per_class(confusion)
        names = self.info.class_names
        return {
            "miou": or_none(formulas.mean_iou(confusion)[0]),
            "classes_left_out": [name for name, iou in zip(names, ious, strict=True) if np.isnan(iou)],
            "iou": by_name(names, ious),
        }


class CategoryIoU(Metric):
    """IoU of categories of classes, if the data set has them. Any class of the right category counts as right."""

    columns: ClassVar = {"IoU cat": "mean_category_iou"}
    tables: ClassVar = {"IoU cat, %": ("category_iou", "mean_category_iou")}

    def result(self, index, confusion):
        if not self.info.categories:
            return {}
        ious = formulas.iou_per_class(formulas.grouped(confusion, self.info.category_ids))
        return with_mean("category_iou", self.info.category_names, ious)


class Accuracy(Metric):
    """Accuracy, the share of pixels that are right, over all pixels and per class; and frequency-weighted IoU."""

    columns: ClassVar = {"fwIoU": "fwiou", "pixel accuracy": "pixel_accuracy", "class accuracy": "mean_class_accuracy"}

    def result(self, index, confusion):
        return {
            "fwiou": or_none(formulas.frequency_weighted_iou(confusion)),
            "pixel_accuracy": or_none(formulas.pixel_accuracy(confusion)),
            "mean_class_accuracy": or_none(formulas.mean_class_accuracy(confusion)),
            "accuracy": by_name(self.info.class_names, formulas.accuracy_per_class(confusion)),
        }
