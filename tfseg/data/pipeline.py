"""Turns TFRecords into batches.

The order depends only on (seed, epoch), and the augmentation only on (seed, global example index). So a run can be
resumed at any step: encoded records are skipped before anything is decoded. Every example comes exactly once per epoch;
batches may cross the borders of epochs.
"""

import contextlib
import itertools
import os

import numpy as np
import tensorflow as tf

from tfseg.data import augment, pasting
from tfseg.data.decoding import (
    decode_image,
    decode_instances,
    decode_label,
    decode_window,
    has_instances,
    image_size,
    of_things,
    why_unusable,
)
from tfseg.data.previous_frames import frames_before
from tfseg.data.tfrecord import locate_damage, parse_example
from tfseg.errors import InputError
from tfseg.labels import IGNORE_LABEL, LABEL_DIVISOR

MAX_OPEN_SHARDS = 8
READ_BUFFER_BYTES = 1 << 20
GRAPH_SEED = 1
DONORS = 1 << 20  # bit of the seed of what is pasted


def train_batches(
    files,
    info,
    data,
    *,
    batch_size,
    seed,
    start_step=0,
    make_targets,
    num_examples,
    input_context=None,
    with_instances=False,
    num_previous=0,
) -> tf.data.Dataset:
    """Returns endless batches of augmented crops.

    Args:
      files: paths of the split's shards.
      info: DatasetInfo; its ignore label fills what lies outside an image.
      data: the data part of an experiment; what is read of it are the fields that say how examples are shuffled and
        augmented.
      batch_size: number of examples per step, over all replicas.
      seed: seed for order and augmentation.
      start_step: number of batches that an unbroken run has already seen; the first batch is the next one.
      make_targets: function from one augmented example, see `augmented_example`, to a dict of tensors.
      num_examples: number of examples in all shards.
      input_context: tf.distribute.InputContext; None for one device. Each replica gets its part of a step's examples,
        and all replicas of all workers together get what one device would get. The parts differ by one example if
        `batch_size` is not a multiple of the number of replicas.
      with_instances: whether the examples have "instance"; then every record must have a panoptic map.
      num_previous: number of frames before each example that are loaded with it.
    Returns:
      Batches of what `make_targets` returns. Each batch is for one replica; the replicas of this worker take turns.
    Raises:
      InputError: there are no examples, or fewer per step than there are replicas.
      tf.errors.DataLossError: while iterating, a shard is damaged.
      tf.errors.InvalidArgumentError: while iterating, an image or label cannot be used, see `locate_unusable`.
      tf.errors.FailedPreconditionError: while iterating, the shards do not hold `num_examples`.
    """
    if not files or num_examples < 1:
        raise InputError(f"{info.name}: the training split is empty; training needs at least one labelled image")
    if data.paste_rate and (with_instances or num_previous):
        raise InputError("config: data.paste_rate: only single images without instances can be pasted into; leave it 0")
    first, sizes = _share(batch_size, input_context)
    start = start_step * batch_size
    records = _shuffled_records(files, num_examples, seed, data.shuffle_buffer, start, num_previous)
    if data.paste_rate:
        ids = pasting.class_ids(data.paste_classes, info)
        donors = _shuffled_records(files, num_examples, seed ^ DONORS, data.shuffle_buffer, start)
        records = tf.data.Dataset.zip((records, donors)).map(lambda pair, other: (pair[0], (pair[1], other[1])))
    if sum(sizes) < batch_size:
        last = first + sum(sizes)
        records = records.filter(lambda index, _: (index % batch_size >= first) & (index % batch_size < last))

    def load(index, record):
        record, *before = record if num_previous else [record]
        example = parse_example(record)
        previous = frames_before(example, before, data.frame_gap)
        return make_targets(augmented_example(example, info, data, (seed, index), with_instances, previous))

    def load_pasted(index, pair):
        own, donor = (seed, index), (seed ^ DONORS, index)
        crop, other = (
            augmented_example(parse_example(record), info, data, of, with_instances)
            for record, of in zip(pair, (own, donor), strict=True)
        )
        return make_targets(pasting.pasted(crop, other, ids, data.paste_rate, tf.stack([donor[0], index])))

    examples = records.map(
        load_pasted if data.paste_rate else load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    if len(set(sizes)) == 1:
        batches = examples.batch(sizes[0], drop_remainder=True)  # the size is static, which XLA needs
    else:
        batches = examples.batch(1).rebatch(sizes)
    return batches.prefetch(tf.data.AUTOTUNE).with_options(_options())


def _share(batch_size, input_context):
    """Returns this worker's part of a step: (position of its first example, list of its replicas' example counts)."""
    if input_context is None:
        return 0, [batch_size]
    num_replicas, num_pipelines = input_context.num_replicas_in_sync, input_context.num_input_pipelines
    if batch_size < num_replicas:
        raise InputError(f"--batch_size={batch_size} is less than one image for each of {num_replicas} replicas")
    borders = [replica * batch_size // num_replicas for replica in range(num_replicas + 1)]
    here = num_replicas // num_pipelines
    borders = borders[input_context.input_pipeline_id * here :][: here + 1]
    return borders[0], [after - before for before, after in itertools.pairwise(borders)]


def eval_examples(files, info, batch_size=1, with_instances=False, with_sequences=False) -> tf.data.Dataset:
    """Returns every example once, in the order of the shards, at its own size.

    Args:
      files, info: see `train_batches`.
      batch_size: number of examples per batch; above 1 only if all images have the same size. The last batch may be
        smaller.
      with_instances: whether to return instance ids, too.
      with_sequences: whether to return to which video an image belongs, too.
    Returns:
      Finite batches {"image": uint8 [batch, height, width, 3], "label": int32 [batch, height, width], "filename":
      string [batch]}. An example without a label has the ignore label everywhere. With instances, also {"instance":
      int32 [batch, height, width], 0 for none, "has_instances": bool [batch]}. An example without a label or a panoptic
      map has only ids 0, and its "has_instances" is False. With sequences, also {"sequence_id": string [batch], empty
      for single images, "frame_id": int64 [batch], `tfrecord.NO_FRAME` for them}.
    """

    def load(record):
        example = parse_example(record)
        image = decode_image(example["image/encoded"], example["image/filename"])
        label = decode_label(example, tf.shape(image)[:2], info.ignore_label)
        loaded = {"image": image, "label": tf.cast(label, tf.int32), "filename": example["image/filename"]}
        if with_instances:
            loaded["instance"] = decode_instances(example, label, info.ignore_label, info.label_divisor)
            loaded["has_instances"] = has_instances(example)
        if with_sequences:
            loaded |= {"sequence_id": example["video/sequence_id"], "frame_id": example["video/frame_id"]}
        return loaded

    records = tf.data.TFRecordDataset(files, buffer_size=READ_BUFFER_BYTES)
    examples = records.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size).prefetch(tf.data.AUTOTUNE).with_options(_options())


def usual_size(files, num_images) -> tuple[int, int]:
    """Returns the median (height, width) of the first `num_images` examples, in pixels, without decoding them."""
    records = tf.data.TFRecordDataset(files, buffer_size=READ_BUFFER_BYTES).take(num_images)
    sizes = [(example["image/height"], example["image/width"]) for example in records.map(parse_example)]
    height, width = np.median(np.asarray(sizes), axis=0)
    return int(height), int(width)


def augmented_example(example, info, data, seed, with_instances=False, previous=()) -> dict:
    """Decodes and augments one parsed record.

    Args:
      example: what `parse_example` returned.
      info: see `train_batches`.
      data: see `train_batches`.
      seed: (run seed, global example index); together they determine the augmentation.
      with_instances: see `train_batches`.
      previous: for each frame before, in their order, its parsed record and a bool scalar, whether there is one.
    Returns:
      {"image": float32 [*crop_size, 3] in 0..255, "label": int32 [*crop_size], "filename": string}. With instances,
      also "instance": int32 [*crop_size] ids of things, 0 on stuff, crowds, ignored pixels and outside the image;
      "source_label" and "source_instance": int32 [height, width] class and instance ids of the whole image; and
      "geometry": the `augment.Geometry` that says where the crop lies in that image. With `previous`, also
      "previous_images": float32 [len(previous), *crop_size, 3], augmented in the same way (where there is no frame, the
      one after it once more), "has_previous": the bools, and "previous_labels": int32 [len(previous) - 1, *crop_size],
      without the first; where there is no frame, all is ignored.
    """
    run_seed, index = seed
    seeds = tf.random.experimental.stateless_split(tf.stack([tf.cast(run_seed, tf.int64), index]), 2, alg="philox")
    encoded, filename = example["image/encoded"], example["image/filename"]
    geometry = augment.draw_geometry(image_size(encoded, filename), seeds[0], data)
    with tf.control_dependencies([_present(example, "image/segmentation/class/encoded", "label")]):
        label = decode_label(example, geometry.source_size, info.ignore_label)
    crop = {
        "image": _augmented_image(encoded, geometry, seeds[1], data),
        "label": augment.crop_label(label, geometry, data, info.ignore_label),
        "filename": filename,
    }
    if previous:
        frames, has_frames = zip(*previous, strict=True)
        crop["has_previous"] = tf.stack(has_frames)
        images = [_augmented_image(frame["image/encoded"], geometry, seeds[1], data) for frame in frames]
        crop["previous_images"] = tf.stack(images)
        labels = [
            tf.where(has_frame, _augmented_label(frame, geometry, data, info), info.ignore_label)
            for frame, has_frame in previous[1:]
        ]
        crop["previous_labels"] = tf.reshape(labels, [len(labels), *data.crop_size])
    if with_instances:
        with tf.control_dependencies([_present(example, "image/panoptic/encoded", "panoptic map")]):
            instances = decode_instances(example, label, info.ignore_label, info.label_divisor)
        crop["instance"] = of_things(augment.crop_label(instances, geometry, data, 0), crop["label"], info)
        crop |= {"source_label": tf.cast(label, tf.int32), "source_instance": instances, "geometry": geometry}
    return crop


def _augmented_image(encoded, geometry, seed, data):
    window = augment.source_window(geometry, data)
    pixels = decode_window(encoded, augment.mirror(window, geometry))
    if data.color_jitter:
        pixels = augment.jitter_color(pixels, seed, data.color_jitter)
    image = augment.crop_image(pixels, window, geometry, data)
    if data.blur_rate:
        image = augment.blur(image, tf.random.experimental.stateless_fold_in(seed, 1, alg="philox"), data)
    return image


def _present(example, key, what):
    has_key = tf.strings.length(example[key]) > 0
    return tf.debugging.Assert(has_key, [f"no {what} to train on:", example["image/filename"]])


@contextlib.contextmanager
def damage_named(files, needs_labels, with_instances=False, label_divisor=LABEL_DIVISOR):
    """Turns TensorFlow's error for a record that cannot be read or decoded into an InputError that names it.

    Args:
      files: the shards that are read inside the context.
      needs_labels: True for training, which refuses records without a label.
      with_instances: whether that training reads instances, too.
      label_divisor: label divisor of the DatasetInfo with which the shards are read.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError) as error:
        damage = locate_damage(files)
        reason = f"{damage[0]}: record {damage[1]} is damaged ({damage[2]})" if damage else None
        reason = reason or locate_unusable(files, needs_labels, with_instances, label_divisor)
        if reason is None:
            raise
        raise InputError(f"{reason}; convert the data again") from error


def locate_unusable(files, needs_labels, with_instances=False, label_divisor=LABEL_DIVISOR) -> str | None:
    """Looks for the example behind an InvalidArgumentError of `train_batches` or `eval_examples`.

    TensorFlow's decoders do not know which file they decode, so their errors do not name it.

    Args:
      files: the shards that were read; all are undamaged.
      needs_labels: whether the error came from training.
      with_instances: whether that training reads instances, too.
      label_divisor: label divisor of the DatasetInfo with which the shards were read.
    Returns:
      "<shard>: record <index> (<file name>): <reason>" for the first record that cannot be used; None if there is none.
    """
    for file in files:
        for index, record in enumerate(tf.data.TFRecordDataset(file)):
            example = parse_example(record)
            reason = _why_unusable(example, needs_labels, with_instances, label_divisor)
            if reason:
                return f"{file}: record {index} ({os.fsdecode(example['image/filename'].numpy())}): {reason}"
    return None


def _why_unusable(example, needs_labels, with_instances, label_divisor):
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
    if needs_labels and with_instances and not example["image/panoptic/encoded"].numpy():
        return "there is no panoptic map to train on"
    if needs_labels and not with_instances:  # semantic training does not read them
        return None
    return why_unusable(example, label[..., 0], IGNORE_LABEL, label_divisor)


def _augmented_label(example, geometry, data, info):
    label = decode_label(example, geometry.source_size, info.ignore_label)
    return tf.cast(augment.crop_label(label, geometry, data, info.ignore_label), tf.int32)


def _shuffled_records(files, num_examples, seed, shuffle_buffer, start, num_previous=0):
    """Returns endless pairs (global example index, serialized example), which begin at index `start`.

    With `num_previous`, the serialized example is a tuple of it and of so many before it in the shard, in their order;
    "" where there is none.
    """

    def of_shard(shard):
        records = tf.data.TFRecordDataset(shard, buffer_size=READ_BUFFER_BYTES)
        if not num_previous:
            return records
        return records.scan(("",) * num_previous, lambda last, record: ((*last[1:], record), (record, *last)))

    def one_epoch(epoch):
        seeds = tf.random.experimental.stateless_split(tf.stack([tf.constant(seed, tf.int64), epoch]), 2, alg="philox")
        shards = tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(files, seeds[0]))
        records = shards.interleave(
            of_shard,
            cycle_length=min(len(files), MAX_OPEN_SHARDS),
        )
        # Dataset.shuffle mixes the graph's seed into its own. A fixed one keeps the order independent of the caller's.
        tf.random.set_seed(GRAPH_SEED)
        records = records.shuffle(shuffle_buffer, seed=tf.cast(seeds[1, 0], tf.int64), reshuffle_each_iteration=False)
        return records.apply(tf.data.experimental.assert_cardinality(num_examples))

    epochs = tf.data.Dataset.counter(start // num_examples)
    return epochs.flat_map(one_epoch).skip(start % num_examples).enumerate(start)


def _options():
    options = tf.data.Options()
    options.deterministic = True
    # `_share` decides which example goes to which worker; tf.distribute must not divide the files a second time.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Each example is decoded on one thread; many examples at once keep the cores busy.
    options.threading.max_intra_op_parallelism = 1
    return options
