"""Losses of semantic networks. Each returns (sum, weight), so that replicas can divide by the global weight."""

import tensorflow as tf


def semantic_cross_entropy(label, logits, *, upsample, ignore_label, class_weights=None):
    """Upsamples the logits and sums the cross-entropy over the labelled pixels.

    Args:
      label: [batch, height, width] int32 class ids or `ignore_label`.
      logits: [batch, h, w, num_classes] at any stride.
      upsample: (logits, (height, width)) -> [batch, height, width, num_classes], see `tfseg.layers.resize`.
      ignore_label: class id of pixels without a label.
      class_weights: [num_classes] float, or None for 1.
    Returns:
      (sum in nats, total weight of the labelled pixels): both 0 if all pixels are ignored.
    """
    logits = upsample(logits, tf.shape(label)[1:3])  # [batch, height, width, num_classes]
    valid = tf.not_equal(label, ignore_label)
    class_ids = tf.where(valid, label, 0)  # [batch, height, width]
    per_pixel = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=class_ids, logits=logits)
    weight = tf.cast(valid, tf.float32)
    if class_weights is not None:
        weight *= tf.gather(tf.constant(class_weights, tf.float32), class_ids)
    # An ignored pixel must not count even where its logits are not finite: 0 * inf is NaN.
    return tf.reduce_sum(tf.where(valid, per_pixel, 0.0) * weight), tf.reduce_sum(weight)


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


def semantic_losses(batch, outputs, *, upsample, ignore_label, class_weights=None, loss_at=()):
    """Computes the loss terms of a semantic network: {name: (weight, sum, total)}.

    Args:
      batch: {"label": [batch, height, width]}.
      outputs: "semantic_logits", and "canvases" if `loss_at` names iterations.
      upsample, ignore_label, class_weights: see `semantic_cross_entropy`.
      loss_at: ((iteration, weight), ...), with iterations counted from 1; if empty, only the last canvas has a loss.
    """
    arguments = {"upsample": upsample, "ignore_label": ignore_label, "class_weights": class_weights}
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
