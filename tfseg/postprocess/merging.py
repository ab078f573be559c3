"""Class ids and instances -> panoptic ids, by majority (arXiv:1902.05093, section 3.4)."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Merged:
    """Instances that have pixels.

    Attributes:
      panoptic_ids: [height, width] int32, class id * label_divisor + instance id; instance ids run from 1 for each
        class of things, and are 0 for stuff.
      ranks: [n] which of the instances given each one is.
      class_ids: [n].
      instance_ids: [n] panoptic ids.
      areas: [n] pixels.
    """

    panoptic_ids: np.ndarray
    ranks: np.ndarray
    class_ids: np.ndarray
    instance_ids: np.ndarray
    areas: np.ndarray


def merge(class_ids, thing_pixels, ranks, label_divisor) -> Merged:
    """Gives every instance the class that most of its pixels have; of equally many the lowest.

    Args:
      class_ids: [height, width] uint8.
      thing_pixels: [n] indices of the pixels of things in the flattened image.
      ranks: [n] the instance each of them belongs to, from 0; the order in which instances are numbered.
      label_divisor: more than there are instances.
    """
    num_classes = 256
    num_ranks = int(ranks.max(initial=-1)) + 1
    called = class_ids.reshape(-1).take(thing_pixels)
    votes = np.bincount(ranks * num_classes + called, minlength=num_ranks * num_classes)
    votes = votes.reshape(num_ranks, num_classes)
    areas = votes.sum(axis=1)
    present = np.flatnonzero(areas)
    majority = votes[present].argmax(axis=1)
    panoptic = majority * label_divisor + _number_within(majority)
    of_rank = np.zeros(num_ranks, np.int32)
    of_rank[present] = panoptic
    stuff = (np.arange(num_classes) * label_divisor).astype(np.int32)
    panoptic_ids = stuff.take(class_ids)
    panoptic_ids.reshape(-1)[thing_pixels] = of_rank.take(ranks)
    return Merged(panoptic_ids, present, majority, panoptic, areas[present])


def _number_within(class_ids):
    """[n] how many of the first ones, itself included, are of each one's class."""
    order = np.argsort(class_ids, kind="stable")
    ordered = class_ids[order]
    numbers = np.empty(len(class_ids), np.int64)
    numbers[order] = np.arange(len(class_ids)) - np.searchsorted(ordered, ordered) + 1
    return numbers
