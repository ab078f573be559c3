"""Runs: they can be killed, stopped, continued, and they refuse what they cannot do."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests import hanging
from tests.tiny_backbone import tiny
from tests.training.toy_run import toy_config
from tfseg.data import opening
from tfseg.errors import InputError, RunError
from tfseg.runs.run_directory import load_run, locked, weight_arrays
from tfseg.system.checksums import check_sha256_beside
from tfseg.training import train

TOY_RUN = Path(__file__).parent / "toy_run.py"
ROOT = TOY_RUN.parents[2]


def start(records, workdir, values=None, **environment):
    command = [sys.executable, str(TOY_RUN), str(records), str(workdir), json.dumps(values or {})]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment
    )


def finish(process, code=0):
    _, error = hanging.finish(process)
    assert process.returncode == code, error[-3000:]
    return error


def losses_of(workdir):
    with open(Path(workdir) / "metrics.csv") as file:
        return {int(row["step"]): row["loss"] for row in csv.DictReader(file) if row["loss"]}


@pytest.fixture(scope="module")
def unbroken(toy_records, tmp_path_factory):
    """A run of 8 steps that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("unbroken") / "run"
    finish(start(toy_records, workdir))
    return workdir


def wait_for_step(workdir, step, process):
    """Waits until metrics.csv has the step."""
    hanging.wait_for(lambda: (workdir / "metrics.csv").exists() and step in losses_of(workdir), process)


def start_held(records, workdir, step, values=None):
    """(process, file): a run that stands still once the step is logged, as long as the file is there."""
    hold = workdir.with_name("hold")
    hold.touch()
    return start(records, workdir, {"hold": [str(hold), step], **(values or {})}), hold


def kill(process):
    process.send_signal(signal.SIGKILL)
    hanging.finish(process)
    assert process.returncode == -signal.SIGKILL


def test_a_run_killed_at_any_step_goes_on_with_the_same_losses_to_the_bit(toy_records, unbroken, tmp_path):
    workdir = tmp_path / "run"
    process, _ = start_held(toy_records, workdir, 7)  # so that it does not end before it is killed
    wait_for_step(workdir, int(np.random.default_rng().integers(3, 7)), process)
    kill(process)
    leave_behind(workdir)
    assert "going on from step" in finish(start(toy_records, workdir))
    assert_equals(workdir, unbroken)


