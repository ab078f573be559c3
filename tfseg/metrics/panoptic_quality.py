"""Panoptic quality: which segments are found, and how well.

Kirillov et al. 2019 (arXiv:1801.00868), section 4. A labelled and a predicted segment of one class match if their IoU
is above one half, so each segment has at most one match. For a class, PQ = sum of the IoUs of matches /
(TP + FP / 2 + FN / 2) = SQ * RQ: segmentation quality SQ is the mean IoU of matches, recognition quality RQ is
TP / (TP + FP / 2 + FN / 2).

As in the published evaluation (panopticapi), predicted pixels on void are not part of a union; a crowd is neither
matched nor missed; an unmatched prediction is not a false positive if more than half of it lies on void and on crowds
of its class.
"""

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics.instance_iou import SHARE_UNIT
from tfseg.metrics.segments import VOID, Overlaps, group_means, panoptic_overlaps, scores_by_name, summed


class PanopticQuality:
    """Accumulates counts image by image, in any order and in any process.

    Example:
      quality = PanopticQuality(info)
      for label, prediction in pairs:  # [height, width] panoptic ids each
          quality.update(label, prediction)
      quality.result()["all"]["pq"]  # 0 to 1

    Args:
      info: what the labels mean.
      panopticapi_compat: whether only the last of several crowds of one class in an image excuses false positives, as
        in panopticapi; otherwise all of them do. COCO has no such images.

    Attributes:
      true_positives, false_positives, false_negatives: [num_classes] int64 numbers of segments.
      matched_iou: [num_classes] int64 sums of the IoUs of matches, in units of 1 / SHARE_UNIT.
      num_images: number of images added so far.
    """

    def __init__(self, info: DatasetInfo, panopticapi_compat: bool = False):
        self.info, self.panopticapi_compat, self.num_images = info, panopticapi_compat, 0
        counts = np.zeros([4, info.num_classes], np.int64)
        self.true_positives, self.false_positives, self.false_negatives, self.matched_iou = counts

    def update(self, label, prediction):
        """Adds an image.

        Args:
          label, prediction: [height, width] panoptic ids; in the label, instance 0 of a thing is a crowd.
        Raises:
          InputError: an id belongs to no class.
          ValueError: the shapes differ.
        """
        self.add(panoptic_overlaps(label, prediction, self.info))

    def add(self, overlaps: Overlaps):
        """Adds an image whose overlaps are already counted."""
        label, prediction, pairs = overlaps.label, overlaps.prediction, overlaps.pairs
        areas, predicted_areas = overlaps.label_areas(), overlaps.prediction_areas()
        void_areas = overlaps.prediction_areas(label.class_ids[pairs.rows] == VOID)
        unions = areas[pairs.rows] + predicted_areas[pairs.columns] - pairs.pixels - void_areas[pairs.columns]
        is_segment = label.class_ids != VOID
        is_candidate = (is_segment & (label.crowd_numbers == 0))[pairs.rows]
        is_candidate &= label.class_ids[pairs.rows] == prediction.class_ids[pairs.columns]
        matches = np.flatnonzero(is_candidate & (2 * pairs.pixels > unions))
        ious = np.rint(pairs.pixels[matches] / unions[matches] * SHARE_UNIT).astype(np.int64)
        np.add.at(self.matched_iou, label.class_ids[pairs.rows[matches]], ious)

        is_missed = is_segment & (label.crowd_numbers == 0)
        is_missed[pairs.rows[matches]] = False
        is_wrong = prediction.class_ids != VOID
        is_wrong[pairs.columns[matches]] = False
        is_wrong &= 2 * (void_areas + self._crowd_areas(overlaps)) <= predicted_areas
        self.true_positives += self._per_class(label.class_ids[pairs.rows[matches]])
        self.false_negatives += self._per_class(label.class_ids[is_missed])
        self.false_positives += self._per_class(prediction.class_ids[is_wrong])
        self.num_images += 1

    def merge(self, other: "PanopticQuality"):
        """Adds other counts of the same labels. Raises ValueError for other labels or another mode."""
        if _meaning(other) != _meaning(self):
            raise ValueError("only counts of the same classes, things and mode add up")
        self.true_positives += other.true_positives
        self.false_positives += other.false_positives
        self.false_negatives += other.false_negatives
        self.matched_iou += other.matched_iou
        self.num_images += other.num_images

    def result(self) -> dict:
        """Returns the scores in plain JSON types; all scores are shares, 0 to 1.

        Returns:
          {"num_images", "all", "things", "stuff", "classes"}. Each of the three groups is {"pq", "sq", "rq",
          "num_classes"}: means over the classes that have a match, a false positive or a false negative; 0 if there are
          none. Each score is averaged separately, so mean PQ is not mean SQ * mean RQ. "classes" maps a class name to
          {"pq", "sq", "rq", "true_positives", "false_positives", "false_negatives"}; the scores of a class without any
          of the three are None.
        """
        scores = self.scores_per_class()
        counts = {
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
        }
        classes = scores_by_name(self.info, scores)
        for class_id, name in enumerate(self.info.class_names):
            classes[name] |= {key: int(values[class_id]) for key, values in counts.items()}
        return {"num_images": self.num_images} | group_means(self.info, scores) | {"classes": classes}

    def scores_per_class(self) -> dict[str, np.ndarray]:
        """Returns {"pq", "sq", "rq"}, each [num_classes].

        The scores of a class with no match, false positive or false negative are NaN. The SQ of a class with false
        positives or negatives but no match is 0.
        """
        weight = self.true_positives + (self.false_positives + self.false_negatives) / 2
        weight = np.where(weight > 0, weight, np.nan)
        matched_iou = self.matched_iou / SHARE_UNIT
        sq = matched_iou / np.maximum(self.true_positives, 1)
        return {
            "pq": matched_iou / weight,
            "sq": np.where(np.isnan(weight), np.nan, sq),
            "rq": self.true_positives / weight,
        }

    def _crowd_areas(self, overlaps):
        """Returns [num_prediction_ids] numbers of pixels that lie on crowds of the prediction's class."""
        numbers, class_ids = overlaps.label.crowd_numbers, overlaps.label.class_ids
        if self.panopticapi_compat:
            last = np.zeros(self.info.num_classes, np.int64)
            np.maximum.at(last, class_ids[numbers > 0], numbers[numbers > 0])
            numbers = numbers * (numbers == last[class_ids])
        rows, columns = overlaps.pairs.rows, overlaps.pairs.columns
        return overlaps.prediction_areas(
            (numbers[rows] > 0) & (class_ids[rows] == overlaps.prediction.class_ids[columns])
        )

    def _per_class(self, class_ids):
        return summed(class_ids, np.ones(len(class_ids)), self.info.num_classes)


def _meaning(counts):
    return counts.info.label_hash(), counts.info.thing_ids, counts.panopticapi_compat
