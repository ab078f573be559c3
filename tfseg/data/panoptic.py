"""Panoptic maps of records: RGB pictures of (class, instance // 256, instance % 256)."""

import tensorflow as tf

MAX_IDS = 1 << 16  # number of instance ids in two channels of 8 bits


def decode_instances(example, label, ignore_label, label_divisor):
    """Decodes [height, width] int32 instance ids, 0 for none; all are 0 without a label or a panoptic map.

    A map is refused if its size differs from the label's, if an instance has another class than the label, or if an
    instance id does not fit the label divisor: counts by label and instance would be wrong. Ignored pixels may differ.

    Args:
      example: the result of `parse_example`.
      label: [height, width] uint8 class ids.
      ignore_label, label_divisor: fields of the DatasetInfo.
    Raises:
      InvalidArgumentError: the map is refused; the message names the file.
    """
    encoded = example["image/panoptic/encoded"]

    def present():
        panoptic = tf.image.decode_png(encoded, 3)
        sizes_agree = tf.reduce_all(tf.equal(tf.shape(panoptic)[:2], tf.shape(label)))
        with tf.control_dependencies([_check(sizes_agree, "panoptic map and label differ in their sizes:", example)]):
            class_ids, high, low = tf.unstack(panoptic, axis=-1)  # three of [height, width]
        instances = 256 * tf.cast(high, tf.int32) + tf.cast(low, tf.int32)
        is_ignored = tf.equal(label, tf.cast(ignore_label, tf.uint8))
        classes_agree = tf.reduce_all(tf.equal(class_ids, label) | tf.equal(instances, 0) | is_ignored)
        ids_fit = tf.reduce_all((instances < label_divisor) | is_ignored)
        checks = [
            _check(classes_agree, "panoptic map and label differ in their classes:", example),
            _check(ids_fit, f"instance ids reach the label divisor {label_divisor} in the panoptic map of:", example),
        ]
        with tf.control_dependencies(checks):
            return tf.identity(instances)

    instances = tf.cond(~has_instances(example), lambda: tf.zeros(tf.shape(label), tf.int32), present)
    return tf.ensure_shape(instances, [None, None])


def why_unusable(example, label, ignore_label, label_divisor) -> str | None:
    """Says in words why `decode_instances` refuses an example; None if it does not. Works only outside of graphs.

    Args:
      example, label, ignore_label, label_divisor: see `decode_instances`.
    """
    try:
        instances = decode_instances(example, label, ignore_label, MAX_IDS)
    except tf.errors.InvalidArgumentError:
        return "the panoptic map is not a PNG of the label's size and classes"
    largest = int(tf.reduce_max(tf.where(tf.equal(label, ignore_label), 0, instances)))
    if largest >= label_divisor:
        return f"the panoptic map has instance id {largest}; ids must be below the label divisor {label_divisor}"
    return None


def of_things(instances, label, info):
    """Keeps instance ids where the label is a thing, and sets 0 elsewhere, where a map's ids have no meaning.

    Args:
      instances: int32 instance ids.
      label: int32 class ids of the same shape.
      info: what the labels mean.
    """
    is_thing = tf.constant([class_id in info.thing_ids for class_id in range(256)])
    return tf.where(tf.gather(is_thing, label), instances, 0)


def has_instances(example):
    """Whether an example has both a label and a panoptic map, as a bool scalar."""
    parts = [example["image/panoptic/encoded"], example["image/segmentation/class/encoded"]]
    return tf.reduce_all(tf.not_equal(parts, ""))


def _check(condition, message, example):
    return tf.debugging.Assert(condition, [message, example["image/filename"]])
