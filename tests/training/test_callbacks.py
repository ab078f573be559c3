"""What is logged and shown between steps: rows, lines, bars, and the names of bad images."""

import csv
import io
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfseg.errors import RunError
from tfseg.training import callbacks
from tfseg.training.averaging import WeightAverage
from tfseg.training.callbacks import BadSteps, MetricsLog, Progress, Saving, Validation


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(callbacks.time, "perf_counter", lambda: now.seconds)
    return now


def trainer(filenames=(), wait_seconds=0.0):
    """What a callback reads of a trainer."""
    strategy = SimpleNamespace(experimental_local_results=lambda value: [value])
    return SimpleNamespace(distribute_strategy=strategy, filenames=filenames, wait_seconds=wait_seconds)


def metrics_log(workdir, first_step=0, log_every=1, wait_seconds=0.0, is_chief=True):
    log = MetricsLog(workdir, first_step=first_step, log_every=log_every, global_batch_size=4, is_chief=is_chief)
    log.set_model(trainer(wait_seconds=wait_seconds))
    log.on_train_begin()
    return log


def rows_of(workdir):
    with open(workdir / "metrics.csv") as file:
        return list(csv.DictReader(file))


def test_a_row_has_the_losses_the_images_a_second_and_the_share_of_waiting(tmp_path, clock):
    log = metrics_log(tmp_path, log_every=2, wait_seconds=0.5)
    for step in (1, 2):
        clock.seconds += 2
        log.on_step(step, {"loss": 3.0 / step})
    # Two steps of four images in four seconds, a quarter of them waited for data.
    (row,) = rows_of(tmp_path)
    expected = {"step": "2", "loss": "1.5", "images_per_second": "2.0", "data_wait": "0.25"}
    assert row == expected


def test_validation_does_not_count_as_training_time(tmp_path, clock):
    log = metrics_log(tmp_path)
    clock.seconds += 1000
    log.write(0, {"val_miou": 0.5})
    log.restart_clock()
    clock.seconds += 1
    log.on_step(1, {"loss": 1.0})
    assert [(row["val_miou"], row["images_per_second"]) for row in rows_of(tmp_path)] == [("0.5", ""), ("", "4.0")]


def test_a_resumed_run_drops_the_rows_that_it_writes_again(tmp_path, clock):
    clock.seconds += 1
    log = metrics_log(tmp_path)
    for step in range(1, 6):
        clock.seconds += 1
        log.on_step(step, {"loss": float(step)})
    log.write(5, {"val_miou": 0.1})
    resumed = metrics_log(tmp_path, first_step=3)
    for step in (4, 5):
        clock.seconds += 1
        resumed.on_step(step, {"loss": 10.0 * step})
    assert [(row["step"], row["loss"]) for row in rows_of(tmp_path)] == [
        ("1", "1.0"), ("2", "2.0"), ("3", "3.0"), ("4", "40.0"), ("5", "50.0")
    ]  # fmt: skip


def test_a_line_that_a_full_disk_cut_is_dropped(tmp_path, clock):
    (tmp_path / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.4\n3")
    log = metrics_log(tmp_path, first_step=30)
    clock.seconds += 1
    log.on_step(31, {"loss": 0.3})
    assert [row["step"] for row in rows_of(tmp_path)] == ["1", "2", "31"]


def test_a_damaged_log_is_put_aside_and_its_whole_rows_go_on(tmp_path, capsys):
    content = b"step,loss\n1,0.5\n2,0.\xff4\n3,0.3\n"
    (tmp_path / "metrics.csv").write_bytes(content)
    metrics_log(tmp_path, first_step=30).write(31, {"loss": 0.25})
    assert [(row["step"], row["loss"]) for row in rows_of(tmp_path)] == [("1", "0.5"), ("3", "0.3"), ("31", "0.25")]
    assert (tmp_path / "metrics.csv.bad").read_bytes() == content
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"{tmp_path}/metrics.csv: damaged (byte 20 is not UTF-8); it is kept as metrics.csv.bad, and"
    )


