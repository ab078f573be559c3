"""Measures the speed of the training pipeline, in images per CPU-second.

    python -m tfseg.benchmarks.input_pipeline [--data_dir=FOLDER] [--crop_size=320x320]

A CPU-second is a second of user and system time of the process, which other work on the machine disturbs less than wall
time. The pipeline runs plain (scale, flip, crop) and with colour jitter and rotation. Then follow the milliseconds of
each stage.
"""

import dataclasses
import itertools
import re
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image

from tfseg.data import augment, pipeline, targets
from tfseg.data.tfrecord import parse_example, to_example
from tfseg.formats.images import encode_jpeg, encode_png
from tfseg.labels import DatasetInfo, default_colors
from tfseg.system.temporary import TemporaryFolder

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of .tfrecord files; generated 360x480 frames without it.")
_CROP_SIZE = flags.DEFINE_string("crop_size", "320x320", "HEIGHTxWIDTH of the crops, pixels.")
flags.register_validator("crop_size", re.compile(r"[1-9]\d*x[1-9]\d*").fullmatch, "takes HEIGHTxWIDTH, such as 320x320")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 1000, "Images a measurement.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images a batch.", lower_bound=1)

INFO = DatasetInfo("benchmark", tuple(f"class {i}" for i in range(11)), default_colors(11))
NUM_FRAMES, FRAME_SIZE = 64, (360, 480)
NUM_STAGE_RUNS = 300


@dataclasses.dataclass
class Variant:
    """The fields the pipeline reads."""

    crop_size: tuple[int, int]
    color_jitter: float = 0.0
    rotation: float = 0.0
    min_scale: float = 0.5
    max_scale: float = 2.0
    scales: tuple[float, ...] = ()
    blur_rate: float = 0.0
    blur_radius: float = 1.0
    fill: str = "grey"
    flip: bool = True
    shuffle_buffer: int = 200


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    crop_size = tuple(int(side) for side in _CROP_SIZE.value.split("x"))
    variants = {
        "scale, flip, crop": Variant(crop_size),
        "and colour jitter, rotation": Variant(crop_size, color_jitter=0.5, rotation=10.0),
    }
    with TemporaryFolder() as folder:
        files = list_shards(Path(_DATA_DIR.value)) if _DATA_DIR.value else write_frames(folder)
        records = list(tf.data.TFRecordDataset(files))
        print(f"{len(records)} records, {np.mean([len(record.numpy()) for record in records]) / 1e3:.0f} kB on average")
        for name, data in variants.items():
            rate = images_per_cpu_second(files, data, len(records))
            print(f"{name:28s} {rate:6.0f} images per CPU-second at {_CROP_SIZE.value}")
        for name, data in variants.items():
            print(f"\n{name}: ms of CPU a stage")
            for stage, milliseconds in stage_costs(records, data).items():
                print(f"  {stage:14s} {milliseconds:6.2f}")


def list_shards(folder) -> list[str]:
    """The TFRecord files of a folder."""
    files = sorted(str(file) for file in folder.glob("*.tfrecord"))
    if not files:
        raise app.UsageError(f"--data_dir={folder} holds no .tfrecord file")
    return files


def write_frames(folder) -> list[str]:
    """Writes frames of coloured shapes and fine texture, which take as long to decode as photographs of their size."""
    rng = np.random.default_rng(0)
    file = str(folder / "frames.tfrecord")
    with tf.io.TFRecordWriter(file) as writer:
        for index in range(NUM_FRAMES):
            class_ids = _enlarge(rng.integers(0, 11, (9, 12), np.uint8), Image.Resampling.NEAREST)
            texture = sum(
                _enlarge(rng.normal(0, 8, (FRAME_SIZE[0] // step, FRAME_SIZE[1] // step)), Image.Resampling.BICUBIC)
                for step in (1, 2, 4, 8, 16)
            )
            image = np.array(INFO.colors)[class_ids] / 2 + 64 + texture[..., np.newaxis]
            example = to_example(
                encode_jpeg(image.clip(0, 255).astype(np.uint8)),
                encode_png(class_ids),
                height=FRAME_SIZE[0],
                width=FRAME_SIZE[1],
                filename=f"{index}.jpg",
            )
            writer.write(example.SerializeToString())
    return [file]


def _enlarge(values, resample):
    image = Image.fromarray(values if values.dtype == np.uint8 else values.astype(np.float32))
    return np.asarray(image.resize(FRAME_SIZE[::-1], resample))


def images_per_cpu_second(files, data, num_examples) -> float:
    """Images per CPU-second of the whole pipeline, after ten batches of warm-up."""
    batches = pipeline.train_batches(
        files,
        INFO,
        data,
        batch_size=_BATCH_SIZE.value,
        seed=0,
        make_targets=targets.semantic,
        num_examples=num_examples,
    )
    iterator = iter(batches)
    for _ in itertools.islice(iterator, 10):
        pass
    num_batches = -(-_NUM_IMAGES.value // _BATCH_SIZE.value)
    start = time.process_time()
    for _ in itertools.islice(iterator, num_batches):
        pass
    return num_batches * _BATCH_SIZE.value / (time.process_time() - start)


def stage_costs(records, data) -> dict[str, float]:
    """{stage: CPU milliseconds per image}. Each stage runs by itself, on the results of the stages before it."""

    def parse(state):
        return parse_example(state["record"])

    def draw_geometry(state):
        size = pipeline.image_size(state["image/encoded"], state["image/filename"])
        geometry = augment.draw_geometry(size, state["seed"], data)
        return {"geometry": geometry, "window": augment.source_window(geometry, data)}

    def decode_image(state):
        window = augment.mirror(state["window"], state["geometry"])
        return {"pixels": pipeline.decode_window(state["image/encoded"], window)}

    def jitter_color(state):
        return {"pixels": augment.jitter_color(state["pixels"], state["seed"], data.color_jitter)}

    def decode_label(state):
        return {"source_label": pipeline.decode_label(state, state["geometry"].source_size, INFO.ignore_label)}

    def crop_image(state):
        return {"image": augment.crop_image(state["pixels"], state["window"], state["geometry"], data)}

    def crop_label(state):
        return {"label": augment.crop_label(state["source_label"], state["geometry"], data, INFO.ignore_label)}

    stages = [parse, draw_geometry, decode_image]
    stages += [jitter_color] if data.color_jitter else []
    stages += [decode_label, crop_image, crop_label]
    states = [
        {"record": record, "seed": tf.constant([0, i], tf.int64)} for i, record in enumerate(records[:NUM_FRAMES])
    ]
    costs = {}
    for stage in stages:
        # The cost of entering a graph with these arguments is not part of the stage.
        overhead, _ = _milliseconds(lambda state: {"seed": state["seed"]}, states)
        total, outputs = _milliseconds(stage, states)
        costs[stage.__name__.replace("_", " ")] = max(total - overhead, 0.0)
        states = [state | output for state, output in zip(states, outputs, strict=True)]
    return costs


def _milliseconds(function, states):
    """(CPU milliseconds per call, outputs)."""
    function = tf.function(function, autograph=False, reduce_retracing=True)
    outputs = [function(state) for state in states]
    start = time.process_time()
    for state in itertools.islice(itertools.cycle(states), NUM_STAGE_RUNS):
        function(state)
    return (time.process_time() - start) / NUM_STAGE_RUNS * 1e3, outputs


if __name__ == "__main__":
    app.run(main)
