"""The motion of training examples is what a stream estimates, and training on videos uses it."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from tests.data.datasets.test_camvid import write_split
from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.data import opening
from tfseg.inference.motion import MotionEstimator, motion_image
from tfseg.models.rnn import RNNConfig
from tfseg.models.seeding import SeedingConfig
from tfseg.training.frame_motion import with_motion
from tfseg.training.train import train


def example(has_previous):
    """A picture that moved by 4 pixels across, in 64x96."""
    images = [tf.constant(texture(64, 96, across=across), tf.float32) for across in (0, 4)]
    return {"previous_images": images[0][tf.newaxis], "image": images[1], "has_previous": tf.constant([has_previous])}


def test_the_motion_is_that_of_a_stream():
    given = example(True)
    found = tf.function(with_motion)(given)
    frames = given["previous_images"][0], given["image"]
    before, after = (motion_image(one.numpy().astype(np.uint8)) for one in frames)
    expected = MotionEstimator().between(before, after)
    for name, values in (("motion_offset", expected.offset), ("motion_error", expected.error)):
        small = cv2.resize(values, (12, 8), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(found[name][0], small, atol=1e-6)
    assert abs(np.median(found["motion_offset"][..., 0]) * 96 - 4) < 0.3


def test_without_a_frame_before_nothing_moves():
    found = tf.function(with_motion)(example(False))
    assert found["motion_offset"].shape == (1, 8, 12, 2) and found["motion_error"].shape == (1, 8, 12)
    assert not found["motion_offset"].numpy().any() and not found["motion_error"].numpy().any()


@pytest.mark.slow
def test_a_network_is_trained_on_the_frames_of_videos(tmp_path, save):
    names = [f"A_{number:05}" for number in range(6)]
    for split in ("train", "val"):
        write_split(tmp_path / "raw", split, names, save)
    opening.prepare("camvid", tmp_path / "raw", tmp_path / "records")
    config = ExperimentConfig(
        RNNConfig(tiny(), iterations=2, widths=(8, 4), canvas_stride=8, seeding=SeedingConfig(rate=0.75)),
        DataConfig("camvid", str(tmp_path / "records"), crop_size=(32, 32), frame_gap=1),
        TrainingConfig(total_steps=4, global_batch_size=2, validate_every=0, log_every=1),
    )
    train(config, tmp_path / "run")
    assert (tmp_path / "run" / "weights" / "last.npz").exists()
