"""Times panoptic quality on maps in memory, beside the loop of the published evaluation (panopticapi).

python -m tfseg.benchmarks.panoptic_quality
    CPU time that both take in one run to count one image of 1024x2048; panopticapi's only if it is installed.
"""

import contextlib
import io
import os
import time
import types
from unittest import mock

import numpy as np

from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors
from tfseg.metrics.instance_iou import SHARE_UNIT
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.metrics.segments import VOID, panoptic_overlaps

NUM_SEGMENTS = 40
NUM_CLASSES = 8
NUM_RUNS = 5
INFO = DatasetInfo(
    "benchmark",
    tuple(f"class {class_id}" for class_id in range(NUM_CLASSES)),
    default_colors(NUM_CLASSES),
    thing_ids=frozenset(range(NUM_CLASSES // 2, NUM_CLASSES)),
)


def benchmark(size=(1024, 2048), num_runs=NUM_RUNS) -> dict:
    """Measures the CPU seconds per image, the best of `num_runs`, and the counts that result.

    Both programs start from maps in memory; reading files is not timed.

    Args:
      size: (height, width) of the maps.
      num_runs: number of timed runs.
    Returns:
      {"tfseg": (seconds, counts), "panopticapi": (seconds, counts), or None if it is not installed}; counts are
      [num_classes, 4]: true positives, false positives, false negatives, sum of the IoUs of matches.
    """
    label, prediction = draw_maps(size, np.random.default_rng(0))
    theirs = None
    with contextlib.suppress(ImportError):
        from panopticapi import evaluation

        theirs = _best(_published_loop(evaluation, label, prediction), num_runs)
    return {"tfseg": _best(lambda: _own_counts(label, prediction), num_runs), "panopticapi": theirs}


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    size = (1024, 2048)
    found = benchmark(size)
    seconds, counts = found["tfseg"]
    print(
        f"CPU time of counting one image of {size[0]}x{size[1]} with {NUM_SEGMENTS} segments, "
        "maps in memory; best run\n"
        f"tfseg        {1e3 * seconds:8.1f} ms"
    )
    if found["panopticapi"] is None:
        print("panopticapi  is not installed")
        return
    their_seconds, their_counts = found["panopticapi"]
    is_equal = np.allclose(counts, their_counts, rtol=0, atol=1e-9)
    print(
        f"panopticapi  {1e3 * their_seconds:8.1f} ms, {their_seconds / seconds:.1f} times as much\n"
        f"counts and sums of IoUs are {'equal' if is_equal else 'NOT EQUAL'}"
    )


def draw_maps(size, generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws (label, prediction): panoptic ids of ellipses on bands of stuff.

    The predicted ellipses are moved and have rough edges. The label has a void border and a crowd. Ellipses and bands
    are NUM_SEGMENTS segments together.
    """
    height, width = size
    y, x = np.mgrid[:height, :width].astype(np.float32)
    num_stuff = NUM_CLASSES // 2
    label = (np.arange(height) * num_stuff // height * INFO.label_divisor).astype(np.int32)[:, np.newaxis]
    label = np.tile(label, [1, width])
    prediction = label.copy()
    rough = 0.1 * np.sin(y / 3) * np.sin(x / 5)
    for index in range(NUM_SEGMENTS - num_stuff):
        class_id = num_stuff + index % (NUM_CLASSES - num_stuff)
        panoptic_id = class_id * INFO.label_divisor + index
        center_y, center_x = generator.uniform(0, 1, 2) * size
        radius_y, radius_x = generator.uniform(0.03, 0.12, 2) * height
        move_y, move_x = generator.normal(0, 0.01, 2) * height
        label[((y - center_y) / radius_y) ** 2 + ((x - center_x) / radius_x) ** 2 < 1] = panoptic_id
        moved = ((y - center_y - move_y) / radius_y) ** 2 + ((x - center_x - move_x) / radius_x) ** 2
        prediction[moved < 1 + rough] = panoptic_id
    label[: height // 50] = INFO.ignore_label * INFO.label_divisor
    return label, prediction


def _own_counts(label, prediction):
    quality = PanopticQuality(INFO)
    quality.update(label, prediction)
    counts = [quality.true_positives, quality.false_positives, quality.false_negatives]
    return np.stack([*counts, quality.matched_iou / SHARE_UNIT], -1)


def _published_loop(evaluation, label, prediction):
    """Returns a function that runs the published loop on the two maps in place of files, and returns its counts."""
    overlaps = panoptic_overlaps(label, prediction, INFO)
    maps = {
        os.path.join("label", "map"): _segment_ids(label),
        os.path.join("prediction", "map"): _segment_ids(prediction),
    }
    annotations = (
        _annotation(overlaps.pairs.label_ids, overlaps.label, overlaps.label_areas()),
        _annotation(overlaps.pairs.prediction_ids, overlaps.prediction, overlaps.prediction_areas()),
    )
    categories = dict.fromkeys(range(NUM_CLASSES))

    def run():
        with (
            mock.patch.object(evaluation, "Image", types.SimpleNamespace(open=maps.get)),
            mock.patch.object(evaluation, "rgb2id", lambda ids: ids),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            found = evaluation.pq_compute_single_core(0, [annotations], "label", "prediction", categories)
        return np.array([[each.tp, each.fp, each.fn, each.iou] for each in map(found.__getitem__, categories)])

    return run


def _segment_ids(panoptic_ids):
    """Segment ids as in COCO's format, where 0 is void."""
    is_void = panoptic_ids // INFO.label_divisor == INFO.ignore_label
    return np.where(is_void, 0, panoptic_ids + INFO.label_divisor).astype(np.uint32)


def _annotation(panoptic_ids, segments, areas):
    columns = (panoptic_ids, segments.class_ids, segments.crowd_numbers, areas)
    entries = [
        {
            "id": panoptic_id + INFO.label_divisor,
            "category_id": class_id,
            "iscrowd": int(crowd_number > 0),
            "area": area,
        }
        for panoptic_id, class_id, crowd_number, area in zip(*(each.tolist() for each in columns), strict=True)
        if class_id != VOID
    ]
    return {"image_id": 0, "file_name": "map", "segments_info": entries}


def _best(function, num_runs):
    best = float("inf")
    for _ in range(num_runs):
        start = time.process_time()
        counts = function()
        best = min(best, time.process_time() - start)
    return best, counts


if __name__ == "__main__":
    entry.run(main)
