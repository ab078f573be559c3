"""THE list of metrics of semantic segmentation, and the suite that counts them together after every iteration."""

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics import confusion as formulas
from tfseg.metrics.class_scores import Accuracy, CategoryIoU, ClassIoU
from tfseg.metrics.instance_iou import InstanceIoU
from tfseg.metrics.instances import instances_of
from tfseg.metrics.metric import LabelledImage

# These metrics are in metrics.json and, with their columns and tables, in report.md, in this order.
METRICS = (ClassIoU, CategoryIoU, InstanceIoU, Accuracy)


class SegmentationSuite:
    """Accumulates counts image by image; the order of the images does not matter.

    Example:
      suite = SegmentationSuite(info, num_iterations=1)
      suite.update(label, [predictor.predict(image).class_ids])
      suite.result()["iterations"][0]["miou"]

    Args:
      info: what the class ids mean.
      num_iterations: number of predictions for each image.
      metrics: the Metric classes that are counted; None is METRICS.

    Attributes:
      confusions: [num_iterations, num_classes, num_classes] int64; rows are labels.
      num_images: number of images added so far.
      num_images_with_instances: how many of them came with instances.
    """

    def __init__(self, info: DatasetInfo, num_iterations: int, metrics=None):
        self.info, self.num_images, self.num_images_with_instances = info, 0, 0
        self.confusions = np.zeros([num_iterations, info.num_classes, info.num_classes], np.int64)
        self.metrics = [metric(info, num_iterations) for metric in (METRICS if metrics is None else metrics)]

    def update(self, label, predictions, instance_ids=None):
        """Adds one image.

        Args:
          label: [height, width] class ids or the ignore label.
          predictions: iterable of [height, width] class ids, one after each iteration; it is read once.
          instance_ids: [height, width] integers, 0 for no instance; None if the instances are not known.
        Raises:
          InputError: a label value is neither a class id nor the ignore label.
          ValueError: the shapes differ, a prediction is not a class id, or the number of predictions is not
            `num_iterations`.
        """
        rows = formulas.label_rows(label, self.info.num_classes, self.info.ignore_label)
        instances = None if instance_ids is None else instances_of(label, instance_ids, self.info)
        image = LabelledImage(np.asarray(label), instances)
        for metric in self.metrics:
            metric.update_label(image)
        for index, (confusion, prediction) in enumerate(zip(self.confusions, predictions, strict=True)):
            if np.shape(prediction) != np.shape(label):
                raise ValueError(f"prediction of shape {np.shape(prediction)} for a label of {np.shape(label)}")
            confusion += formulas.count_pairs(rows, prediction, self.info.num_classes)
            for metric in self.metrics:
                metric.update(index, image, prediction)
        self.num_images += 1
        self.num_images_with_instances += instances is not None

    def merge(self, other: "SegmentationSuite"):
        """Adds the counts of another suite. Raises ValueError if its labels or its number of iterations differ."""
        if other.info.label_hash() != self.info.label_hash() or other.confusions.shape != self.confusions.shape:
            raise ValueError("only suites of the same classes and iterations add up")
        for metric, others in zip(self.metrics, other.metrics, strict=True):
            metric.merge(others)
        self.confusions += other.confusions
        self.num_images += other.num_images
        self.num_images_with_instances += other.num_images_with_instances

    def result(self) -> dict:
        """Returns the scores in plain JSON types; undefined values are None.

        Returns:
          {"num_images", "num_images_with_instances", "iterations"}. "iterations" is a list with one dict for each
          iteration: "iteration" (from 1), "confusion" (rows are labels), and all scores of the metrics' `result`.
        """
        entries = []
        for index, matrix in enumerate(self.confusions):
            entries.append({"iteration": index + 1})
            for metric in self.metrics:
                entries[-1] |= metric.result(index, matrix)
            entries[-1]["confusion"] = matrix.tolist()
        return {
            "num_images": self.num_images,
            "num_images_with_instances": self.num_images_with_instances,
            "iterations": entries,
        }
