"""Panoptic quality, small enough to be read at once (Kirillov et al. 2019, arXiv:1801.00868)."""

import numpy as np


def panoptic_quality(label, prediction, label_divisor) -> dict[int, float]:
    """Class id -> PQ of panoptic ids without void, of the classes in either."""
    pairs, overlaps = np.unique(np.stack([label, prediction]).reshape(2, -1), axis=1, return_counts=True)
    areas = [dict(zip(*np.unique(ids, return_counts=True), strict=True)) for ids in (label, prediction)]
    iou_sums, num_segments = {}, {}
    for segments in areas:
        for segment in segments:
            num_segments[segment // label_divisor] = num_segments.get(segment // label_divisor, 0) + 1
    for (true, found), overlap in zip(pairs.T.tolist(), overlaps.tolist(), strict=True):
        iou = overlap / (areas[0][true] + areas[1][found] - overlap)
        if iou > 0.5 and true // label_divisor == found // label_divisor:
            iou_sums[true // label_divisor] = iou_sums.get(true // label_divisor, 0) + iou
    return {class_id: 2 * iou_sums.get(class_id, 0) / count for class_id, count in num_segments.items()}


def mean_quality(label, prediction, label_divisor, class_ids=None) -> float:
    """PQ averaged over classes, all or the ones given."""
    per_class = panoptic_quality(label, prediction, label_divisor)
    chosen = per_class if class_ids is None else class_ids & per_class.keys()
    return float(np.mean([per_class[class_id] for class_id in chosen]))
