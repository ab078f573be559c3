"""Checkpoints: any damage costs one of them at most, and what kills leave behind is removed at the next start."""

import errno
import os
import shutil
import socket
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError, RunError
from tfseg.training.averaging import WeightAverage
from tfseg.training.checkpoints import Checkpoints

INDEX, DATA = "index", "data-00000-of-00001"


def trainer():
    """What a checkpoint holds of a trainer, with 6 weights."""
    network = keras.Sequential([keras.layers.Dense(2, input_shape=(2,))])
    optimizer = keras.optimizers.SGD(momentum=0.9)
    return SimpleNamespace(network=network, optimizer=optimizer, average=WeightAverage(network, 0.9))


def checkpoints(workdir, is_chief=True):
    return Checkpoints(workdir, trainer(), is_chief)


def train(workdir, *steps):
    """Starts or continues a run that saves at these steps; returns the step that it continued from."""
    run = trainer()
    saved = Checkpoints(workdir, run)
    first = saved.restore(warn=lambda line: None)
    for step in steps:
        run.optimizer.iterations.assign(step)
        run.network.weights[0].assign(tf.fill([2, 2], float(step)))
        saved.save()
    return first


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run with checkpoints at the steps 4, 6 and 8; the one at 2 was removed as the fourth."""
    workdir = tmp_path_factory.mktemp("whole") / "a [1] run"  # names that a pattern would not find
    train(workdir, 2, 4, 6, 8)
    return workdir


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "a [1] run")


def names(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


def files_of(*steps):
    return sorted([f"step-{step}.{part}" for step in steps for part in (INDEX, DATA)] + ["checkpoint"])


def restored(workdir):
    """(step, weights, lines of warning) of a run that goes on."""
    run, lines = trainer(), []
    step = Checkpoints(workdir, run).restore(warn=lines.append)
    return step, run.network.weights[0].numpy(), lines


def test_the_newest_three_are_kept_and_the_last_is_restored(run):
    assert names(run) == files_of(4, 6, 8)
    step, weights, lines = restored(run)
    assert (step, lines) == (8, [])
    np.testing.assert_array_equal(weights, np.full([2, 2], 8.0))


STATES = {
    "empty": b"",
    "cut": b'model_checkpoint_path: "ste',
    "binary": b"\xff\xfe\x00",
    "no UTF-8 in a name": b'model_checkpoint_path: "step-\xe9"\nall_model_checkpoint_paths: "step-\xe9"\n',
    "other files": b'model_checkpoint_path: "/etc/passwd"\nall_model_checkpoint_paths: "/etc/passwd"\n',
    "of before": b'model_checkpoint_path: "step-2"\nall_model_checkpoint_paths: "step-2"\n',
    "missing": None,
}


@pytest.mark.parametrize("state", [*STATES.values(), "folder", "pipe"], ids=[*STATES, "a folder", "a pipe"])
def test_tensorflows_own_list_of_checkpoints_does_not_matter(run, state):
    path = run / "checkpoints" / "checkpoint"
    path.unlink()
    if state == "folder":
        path.mkdir()
    elif state == "pipe":
        os.mkfifo(path)
    elif state is not None:
        path.write_bytes(state)
    assert train(run, 10, 12) == 8
    assert names(run) == files_of(8, 10, 12)
    assert tf.train.get_checkpoint_state(str(run / "checkpoints")).model_checkpoint_path.endswith("step-12")


def cut(data):
    return data[: len(data) // 2]


def huge_block(data):
    """The index block of a table seems to have 2^63 bytes: the reader allocates them."""
    return data[:-48] + b"\x00\x08\x80\x01" + b"\xff" * 8 + b"\x7f" + data[-35:]


def make_socket(path):
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))  # its path may have 107 characters


DAMAGE = {
    "an empty index": (INDEX, lambda data: b""),
    "a cut index": (INDEX, cut),
    "a flipped byte in the index": (INDEX, lambda data: data[:20] + bytes([data[20] ^ 0x55]) + data[21:]),
    "an index with another magic number": (INDEX, lambda data: data[:-1] + b"x"),
    "an index that wants too much memory": (INDEX, huge_block),
    "an index of zeros": (INDEX, lambda data: bytes(len(data))),
    "no index": (INDEX, None),
    "empty data": (DATA, lambda data: b""),
    "cut data": (DATA, cut),
    "a flipped byte in the data": (DATA, lambda data: data[:9] + bytes([data[9] ^ 0x55]) + data[10:]),
    "no data": (DATA, None),
    "a pipe instead of an index": (INDEX, os.mkfifo),
    "a pipe instead of data": (DATA, os.mkfifo),
    "a folder instead of an index": (INDEX, os.mkdir),
    "a socket instead of data": (DATA, make_socket),
}


def spoil(path, change):
    content = path.read_bytes()
    path.unlink()
    if change in (os.mkfifo, os.mkdir, make_socket):
        change(path)
    elif change:
        path.write_bytes(change(content))


@pytest.mark.parametrize("part, change", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(run, monkeypatch, part, change):
    monkeypatch.chdir(run)
    spoil(run / "checkpoints" / f"step-8.{part}", change)
    step, weights, (line,) = restored(run)
    assert step == 6
    np.testing.assert_array_equal(weights, np.full([2, 2], 6.0))
    assert line.startswith(f"{run}/checkpoints/step-8: not whole or of another model, trying the one before (")
    assert len(line.splitlines()) == 1 and len(line) - len(str(run)) < 300


def test_damaged_checkpoints_are_the_first_to_go(run):
    for step in (6, 8):
        (run / "checkpoints" / f"step-{step}.{INDEX}").write_bytes(b"")
    assert train(run, 5) == 4  # checkpoints are made at other steps than before
    assert names(run) == files_of(4, 5, 6)
    assert train(run, 6, 7) == 5
    assert names(run) == files_of(5, 6, 7)


def test_nothing_is_removed_before_a_checkpoint_was_read(run):
    (run / "checkpoints" / "step-2.index").write_bytes(b"")
    (run / "checkpoints" / "checkpoint.tmp0123").write_bytes(b"")
    for step in (4, 6, 8):
        (run / "checkpoints" / f"step-{step}.{DATA}").write_bytes(b"")
    before = names(run)
    with pytest.raises(InputError, match="none of 4 checkpoints can be read; delete the folder to start anew"):
        checkpoints(run).restore(warn=lambda line: None)
    assert names(run) == before


def test_what_kills_left_behind_is_removed_and_what_others_put_there_stays(run):
    folder = run / "checkpoints"
    (folder / "step-10_temp").mkdir()
    (folder / "step-10_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"x")
    left = ["checkpoint.tmp0123abcd", "step-10.index.tempstate123", "step-10.data-00000-of-00001.tempstate9"]
    for step in (1, 2):  # beyond the newest three
        for part in (INDEX, DATA):
            shutil.copy(folder / f"step-4.{part}", folder / f"step-{step}.{part}")
    mine = ["notes.txt", "step-best.index", "step-4.txt", "mystep-2.index"]
    for name in left + mine:
        (folder / name).write_bytes(b"x")
    (folder / "step-2").mkdir()
    assert restored(run)[0] == 8
    assert names(run) == sorted([*files_of(4, 6, 8), *mine, "step-2"])


def test_a_checkpoint_that_was_not_finished_is_removed_once_three_others_are_there(run):
    (run / "checkpoints" / f"step-10.{DATA}").write_bytes(b"x")
    assert train(run, 9) == 8
    assert names(run) == files_of(6, 8, 9)


def test_a_run_of_which_nothing_was_saved_starts_at_step_0_with_a_clean_folder(tmp_path):
    (tmp_path / "checkpoints" / "step-2_temp").mkdir(parents=True)
    (tmp_path / "checkpoints" / "checkpoint").write_bytes(b"\xff")
    assert train(tmp_path) == 0
    assert names(tmp_path) == []
    assert checkpoints(tmp_path / "new").restore() == 0
    assert not (tmp_path / "new").exists()


def test_of_several_workers_only_the_chief_tidies_the_folder(run):
    (run / "checkpoints" / "step-10_temp").mkdir()
    worker = checkpoints(run, is_chief=False)
    before = names(run)
    assert worker.restore() == 8
    worker.save()
    worker.close()
    assert names(run) == before


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (os.strerror(errno.ENOSPC), r"No space left on device: free some space"),
        (os.strerror(errno.EDQUOT), r"Disk quota exceeded: free some space, or ask"),
        (os.strerror(errno.EROFS), r"Read-only file system: this disk is read-only"),
        ("something else", "something else"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_names_the_cause_and_leaves_the_others(run, monkeypatch, text, cause):
    saved = checkpoints(run)
    assert saved.restore() == 8
    saved._optimizer.iterations.assign(10)

    def fail(*_, **__):
        (run / "checkpoints" / "step-10_temp").mkdir()
        raise tf.errors.ResourceExhaustedError(None, None, f"{run}/checkpoints/step-10_temp/part; {text} [Op:SaveV2]")

    monkeypatch.setattr(saved._manager, "save", fail)
    message = rf"checkpoints: the checkpoint of step 10 cannot be written \(.*{cause}.*\); then start again"
    with pytest.raises(RunError, match=message):
        saved.save()
    assert names(run) == files_of(4, 6, 8)
