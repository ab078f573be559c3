"""Pairs of frames within clips and between them are told apart, and counted."""

import numpy as np

from tests.inference.test_motion import texture
from tfseg.benchmarks import scene_cuts
from tfseg.inference.motion import motion_image


def clip(first, bright=False):
    """Ten frames of a picture that moves two pixels a frame; the bright one has all grey levels the other way round."""
    frames = [texture(64, 96, across=first + 2 * number) for number in range(10)]
    return [motion_image(255 - frame if bright else frame) for frame in frames]


def test_pairs_are_those_of_one_clip_and_of_different_ones():
    found = scene_cuts.shares([clip(0), clip(300, bright=True)], num_cuts=5)
    counts = {kind: len(values) for kind, values in found.items()}
    assert counts == {
        "cut between clips": 5,
        "1 frame apart": 18,
        "2 frames apart": 16,
        "4 frames apart": 12,
        "8 frames apart": 4,
    }
    assert found["1 frame apart"].max() < 0.05


def test_the_table_counts_what_is_taken_for_the_other():
    found = {"cut between clips": np.array([0.2, 0.5, 0.9, 1.0]), "1 frame apart": np.array([0.0, 0.4])}
    text = scene_cuts.as_markdown(found)
    assert "0.20 to 1.00" in text and "1 missed (25.0 %)" in text and "1 false alarms (50.0 %)" in text


def test_one_clip_has_no_cuts():
    found = scene_cuts.shares([clip(0)], num_cuts=5)
    assert not len(found["cut between clips"]) and "cut between" not in scene_cuts.as_markdown(found)
