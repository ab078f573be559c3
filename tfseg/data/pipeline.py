"""TFRecords -> batches.

Order is a function of (seed, epoch) and augmentation of (seed, global example index), so that a run can be taken up at
any step: skipping is done on encoded records, before anything is decoded. Every example comes exactly once an epoch;
batches cross the borders of epochs.
"""

import contextlib
import itertools
import os

import tensorflow as tf

from tfseg.data import augment
from tfseg.data.panoptic import decode_instances, has_instances
from tfseg.data.tfrecord import locate_damage, parse_example
from tfseg.errors import InputError
from tfseg.labels import IGNORE_LABEL

MAX_OPEN_SHARDS = 8
READ_BUFFER_BYTES = 1 << 20
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GRAPH_SEED = 1
# What other decoders use. TensorFlow's default is off by a grey level on average and saves no measurable time.
DCT_METHOD = "INTEGER_ACCURATE"


def train_batches(
    files, info, data, *, batch_size, seed, start_step=0, make_targets, num_examples, input_context=None
) -> tf.data.Dataset:
    """Endless batches of augmented crops.

    Args:
      files: paths of the split's shards.
      info: DatasetInfo; its ignore label fills what lies outside an image.
      data: has crop_size, min_scale, max_scale, flip, color_jitter, rotation and shuffle_buffer (the data part of an
        experiment).
      batch_size: examples of one step, over all replicas.
      seed: of order and augmentation.
      start_step: batches an unbroken run has already seen; the first batch is the one that follows them.
      make_targets: {"image", "label", "filename"} of one augmented example -> dict of tensors.
      num_examples: examples in all shards.
      input_context: tf.distribute.InputContext: each replica gets its part of the step's examples, and all replicas of
        all workers together get what one device would. Parts differ by one example where the size is no multiple.
    Returns:
      Batches of what `make_targets` returns, from {"image": float32 [batch, *crop_size, 3] in 0..255, "label": int32
      [batch, *crop_size], "filename": string [batch]}; one batch is one replica's, in turn for the replicas of this
      worker.
    Raises:
      InputError: for no examples, or fewer in a step than there are replicas. While iterating, of tf.errors:
        DataLossError for a damaged shard, InvalidArgumentError for an image or label that cannot be used (see
        `locate_unusable`), FailedPreconditionError if the shards do not hold `num_examples`.
    """
    if not files or num_examples < 1:
        raise InputError(f"{info.name}: the training split is empty; training needs at least one labelled image")
    first, sizes = _share(batch_size, input_context)
    records = _shuffled_records(files, num_examples, seed, data.shuffle_buffer, start_step * batch_size)
    if sum(sizes) < batch_size:
        last = first + sum(sizes)
        records = records.filter(lambda index, _: (index % batch_size >= first) & (index % batch_size < last))

    def load(index, record):
        return make_targets(augmented_example(parse_example(record), info, data, seed, index))

    examples = records.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if len(set(sizes)) == 1:
        batches = examples.batch(sizes[0], drop_remainder=True)  # of a static size, which XLA needs
    else:
        batches = examples.batch(1).rebatch(sizes)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(_options())


def _share(batch_size, input_context):
    """This worker's part of a step: the position of its first example, and how many each of its replicas gets."""
    if input_context is None:
        return 0, [batch_size]
    num_replicas, num_pipelines = input_context.num_replicas_in_sync, input_context.num_input_pipelines
    if batch_size < num_replicas:
        raise InputError(f"--batch_size={batch_size} is less than one image for each of {num_replicas} replicas")
    borders = [replica * batch_size // num_replicas for replica in range(num_replicas + 1)]
    here = num_replicas // num_pipelines
    borders = borders[input_context.input_pipeline_id * here :][: here + 1]
    return borders[0], [after - before for before, after in itertools.pairwise(borders)]


def eval_examples(files, info, batch_size=1, with_instances=False) -> tf.data.Dataset:
    """Every example once, in the order of the shards, at its own size.

    Args:
      files, info: as `train_batches`.
      batch_size: above 1 only where all images have one size; the last batch may be smaller.
      with_instances: instance ids, too.
    Returns:
      Finite batches {"image": uint8 [batch, height, width, 3], "label": int32 [batch, height, width], "filename":
      string [batch]}. An example without a label has the ignore label everywhere. With instances also {"instance":
      int32 [batch, height, width], 0 is none, "has_instances": bool [batch]}, which is False (and all ids 0) for an
      example without a panoptic map.
    """

    def load(record):
        example = parse_example(record)
        image = decode_image(example["image/encoded"], example["image/filename"])
        label = decode_label(example, tf.shape(image)[:2], info.ignore_label)
        loaded = {"image": image, "label": tf.cast(label, tf.int32), "filename": example["image/filename"]}
        if with_instances:
            loaded["instance"] = decode_instances(example, label, info.ignore_label)
            loaded["has_instances"] = has_instances(example)
        return loaded

    records = tf.data.TFRecordDataset(files, buffer_size=READ_BUFFER_BYTES)
    examples = records.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE).with_options(_options())