def test_a_run_needs_no_tensorboard_files(tmp_path, capsys):
    (tmp_path / "tensorboard").write_text("not a folder")
    log = metrics_log(tmp_path)
    log.write(1, {"loss": 1.0})
    log.write_pictures(1, "canvas", np.zeros([1, 4, 4, 3], np.uint8))
    log.write(2, {"loss": 0.5})
    assert [row["step"] for row in rows_of(tmp_path)] == ["1", "2"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}/tensorboard: cannot be written (")


def test_a_log_on_a_full_disk_names_the_cause(tmp_path):
    log = metrics_log(tmp_path)
    log.write(1, {"loss": 1.0})
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"metrics.csv: cannot be written \(No space left on device: free some space\)"):
        log.write(2, {"loss": 1.0})


def test_of_many_bad_images_five_are_named():
    lines = []
    bad = BadSteps(9, lines.append)
    bad.set_model(trainer(filenames=[SimpleNamespace(numpy=lambda: [b"%d.png" % index for index in range(64)])]))
    bad.on_step(1, {"is_finite": 0.0})
    assert lines[0].endswith("images: ['0.png', '1.png', '2.png', '3.png', '4.png' and 59 more]")


def test_new_columns_are_added_to_the_rows_before(tmp_path):
    log = metrics_log(tmp_path)
    log.write(1, {"loss": 1.0})
    log.write(1, {"val_miou": 0.25})
    log.write(2, {"loss": 0.5})
    assert [(row["loss"], row["val_miou"]) for row in rows_of(tmp_path)] == [("1.0", ""), ("", "0.25"), ("0.5", "")]


def test_of_several_workers_only_the_chief_writes(tmp_path):
    log = metrics_log(tmp_path, is_chief=False)
    log.write(1, {"loss": 1.0})
    log.write_pictures(1, "canvas", np.zeros([1, 4, 4, 3], np.uint8))
    assert list(tmp_path.iterdir()) == []


def progress(stream, clock, first_step=10, total_steps=100, seconds=(), wait_seconds=0.5):
    shown = Progress(first_step, total_steps, 4, stream)
    shown.set_model(trainer(wait_seconds=wait_seconds))
    shown.on_train_begin()
    for step, duration in enumerate(seconds, first_step + 1):
        clock.seconds += duration
        shown.on_step(step, {"loss": 1.2345})
    shown.on_train_end()


def test_off_a_terminal_a_plain_line_comes_every_30_seconds(clock):
    stream = io.StringIO()
    progress(stream, clock, seconds=[2] * 20)
    # 15 steps in 30 seconds, 75 left at half a step a second.
    assert stream.getvalue() == "step 25/100: loss 1.234, 2.0 images/s, data wait 25%, 2.5 min left\n"


def test_the_last_step_always_has_its_line(clock):
    stream = io.StringIO()
    progress(stream, clock, first_step=98, seconds=[1, 1])
    assert stream.getvalue() == "step 100/100: loss 1.234, 4.0 images/s, data wait 50%, 0.0 min left\n"


def test_on_a_terminal_there_is_a_bar(clock):
    stream = io.StringIO()
    stream.isatty = lambda: True
    progress(stream, clock, first_step=98, seconds=[1, 1])
    last = stream.getvalue().rstrip("\n").split("\r")[-1]
    assert "100/100" in last and "loss 1.234, 4.0 images/s, data wait 50%" in last


def test_bad_steps_are_counted_with_their_images_and_a_good_one_between_resets_the_row():
    lines = []
    bad = BadSteps(2, lines.append)
    bad.set_model(trainer([tf.constant([b"a.png", b"caf\xc3\xa9.png"]), tf.constant([b"\xff.png"])]))
    for step, is_finite in enumerate([0.0, 0.0, 1.0, 0.0, 0.0], 1):
        bad.on_step(step, {"is_finite": is_finite})
    assert bad.total == 4 and len(lines) == 4
    assert lines[0].startswith(
        "step 1: loss or gradients not finite, update skipped (1 so far); images: ['a.png', 'café"
    )
    with pytest.raises(RunError, match="step 6: 3 non-finite updates in a row"):
        bad.on_step(6, {"is_finite": 0.0})


