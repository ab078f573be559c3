"""Parsing covering: how much of the labelled area is covered by the best predicted segment of its class.

Yang et al. 2019 (DeeperLab, arXiv:1902.05093), section 4. For a class, PC is the sum over its labelled segments R of
|R| * (highest IoU of R with a predicted segment of the class), divided by the sum of |R|; both sums run over the whole
data set. Segments are not matched: a predicted segment may cover several labelled ones. Void and crowds are removed
from the image first, so predicted segments lose the pixels they have there.
"""

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics.segments import VOID, Overlaps, group_means, panoptic_overlaps, scores_by_name

# Areas and shares are summed as whole numbers in these units, so that sums do not depend on the order of the images.
# A sum of 5e11 pixels of one class, 250,000 images of 2 megapixels, is 5e11 * 2**24 = 8.4e18, below 2**63 = 9.2e18.
# Rounding changes a segment's area by at most 2**-25 pixels.
PIXEL_UNIT = 2**24
SHARE_UNIT = 2**42


class ParsingCovering:
    """Accumulates sums image by image, in any order and in any process.

    Example:
      covering = ParsingCovering(info)
      for label, prediction in pairs:  # [height, width] panoptic ids each
          covering.update(label, prediction)
      covering.result()["all"]["pc"]  # 0 to 1

    Args:
      info: what the labels mean.

    Attributes:
      covered_pixels: [num_classes] int64 sums of |R| * IoU, in units of 1 / PIXEL_UNIT.
      label_pixels: [num_classes] int64 sums of |R|.
      covered_shares, label_shares: the same two sums with |R| as a share of its image, in units of 1 / SHARE_UNIT.
      num_images: number of images added so far.
    """

    def __init__(self, info: DatasetInfo):
        self.info, self.num_images = info, 0
        sums = np.zeros([4, info.num_classes], np.int64)
        self.covered_pixels, self.label_pixels, self.covered_shares, self.label_shares = sums

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
        is_scored = (label.class_ids != VOID) & (label.crowd_numbers == 0)
        areas, predicted_areas = overlaps.label_areas(), overlaps.prediction_areas(is_scored[pairs.rows])
        unions = areas[pairs.rows] + predicted_areas[pairs.columns] - pairs.pixels
        is_same_class = label.class_ids[pairs.rows] == prediction.class_ids[pairs.columns]
        candidates = np.flatnonzero(is_scored[pairs.rows] & is_same_class)
        ious = np.zeros(len(areas))
        np.maximum.at(ious, pairs.rows[candidates], pairs.pixels[candidates] / unions[candidates])

        class_ids, areas, ious = label.class_ids[is_scored], areas[is_scored], ious[is_scored]
        shares = areas / max(overlaps.num_pixels, 1)
        np.add.at(self.label_pixels, class_ids, areas)
        np.add.at(self.covered_pixels, class_ids, _whole(areas * ious * PIXEL_UNIT))
        np.add.at(self.label_shares, class_ids, _whole(shares * SHARE_UNIT))
        np.add.at(self.covered_shares, class_ids, _whole(shares * ious * SHARE_UNIT))
        self.num_images += 1

    def merge(self, other: "ParsingCovering"):
        """Adds other sums of the same labels. Raises ValueError for other labels."""
        if (other.info.label_hash(), other.info.thing_ids) != (self.info.label_hash(), self.info.thing_ids):
            raise ValueError("only sums of the same classes and things add up")
        self.covered_pixels += other.covered_pixels
        self.label_pixels += other.label_pixels
        self.covered_shares += other.covered_shares
        self.label_shares += other.label_shares
        self.num_images += other.num_images

    def result(self) -> dict:
        """Returns the scores in plain JSON types; all scores are shares, 0 to 1.

        Returns:
          {"num_images", "all", "things", "stuff", "classes"}. Each of the three groups is {"pc", "pc_normalized",
          "num_classes"}: means over the classes with labelled pixels; 0 if there are none. "classes" maps a class name
          to {"pc", "pc_normalized"}; they are None for a class without labelled pixels. In the normalized score every
          image weighs the same, whatever its size.
        """
        scores = self.scores_per_class()
        classes = scores_by_name(self.info, scores)
        return {"num_images": self.num_images} | group_means(self.info, scores) | {"classes": classes}

    def scores_per_class(self) -> dict[str, np.ndarray]:
        """Returns {"pc", "pc_normalized"}, each [num_classes]; NaN for a class without labelled pixels."""
        label_pixels = np.where(self.label_pixels > 0, self.label_pixels, np.nan)
        label_shares = np.where(self.label_pixels > 0, self.label_shares, np.nan)
        return {
            "pc": self.covered_pixels / PIXEL_UNIT / label_pixels,
            "pc_normalized": self.covered_shares / label_shares,
        }


def _whole(values):
    return np.rint(values).astype(np.int64)
