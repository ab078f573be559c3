"""Analyses of the canvas: seeds that show what they say, and power that adds up."""

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.evaluation import canvas_analysis
from tfseg.evaluation.canvas_analysis import NUM_BINS, AnalysisOptions, analyse, radial_power, seed_of
from tfseg.system.small_files import check_seal, read_json

LABEL = np.repeat(np.repeat([[0, 2], [1, 255]], 8, 0), 8, 1)  # [16, 16]


def test_a_seed_shows_the_label_as_high_as_the_networks_own_canvas_leads():
    canvas = np.zeros([4, 4, 3], np.float32)
    canvas[..., 1] = 6  # leads the mean of all, 2, by 4
    seed = seed_of(LABEL, canvas, scale=0.5, shift=0)
    assert seed.shape == canvas.shape
    np.testing.assert_array_equal(seed.argmax(-1)[:2], [[0, 0, 2, 2]] * 2)
    np.testing.assert_array_equal(
        seed.max(-1), [[2, 2, 2, 2]] * 2 + [[2, 2, 0, 0]] * 2
    )  # zeros where nothing is labelled


def test_a_wrong_seed_shows_every_class_as_the_next_one():
    seed = seed_of(LABEL, np.eye(3, dtype=np.float32)[np.zeros([4, 4], int)], scale=1, shift=1)
    np.testing.assert_array_equal(seed.argmax(-1)[0], [1, 1, 0, 0])
    np.testing.assert_array_equal(seed.argmax(-1)[2, :2], [2, 2])


def test_the_power_of_a_mask_adds_up_to_its_variance():
    mask = np.random.default_rng(0).random([30, 47]) < 0.3
    assert radial_power(mask).sum() == pytest.approx(mask.var())
    assert radial_power(np.ones([8, 8])).sum() == 0


@pytest.mark.parametrize("period", [4, 8, 20])
def test_a_wave_has_its_power_at_its_frequency(period):
    rows = np.arange(80)[:, np.newaxis] * np.ones([1, 80])
    power = radial_power(0.5 + 0.5 * np.sin(2 * np.pi * rows / period))
    assert power.argmax() == int(2 * NUM_BINS / period)
    assert power.max() == pytest.approx(1 / 8)


@pytest.mark.parametrize("kind", ["wrong_seed", "true_seed"])
def test_seeds_are_scored_after_every_iteration(video_runs, tmp_path, kind):
    content = analyse(video_runs[0], kind, AnalysisOptions(report_dir=tmp_path, iterations=4, max_images=3))
    assert (content["num_images"], content["iterations"]) == (3, 4)
    assert {name: len(values) for name, values in content["miou"].items()} == {"zero": 4, "seeded": 4}
    assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")
    check_seal(read_json(tmp_path / f"{kind}.json"))
    assert canvas_analysis.as_text(content).count("\n") == 5


def test_spectra_of_the_label_reach_one(video_runs, tmp_path):
    content = analyse(video_runs[0], "spectra", AnalysisOptions(report_dir=tmp_path, max_images=2))
    lines = content["cumulative"]
    assert set(lines) == {"sky", "road", "all"}
    for of_class in lines.values():
        assert of_class["label"][-1] == pytest.approx(1)
        assert list(of_class) == ["label", "iteration 1", "iteration 3"]
    assert (tmp_path / "spectra.png").exists()


def test_a_model_without_iterations_is_refused(video_runs, tmp_path):
    with pytest.raises(InputError, match="its canvas is not refined"):
        analyse(video_runs[1], "spectra", AnalysisOptions(report_dir=tmp_path))
