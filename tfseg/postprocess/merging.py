"""Merges class ids and instances into panoptic ids by majority vote (arXiv:1902.05093, section 3.4)."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Merged:
    """The panoptic ids of an image, and its instances that have pixels.

    Attributes:
      panoptic_ids: [height, width] int32, class id * label_divisor + instance id; instance ids count from 1 in each
        class of things, and are 0 for stuff.
      ranks: [n] index of each instance among the instances passed in.
      class_ids: [n] class of each instance.
      instance_ids: [n] panoptic id of each instance.
      areas: [n] number of pixels of each instance.
    """

    panoptic_ids: np.ndarray
    ranks: np.ndarray
    class_ids: np.ndarray
    instance_ids: np.ndarray
    areas: np.ndarray


def merge(class_ids, thing_pixels, ranks, label_divisor) -> Merged:
    """Gives every instance the class of most of its pixels; if several classes have equally many, the lowest.

    Args:
      class_ids: [height, width] uint8.
      thing_pixels: [n] indices of the pixels of things in the flattened image.
      ranks: [n] index, from 0, of the instance that each of these pixels belongs to. Instance ids follow this order.
      label_divisor: a number above the number of instances.
    """
    num_classes = 256
    num_ranks = int(ranks.max(initial=-1)) + 1
    called = class_ids.reshape(-1).take(thing_pixels)
    votes = np.bincount(ranks * num_classes + called, minlength=num_ranks * num_classes)
    votes = votes.reshape(num_ranks, num_classes)  # [num_ranks, num_classes]
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
    """Numbers the [n] instances within their class, from 1: the first of a class is 1, the second 2, and so on."""
    order = np.argsort(class_ids, kind="stable")
    ordered = class_ids[order]
    numbers = np.empty(len(class_ids), np.int64)
    numbers[order] = np.arange(len(class_ids)) - np.searchsorted(ordered, ordered) + 1
    return numbers
