"""A panoptic quality short enough to check by reading (Kirillov et al. 2019, arXiv:1801.00868)."""

import numpy as np


def panoptic_quality(label, prediction, label_divisor) -> dict[int, float]:
    """Returns {class id: PQ} for the classes in either map of panoptic ids; the maps have no void."""
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
    """Returns PQ averaged over all classes, or over the given ones."""
    per_class = panoptic_quality(label, prediction, label_divisor)
    chosen = per_class if class_ids is None else class_ids & per_class.keys()
    return float(np.mean([per_class[class_id] for class_id in chosen]))
