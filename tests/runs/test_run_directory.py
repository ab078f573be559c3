"""Weights keep their names, files are whole or absent, and a damaged run is named."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.config import ExperimentConfig
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.runs.run_directory import (
    assign_weights,
    load_run,
    locked,
    read_config,
    save_weights,
    variables_by_path,
    weight_arrays,
    write_config,
)

CONFIG = toy_config("records", {})
INFO = DatasetInfo("toy", ("bright", "dark", "green"), ((0, 0, 0), (9, 9, 9), (0, 9, 0)))
LOGITS = "classifier/kernel"


@pytest.fixture(scope="module")
def network():
    return architectures.build(CONFIG.model, 3)


@pytest.fixture(scope="module")
def arrays(network):
    """Weights of a trained network: none of them as it was initialised."""
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=array.shape).astype("f4") for name, array in weight_arrays(network).items()}


def saved(tmp_path, arrays):
    np.savez(tmp_path / "weights.npz", **arrays)
    return tmp_path / "weights.npz"


def test_every_weight_has_one_path_and_a_second_model_of_the_process_has_the_same(network):
    first, second = variables_by_path(network), variables_by_path(architectures.build(CONFIG.model, 3))
    assert len(first) == len(network.variables) == len({id(variable) for variable in first.values()})
    assert list(first) == list(second)
    assert {name: v.shape for name, v in first.items()} == {name: v.shape for name, v in second.items()}
    assert not {id(variable) for variable in first.values()} & {id(variable) for variable in second.values()}
    assert first[LOGITS] is network.classifier.kernel


def test_saved_weights_are_read_back_exactly_and_their_checksum_is_beside_them(network, arrays, tmp_path):
    assert assign_weights(network, saved(tmp_path, arrays)) == []
    save_weights(tmp_path / "last.npz", network)
    assert (tmp_path / "last.npz.sha256").read_text().split()[1] == "last.npz"
    with np.load(tmp_path / "last.npz") as file:
        assert set(file.files) == set(arrays)
        for name in arrays:
            np.testing.assert_array_equal(file[name], arrays[name])


def test_only_the_chief_writes(network, tmp_path):
    save_weights(tmp_path / "last.npz", network, is_chief=False)
    assert list(tmp_path.iterdir()) == []


def misfits(arrays):
    """Kind of misfit -> (arrays, message)."""
    without = {name: array for name, array in arrays.items() if name != LOGITS}
    with_nan = arrays[LOGITS].copy()
    with_nan[0, 0, 0, 0] = np.nan
    return {
        "missing": (without, f"1 weights do not fit: {LOGITS}: not in the file"),
        "extra": (arrays | {"head/kernel": np.zeros(2)}, "1 weights do not fit: head/kernel: not in this model"),
        "shape": (
            arrays | {LOGITS: np.zeros([1, 1, 8, 5], "f4")},
            f"{LOGITS}: (1, 1, 8, 5) in the file, (1, 1, 8, 3) in this model",
        ),
        "nan": (arrays | {LOGITS: with_nan}, f"values that are not finite in {LOGITS}"),
    }


@pytest.mark.parametrize("kind", ["missing", "extra", "shape", "nan"])
def test_weights_that_do_not_fit_are_named_and_none_is_assigned(network, arrays, tmp_path, kind):
    before = weight_arrays(network)
    changed, message = misfits(arrays)[kind]
    path = saved(tmp_path, {name: array + 1 for name, array in changed.items()})
    with pytest.raises(InputError) as raised:
        assign_weights(network, path)
    assert str(raised.value).startswith(f"{path}: ") and message in str(raised.value)
    for name, array in weight_arrays(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_what_does_not_fit_may_be_left_as_it_is_and_is_listed(network, arrays, tmp_path):
    before = weight_arrays(network)[LOGITS]
    changed, message = misfits(arrays)["shape"]
    lines = assign_weights(network, saved(tmp_path, changed | {"head/kernel": np.zeros(2)}), skip_mismatched=True)
    assert lines == [message, "head/kernel: not in this model"]
    np.testing.assert_array_equal(weight_arrays(network)[LOGITS], before)
    np.testing.assert_array_equal(weight_arrays(network)["classifier/bias"], arrays["classifier/bias"])


def test_a_run_is_loaded_with_its_config_and_its_weights(network, arrays, tmp_path):
    write_config(tmp_path, CONFIG, INFO)
    assign_weights(network, saved(tmp_path, arrays))
    save_weights(tmp_path / "weights" / "last.npz", network)
    (tmp_path / "weights.npz").unlink()
    config, info, loaded = load_run(tmp_path)
    assert (config, info) == (CONFIG, INFO)
    np.testing.assert_array_equal(weight_arrays(loaded)[LOGITS], arrays[LOGITS])


def test_a_folder_that_is_no_run_and_one_without_weights_are_named(tmp_path):
    with pytest.raises(InputError, match=r"not a run directory \(no config.json\)"):
        load_run(tmp_path)
    with pytest.raises(InputError, match=r"nowhere: not a run directory"):
        load_run(tmp_path / "nowhere")
    write_config(tmp_path, CONFIG, INFO)
    with pytest.raises(InputError, match=r"no weights yet \(weights/last.npz\); train it first"):
        load_run(tmp_path)


def test_weights_without_their_checksum_are_refused(network, tmp_path):
    write_config(tmp_path, CONFIG, INFO)
    save_weights(tmp_path / "weights" / "last.npz", network)
    (tmp_path / "weights" / "last.npz.sha256").unlink()
    with pytest.raises(InputError, match=r"its checksum last.npz.sha256 is missing"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", '"text"', "[]", "{}", '{"dataset_info": 5}', "\udc80", "[" * 9999, '{"a": 1, "a": 1}', " " * (17 << 20)],
)
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"config.json: damaged"):
        read_config(tmp_path)


def edited(folder, place, value):
    """Changes a value of config.json, at a place like "training.seed", by hand."""
    path = folder / "config.json"
    values = part = json.loads(path.read_text())
    *parents, last = place.split(".")
    for parent in parents:
        part = part[parent]
    part[last] = value
    path.write_text("\ufeff" + json.dumps(values, indent=4))  # as an editor under Windows writes it


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model", 5, "model.name None is unknown"),
        ("model.name", ["fcn"], r"model.name \['fcn'\] is unknown"),
        ("model.widths", [8, "x"], r"model.widths\[1\] takes int, not 'x'"),
        ("model.backbone.output_stride", True, "model.backbone.output_stride takes int, not True"),
        ("data.crop_size", [1, 10**30], r"data.crop_size\[1\] is 1000.*, which is too large"),
        ("data.min_scale", float("nan"), "data.min_scale is nan; it must be a finite number"),
        ("data.dataset", "nowhere", "--dataset=nowhere: unknown"),
        ("data.dataset", "no\u2028where", "--dataset=no.where: unknown"),
        ("training.optimizer", "\u2028", "--optimizer= is unknown; one of sgd, adamw"),
        ("training.total_steps", -1, "training.total_steps is -1; it must be 0 or more"),
        ("training.momentum", 10**400, "training.momentum is 1000"),
        ("dataset_info.colors", [[0, 0, 0]], "dataset_info toy: 3 class names but 1 colours"),
        ("dataset_info.class_names", "abc", "dataset_info.class_names takes tuple, not 'abc'"),
        ("dataset_info.thing_ids", [7], r"dataset_info toy: thing ids \[7\] outside 0..2"),
    ],
)
def test_a_value_of_the_config_that_cannot_be_is_named_with_the_file(tmp_path, place, value, message):
    write_config(tmp_path, CONFIG, INFO)
    edited(tmp_path, place, value)
    with pytest.raises(InputError, match=rf"config.json: .*({message})") as caught:
        read_config(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_config_changed_by_hand_is_read_and_a_line_says_so(tmp_path, capsys):
    write_config(tmp_path, CONFIG, INFO)
    assert read_config(tmp_path) == (CONFIG, INFO)
    assert capsys.readouterr().err == ""
    edited(tmp_path, "training.seed", 7)
    assert read_config(tmp_path)[0].training.seed == 7
    assert capsys.readouterr().err.startswith(f"note: {tmp_path}/config.json was changed by hand")
    values = json.loads((tmp_path / "config.json").read_text(encoding="utf-8-sig"))
    del values["checksum"]  # as in the runs of earlier versions
    (tmp_path / "config.json").write_text(json.dumps(values))
    read_config(tmp_path)
    assert capsys.readouterr().err == ""


@pytest.fixture
def run(network, tmp_path):
    """A run directory with config and weights."""
    write_config(tmp_path, CONFIG, INFO)
    save_weights(tmp_path / "weights" / "last.npz", network)
    return tmp_path


def test_a_network_that_cannot_be_built_is_the_configs_fault(run):
    edited(run, "model.widths", [-8])
    with pytest.raises(InputError, match=r"config.json: no network can be built from its model \(.+\)"):
        load_run(run)


@pytest.mark.parametrize("name", ["config.json", "weights/last.npz", "weights/last.npz.sha256"])
def test_a_pipe_in_a_run_does_not_hold_up_its_reader(run, name):
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(InputError, match=f"{name}: a pipe, socket or device, not a regular file"):
        load_run(run)


@pytest.mark.parametrize("text", ["", "abc", "\x00"])
def test_a_checksum_that_is_none_is_named(run, text):
    (run / "weights" / "last.npz.sha256").write_text(text)
    with pytest.raises(InputError, match=r"weights/last.npz.sha256: not a checksum"):
        load_run(run)


def test_what_killed_processes_left_is_removed_when_the_run_is_locked(tmp_path):
    (tmp_path / "weights").mkdir()
    mine = [tmp_path / "notes.part", tmp_path / "weights" / "mine.npz"]
    left = [tmp_path / ".metrics.csv.9-0123abcd.part", tmp_path / "weights" / ".best.npz.part"]
    for path in mine + left:
        path.write_text("")
    with locked(tmp_path):
        assert [path.exists() for path in mine + left] == [True, True, False, False]


def test_many_weights_that_do_not_fit_are_few_in_the_message(network, tmp_path):
    arrays = {f"cells/{'deep/' * 30}{index}": np.zeros(1, "f4") for index in range(500)}
    with pytest.raises(InputError, match=r"\d{3} weights do not fit: .+; and \d{3} more") as caught:
        assign_weights(network, saved(tmp_path, arrays))
    assert len(str(caught.value)) - len(str(tmp_path)) < 300


def test_a_config_with_an_unknown_field_is_named(tmp_path):
    write_config(tmp_path, CONFIG, INFO)
    values = json.loads((tmp_path / "config.json").read_text())
    values["training"]["learning_rte"] = 1.0
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="did you mean 'learning_rate'"):
        read_config(tmp_path)


def test_a_lock_is_free_again_afterwards_and_an_unused_directory_is_gone(tmp_path):
    with locked(tmp_path / "run"), pytest.raises(InputError, match="another run"), locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "metrics.csv").write_text("step\n")
    assert sorted(os.listdir(tmp_path / "run")) == ["lock", "metrics.csv"]
    with locked(tmp_path / "run"):
        pass


def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"file/run: cannot be written \(Not a directory\)"),
        locked(tmp_path / "file/run"),
    ):
        pass


def test_weights_that_fit_every_output_stride_are_loaded_at_another(tmp_path):
    """The same convolutions, denser: every second logit of the finer map, nearly, is one of the coarse map."""
    config = ExperimentConfig(DeepLabV3Config(BackboneConfig("mobilenet_v2", width_multiplier=0.1), (2,), 8))
    network = architectures.build(config.model, 3)
    write_config(tmp_path, config, INFO)
    save_weights(tmp_path / "weights" / "last.npz", network)
    _, _, finer = load_run(tmp_path, output_stride=8)
    image = tf.random.stateless_uniform([1, 65, 65, 3], [0, 1], 0, 255)
    coarse, fine = (model.backbone(image)["last"] for model in (network, finer))
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, atol=1e-4)
    assert finer(image)["semantic_logits"].shape == (1, 9, 9, 3)
    assert finer.config.rates() == (4,)


def test_weights_made_for_one_output_stride_are_not_loaded_at_another(tmp_path):
    with pytest.raises(InputError, match="--output_stride=8: the weights of .* are made for the one they have"):
        write_config(tmp_path, CONFIG, INFO)
        load_run(tmp_path, output_stride=8)
