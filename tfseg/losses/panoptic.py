"""Losses of DeeperLab (Yang et al. 2019, arXiv:1902.05093, Sec. 3): hard pixels, keypoints, offsets.

Each loss returns (sum, total), so that replicas can divide by the global total; the sum is 0 if nothing is labelled.
The paper gives neither the weights of the five losses nor the unit of offset errors: the defaults follow PersonLab
(Papandreou et al. 2018, arXiv:1803.08225), which measures errors in radii of the keypoints' disks.
"""

import dataclasses
import math

import tensorflow as tf

from tfseg.errors import InputError


@dataclasses.dataclass
class PanopticLossConfig:
    """How the five losses are computed and added.

    Attributes:
      semantic_weight, heatmap_weight, short_weight, middle_weight, long_weight: factors of the losses in their sum.
      hard_pixel_fraction: share of each image's pixels, the hardest ones, that have a semantic loss; 0 takes all.
      is_weight_in_hardness: whether hardness is the cross-entropy times the pixel's weight. In the paper it is the
        cross-entropy alone.
    """

    semantic_weight: float = 2.0
    heatmap_weight: float = 4.0
    short_weight: float = 1.0
    middle_weight: float = 0.25
    long_weight: float = 0.125
    hard_pixel_fraction: float = 0.15
    is_weight_in_hardness: bool = False

    def __post_init__(self):
        if not 0 <= self.hard_pixel_fraction <= 1:
            raise InputError(f"hard_pixel_fraction is {self.hard_pixel_fraction}; it must be from 0 (off) to 1")
        for field in dataclasses.fields(self):
            if field.name.endswith("_weight") and not 0 <= getattr(self, field.name) < math.inf:
                raise InputError(f"{field.name} is {getattr(self, field.name)}; it must be a finite number, at least 0")


def panoptic_losses(batch, outputs, *, upsample, ignore_label, config, radius, target_stride, class_weights=None):
    """Computes the loss terms of a network with a semantic and four instance heads: {name: (weight, sum, total)}.

    Args:
      batch: what `tfseg.data.panoptic_targets.panoptic` returns, batched: semantic targets [batch, H, W], instance
        targets [batch, h, w, ...], h = ceil(H / target_stride).
      outputs: "semantic_logits", "heatmap_logits", "short_offsets", "middle_offsets" and "long_offsets", all
        [batch, h', w', channels] at one stride; offsets are in pixels of the crop.
      upsample: (maps, (H, W)) -> [batch, H, W, channels], see `tfseg.layers.resize`. If the outputs and the instance
        targets differ in stride, it must put cell (i, j) on pixel (stride * i, stride * j).
      ignore_label: class id of pixels without a label.
      config: a PanopticLossConfig.
      radius: unit of the offset errors in input pixels, which is the radius of the targets' disks.
      target_stride: pixels of the crop for each cell of the instance targets.
      class_weights: [num_classes] float factors of the pixels' weights, or None for 1.
    """
    size, grid = tf.shape(batch["label"])[1:3], batch["heatmap"].shape[1:3]

    def on_targets(maps):
        if maps.shape[1:3].is_compatible_with(grid):
            return tf.cast(maps, tf.float32)
        return upsample(maps, size)[:, ::target_stride, ::target_stride]  # [batch, h, w, channels]

    label, label_weight = batch["label"], batch["label_weight"]
    semantic = weighted_cross_entropy(
        label, label_weight, upsample(outputs["semantic_logits"], size), ignore_label, config, class_weights
    )
    heatmap = heatmap_cross_entropy(batch["heatmap"], batch["heatmap_weight"], on_targets(outputs["heatmap_logits"]))
    terms = {"semantic": (config.semantic_weight, *semantic), "heatmap": (config.heatmap_weight, *heatmap)}
    for kind in ("short", "middle", "long"):
        name = f"{kind}_offsets"
        loss = offset_error(batch[name], batch[f"has_{name}"], on_targets(outputs[name]), radius)
        terms[name] = (getattr(config, f"{kind}_weight"), *loss)
    return terms


