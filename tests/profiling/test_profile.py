"""Costs by iteration, their tables, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.inference.views import views_of
from tfseg.models.arch2_video import Arch2VideoConfig
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import flops, frame_cost, profile, video_cost
from tfseg.profiling.measurement import MATRIX_PRODUCT, MATRIX_SIDE, resident_growth, speeds

ROOT = Path(__file__).resolve().parents[2]
BACKBONE = BackboneConfig("mobilenet_v2", width_multiplier=0.1)
MODEL = RNNConfig(BACKBONE, widths=(8, 6))
# One iteration at 2 x 3 positions, 5 classes: gates of [canvas 5 | h1], [h1 | h2], [h2 | h3]; 32 features.
CHANGING, FEATURES = 6 * 4 * (8 * (5 + 8) + 6 * (8 + 6) + 5 * (6 + 5)), 6 * 4 * 8 * 32
FROM_ZEROS = 6 * 4 * (8 * 5 + 8 * 8 + 6 * 6 + 5 * 5)  # what the first iteration skips


@pytest.fixture(scope="module")
def costs():
    return profile.profile(MODEL, 5, (32, 48), range(1, 4), rounds=2)


def test_conventions_differ_by_what_they_say(costs):
    first, second, third = costs
    executed = np.array([cost.executed_gmacs for cost in costs]) * 1e9
    assert np.diff(executed) == pytest.approx([CHANGING] * 2)
    published = np.array([cost.published_gmacs for cost in costs]) * 1e9
    gates_and_biases = 6 * 20 * (8 + 6 + 5)
    assert CHANGING + FEATURES < published[1] - published[0] < CHANGING + FEATURES + gates_and_biases
    # One iteration: TensorFlow also counts products with zeros, which are skipped here, and sums and biases.
    assert published[0] > executed[0] + FROM_ZEROS
    assert [cost.executed_gflops for cost in costs] == pytest.approx(2 * executed / 1e9)
    # The toy's only dilated convolutions are depthwise; they run on padded maps in both counts.
    assert first.tensorflow_gflops == pytest.approx(2 * first.published_gmacs)
    assert third.parameters == second.parameters


def test_time_memory_and_speed_are_measured(costs):
    for cost in costs:
        assert 0 < cost.milliseconds <= cost.milliseconds_p95
        assert cost.gflops_per_second == pytest.approx(1000 * cost.executed_gflops / cost.milliseconds)
        assert cost.share_of_matrix_product > 0
        assert cost.resident_mib is None or cost.resident_mib >= 0
        assert cost.activation_mib > 32 * 48 * 3 * 4 / 2**20


def test_speeds_are_of_the_median_and_beside_that_of_the_matrix_product():
    product = 2 * MATRIX_SIDE**3 / 1e9  # GFLOPs, here in 10 ms
    taken = {1: [2.0, 1.0, 3.0], 2: [8.0, 4.0, 4.0], MATRIX_PRODUCT: [10.0, 10.0, 90.0]}
    first, second = speeds(taken, {1: 5.0, 2: None}, {1: 0.01, 2: 0.1}).values()
    assert (first["milliseconds"], first["milliseconds_p95"], first["resident_mib"]) == (2, pytest.approx(2.9), 5)
    assert first["gflops_per_second"] == pytest.approx(2 * 0.01 / 0.002)
    assert first["share_of_matrix_product"] == pytest.approx(10 / (product / 0.010))
    assert (second["gflops_per_second"], second["resident_mib"]) == (pytest.approx(50), None)


def test_nothing_is_timed_unless_asked():
    [cost] = profile.profile(DeepLabV3Config(BACKBONE, width=8), 5, (32, 48), range(1, 4), rounds=0)
    assert cost.iterations == 1 and cost.milliseconds is None


@pytest.mark.slow
def test_views_add_up():
    views = views_of(multi_scale=True, flip=True)
    [total] = profile.profile(DeepLabV3Config(BACKBONE, width=8), 5, (33, 49), [1], views, rounds=0)
    single = [
        profile.profile(DeepLabV3Config(BACKBONE, width=8), 5, view.size((33, 49)), [1], rounds=0)[0]
        for view in views[::2]
    ]
    assert total.executed_gmacs == pytest.approx(2 * sum(cost.executed_gmacs for cost in single))
    assert total.published_gmacs == pytest.approx(2 * sum(cost.published_gmacs for cost in single))


def test_a_frame_of_a_video_skips_nothing_and_key_frames_are_averaged_in():
    afresh, seeded, mean = video_cost.video_cost(MODEL, 5, (32, 48), video_cost.Policy(1, 3, key_every=4), rounds=2)
    [one] = profile.profile(MODEL, 5, (32, 48), [1], rounds=0)
    once = 1e9 * one.executed_gmacs - (CHANGING - FROM_ZEROS)
    assert (afresh["frames"], afresh["iterations"]) == ("afresh", 3)
    assert (seeded["frames"], seeded["iterations"]) == ("from the frame before", 1)
    assert afresh["executed_gmacs"] * 1e9 == pytest.approx(once + 3 * CHANGING - FROM_ZEROS)
    assert seeded["executed_gmacs"] * 1e9 == pytest.approx(once + CHANGING)
    assert seeded["share_of_afresh"] == pytest.approx((once + CHANGING) / (once + 3 * CHANGING - FROM_ZEROS))
    assert mean["frames"] == "mean, one of 4 afresh" and mean["iterations"] == 1.5
    for name in ("published_gmacs", "tensorflow_gflops", "executed_gflops", "milliseconds"):
        assert mean[name] == pytest.approx((afresh[name] + 3 * seeded[name]) / 4)
    assert seeded["milliseconds"] > 0
    # The papers' convention skips nothing, so a first frame of one iteration would cost the same as any other.
    assert seeded["published_gmacs"] == pytest.approx(one.published_gmacs)


def test_a_frame_of_a_dynamic_cell_costs_what_the_cell_does():
    config = Arch2VideoConfig(tiny(32), width=4, genotype="cell1_like")
    afresh, seeded = video_cost.video_cost(config, 5, (32, 48), video_cost.Policy(1, 1), rounds=1)
    expected = frame_cost.of_segmenter(architectures.build(config, 5), (32, 48))
    assert (afresh["executed_gflops"], seeded["executed_gflops"]) == pytest.approx((expected.first, expected.seeded))
    # There is no state of zeros whose products would be counted.
    assert afresh["published_gmacs"] != seeded["published_gmacs"] and afresh["milliseconds"] > 0


def test_a_video_of_a_model_without_state_costs_what_its_images_cost():
    with pytest.raises(InputError, match="--video: this model keeps no state"):
        video_cost.video_cost(DeepLabV3Config(BACKBONE, width=8), 5, (32, 48), video_cost.Policy(1, 1))


def test_an_iteration_multiplies_what_its_three_products_do():
    rows = {row["what"]: row for row in profile.recurrence(MODEL, 5, (32, 48), rounds=2)}
    counted = {name: round(row["gmacs"] * 1e9) for name, row in rows.items()}
    assert counted["iteration"] == counted["products together"] == CHANGING
    assert counted["iteration, un-hoisted"] == CHANGING + FEATURES
    assert counted["first iteration"] == CHANGING - FROM_ZEROS
    assert [rows[f"matrix product {index}"]["gmacs"] * 1e9 for index in (1, 2, 3)] == pytest.approx(
        [6 * 4 * 8 * 13, 6 * 4 * 6 * 14, 6 * 4 * 5 * 11]
    )
    assert all(row["milliseconds"] > 0 for row in rows.values())
    assert rows["products together"]["of_products"] == rows["iteration, un-hoisted"]["of_unhoisted"] == 1


def test_the_comparison_with_matrix_products_is_for_1x1_kernels():
    with pytest.raises(InputError, match="needs the recurrent model with 1x1 kernels"):
        profile.recurrence(RNNConfig(BACKBONE, widths=(8, 6), kernel_size=3), 5, (32, 48))


def test_layers_add_up_to_the_whole():
    rows = profile.layers(MODEL, 5, (32, 48), 2)
    [cost] = profile.profile(MODEL, 5, (32, 48), [2], rounds=0)
    assert sum(row["executed_gmacs"] for row in rows) == pytest.approx(cost.executed_gmacs)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert {row["kind"] for row in rows} <= flops.MAC_OPERATIONS


def test_a_process_that_fills_an_array_grows_by_it():
    kept = []
    grown = resident_growth(lambda: kept.append(np.ones(64 * 2**17)))
    assert grown is None or 60 < grown < 80


def test_a_table_is_aligned_and_leaves_gaps_empty():
    rows = [{"name": "a", "count": 12000, "share": 0.25}, {"name": "long", "count": None, "share": 1.0}]
    assert profile.as_markdown(rows).splitlines() == [
        "| name |  count |   share |",
        "|------|-------:|--------:|",
        "| a    | 12,000 |  25.0 % |",
        "| long |        | 100.0 % |",
    ]
    assert profile.as_csv(rows) == "name,count,share\na,12000,0.25\nlong,,1.0\n"


def test_the_command_prints_and_writes_its_tables(command, tmp_path):
    words = ("--model=rnn", "--size=64x96", "--iters=2..3", "--rounds=1", "--layers", "--output_dir=cost")
    done = command.completed("profile_flops.py", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "cost" / "cost.json").read_text())
    assert [row["iterations"] for row in written["rows"]] == [2, 3]
    assert (written["size"], written["classes"], written["views"]) == ("64x96", 10, 1)
    assert (tmp_path / "cost" / "cost.md").read_text() in done.stdout
    assert "conv_lstm_3" in (tmp_path / "cost" / "layers.csv").read_text()


@pytest.mark.parametrize(
    "words,message",
    [
        (
            ["--model=unet"],
            "--model=unet is unknown; one of arch2, arch2_video, deeperlab, deeplabv3, fcn and 4 more, or a "
            "recipe: --config=FILE",
        ),
        (["--size=64"], "--size=64: HEIGHTxWIDTH in pixels, e.g. 513x513"),
        (["--iters=3..2"], "--iters=3..2: a number from 1, or a range, e.g. 1..6"),
        (["--model=pspnet", "--dataset=folder"], "--classes is missing: folder has no number of classes of its own"),
        (["--workdir=./nowhere"], "--model=./nowhere: no such file or folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, tmp_path, words, message):
    done = command.completed("profile_flops.py", *words, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