def test_bad_steps_are_reported_where_batches_have_no_file_names():
    lines = []
    bad = BadSteps(2, lines.append)
    bad.set_model(trainer())
    bad.on_step(1, {"is_finite": 0.0})
    assert lines[0].endswith("images: []")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_after_the_step_and_ends_the_run(capsys, number, code):
    steps, interruption = [], SimpleNamespace(signal=None)
    saving = Saving(SimpleNamespace(save=lambda: steps.append("saved")), 3, 7, interruption)
    saving.set_model(SimpleNamespace(stop_training=False))
    for step in range(1, 8):
        steps.append(step)
        saving.on_step(step, {})
    assert steps == [1, 2, 3, "saved", 4, 5, 6, "saved", 7, "saved"]
    interruption.signal = number
    with pytest.raises(SystemExit) as ended:
        saving.on_step(8, {})
    assert (ended.value.code, steps[-1]) == (code, "saved")
    assert capsys.readouterr().err == f"{number.name}: saved step 8; the same command goes on from here\n"


def test_the_best_weights_are_kept_and_later_worse_ones_are_not(tmp_path, monkeypatch, capsys):
    saves = []
    monkeypatch.setattr(callbacks, "save_weights", lambda path, network, is_chief: saves.append(path.name))
    scores = iter([0.3, 0.5, 0.4])
    checkpoints = SimpleNamespace(best_miou=tf.Variable(-1.0))

    def evaluate(network):
        return {"miou": (score := next(scores)), "miou_1": score}, []

    log = metrics_log(tmp_path)
    validation = Validation(evaluate, 2, log, checkpoints, tmp_path)
    network = SimpleNamespace(variables=[])
    validation.set_model(SimpleNamespace(network=network, average=WeightAverage(network, 0.0)))
    for step in range(1, 7):
        validation.on_step(step, {})
    assert saves == ["best.npz", "best.npz"]
    assert float(checkpoints.best_miou) == 0.5
    assert [(row["step"], row["val_miou"]) for row in rows_of(tmp_path)] == [("2", "0.3"), ("4", "0.5"), ("6", "0.4")]
    assert "step 4: val mIoU 50.00% (after each iteration: 50.0%)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("patience", "scores", "ends_at"),
    [
        (0, [0.5, 0.4, 0.3, 0.2], None),
        (1, [0.3, 0.5, 0.5, 0.6], 3),  # an equal one is not better
        (2, [0.3, 0.5, 0.4, 0.6, 0.1, 0.2], 6),  # a better one in time begins the count anew
    ],
)
def test_validations_without_a_better_one_end_the_run(tmp_path, monkeypatch, patience, scores, ends_at):
    monkeypatch.setattr(callbacks, "save_weights", lambda path, network, is_chief: None)
    remaining = iter(scores)

    def evaluate(network):
        return {"miou": (score := next(remaining)), "miou_1": score}, []

    log, network = metrics_log(tmp_path), SimpleNamespace(variables=[])
    validation = Validation(evaluate, 1, log, SimpleNamespace(best_miou=tf.Variable(-1.0)), tmp_path, patience)
    model = SimpleNamespace(network=network, average=WeightAverage(network, 0.0), stop_training=False)
    validation.set_model(model)
    ended = []
    for step in range(1, len(scores) + 1):
        validation.on_step(step, {})
        ended += [step] * model.stop_training
    assert ended[:1] == ([ends_at] if ends_at else [])


@pytest.mark.parametrize("is_chief", [True, False])
def test_validations_before_a_restart_count_on_every_worker(tmp_path, monkeypatch, is_chief):
    monkeypatch.setattr(callbacks, "save_weights", lambda path, network, is_chief: None)
    log, network = metrics_log(tmp_path, is_chief=is_chief), SimpleNamespace(variables=[])
    checkpoints = SimpleNamespace(best_miou=tf.Variable(0.5))
    validation = Validation(lambda network: ({"miou": 0.4}, []), 1, log, checkpoints, tmp_path, 3, [0.2, 0.5, 0.3])
    model = SimpleNamespace(network=network, average=WeightAverage(network, 0.0), stop_training=False)
    validation.set_model(model)
    validation.on_step(4, {})
    assert not model.stop_training  # the second since the best one
    validation.on_step(5, {})
    assert model.stop_training
