"""The motion between a training image and the frame before it, estimated as a stream estimates it in use."""

import cv2
import numpy as np
import tensorflow as tf

from tfseg.inference.motion import MotionEstimator, motion_image

STRIDE = 8  # pixels of the image per position of the motion


def with_motion(example: dict) -> dict:
    """Adds the motion to an augmented example. It runs inside tf.data.

    Args:
      example: what `data.pipeline.augmented_example` returns, with "previous_image" and "has_previous".
    Returns:
      The example, and "motion_offset" [h, w, 2] and "motion_error" [h, w] float32, as in `inference.motion.Motion`, for
      h and w that are the image's sides / 8, rounded up. Both are 0 where there is no frame before.
    """
    size = [-(-side // STRIDE) for side in example["image"].shape[:2]]

    def estimated():
        images = [tf.cast(example[name], tf.uint8) for name in ("previous_image", "image")]
        return tf.numpy_function(_estimate, [*images, size], (tf.float32, tf.float32), stateful=False)

    def still():
        return [tf.zeros([*size, 2]), tf.zeros(size)]

    offset, error = tf.cond(example["has_previous"], estimated, still)
    return example | {
        "motion_offset": tf.ensure_shape(offset, [*size, 2]),
        "motion_error": tf.ensure_shape(error, size),
    }


def _estimate(previous, image, size):
    motion = MotionEstimator().between(motion_image(previous), motion_image(image))
    maps = (cv2.resize(one, size[::-1].tolist(), interpolation=cv2.INTER_AREA) for one in (motion.offset, motion.error))
    return tuple(np.asarray(one, np.float32) for one in maps)
