"""Losses of semantic networks. Each returns (sum, weight), so that replicas can divide by the global weight."""

import dataclasses
import math

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class HardPixels:
    """Which pixels have a loss in online hard example mining (OHEM; after Shrivastava et al. 2016, arXiv:1604.03540).

    Attributes:
      threshold: pixels to whose class the network gives at most this probability are hard.
      min_share: smallest share of all pixels that are taken; if fewer are hard, the hardest ones are.
    """

    threshold: float
    min_share: float


def semantic_cross_entropy(label, logits, *, upsample, ignore_label, class_weights=None, hard_pixels=None):
    """Upsamples the logits and sums the cross-entropy over the labelled pixels, or over the hard ones among them.

    Args:
      label: [batch, height, width] int32 class ids or `ignore_label`.
      logits: [batch, h, w, num_classes] at any stride.
      upsample: (logits, (height, width)) -> [batch, height, width, num_classes], see `tfseg.layers.resize`.
      ignore_label: class id of pixels without a label.
      class_weights: [num_classes] float, or None for 1.
      hard_pixels: the HardPixels that have a loss; None takes all labelled pixels. They are chosen by their unweighted
        loss among the pixels given, that is by each replica among its own images.
    Returns:
      (sum in nats, total weight of these pixels): both 0 if all pixels are ignored.
    """
    logits = upsample(logits, tf.shape(label)[1:3])  # [batch, height, width, num_classes]
    valid = tf.not_equal(label, ignore_label)
    class_ids = tf.where(valid, label, 0)  # [batch, height, width]
    per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=class_ids, logits=logits)
    is_taken = valid if hard_pixels is None else _is_hard(tf.stop_gradient(per_pixel), valid, hard_pixels)
    weight = tf.cast(is_taken, tf.float32)
    if class_weights is not None:
        weight *= tf.gather(tf.constant(class_weights, tf.float32), class_ids)
    # An ignored pixel must not count even where its logits are not finite: 0 * inf is NaN.
    return tf.reduce_sum(tf.where(is_taken, per_pixel, 0.0) * weight), tf.reduce_sum(weight)


def class_presence_cross_entropy(label, logits):
    """Sums the binary cross-entropy of the classes that an image shows (Zhang et al. 2018, arXiv:1803.08904, Sec. 3.2).

    Images without any label do not count.

    Args:
      label: [batch, height, width] int32 class ids; ids that are no class are ignored.
      logits: [batch, num_classes] float32; their sigmoid is the probability that the class is in the image.
    Returns:
      (sum in nats, number of labelled images times num_classes).
    """
    num_classes = logits.shape[-1]
    pixels = tf.reshape(label, [tf.shape(label)[0], -1])  # [batch, height * width]
    pixels = tf.where((pixels >= 0) & (pixels < num_classes), pixels, num_classes)
    counts = tf.math.bincount(pixels, minlength=num_classes + 1, maxlength=num_classes + 1, axis=-1)
    is_present = tf.cast(counts[:, :num_classes] > 0, tf.float32)  # [batch, num_classes]
    is_labelled = tf.reduce_max(is_present, axis=1, keepdims=True)  # [batch, 1]
    entropy = is_labelled * tf.nn.sigmoid_cross_entropy_with_logits(is_present, logits)
    return tf.reduce_sum(entropy), num_classes * tf.reduce_sum(is_labelled)


def _is_hard(losses, valid, hard_pixels):
    """Returns [batch, height, width] bool: which labelled pixels are hard; those as hard as the last one, too."""
    bound = -math.log(hard_pixels.threshold)
    losses = tf.where(valid, losses, -1.0)  # less than any loss
    num_wanted = tf.cast(hard_pixels.min_share * tf.cast(tf.size(losses), tf.float32), tf.int32)
    num_hard = tf.math.count_nonzero(losses >= bound, dtype=tf.int32)
    bound = tf.cond(
        num_hard >= num_wanted,
        lambda: tf.constant(bound, tf.float32),
        lambda: tf.math.top_k(tf.reshape(losses, [-1]), num_wanted).values[-1],
    )
    # A loss that is not a number compares as false: it must be seen, not left out.
    return valid & ~(losses < bound)


def semantic_losses(batch, outputs, *, loss_at=(), **arguments):
    """Computes the loss terms of a semantic network: {name: (weight, sum, total)}.

    Args:
      batch: {"label": [batch, height, width]}.
      outputs: "semantic_logits", and "canvases" if `loss_at` names iterations.
      loss_at: ((iteration, weight), ...), with iterations counted from 1; if empty, only the last canvas has a loss.
      arguments: those of `semantic_cross_entropy`.
    """
    if not loss_at:
        return {
            "cross_entropy": (1.0, *semantic_cross_entropy(batch["label"], outputs["semantic_logits"], **arguments))
        }
    return {
        f"cross_entropy_{iteration}": (
            weight,
            *semantic_cross_entropy(batch["label"], outputs["canvases"][iteration - 1], **arguments),
        )
        for iteration, weight in loss_at
    }


def median_frequency_weights(pixel_counts):
    """Computes class weights by median frequency balancing (Eigen and Fergus 2015, arXiv:1411.4734, Sec. 6.3.2).

    Frequencies are taken over the labelled pixels of all images.

    Args:
      pixel_counts: number of labelled training pixels of each class.
    Returns:
      Weight per class: median frequency / frequency; 0 for a class that does not occur.
    """
    total = sum(pixel_counts)
    frequencies = [count / total for count in pixel_counts]
    present = sorted(frequency for frequency in frequencies if frequency > 0)
    middle = len(present) // 2
    median = present[middle] if len(present) % 2 else (present[middle - 1] + present[middle]) / 2
    return [median / frequency if frequency > 0 else 0.0 for frequency in frequencies]