def leave_behind(workdir):
    """Adds what a kill leaves behind in unlucky moments."""
    checkpoints = workdir / "checkpoints"
    (checkpoints / "step-7_temp").mkdir()
    (checkpoints / "step-7_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"x")
    names = ["checkpoints/checkpoint.tmp0123abcd", ".config.json.1-0123abcd.part", "weights/.last.npz.1-0123abcd.part"]
    names += [f"checkpoints/step-{step}.data-00000-of-00001" for step in (1, 7)]
    (workdir / "weights").mkdir(exist_ok=True)
    for name in names:
        (workdir / name).write_bytes(b"x")
    (checkpoints / "checkpoint").write_bytes(b'all_model_checkpoint_paths: "\xe9')


def names_in(workdir):
    """The names of all files of a run, without those of TensorBoard, of which every start adds one."""
    files = (path.relative_to(workdir) for path in workdir.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in files if path.parent.name != "tensorboard")


def assert_equals(workdir, unbroken):
    """A run has the losses and the weights of another to the bit, and the same files."""
    assert losses_of(workdir) == losses_of(unbroken)
    for name, ours in np.load(workdir / "weights" / "last.npz").items():
        np.testing.assert_array_equal(ours, np.load(unbroken / "weights" / "last.npz")[name])
    assert names_in(workdir) == names_in(unbroken)
    check_sha256_beside(workdir / "weights" / "last.npz")


@pytest.mark.slow
def test_a_run_killed_at_30_random_moments_loses_nothing_and_leaves_nothing_behind(toy_records, tmp_path):
    values = {"training": {"total_steps": 200, "checkpoint_every": 1, "validate_every": 3}}
    generator, workdir, last = np.random.default_rng(), tmp_path / "run", 0
    for _ in range(30):
        process, hold = start_held(toy_records, workdir, 190, values)
        wait_for_step(workdir, min(last + 1, 190), process)
        time.sleep(generator.uniform(0, 0.5))
        kill(process)
        last = max(losses_of(workdir))
        for weights in (workdir / "weights").glob("*.npz"):
            check_sha256_beside(weights)
    hold.unlink()
    finish(start(toy_records, workdir, values))
    finish(start(toy_records, tmp_path / "unbroken", values))
    check_sha256_beside(workdir / "weights" / "best.npz")
    assert_equals(workdir, tmp_path / "unbroken")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_sigterm_and_ctrl_c_save_the_step_and_exit_with_their_number(toy_records, unbroken, tmp_path, number, code):
    workdir = tmp_path / "run"
    process, hold = start_held(toy_records, workdir, 2, {"training": {"checkpoint_every": 1000}})
    wait_for_step(workdir, 2, process)
    process.send_signal(number)
    hold.unlink()
    assert f"{number.name}: saved step 2; the same command goes on from here" in finish(process, code)
    finish(start(toy_records, workdir, {"training": {"checkpoint_every": 1000}}))
    assert losses_of(workdir) == losses_of(unbroken)


@pytest.mark.slow
def test_another_seed_gives_other_losses(toy_records, unbroken, tmp_path):
    finish(start(toy_records, tmp_path / "run", {"training": {"seed": 1, "total_steps": 8}}))
    assert losses_of(tmp_path / "run") != losses_of(unbroken)


@pytest.fixture
def copied(unbroken, tmp_path):
    """A copy of the finished run whose newest checkpoint is at step 8."""
    shutil.copytree(unbroken, tmp_path / "run")
    return tmp_path / "run"


def damaged(path, kind):
    data = path.read_bytes()
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        path.write_bytes(data[:1000] + bytes([data[1000] ^ 0x55]) + data[1001:])


@pytest.mark.parametrize(
    "name,kind",
    [
        ("index", "missing"),
        pytest.param("data-00000-of-00001", "truncated", marks=pytest.mark.slow),
        pytest.param("index", "truncated", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(toy_records, unbroken, copied, name, kind, capsys):
    damaged(copied / "checkpoints" / f"step-8.{name}", kind)
    train.train(toy_config(toy_records, {}), copied)
    error = capsys.readouterr().err
    assert "step-8: not whole" in error
    assert "going on from step 6 of 8" in error
    assert losses_of(copied) == losses_of(unbroken)


def test_no_damage_to_the_files_beside_the_checkpoints_holds_up_a_run(toy_records, unbroken, copied, capsys):
    for part in ("index", "data-00000-of-00001"):
        (copied / "checkpoints" / f"step-8.{part}").unlink()
    (copied / "checkpoints" / "checkpoint").write_bytes(b"")
    (copied / "weights" / "last.npz.sha256").write_bytes(b"")
    (copied / "weights" / "last.npz").write_bytes(b"")
    log = (copied / "metrics.csv").read_bytes()
    (copied / "metrics.csv").write_bytes(log + b"\xff\n")
    shutil.rmtree(copied / "tensorboard")
    (copied / "tensorboard").write_bytes(b"")
    train.train(toy_config(toy_records, {}), copied)
    error = capsys.readouterr().err
    assert "going on from step 6 of 8" in error
    (copied / "metrics.csv.bad").unlink()
    (copied / "tensorboard").unlink()
    assert_equals(copied, unbroken)


@pytest.mark.slow
def test_a_flipped_bit_in_the_weights_is_noticed(toy_records, copied, capsys):
    damaged(copied / "checkpoints" / "step-8.data-00000-of-00001", "flipped")
    train.train(toy_config(toy_records, {}), copied)
    assert "going on from step 6 of 8" in capsys.readouterr().err


def test_no_readable_checkpoint_is_an_error_and_never_step_0(toy_records, copied):
    for path in (copied / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of 3 checkpoints"):
        train.train(toy_config(toy_records, {}), copied)


@pytest.mark.slow
def test_a_finished_run_started_again_is_left_as_it_is(toy_records, unbroken, copied):
    train.train(toy_config(toy_records, {}), copied)
    assert losses_of(copied) == losses_of(unbroken)
    before = np.load(unbroken / "weights" / "last.npz")
    for name, ours in np.load(copied / "weights" / "last.npz").items():
        np.testing.assert_array_equal(ours, before[name])


def test_an_update_of_several_batches_begins_at_the_images_after_those_of_the_updates_before(toy_records):
    config = toy_config(toy_records, {"training": {"accumulated_batches": 2}})
    split = opening.open_split("folder", str(toy_records), "train")
    unbroken = [batch["filename"].numpy().tolist() for batch in train._batches(config, split, 0, 2).take(7)]
    [fifth] = [batch["filename"].numpy().tolist() for batch in train._batches(config, split, 2, 2).take(1)]
    assert fifth == unbroken[4]


@pytest.mark.slow
def test_a_run_of_several_batches_an_update_goes_on_at_the_right_images(toy_records, tmp_path):
    values = {"training": {"accumulated_batches": 2, "total_steps": 4, "average_decay": 0.9}}
    first, again = tmp_path / "run", tmp_path / "again"
    train.train(toy_config(toy_records, values), first)
    assert list(losses_of(first)) == [1, 2, 3, 4]
    shutil.copytree(first, again)
    for path in again.glob("checkpoints/step-4.*"):
        path.unlink()
    train.train(toy_config(toy_records, values), again)
    assert_equals(again, first)


def test_frozen_batch_normalisation_changes_nothing_of_itself(toy_records, tmp_path):
    """Neither its statistics nor gamma and beta move, while every kernel does."""
    config = toy_config(toy_records, {"training": {"freeze_batch_norm": True, "weight_decay": 0.1, "total_steps": 1}})
    split = opening.open_split("folder", str(toy_records), "train")
    trainer = train.build_trainer(config, split.manifest, "off")
    [batch] = train._batches(config, split, 0, 4).take(1)
    before = {name: array.copy() for name, array in weight_arrays(trainer.network).items()}
    trainer.train_step(batch)
    changed = {name for name, array in weight_arrays(trainer.network).items() if (array != before[name]).any()}
    assert changed == {name for name in before if "/bn/" not in name}
    assert any("/bn/moving_mean" in name for name in before)


@pytest.mark.slow
def test_a_batch_may_be_larger_than_the_data_set(toy_records, tmp_path):
    config = toy_config(toy_records, {"training": {"global_batch_size": 12, "total_steps": 2}})
    train.train(config, tmp_path / "run")
    assert list(losses_of(tmp_path / "run")) == [1, 2]


def test_another_config_is_refused_with_the_difference_unless_overridden(toy_records, copied):
    changed = toy_config(toy_records, {"training": {"learning_rate": 0.5, "global_batch_size": 2}})
    with pytest.raises(InputError, match=r"global_batch_size: 4 -> 2; training.learning_rate: 0.001 -> 0.5"):
        train.train(changed, copied)
    train.train(changed, copied, train.RunOptions(override=True))


def test_logging_more_often_is_not_another_config(toy_records, copied):
    train.train(toy_config(toy_records, {"training": {"log_every": 5, "checkpoint_every": 3}}), copied)


def test_a_directory_in_use_is_refused(toy_records, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(InputError, match="another run is using this directory"):
        train.train(toy_config(toy_records, {}), tmp_path / "run")


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_checkpoints_and_exits_1(toy_records, unbroken, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(unbroken, workdir)
    code = (
        "import resource, sys; sys.argv[1:] = {argv!r}; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)); "
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "import runpy; runpy.run_path({script!r}, run_name='__main__')"
    )
    values = json.dumps({"training": {"total_steps": 8}, "options": {"override": True}})
    (workdir / "checkpoints" / "step-8.index").unlink()
    (workdir / "checkpoints" / "step-8.data-00000-of-00001").unlink()
    argv = [str(toy_records), str(workdir), values]
    process = subprocess.Popen(
        [sys.executable, "-c", code.format(argv=argv, script=str(TOY_RUN))],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    error = finish(process, 1)
    assert "cannot be written" in error.splitlines()[-1]
    names = {path.name for path in (workdir / "checkpoints").glob("step-*")}
    assert names == {f"step-{n}.{part}" for n in (4, 6) for part in ("index", "data-00000-of-00001")}
    assert not list(workdir.rglob("*.part"))


def nan_images(monkeypatch, bad_steps):
    """Puts a NaN into the images of some steps."""
    batches = train.pipeline.train_batches

    def with_nan(*arguments, start_step, **keywords):
        def spoil(index, batch):
            import tensorflow as tf

            is_bad = tf.reduce_any(tf.equal(index + start_step + 1, bad_steps))
            return batch | {"image": tf.where(is_bad, float("nan"), batch["image"])}

        return batches(*arguments, start_step=start_step, **keywords).enumerate().map(spoil)

    monkeypatch.setattr(train.pipeline, "train_batches", with_nan)


def test_a_non_finite_step_is_skipped_and_its_images_are_named(toy_records, tmp_path, monkeypatch, capsys):
    nan_images(monkeypatch, [2, 5])
    train.train(toy_config(toy_records, {}), tmp_path / "run")
    error = capsys.readouterr().err
    assert "step 2: loss or gradients not finite, update skipped (1 so far); images: ['images/toy" in error
    assert "step 5: loss or gradients not finite, update skipped (2 so far)" in error
    weights = np.load(tmp_path / "run" / "weights" / "last.npz")
    assert all(np.isfinite(array).all() for array in weights.values())


def test_too_many_non_finite_steps_in_a_row_end_the_run_at_the_last_good_checkpoint(toy_records, tmp_path, monkeypatch):
    nan_images(monkeypatch, [5, 6, 7, 8])
    with pytest.raises(RunError, match="step 8: 4 non-finite updates in a row"):
        train.train(toy_config(toy_records, {}), tmp_path / "run")
    config, _, network = load_checkpoint(toy_records, tmp_path / "run")
    assert all(np.isfinite(variable.numpy()).all() for variable in network.variables)


def load_checkpoint(records, workdir):
    """Trains no further than the newest checkpoint: the weights it holds."""
    config = toy_config(records, {"training": {"total_steps": 4}})
    train.train(config, workdir, train.RunOptions(override=True))
    return load_run(workdir)


def test_a_shard_that_was_cut_stops_the_run_before_the_first_step(toy_records, tmp_path):
    records = tmp_path / "records"
    shutil.copytree(toy_records, records)
    shard = sorted(records.glob("train-*.tfrecord"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(InputError, match=shard.name):
        train.train(toy_config(records, {}), tmp_path / "run")


def test_a_flipped_byte_in_a_record_is_named_by_shard_and_index(toy_records, tmp_path):
    records = tmp_path / "records"
    shutil.copytree(toy_records, records)
    shard = sorted(records.glob("train-*.tfrecord"))[0]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(InputError, match=rf"{shard.name}: record \d+ is damaged"):
        train.train(toy_config(records, {}), tmp_path / "run")


@pytest.mark.parametrize(
    "values,message",
    [
        ({"training": {"total_steps": -1}}, "total_steps is -1"),
        ({"training": {"learning_rate": -1.0}}, "learning_rate is -1.0"),
        ({"training": {"optimizer": "adam"}}, "--optimizer=adam is unknown"),
        ({"training": {"precision": "half"}}, "--precision=half is unknown"),
        ({"training": {"class_weights": "nowhere.txt"}}, "no such file"),
        ({"data": {"train_split": "test"}}, "no split 'test'"),
        ({"data": {"crop_size": (0, 32)}}, "crop_size"),
    ],
)
def test_values_that_no_run_can_use_are_refused(toy_records, tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        train.train(toy_config(toy_records, values), tmp_path / "run")


def test_weights_of_another_class_count_start_a_run_and_the_rest_is_listed(toy_records, copied, tmp_path, capsys):
    other = toy_config(
        toy_records, {"model": {"widths": (6,)}, "training": {"init_from": str(copied), "total_steps": 1}}
    )
    train.train(other, tmp_path / "other")
    error = capsys.readouterr().err
    assert "weights left as they were" in error
    assert "(8,) in the file, (6,) in this model" in error


def test_the_backbone_of_another_run_starts_a_run_whatever_its_head_is(toy_records, copied, tmp_path, capsys):
    start_from = {"init_backbone_from": str(copied), "total_steps": 1, "learning_rate": 1e-9}
    values = {"model": {"widths": (6, 5)}, "training": start_from | {"average_decay": 0.0, "freeze_batch_norm": True}}
    train.train(toy_config(toy_records, values), tmp_path / "other")
    assert f"backbone: {copied}/weights/last.npz: " in capsys.readouterr().err
    # It computes the same, with batch normalisation's statistics of this run's images.
    images = np.random.default_rng(0).integers(0, 256, [2, 32, 32, 3]).astype(np.float32)
    old, new = (load_run(run)[2].backbone for run in (copied, tmp_path / "other"))
    np.testing.assert_allclose(old(images)["last"], new(images)["last"], atol=1e-4)
    for before, after in zip(old.convolutions().values(), new.convolutions().values(), strict=True):
        np.testing.assert_allclose(before.conv.kernel, after.conv.kernel, atol=1e-6)
        assert np.abs(before.bn.moving_mean - after.bn.moving_mean).max() > 1e-3


def test_another_backbone_is_refused_and_none_loads_nothing(toy_records, copied, tmp_path, capsys):
    other = {"model": {"backbone": tiny(32)}, "training": {"init_backbone_from": str(copied), "total_steps": 1}}
    train.train(toy_config(toy_records, other), tmp_path / "stride")  # another stride is the same backbone
    wide = dataclasses.replace(tiny(), kernel_size=5)
    config = toy_config(toy_records, other | {"model": {"backbone": wide}})
    with pytest.raises(InputError, match=r"has another backbone, \w+; this model has \w+, or other options"):
        train.train(config, tmp_path / "wide")
    capsys.readouterr()
    train.train(
        toy_config(toy_records, {"training": {"init_backbone_from": "none", "total_steps": 1}}), tmp_path / "none"
    )
    assert "backbone:" not in capsys.readouterr().err


def test_validation_keeps_the_best_weights_and_its_scores(toy_records, tmp_path):
    config = toy_config(toy_records, {"training": {"validate_every": 4, "learning_rate": 0.01, "total_steps": 8}})
    train.train(config, tmp_path / "run")
    with open(tmp_path / "run" / "metrics.csv") as file:
        scores = [row for row in csv.DictReader(file) if row["val_miou"]]
    assert [row["step"] for row in scores] == ["4", "8"]
    assert all(0 <= float(row["val_miou"]) <= 1 for row in scores)
    load_run(tmp_path / "run", "best")


def test_a_changed_weights_file_is_refused(copied):
    weights = copied / "weights" / "last.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="sha256"):
        load_run(copied)


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def workers(toy_records, workdir, values):
    addresses = [f"localhost:{free_port()}" for _ in range(2)]
    for index in range(2):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        yield start(toy_records, workdir, values, TF_CONFIG=json.dumps(task))


@pytest.mark.slow
def test_two_workers_train_an_epoch_together(toy_records, unbroken, tmp_path):
    processes = list(workers(toy_records, tmp_path / "run", {"training": {"total_steps": 2}}))
    for process in processes:
        finish(process)
    losses, alone = losses_of(tmp_path / "run"), losses_of(unbroken)
    assert list(losses) == [1, 2]
    # The first step does not depend on the schedule: two workers of 2 images see what one process of 4 sees.
    assert float(losses[1]) == pytest.approx(float(alone[1]), abs=1e-4)
    load_run(tmp_path / "run")


@pytest.mark.slow
def test_when_a_worker_dies_the_other_ends_too(toy_records, tmp_path):
    first, second = workers(
        toy_records, tmp_path / "run", {"training": {"total_steps": 100_000, "checkpoint_every": 10**6}}
    )
    wait_for_step(tmp_path / "run", 1, first)
    second.kill()
    hanging.finish(second)
    hanging.finish(first)
    assert first.returncode not in (0, None)


def test_losses_read_logits_on_the_grid_of_the_networks_padding(toy_records):
    config = toy_config(toy_records, {"model": {"backbone": tiny(padding="symmetric")}})
    _, manifest = opening.open_dataset("folder", toy_records)
    trainer = train.build_trainer(config, manifest, "float32")
    assert trainer._losses.keywords["upsample"].keywords == {"stride": 16, "padding": "symmetric"}
