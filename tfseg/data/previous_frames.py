"""Finds the frames before a frame of a video, in the records before its own or in its own."""

import tensorflow as tf

from tfseg.data.tfrecord import parse_example


def frames_before(example, records, frame_gap):
    """Returns a list of what `_frame_before` does, in the order of the records before an example; each follows its own.

    Where a frame is missing, all before it are missing, too, and the last one that there is takes their places.
    """
    frames, after, is_whole = [], example, tf.constant(True)
    for record in reversed(records):
        before, is_frame = _frame_before(after, record, frame_gap)
        is_whole &= is_frame
        after = {key: tf.where(is_whole, before[key], after[key]) for key in after}
        frames.insert(0, (after, is_whole))
    return frames


def _frame_before(example, record, frame_gap):
    """Returns the frame before an example: the one that its record holds, or that of the record before it in the shard.

    Args:
      example: what `parse_example` returned.
      record: the serialized record before it; empty for the first one.
      frame_gap: largest difference of the frame numbers.
    Returns:
      A pair: the parsed record, or the example itself in its place; and a bool, whether it is another frame. That
      of the record before it must be of the same video and size, and shortly before.
    """
    before = tf.cond(tf.equal(record, ""), lambda: example | {"video/sequence_id": ""}, lambda: parse_example(record))
    sequence, distance = example["video/sequence_id"], example["video/frame_id"] - before["video/frame_id"]
    facts = [
        tf.not_equal(sequence, ""),
        tf.equal(sequence, before["video/sequence_id"]),
        (distance > 0) & (distance <= frame_gap),
        *(tf.equal(example[key], before[key]) for key in ("image/height", "image/width")),
    ]
    is_held = tf.not_equal(example["video/previous/encoded"], "")
    is_frame = ~is_held & tf.reduce_all(facts)
    found = {key: tf.where(is_frame, before[key], example[key]) for key in example}
    of_held = {
        "image/encoded": example["video/previous/encoded"],
        "video/frame_id": example["video/frame_id"] - 1,
        "video/previous/encoded": "",
        "image/segmentation/class/encoded": "",
        "image/panoptic/encoded": "",
    }
    found |= {key: tf.where(is_held, value, found[key]) for key, value in of_held.items()}
    return found, is_frame | is_held
