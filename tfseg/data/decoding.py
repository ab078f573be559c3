"""Decodes the pictures of a record to tensors, inside TensorFlow's graph."""

import tensorflow as tf

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Other decoders use this method. TensorFlow's default is off by a grey level on average and saves no measurable time.
DCT_METHOD = "INTEGER_ACCURATE"
MAX_IDS = 1 << 16  # a panoptic map has the channels (class, id // 256, id % 256): 16 bits for an instance id


def image_size(encoded, filename):
    """Reads [2] int32 (height, width) from a JPEG's or PNG's header; InvalidArgumentError with the name for others."""

    def from_png():
        # Width and height are the first fields of the first chunk, which is the header: bytes 16 to 23, big endian.
        size = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
        return tf.ensure_shape(size, [2])[::-1]

    with tf.control_dependencies([_known_format(encoded, filename)]):
        return tf.cond(tf.io.is_jpeg(encoded), lambda: tf.io.extract_jpeg_shape(encoded)[:2], from_png)


def _known_format(encoded, filename):
    is_png = tf.equal(tf.strings.substr(encoded, 0, len(PNG_SIGNATURE)), PNG_SIGNATURE)
    return tf.debugging.Assert(tf.io.is_jpeg(encoded) | is_png, ["neither JPEG nor PNG:", filename])


def decode_window(encoded, window):
    """Decodes a window of a JPEG or PNG, RGB or grey.

    Args:
      encoded: the file's bytes.
      window: [4] int32 (top, left, height, width).
    Returns:
      [height, width, 3] uint8.
    """

    def from_jpeg():
        return tf.image.decode_and_crop_jpeg(encoded, window, 3, dct_method=DCT_METHOD)

    def from_png():
        return tf.image.crop_to_bounding_box(tf.image.decode_png(encoded, 3), *tf.unstack(window))

    return tf.ensure_shape(tf.cond(tf.io.is_jpeg(encoded), from_jpeg, from_png), [None, None, 3])


def decode_image(encoded, filename):
    """Decodes a JPEG or PNG to [height, width, 3] uint8, RGB or grey; InvalidArgumentError with the name for others."""
    with tf.control_dependencies([_known_format(encoded, filename)]):
        image = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: tf.image.decode_jpeg(encoded, 3, dct_method=DCT_METHOD),
            lambda: tf.image.decode_png(encoded, 3),
        )
    return tf.ensure_shape(image, [None, None, 3])


def decode_label(example, image_size, ignore_label):
    """Decodes [height, width] uint8 class ids, as large as the image; all are `ignore_label` if there is no label."""
    encoded = example["image/segmentation/class/encoded"]

    def absent():
        return tf.fill(image_size, tf.cast(ignore_label, tf.uint8))

    label = tf.cond(tf.equal(encoded, ""), absent, lambda: tf.image.decode_png(encoded, 1)[..., 0])
    sizes_agree = tf.reduce_all(tf.equal(tf.shape(label), image_size))
    message = ["label and image differ in (height, width):", example["image/filename"], tf.shape(label), image_size]
    with tf.control_dependencies([tf.debugging.Assert(sizes_agree, message)]):
        return tf.ensure_shape(tf.identity(label), [None, None])


def decode_instances(example, label, ignore_label, label_divisor):
    """Decodes [height, width] int32 instance ids, 0 for none; all are 0 if there is no label or no panoptic map.

    Args:
      example: what `parse_example` returned.
      label: [height, width] uint8 class ids.
      ignore_label, label_divisor: fields of the DatasetInfo.
    Raises:
      InvalidArgumentError: the panoptic map has another size than the label, an instance in it has another class than
        the label, or an instance id is not below the label divisor. Counts by label and instance would then be wrong.
        Ignored pixels may differ. The message names the file.
    """
    encoded = example["image/panoptic/encoded"]

    def present():
        panoptic = tf.image.decode_png(encoded, 3)
        sizes_agree = tf.reduce_all(tf.equal(tf.shape(panoptic)[:2], tf.shape(label)))
        with tf.control_dependencies([_check(sizes_agree, "panoptic map and label differ in their sizes:", example)]):
            class_ids, high, low = tf.unstack(panoptic, axis=-1)  # [height, width] each
        instances = 256 * tf.cast(high, tf.int32) + tf.cast(low, tf.int32)
        is_ignored = tf.equal(label, tf.cast(ignore_label, tf.uint8))
        classes_agree = tf.reduce_all(tf.equal(class_ids, label) | tf.equal(instances, 0) | is_ignored)
        ids_fit = tf.reduce_all((instances < label_divisor) | is_ignored)
        checks = [
            _check(classes_agree, "panoptic map and label differ in their classes:", example),
            _check(ids_fit, f"instance ids from the label divisor {label_divisor} on in the panoptic map of:", example),
        ]
        with tf.control_dependencies(checks):
            return tf.identity(instances)

    instances = tf.cond(~has_instances(example), lambda: tf.zeros(tf.shape(label), tf.int32), present)
    return tf.ensure_shape(instances, [None, None])


def why_unusable(example, label, ignore_label, label_divisor) -> str | None:
    """Says why `decode_instances` refuses an example; None if it does not. Works only outside of graphs.

    The arguments are those of `decode_instances`.
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
    """Keeps instance ids where the label is a thing and returns 0 elsewhere.

    The ids that a panoptic map has on stuff and on ignored pixels mean nothing.

    Args:
      instances: int32 instance ids.
      label: int32 class ids of the same shape.
      info: DatasetInfo.
    """
    is_thing = tf.constant([class_id in info.thing_ids for class_id in range(256)])
    return tf.where(tf.gather(is_thing, label), instances, 0)


def has_instances(example):
    """Returns a bool scalar: whether an example has both a label and a panoptic map."""
    parts = [example["image/panoptic/encoded"], example["image/segmentation/class/encoded"]]
    return tf.reduce_all(tf.not_equal(parts, ""))


def _check(condition, message, example):
    return tf.debugging.Assert(condition, [message, example["image/filename"]])
