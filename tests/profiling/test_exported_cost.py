"""Costs of SavedModels and .tflite files, and the command that prints them."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from tests.export.toy_exports import changed, converted, from_saved_model, kernel, loop, rescaled_resize, save
from tfseg.errors import InputError
from tfseg.formats import saved_model
from tfseg.profiling import exported_cost, tflite_timing

pytestmark = pytest.mark.usefixtures("warm_children")

ROOT = Path(__file__).resolve().parents[2]
# At half of 9 x 14 positions: 3 channels into 4 with a 3 x 3 kernel, then 4 into 4 in each iteration.
FIRST, ITERATION = 5 * 7 * 27 * 4, 5 * 7 * 16
MIB = 2**20


def trusted(folder):
    return saved_model.load(folder, trust=True)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    return trusted(save(tmp_path_factory.mktemp("exports") / "model", segment_tensors="segment"))


def test_a_loop_in_a_saved_model_counts_as_often_as_it_runs(recurrent):
    costs = exported_cost.profile_saved_model(recurrent, (9, 14), range(1, 4), rounds=2)
    assert [cost.iterations for cost in costs] == [1, 2, 3]
    assert [round(cost.executed_gmacs * 1e9) for cost in costs] == [FIRST + n * ITERATION for n in (1, 2, 3)]
    for cost in costs:
        assert (cost.signature, cost.size) == ("segment_tensors", "9x14")
        assert cost.parameters == 27 * 4 + 16  # the mean is not trained
        assert cost.executed_gflops == 2 * cost.executed_gmacs < cost.tensorflow_gflops
        assert 0 < cost.milliseconds <= cost.milliseconds_p95
        assert cost.gflops_per_second == pytest.approx(1000 * cost.executed_gflops / cost.milliseconds)
        assert cost.share_of_matrix_product > 0
        # The image as float32 and less its mean.
        assert cost.activation_mib >= 2 * 4 * 9 * 14 * 3 / MIB


def test_the_size_of_a_signature_is_taken_from_it(tmp_path):
    [cost] = exported_cost.profile_saved_model(trusted(save(tmp_path, serving_default="fixed")), rounds=0)
    assert (cost.size, cost.iterations, cost.milliseconds) == ("9x14", None, None)
    assert round(cost.executed_gmacs * 1e9) == FIRST


def test_iterations_may_be_a_scalar(tmp_path):
    signature = trusted(save(tmp_path, any_name="half_open"))
    [cost] = exported_cost.profile_saved_model(signature, (9, 14), [4], rounds=1)
    assert round(cost.executed_gmacs * 1e9) == FIRST + 4 * ITERATION
    assert cost.signature == "any_name"


def test_layers_add_up_to_the_whole(recurrent):
    rows = exported_cost.saved_model_layers(recurrent, (9, 14), range(1, 4))
    assert [round(row["executed_gmacs"] * 1e9) for row in rows] == [FIRST, 3 * ITERATION]
    assert [row["executions"] for row in rows] == [1, 3]


@pytest.mark.parametrize(
    "method,size,iterations,message",
    [
        ("segment", None, [2], "--size is missing: .+ takes images of any size, e.g. --size=513x513"),
        ("segment", (9, 14), None, "--iters is missing: .+ as many iterations as it is told, e.g. --iters=6"),
        ("fixed", (9, 15), None, "--size=9x15: .+ takes images of 9x14"),
        ("half_open", (8, 14), [1], "--size=8x14: .+ takes images of 9xany"),
        ("fixed", None, [2], "--iters does not apply: .+ takes no number of iterations"),
    ],
)
def test_what_a_signature_does_not_take_is_an_error(tmp_path, method, size, iterations, message):
    folder = save(tmp_path / "model", one=method)
    with pytest.raises(InputError, match=message) as caught:
        exported_cost.profile_saved_model(trusted(folder), size, iterations, rounds=0)
    assert str(folder) in str(caught.value)


def test_a_loop_that_ends_when_it_likes_cannot_be_counted(tmp_path):
    class Endless(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3])])
        def run(self, image):
            return {"image": tf.while_loop(lambda x: x[0, 0, 0, 0] < 1, lambda x: (x + 1,), (image,))[0]}

    module = Endless()
    tf.saved_model.save(module, tmp_path, {"serving_default": module.run})
    with pytest.raises(InputError, match="serving_default at 8x8: .+ does not follow from constants"):
        exported_cost.profile_saved_model(trusted(tmp_path), rounds=0)


def test_a_network_costs_the_same_in_every_format(tmp_path):
    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            layers.Conv2D(8, 3, 2, padding="same", batch_input_shape=[1, 18, 28, 3]),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(8, 3, groups=2, padding="same"),
            layers.DepthwiseConv2D(3, dilation_rate=3, padding="same"),
            layers.Conv2DTranspose(4, 2, 2, use_bias=False),
            layers.Dense(5),
        ]
    )
    for number, variable in enumerate(network.trainable_variables):
        # The converter stores equal constants once, and leaves out zeros.
        variable.assign(tf.random.stateless_uniform(variable.shape, [number, 0], 0.1, 1.0))
    tf.saved_model.save(network, tmp_path / "saved")
    (tmp_path / "model.tflite").write_bytes(from_saved_model(tmp_path / "saved", ["serving_default"]))
    [saved] = exported_cost.profile_saved_model(trusted(tmp_path / "saved"), rounds=0)
    [lite] = exported_cost.profile_tflite(tmp_path / "model.tflite", rounds=0)
    half, whole = 9 * 14, 18 * 28
    products = half * 27 * 8 + half * 9 * 4 * 8 + half * 8 * 4 * 4 + whole * 4 * 5
    assert round(lite.executed_gmacs * 1e9) == products + half * 9 * 8
    # TensorFlow pads the dilated map to a multiple of the dilation: 9 x 15.
    assert round(saved.executed_gmacs * 1e9) == products + 9 * 15 * 9 * 8
    kernels, biases = 27 * 8 + 9 * 4 * 8 + 9 * 8 + 4 * 8 * 4 + 4 * 5, 8 + 8 + 8 + 5
    assert saved.parameters == kernels + biases + 2 * 8
    # The normalisation (a scale and an offset) is folded into kernel and bias.
    assert lite.parameters == kernels + biases


@pytest.fixture(scope="module")
def tflite(tmp_path_factory):
    path = tmp_path_factory.mktemp("tflite") / "loop.tflite"
    path.write_bytes(converted(loop, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations")))
    return path


def test_a_tflite_file_is_counted_and_timed(tflite):
    costs = exported_cost.profile_tflite(tflite, range(1, 3), rounds=2)
    assert [round(cost.executed_gmacs * 1e9) for cost in costs] == [9 * 7 * 16, 2 * 9 * 7 * 16]
    for cost in costs:
        assert (cost.signature, cost.tensorflow_gflops) == ("serving_default", None)
        assert 0 < cost.milliseconds <= cost.milliseconds_p95
        assert cost.gflops_per_second == pytest.approx(1000 * cost.executed_gflops / cost.milliseconds)
        assert cost.share_of_matrix_product > 0


def test_iterations_of_a_tflite_file_are_given_where_it_repeats_something(tflite, tmp_path):
    with pytest.raises(InputError, match=r"--iters is missing: .+loop\.tflite runs as many iterations as"):
        exported_cost.profile_tflite(tflite, rounds=0)
    (tmp_path / "plain.tflite").write_bytes(converted(tf.nn.relu, [1, 8, 8, 3]))
    with pytest.raises(InputError, match=r"--iters does not apply: nothing in .+plain\.tflite is repeated"):
        exported_cost.profile_tflite(tmp_path / "plain.tflite", [1], rounds=0)
    [cost] = exported_cost.profile_tflite(tmp_path / "plain.tflite", rounds=0)
    assert (cost.size, cost.iterations, cost.executed_gmacs) == ("8x8", None, 0)
    assert exported_cost.tflite_layers(tmp_path / "plain.tflite") == []


def test_layers_of_a_tflite_file_name_their_signature(tflite):
    [row] = exported_cost.tflite_layers(tflite, range(1, 4))
    assert (row["signature"], row["executions"], row["share"]) == ("serving_default", 3, 1)


def test_an_interpreter_that_refuses_a_file_is_one_line(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"model\.tflite: the interpreter cannot run it \(.+\); export or download"):
        tflite_timing.run(tmp_path / "model.tflite", {"0": (None, None)}, 1, 1, num_bytes=1 << 30)


def test_counts_are_there_even_if_the_interpreter_breaks(tflite, monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    [cost] = exported_cost.profile_tflite(tflite, [1])
    assert round(cost.executed_gmacs * 1e9) == 9 * 7 * 16 and cost.milliseconds is None
    said = capsys.readouterr().err
    assert re.search(r"note: no times: .+loop\.tflite: the interpreter cannot run it \(exit code 1\)", said)


def test_counts_of_a_file_too_large_to_run_are_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tflite_timing, "run", None)
    content = converted(lambda image: tf.nn.conv2d(image, kernel(1, 1, 3, 2), 1, "SAME"), [1, 4, 4, 3])

    def enlarge(model):
        for tensor in model.subgraphs[0].tensors:
            if list(tensor.shape[1:3]) == [4, 4]:
                tensor.shape = [1, 32768, 32768, tensor.shape[3]]

    (tmp_path / "large.tflite").write_bytes(changed(content, enlarge))
    [cost] = exported_cost.profile_tflite(tmp_path / "large.tflite")
    assert cost.executed_gmacs * 1e9 == pytest.approx(32768**2 * 6) and cost.milliseconds is None
    assert "large.tflite: the activations of one run have 20.0 GiB, more than 16.0 GiB" in capsys.readouterr().err


def test_a_file_that_the_faster_kernels_refuse_is_timed_with_the_plain_ones(tmp_path, capsys):
    [cost] = exported_cost.profile_tflite(rescaled_resize(tmp_path), rounds=1)
    assert cost.milliseconds > 0
    assert "rescaled.tflite: the interpreter's faster kernels refuse it; the times are" in capsys.readouterr().err


@pytest.mark.parametrize("layout", ["channels last", "channels first"])
def test_a_file_for_two_images_is_counted_as_for_one(tmp_path, layout):
    def run(image):
        image = tf.transpose(image, [0, 2, 3, 1]) if layout == "channels first" else image
        return tf.nn.conv2d(image, kernel(1, 1, 3, 2), 1, "SAME")

    costs = []
    for batch in (1, 2):
        shape = [batch, 3, 9, 14] if layout == "channels first" else [batch, 9, 14, 3]
        (tmp_path / "a.tflite").write_bytes(converted(run, shape))
        [cost] = exported_cost.profile_tflite(tmp_path / "a.tflite", rounds=0)
        [row] = exported_cost.tflite_layers(tmp_path / "a.tflite")
        assert round(row["executed_gmacs"] * 1e9) == 9 * 14 * 6
        costs.append(cost)
    assert costs[0] == costs[1]
    assert (round(costs[0].executed_gmacs * 1e9), costs[0].size) == (9 * 14 * 6, "9x14")


def test_the_command_prints_and_writes_its_tables(command, tflite):
    shutil.copy(tflite, command.folder / "model.tflite")
    done = command(
        "profile_flops.py", "--model=model.tflite", "--iters=3..3", "--rounds=0", "--layers", "--output_dir=cost"
    )
    assert done["code"] == 0, done["err"]
    written = json.loads((command.folder / "cost" / "cost.json").read_text())
    assert written["model"] == "model.tflite"
    assert [(row["iterations"], row["milliseconds"]) for row in written["rows"]] == [(3, None)]
    for table in ("cost.md", "layers.md"):
        assert (command.folder / "cost" / table).read_text() in done["out"]
    assert "threads: 1, the default for a .tflite file\n" in done["out"]


def test_a_folder_of_versions_stands_for_the_highest(command):
    save(command.folder / "served" / "3", segment_tensors="segment")
    (command.folder / "served" / "1").mkdir()
    words = ["--model=served", "--size=9x14", "--iters=2..2", "--rounds=0"]
    assert "served/3: not made on this machine" in command("profile_flops.py", *words)["err"]
    done = command("profile_flops.py", *words, "--trust")
    assert (done["code"], done["err"]) == (0, "")
    assert "segment_tensors" in done["out"]


@pytest.mark.parametrize(
    "words,message",
    [
        (["--model=no/model"], "--model=no/model: no such file or folder"),
        (["--model=no.tflite"], "--model=no.tflite: no such file or folder"),
        (
            ["--model=."],
            ".: neither a run directory or a model zoo folder (config.json), nor a SavedModel (saved_model",
        ),
        (["--model=run"], "run/config.json: damaged (dataset_info is missing)"),
        (["--workdir=run"], "run/config.json: damaged (dataset_info is missing)"),
        (["--model=run", "--backbone=mobilenet_v2"], "--backbone does not apply to --model=run, a run"),
        (["--model=run", "--config.training.seed=1"], "--config.training.seed does not apply to --model=run, a run"),
        (["--model=rnn", "--workdir=run"], "--model=rnn and --workdir=run are two names of one flag: give one of them"),
        (["--model=notes.txt"], "--model=notes.txt: neither a run directory, nor the folder of a SavedModel, nor a"),
        (
            ["--model=cut.tflite"],
            "cut.tflite: damaged, or not a .tflite file (Model field 1 lies beyond the 100 bytes); export",
        ),
        (["--model=cut.tflite", "--size=9x9"], "--size=9x9 does not apply to --model=cut.tflite: a .tflite file has"),
        (["--model=cut.tflite", "--config=a.py"], "--config does not apply to --model=cut.tflite, an exported model"),
        (["--model=cut.tflite", "--config.a=1"], "--config.a does not apply to --model=cut.tflite, an exported model"),
        (["--model", "cut.tflite", "--video"], "--video does not apply to --model=cut.tflite, an exported model"),
        (["--workdir", "cut.tflite", "--video"], "--video does not apply to --model=cut.tflite, an exported model"),
        (["--model=rnn", "--recurrence", "--rounds=0"], "--recurrence --rounds=0: it measures times, so at least 1"),
        (["--model=rnn", "--recurrence", "--iters=3"], "--recurrence measures a single iteration: omit --iters"),
        (["--model=rnn", "--recurrence", "--video"], "--recurrence measures a single iteration: omit --video"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, tflite, words, message):
    (command.folder / "run").mkdir(exist_ok=True)
    (command.folder / "run" / "config.json").write_text("{}")
    (command.folder / "notes.txt").write_text("no model")
    (command.folder / "cut.tflite").write_bytes(tflite.read_bytes()[:100])
    done = command("profile_flops.py", *words)
    assert (done["code"], done["out"]) == (2, "")
    assert done["err"].startswith(f"error: {message}")
    assert len(done["err"].splitlines()) == 1


def test_the_name_of_an_architecture_comes_before_a_folder_of_that_name(command):
    (command.folder / "rnn").mkdir()
    done = command("profile_flops.py", "--model=rnn", "--size=64")
    assert done["err"] == "error: --size=64: HEIGHTxWIDTH in pixels, e.g. 513x513\n"
    done = command("profile_flops.py", "--model=./rnn")
    assert done["err"].startswith("error: rnn: neither a run directory")
