"""Videos of a bright square that moves over a dark ground, and a tiny arch2 that was trained on their frames."""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.data import tfrecord
from tfseg.data.conversion.examples import encode_arrays
from tfseg.data.manifest import Manifest, write_manifest
from tfseg.labels import DatasetInfo
from tfseg.models.arch2 import Arch2Config
from tfseg.runs.run_directory import save_weights, write_config

HEIGHT, WIDTH, SIDE = 64, 96, 24
INFO = DatasetInfo("folder", ("ground", "square"), ((0, 0, 0), (250, 250, 250)))
CONFIG = Arch2Config(tiny(32), width=8, auxiliary_weight=0.0)
STEPS = 60


def frame(video, number):
    """(image, label) of a frame: the square moves by 4 pixels a frame, and its upper edge is not labelled."""
    random = np.random.default_rng(video)
    down, across = random.integers(HEIGHT - SIDE), random.integers(WIDTH - SIDE)
    across = (across + 4 * number) % (WIDTH - SIDE)
    label = np.zeros([HEIGHT, WIDTH], np.uint8)
    label[down : down + SIDE, across : across + SIDE] = 1
    noise = np.random.default_rng((video, number)).integers(0, 40, [HEIGHT, WIDTH, 3])
    image = (np.array([60, 180])[label][..., np.newaxis] + noise).astype(np.uint8)
    label[down, across : across + SIDE] = 255
    return image, label


def write_videos(folder, num_videos, num_frames, gap=1, with_before=False):
    """Writes records of videos; the numbers of a video's frames lie `gap` apart.

    With `with_before`, a video has its frame 19 alone, whose record holds frame 18.
    """
    items = [(video, number, gap) for video in range(num_videos) for number in range(num_frames)]
    folder.mkdir(parents=True, exist_ok=True)
    encode = encoded_with_the_frame_before if with_before else encoded
    written = tfrecord.write_split(folder, "train", items, encode, num_workers=1)
    write_manifest(folder, Manifest(INFO, {"train": written.split(INFO.num_classes)}))
    return folder


def encoded(item):
    """The record of (video, number of the frame, gap)."""
    video, number, gap = item
    name = f"{video}_{number}"
    return encode_arrays(*frame(video, number), name, sequence_id=f"video {video:02d}", frame_id=gap * number)


def encoded_with_the_frame_before(item):
    """The record of frame 19 of (video, _, _), and in it frame 18."""
    video, *_ = item
    before = tf.io.encode_jpeg(frame(video, 18)[0], quality=95).numpy()
    record = encode_arrays(*frame(video, 19), f"{video}_19", sequence_id=f"video {video:02d}", frame_id=19)
    return dataclasses.replace(record, previous_jpeg=before)


def trained_network(steps=STEPS):
    """A tiny arch2 that has learned the squares a little."""
    keras.utils.set_random_seed(0)
    network = architectures.build(CONFIG, INFO.num_classes)
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def update(images, labels):
        with tf.GradientTape() as tape:
            logits = tf.image.resize(network(images, training=True)["semantic_logits"], [HEIGHT, WIDTH])
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(labels < 2, labels, 0), logits)
            loss = tf.reduce_mean(tf.where(labels < 2, losses, 0))
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for step in range(steps):
        images, labels = zip(*(frame(100 + 4 * step + index, 0) for index in range(4)), strict=True)
        update(tf.constant(np.stack(images), tf.float32), tf.constant(np.stack(labels), tf.int32))
    return network


def write_run(folder, records, network):
    """Writes a network as the run of a training on the records."""
    data = DataConfig(dataset="folder", data_dir=str(records), crop_size=(HEIGHT, WIDTH))
    write_config(folder, ExperimentConfig(network.config, data, TrainingConfig()), INFO)
    save_weights(folder / "weights" / "last.npz", network)
    return folder
