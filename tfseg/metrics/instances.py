"""The instances of a labelled image, in the form that the comparison with predictions needs."""

import dataclasses

import numpy as np

from tfseg.labels import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Instances:
    """The instances of one image.

    Attributes:
      pixels: [num_pixels] positions of all instances' pixels in the flattened image.
      rows: [num_pixels] start of the row of each pixel's instance in a flattened [num_instances, num_classes] table.
      class_ids: [num_instances] class of each instance.
      sizes: [num_instances] number of pixels of each instance.
    """

    pixels: np.ndarray
    rows: np.ndarray
    class_ids: np.ndarray
    sizes: np.ndarray


def instances_of(label, instance_ids, info: DatasetInfo) -> Instances:
    """Finds the instances of an image, once for all predictions of that image.

    Args:
      label: [height, width] class ids or the ignore label.
      instance_ids: [height, width] integers, 0 for no instance; two instances of one class have different ids. Ids on
        stuff and on ignored pixels do not matter.
      info: what the class ids mean.
    Raises:
      ValueError: the shapes differ.
    """
    if np.shape(label) != np.shape(instance_ids):
        raise ValueError(f"label has shape {np.shape(label)}, instance ids {np.shape(instance_ids)}")
    label, instance_ids = np.asarray(label).reshape(-1), np.asarray(instance_ids).reshape(-1)  # [height * width]
    pixels = np.flatnonzero(instance_ids)
    pixels = pixels[np.isin(label[pixels], list(info.thing_ids))]
    instance_ids = instance_ids[pixels].astype(np.int64)
    codes = label[pixels].astype(np.int64) * (instance_ids.max(initial=0) + 1) + instance_ids
    sizes = np.bincount(codes)
    present = np.flatnonzero(sizes)
    rows = np.zeros(len(sizes), np.int64)
    rows[present] = np.arange(len(present)) * info.num_classes
    return Instances(pixels, rows[codes], present // (instance_ids.max(initial=0) + 1), sizes[present])
