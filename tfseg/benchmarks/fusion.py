"""Measures speed and memory of the fusion on this machine.

    python -m tfseg.benchmarks.fusion [--rounds=20]

The scenes are drawn, and their maps are those of a perfect network at stride 4. Each time is printed together with that
of OpenCV in the same rounds: it labels the connected regions of things and measures the distance to their borders,
three times over. Then follow how much longer many small instances take than a few large ones of the same area, and the
peak of memory.
"""

import tracemalloc

import cv2
import numpy as np
from absl import app, flags

from tfseg.benchmarks import synthetic_instances
from tfseg.markdown import table
from tfseg.postprocess.fusion import DEFAULTS, fuse
from tfseg.system import timing

_ROUNDS = flags.DEFINE_integer("rounds", 20, "How often each scene is timed.", lower_bound=1)
_SECONDS = flags.DEFINE_float("seconds", 15.0, "No round begins after so many seconds.", lower_bound=0.0)

STRIDE = 4
NUM_LOGITS = 66
MOST_MILLISECONDS = {"721x721, 73 instances": 45, "1441x1441, 73 instances": 145}
FEW, MANY, MOST_GROWTH = "721x721, 4 squares", "721x721, 480 squares", 2.5
MOST_MEGABYTES = 200


def scenes() -> dict[str, np.ndarray]:
    """{name: panoptic ids}. In both scenes of squares, these cover a quarter of the image, to within 1 %."""
    return {
        "721x721, 73 instances": synthetic_instances.ellipses((721, 721), 73, (8, 200), seed=0),
        "1441x1441, 73 instances": synthetic_instances.ellipses((1441, 1441), 73, (16, 400), seed=0),
        FEW: synthetic_instances.rectangles((721, 721), 2, 2, (180, 180)),
        MANY: synthetic_instances.rectangles((721, 721), 20, 24, (16, 17)),
    }


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    merges, calls = {}, {}
    for name, panoptic_ids in scenes().items():
        merges[name] = merge_of(panoptic_ids)
        calls[name] = merges[name]
        calls[f"{name}: OpenCV"] = region_passes(panoptic_ids)
        if name in MOST_MILLISECONDS:
            calls[f"{name}: from logits"] = merge_of(panoptic_ids, from_logits=True)
    taken = timing.interleaved(calls, rounds=_ROUNDS.value, seconds=_SECONDS.value)
    rows = [
        [name, f"{timing.median(each):.1f}", f"{timing.p95(each):.1f}", str(MOST_MILLISECONDS.get(name, ""))]
        for name, each in taken.items()
    ]
    print(table([f"ms (of {len(taken[FEW])} rounds)", "median", "p95", "goal"], rows), end="\n\n")
    growth = timing.median(taken[MANY]) / timing.median(taken[FEW])
    print(f"480 squares take {growth:.2f} times as long as 4 of the same area (goal {MOST_GROWTH})")
    for name, merge in merges.items():
        print(f"{name}: {peak_megabytes(merge):.0f} MB at most (goal {MOST_MEGABYTES})")


def merge_of(panoptic_ids, from_logits=False):
    """Returns the fusion of a scene as a callable without arguments; it starts from class ids or from 66 logits."""
    maps = synthetic_instances.perfect_maps(panoptic_ids, DEFAULTS.keypoint_graph, STRIDE)
    semantic = (panoptic_ids // synthetic_instances.LABEL_DIVISOR).astype(np.uint8)
    if from_logits:
        semantic = np.eye(NUM_LOGITS, dtype=np.float32)[semantic[::STRIDE, ::STRIDE]]
    size = panoptic_ids.shape
    return lambda: fuse(semantic, maps, synthetic_instances.THING_IDS, synthetic_instances.LABEL_DIVISOR, size)


def region_passes(panoptic_ids, num_passes=3):
    """Returns OpenCV's work on the same image as a callable without arguments."""
    is_thing = (panoptic_ids % synthetic_instances.LABEL_DIVISOR > 0).astype(np.uint8)

    def passes():
        for _ in range(num_passes):
            cv2.connectedComponents(is_thing)
            cv2.distanceTransform(is_thing, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)

    return passes


def peak_megabytes(call) -> float:
    """Peak of the memory that a call allocates, in 10^6 bytes."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    app.run(main)