def weighted_cross_entropy(label, label_weight, logits, ignore_label, config, class_weights=None):
    """Computes the weighted cross-entropy of the hardest pixels of each image (arXiv:1902.05093, Sec. 3).

    With hard pixels (`hard_pixel_fraction` above 0), the sum runs over the K hardest pixels of each image and the total
    is K per image, where K is that fraction of *all* pixels. Pixels without a label count as perfectly classified.
    Without hard pixels, the sum runs over all labelled pixels and the total is their number. Pixel weights enter only
    the sum, so that pixels of small instances count more. Class weights enter the sum and, without hard pixels, also
    the total.

    Args:
      label: [batch, H, W] int32 class ids or `ignore_label`.
      label_weight: [batch, H, W] float32.
      logits: [batch, H, W, num_classes].
      ignore_label: class id of pixels without a label.
      config: has hard_pixel_fraction and is_weight_in_hardness.
      class_weights: [num_classes] float, or None for 1.
    Returns:
      (sum in nats, total).
    """
    flat = [tf.shape(label)[0], label.shape[1] * label.shape[2]]  # (batch, H * W)
    has_label = tf.not_equal(label, ignore_label)
    class_ids = tf.where(has_label, label, 0)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(class_ids, tf.cast(logits, tf.float32))
    # An ignored pixel must not count even where its logits are not finite: 0 * inf is NaN.
    entropy = tf.reshape(tf.where(has_label, entropy, 0.0), flat)  # [batch, H * W]
    class_weight = tf.cast(has_label, tf.float32)
    if class_weights is not None:
        class_weight *= tf.gather(tf.constant(class_weights, tf.float32), class_ids)  # [batch, H, W]
    weight = tf.reshape(label_weight * class_weight, flat)  # [batch, H * W]
    if not config.hard_pixel_fraction:
        return tf.reduce_sum(weight * entropy), tf.reduce_sum(class_weight)
    num_hard = num_hard_pixels(flat[1], config.hard_pixel_fraction)
    hardness = weight * entropy if config.is_weight_in_hardness else entropy
    _, hardest = tf.math.top_k(tf.stop_gradient(hardness), num_hard, sorted=False)  # [batch, num_hard] indices
    kept = tf.gather(weight * entropy, hardest, batch_dims=1)  # [batch, num_hard]
    return tf.reduce_sum(kept), tf.cast(tf.shape(label)[0] * num_hard, tf.float32)


def num_hard_pixels(num_pixels, fraction):
    """Returns K, the number of hard pixels taken from an image: the nearest whole number, and at least 1."""
    return max(round(fraction * num_pixels), 1)


def heatmap_cross_entropy(heatmap, weight, logits):
    """Computes the binary cross-entropy of the keypoints' disks, summed over weighted cells and kinds of keypoints.

    Args:
      heatmap: [batch, h, w, P] float32, 0 or 1, for P kinds of keypoints.
      weight: [batch, h, w] float32.
      logits: [batch, h, w, P] float32.
    Returns:
      (sum in nats, total weight times P).
    """
    weight = weight[..., tf.newaxis]  # [batch, h, w, 1]
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=heatmap, logits=logits)
    total = tf.reduce_sum(weight) * heatmap.shape[-1]
    return tf.reduce_sum(tf.where(weight > 0, weight * entropy, 0.0)), total


def offset_error(label, has_label, offsets, radius):
    """Computes the absolute offset errors, averaged over y and x, in units of `radius`.

    Args:
      label: [batch, h, w, 2K] float32 (dy, dx) of K offsets.
      has_label: [batch, h, w, K] bool, or [batch, h, w, 1] for all offsets of a cell.
      offsets: [batch, h, w, 2K] float32.
      radius: the unit of the errors, in the unit of the offsets.
    Returns:
      (sum of (|error in y| + |error in x|) / (2 * radius), number of labelled offsets).
    """
    pairs = tf.concat([tf.shape(label)[:-1], [label.shape[-1] // 2, 2]], axis=0)  # (batch, h, w, K, 2)
    has_label = tf.broadcast_to(has_label, pairs[:-1])  # [batch, h, w, K]
    errors = tf.where(has_label[..., tf.newaxis], tf.reshape(offsets - label, pairs), 0.0)  # [batch, h, w, K, 2]
    return tf.reduce_sum(tf.abs(errors)) / (2 * radius), tf.reduce_sum(tf.cast(has_label, tf.float32))
