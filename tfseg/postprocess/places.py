"""Where the segments of a map are."""

import numpy as np
from scipy import ndimage

BAND_PIXELS = 1 << 20  # a pixel takes 20 bytes while it is looked at


def boxes(panoptic_ids, wanted) -> dict[int, tuple[int, int, int, int]]:
    """Finds the bounding boxes of segments.

    Args:
      panoptic_ids: [height, width] integers.
      wanted: the panoptic ids of the segments.
    Returns:
      {panoptic id: (left, top, right, bottom)} in pixels, right and bottom one after the last; none for ids that the
      map does not have.
    """
    ordered, found = np.unique(np.asarray(wanted, np.int64)), {}
    step = max(BAND_PIXELS // max(panoptic_ids.shape[1], 1), 1)
    for top in range(0, panoptic_ids.shape[0] if len(ordered) and panoptic_ids.size else 0, step):
        band = panoptic_ids[top : top + step]
        ranks = np.minimum(np.searchsorted(ordered, band), len(ordered) - 1)
        labels = np.where(ordered[ranks] == band, ranks + 1, 0)
        for panoptic_id, place in zip(ordered.tolist(), ndimage.find_objects(labels), strict=False):
            if place is None:
                continue
            rows, columns = place
            left, upper, right, lower = found.get(panoptic_id, (np.inf, np.inf, 0, 0))
            found[panoptic_id] = (
                min(left, columns.start),
                min(upper, top + rows.start),
                max(right, columns.stop),
                max(lower, top + rows.stop),
            )
    return found
