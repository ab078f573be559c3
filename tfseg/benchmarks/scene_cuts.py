"""Measures how often a stream misses a scene cut, and how often it sees one where there is none.

python -m tfseg.benchmarks.scene_cuts --clips=street.mp4,kitchen.mp4,frames/
    Joins frames of different clips, which must be cuts, and frames of one clip that lie 1, 2, 4 and 8 frames apart,
    which must be none. Clips are video files or folders of numbered frames; each should hold one scene.
"""

import itertools
from pathlib import Path

import numpy as np
from absl import flags

from tfseg import markdown
from tfseg.commands import entry, videos
from tfseg.errors import InputError
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.formats.video import DEFAULT_RATE
from tfseg.inference.motion import CUT_SHARE, MotionEstimator, motion_image

CLIPS = flags.DEFINE_list("clips", [], "Video files and folders of numbered frames, one scene each.")
MAX_FRAMES = flags.DEFINE_integer("max_frames", 300, "Frames read of each clip.", lower_bound=2)
NUM_CUTS = flags.DEFINE_integer("num_cuts", 400, "Pairs of frames of different clips.", lower_bound=1)
DISTANCES = (1, 2, 4, 8)  # frames


def shares(clips, num_cuts) -> dict[str, np.ndarray]:
    """Returns {kind of pair: [pairs] `Motion.unlike_share` of each}.

    The kinds are "cut between clips" and, within a clip, "1 frame apart", "2 frames apart" and so on.

    Args:
      clips: a list of clips, each a list of results of `motion_image`, all of one size.
      num_cuts: number of pairs of different clips, drawn from a fixed seed.
    """
    estimator, random = MotionEstimator(), np.random.default_rng(0)

    def share(before, after):
        return estimator.between(before, after).unlike_share

    found = {}
    for distance in DISTANCES:
        pairs = itertools.chain.from_iterable(zip(clip, clip[distance:], strict=False) for clip in clips)
        found[f"{distance} frame{'s' if distance > 1 else ''} apart"] = np.array([share(*pair) for pair in pairs])
    cuts = [random.choice(len(clips), 2, replace=False) for _ in range(num_cuts if len(clips) > 1 else 0)]
    ends = [[clips[index][random.integers(len(clips[index]))] for index in pair] for pair in cuts]
    return {"cut between clips": np.array([share(*pair) for pair in ends])} | found


def as_markdown(found) -> str:
    """The table: a line for each kind of pair that there is."""
    lines = []
    for kind, values in found.items():
        if not len(values):
            continue
        wrong = values <= CUT_SHARE if kind.startswith("cut") else values > CUT_SHARE
        word = "missed" if kind.startswith("cut") else "false alarms"
        spread = f"{values.min():.2f} to {values.max():.2f}"
        lines.append([kind, f"{len(values)}", spread, f"{wrong.sum()} {word} ({100 * wrong.mean():.1f} %)"])
    head = ["pairs", "number", "share of unlike pixels", f"a cut above {CUT_SHARE}"]
    return markdown.table(head, lines, [False, True, False, False])


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if not CLIPS.value:
        raise InputError("--clips is missing: video files or folders of numbered frames, one scene each")
    clips = []
    for path in map(Path, CLIPS.value):
        frames = itertools.islice(videos.opened(path, DEFAULT_RATE, MAX_PIXELS), MAX_FRAMES.value)
        clips.append([motion_image(frame.pixels) for frame in frames])
        if clips[0][0].shape != clips[-1][0].shape or len({one.shape for one in clips[-1]}) > 1:
            raise InputError(f"{path}: its frames have another shape than those of {CLIPS.value[0]}; crop or scale it")
    print(as_markdown(shares(clips, NUM_CUTS.value)))


if __name__ == "__main__":
    entry.run(main)
