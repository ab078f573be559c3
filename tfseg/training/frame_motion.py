"""The motion between a training image and the frame before it, estimated as a stream estimates it in use."""

import itertools

import cv2
import numpy as np
import tensorflow as tf

from tfseg.inference.motion import MotionEstimator, motion_image

STRIDE = 8  # pixels of the image per position of the motion


def with_motion(example: dict) -> dict:
    """Adds the motion to an augmented example. It runs inside tf.data.

    Args:
      example: what `data.pipeline.augmented_example` returns, with the frames before.
    Returns:
      The example, and "motion_offset" [n, h, w, 2] and "motion_error" [n, h, w] float32, as in
      `inference.motion.Motion`, from each of the n frames before to the one after it, for h and w that are the image's
      sides / 8, rounded up. Both are 0 where there is no frame before.
    """
    size = [-(-side // STRIDE) for side in example["image"].shape[:2]]
    frames = [*tf.unstack(example["previous_images"]), example["image"]]
    pairs = itertools.pairwise(frames)
    motions = [
        _motion(*pair, is_real, size) for pair, is_real in zip(pairs, tf.unstack(example["has_previous"]), strict=True)
    ]
    offsets, errors = zip(*motions, strict=True)
    return example | {"motion_offset": tf.stack(offsets), "motion_error": tf.stack(errors)}


def _motion(previous, image, is_real, size):
    def estimated():
        images = [tf.cast(one, tf.uint8) for one in (previous, image)]
        return tf.numpy_function(_estimate, [*images, size], (tf.float32, tf.float32), stateful=False)

    def still():
        return [tf.zeros([*size, 2]), tf.zeros(size)]

    offset, error = tf.cond(is_real, estimated, still)
    return tf.ensure_shape(offset, [*size, 2]), tf.ensure_shape(error, size)


def _estimate(previous, image, size):
    motion = MotionEstimator().between(motion_image(previous), motion_image(image))
    maps = (cv2.resize(one, size[::-1].tolist(), interpolation=cv2.INTER_AREA) for one in (motion.offset, motion.error))
    return tuple(np.asarray(one, np.float32) for one in maps)