def augmented_example(example, info, data, seed, index) -> dict:
    """One parsed record -> {"image": float32 [*crop_size, 3], "label": int32 [*crop_size], "filename": string}.

    Args:
      example: from `parse_example`.
      seed, index: run seed and global example index; together they determine the augmentation.
    """
    seeds = tf.random.experimental.stateless_split(tf.stack([tf.cast(seed, tf.int64), index]), 2, alg="philox")
    encoded, filename = example["image/encoded"], example["image/filename"]
    geometry = augment.draw_geometry(image_size(encoded, filename), seeds[0], data)
    window = augment.source_window(geometry, data)
    pixels = decode_window(encoded, augment.mirror(window, geometry))
    if data.color_jitter:
        pixels = augment.jitter_color(pixels, seeds[1], data.color_jitter)
    check = tf.debugging.Assert(
        tf.strings.length(example["image/segmentation/class/encoded"]) > 0, ["no label to train on:", filename]
    )
    with tf.control_dependencies([check]):
        label = decode_label(example, geometry.source_size, info.ignore_label)
    return {
        "image": augment.crop_image(pixels, window, geometry, data),
        "label": augment.crop_label(label, geometry, data, info.ignore_label),
        "filename": filename,
    }


def image_size(encoded, filename):
    """[2] int32 (height, width) from the header of a JPEG or PNG; InvalidArgumentError naming the file for others."""

    def from_png():
        # Width and height are the first fields of the header chunk, which comes first: bytes 16 to 23, big endian.
        size = tf.io.decode_raw(tf.strings.substr(encoded, 16, 8), tf.int32, little_endian=False)
        return tf.ensure_shape(size, [2])[::-1]

    with tf.control_dependencies([_known_format(encoded, filename)]):
        return tf.cond(tf.io.is_jpeg(encoded), lambda: tf.io.extract_jpeg_shape(encoded)[:2], from_png)


def _known_format(encoded, filename):
    is_png = tf.equal(tf.strings.substr(encoded, 0, len(PNG_SIGNATURE)), PNG_SIGNATURE)
    return tf.debugging.Assert(tf.io.is_jpeg(encoded) | is_png, ["neither JPEG nor PNG:", filename])


def decode_window(encoded, window):
    """[height, width, 3] uint8 of window = [4] int32 (top, left, height, width) of a JPEG or PNG, RGB or grey."""

    def from_jpeg():
        return tf.image.decode_and_crop_jpeg(encoded, window, 3, dct_method=DCT_METHOD)

    def from_png():
        return tf.image.crop_to_bounding_box(tf.image.decode_png(encoded, 3), *tf.unstack(window))

    return tf.ensure_shape(tf.cond(tf.io.is_jpeg(encoded), from_jpeg, from_png), [None, None, 3])


def decode_image(encoded, filename):
    """[height, width, 3] uint8 of a JPEG or PNG, RGB or grey; InvalidArgumentError naming the file for others."""
    with tf.control_dependencies([_known_format(encoded, filename)]):
        image = tf.cond(
            tf.io.is_jpeg(encoded),
            lambda: tf.image.decode_jpeg(encoded, 3, dct_method=DCT_METHOD),
            lambda: tf.image.decode_png(encoded, 3),
        )
    return tf.ensure_shape(image, [None, None, 3])


