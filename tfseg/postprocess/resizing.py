"""Resizes maps of ids and panoptic predictions."""

import dataclasses

import numpy as np


def resized_ids(ids, image_size):
    """Returns a [height, width] map of ids in another size, (height, width); each pixel takes the nearest id."""
    rows, columns = (
        ((np.arange(length) + 0.5) * side / length).astype(np.int64)
        for side, length in zip(ids.shape, image_size, strict=True)
    )
    return ids[np.ix_(rows, columns)]


def resized(prediction, image_size):
    """Resizes a `fusion.PanopticPrediction` to the image's size.

    Args:
      prediction: the prediction, in the size in which the network saw the image.
      image_size: (height, width) of the result, in pixels; each of its pixels takes the nearest one of the prediction.
    """
    size = prediction.panoptic_ids.shape
    if size == tuple(image_size):
        return prediction
    panoptic_ids = resized_ids(prediction.panoptic_ids, image_size)
    scale = np.array([image_size[axis] / size[axis] for axis in range(2)])
    areas = dict(zip(*np.unique(panoptic_ids, return_counts=True), strict=True))
    instances = [
        dataclasses.replace(
            one,
            area=int(areas.get(one.panoptic_id, 0)),
            keypoints=None if one.keypoints is None else (one.keypoints + 0.5) * scale - 0.5,
        )
        for one in prediction.instances
        if one.panoptic_id in areas
    ]
    return dataclasses.replace(prediction, panoptic_ids=panoptic_ids, instances=instances)