def decode_label(example, image_size, ignore_label):
    """[height, width] uint8 class ids, all `ignore_label` when there is none; must be as large as the image."""
    encoded = example["image/segmentation/class/encoded"]

    def absent():
        return tf.fill(image_size, tf.cast(ignore_label, tf.uint8))

    label = tf.cond(tf.equal(encoded, ""), absent, lambda: tf.image.decode_png(encoded, 1)[..., 0])
    sizes_agree = tf.reduce_all(tf.equal(tf.shape(label), image_size))
    message = ["label and image differ in (height, width):", example["image/filename"], tf.shape(label), image_size]
    with tf.control_dependencies([tf.debugging.Assert(sizes_agree, message)]):
        return tf.ensure_shape(tf.identity(label), [None, None])


@contextlib.contextmanager
def damage_named(files, needs_labels):
    """Turns TensorFlow's error for a record that cannot be read or decoded into an InputError that names it.

    Args:
      files: the shards that are read inside.
      needs_labels: True for training.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError) as error:
        damage = locate_damage(files)
        reason = f"{damage[0]}: record {damage[1]} is damaged ({damage[2]})" if damage else None
        reason = reason or locate_unusable(files, needs_labels)
        if reason is None:
            raise
        raise InputError(f"{reason}; convert the data again") from error


def locate_unusable(files, needs_labels) -> str | None:
    """Looks for the example behind an InvalidArgumentError of `train_batches` or `eval_examples`.

    TensorFlow's decoders do not know what they decode, so that their errors name no file.

    Args:
      files: the shards that were read; all undamaged.
      needs_labels: True where the error came from training.
    Returns:
      "<shard>: record <index> (<file name>): <reason>" of the first that cannot be used, or None.
    """
    for file in files:
        for index, record in enumerate(tf.data.TFRecordDataset(file)):
            example = parse_example(record)
            reason = _why_unusable(example, needs_labels)
            if reason:
                return f"{file}: record {index} ({os.fsdecode(example['image/filename'].numpy())}): {reason}"
    return None


def _why_unusable(example, needs_labels):
    try:
        image = decode_image(example["image/encoded"], example["image/filename"])
    except tf.errors.InvalidArgumentError:
        return "the image is not a JPEG or PNG that can be decoded"
    encoded = example["image/segmentation/class/encoded"]
    if not encoded.numpy():
        return "there is no label to train on" if needs_labels else None
    try:
        label = tf.image.decode_png(encoded, 1)
    except tf.errors.InvalidArgumentError:
        return "the label is not a PNG that can be decoded"
    if label.shape[:2] != image.shape[:2]:
        return f"the image is {image.shape[0]}x{image.shape[1]}, its label {label.shape[0]}x{label.shape[1]}"
    try:
        if not needs_labels:  # training does not read them
            decode_instances(example, label[..., 0], IGNORE_LABEL)
    except tf.errors.InvalidArgumentError:
        return "the panoptic map is not a PNG of the label's size and classes"
    return None


def _shuffled_records(files, num_examples, seed, shuffle_buffer, start):
    """Endless (global example index, serialized example), beginning at index `start`."""

    def one_epoch(epoch):
        seeds = tf.random.experimental.stateless_split(tf.stack([tf.constant(seed, tf.int64), epoch]), 2, alg="philox")
        shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(files, seeds[0]))
        records = shards.interleave(
            lambda shard: tf.data.TFRecordDataset(shard, buffer_size=READ_BUFFER_BYTES),
            cycle_length=min(len(files), MAX_OPEN_SHARDS),
        )
        # Dataset.shuffle mixes the graph's seed into its own: fixed, or the order would hang on tf.random.set_seed.
        tf.random.set_seed(GRAPH_SEED)
        records = records.shuffle(shuffle_buffer, seed=tf.cast(seeds[1, 0], tf.int64), reshuffle_each_iteration=False)
        return records.apply(tf.data.experimental.assert_cardinality(num_examples))

    epochs = tf.data.Dataset.counter(start // num_examples)
    return epochs.flat_map(one_epoch).skip(start % num_examples).enumerate(start)


def _options():
    options = tf.data.Options()
    options.deterministic = True
    # Which example goes to which worker is decided above; tf.distribute must not divide the files a second time.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # An example is decoded on one thread; many examples at once are what keeps the cores busy.
    options.threading.max_intra_op_parallelism = 1
    return options
