"""Callbacks that run between training steps: log, progress, checkpoints, validation, interruption."""

import contextlib
import csv
import io
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from tfseg.errors import RunError, listed
from tfseg.runs import training_log
from tfseg.runs.run_directory import save_weights
from tfseg.system.files import failure, failure_named, write_atomically
from tfseg.system.progress import say

PLAIN_LINE_SECONDS = 30


class StepCallback(keras.callbacks.Callback):
    """A callback whose `on_step` gets the number of the update just made, counted over all restarts."""

    def on_train_batch_end(self, batch, logs=None):
        self.on_step(int(self.model.optimizer.iterations.numpy()), logs)

    def on_step(self, step, logs):
        raise NotImplementedError


class BadSteps(StepCallback):
    """Reports steps whose update was not applied, and ends the run after too many in a row.

    Args:
      max_bad_steps: how many such steps in a row are tolerated.
      log: called with one line of text per bad step.
    """

    def __init__(self, max_bad_steps, log):
        super().__init__()
        self._max, self._log, self._in_a_row, self.total = max_bad_steps, log, 0, 0

    def on_step(self, step, logs):
        if logs["is_finite"]:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        self.total += 1
        local = self.model.distribute_strategy.experimental_local_results
        parts = [part for filenames in self.model.filenames for part in local(filenames)]
        names = [name.decode(errors="replace") for part in parts for name in part.numpy()]
        images = f"images: [{listed(map(repr, names))}]"
        self._log(f"step {step}: loss or gradients not finite, update skipped ({self.total} so far); {images}")
        if self._in_a_row > self._max:
            raise RunError(
                f"step {step}: {self._in_a_row} non-finite updates in a row; the last good checkpoint stands. "
                "Lower --config.training.learning_rate, set clip_norm, or look at the images named above"
            )


class MetricsLog(StepCallback):
    """Writes metrics.csv and TensorBoard scalars.

    metrics.csv has one row per logged step: the step, the loss terms, the learning rate, images per second, and the
    share of time spent waiting for data. Validation adds rows with `val_` columns. A resumed run drops the rows that it
    will write again. If there are several workers, only the chief writes.

    Args:
      workdir: the run directory.
      first_step: step that the run starts or continues from; later rows are dropped.
      log_every: number of steps between two rows.
      global_batch_size: number of images per step, over all replicas.
      is_chief: whether this process writes.
    """

    def __init__(self, workdir, *, first_step, log_every, global_batch_size, is_chief=True):
        super().__init__()
        self._path = Path(workdir) / training_log.FILE_NAME
        self.is_chief = is_chief
        self._writer = tf.summary.create_noop_writer()
        if is_chief:
            with self._tensorboard_optional():
                self._writer = tf.summary.create_file_writer(str(Path(workdir) / "tensorboard"))
        self._log_every, self._batch = log_every, global_batch_size
        self._rows = training_log.recovered_rows(workdir, first_step) if is_chief else []
        self._columns = None
        self._since, self._steps, self._waited = time.perf_counter(), 0, 0.0

    def on_train_begin(self, logs=None):
        self._since = time.perf_counter()

    def on_step(self, step, logs):
        self._steps += 1
        self._waited += self.model.wait_seconds
        if step % self._log_every:
            return
        elapsed = time.perf_counter() - self._since
        rates = {
            "images_per_second": self._steps * self._batch / elapsed,
            "data_wait": self._waited / elapsed,
        }
        self.write(step, {name: float(value) for name, value in logs.items()} | rates)
        self.restart_clock()

    def restart_clock(self):
        """Discards the time since the last row, so that validation does not count as training."""
        self._since, self._steps, self._waited = time.perf_counter(), 0, 0.0

    def write(self, step, values):
        """Adds a row to metrics.csv and its values to TensorBoard."""
        if not self.is_chief:
            return
        self._rows.append({"step": step} | values)
        with self._tensorboard_optional(), self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._append_or_rewrite()

    def write_pictures(self, step, name, pictures):
        """Adds pictures to TensorBoard: uint8 [n, height, width, 3]."""
        with self._tensorboard_optional():
            with self._writer.as_default(step=step):
                tf.summary.image(name, pictures, max_outputs=len(pictures))
            self._writer.flush()

    @contextlib.contextmanager
    def _tensorboard_optional(self):
        """Goes on without TensorBoard's files if they cannot be written: the run does not need them."""
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            say(f"{self._path.parent / 'tensorboard'}: cannot be written ({failure(error)}); going on without it")
            self._writer = tf.summary.create_noop_writer()

    def _append_or_rewrite(self):
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="")
        if columns == self._columns:
            writer.writerow(self._rows[-1])
            with failure_named(self._path), self._path.open("a") as file:
                file.write(text.getvalue())
            return
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self._path, text.getvalue().encode())
        self._columns = columns


class Progress(StepCallback):
    """Shows loss, images per second, data wait and time left: a bar on a terminal, elsewhere a line every 30 s."""

    def __init__(self, first_step, total_steps, global_batch_size, stream=sys.stderr):
        super().__init__()
        self._total, self._batch, self._stream = total_steps, global_batch_size, stream
        self._first, self._started, self._last_line = first_step, None, 0.0
        self._waited = 0.0
        self._bar = None

    def on_train_begin(self, logs=None):
        self._started = self._last_line = time.perf_counter()
        if self._stream.isatty():
            self._bar = tqdm(total=self._total, initial=self._first, unit="step", file=self._stream, dynamic_ncols=True)

    def on_step(self, step, logs):
        now = time.perf_counter()
        self._waited += self.model.wait_seconds
        elapsed = max(now - self._started, 1e-9)
        speed = (step - self._first) / elapsed
        text = f"loss {logs['loss']:.3f}, {speed * self._batch:.1f} images/s, data wait {self._waited / elapsed:.0%}"
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(1)
        elif now - self._last_line >= PLAIN_LINE_SECONDS or step == self._total:
            left = (self._total - step) / speed
            print(f"step {step}/{self._total}: {text}, {left / 60:.1f} min left", file=self._stream, flush=True)
            self._last_line = now

    def on_train_end(self, logs=None):
        if self._bar is not None:
            self._bar.close()


class Saving(StepCallback):
    """Saves a checkpoint every `every` updates and at the end, be it an early one.

    If the run is to stop, it saves after the current step and exits with 128 + the number of the signal.

    Args:
      checkpoints: the Checkpoints.
      every: number of updates between two checkpoints.
      total_steps: number of the last update.
      interruption: the Interruption that says whether the run is to stop.
    """

    def __init__(self, checkpoints, every, total_steps, interruption):
        super().__init__()
        self._checkpoints, self._every, self._total = checkpoints, every, total_steps
        self._interruption = interruption

    def on_step(self, step, logs):
        signal = self._interruption.signal
        if step % self._every == 0 or step == self._total or self.model.stop_training or signal:
            self._checkpoints.save()
        if signal:
            say(f"{signal.name}: saved step {step}; the same command goes on from here")
            raise SystemExit(128 + signal)


class Validation(StepCallback):
    """Evaluates the averaged weights every `every` updates, and saves those with the best mIoU.

    Args:
      evaluate: network -> (scalars, pictures): {name: float} with "miou", and uint8 [n, height, width, 3].
      every: number of updates between two validations.
      metrics_log: the MetricsLog that gets scalars and pictures.
      checkpoints: the Checkpoints, which keep the best mIoU over restarts.
      workdir: the run directory, which gets weights/best.npz.
      patience: number of validations in a row without a better mIoU after which the run ends; 0 is off. Every worker
        counts them for itself, so that all end after the same update.
      mious: mIoUs of the validations before a restart.
    """

    def __init__(self, evaluate, every, metrics_log, checkpoints, workdir, patience=0, mious=()):
        super().__init__()
        self._evaluate, self._every, self._log = evaluate, every, metrics_log
        self._patience, self._mious = patience, list(mious)
        self._checkpoints, self._workdir = checkpoints, Path(workdir)

    def on_step(self, step, logs):
        if step % self._every:
            return
        with self.model.average.applied():
            scalars, pictures = self._evaluate(self.model.network)
            best = float(self._checkpoints.best_miou.numpy())
            if scalars["miou"] > best:
                self._checkpoints.best_miou.assign(scalars["miou"])
                save_weights(self._workdir / "weights" / "best.npz", self.model.network, self._log.is_chief)
        self._log.write(step, {f"val_{name}": value for name, value in scalars.items()})
        if len(pictures):
            self._log.write_pictures(step, "image, label, canvas after each iteration", np.asarray(pictures))
        iterations = ", ".join(f"{value:.1%}" for name, value in scalars.items() if name.startswith("miou_"))
        say(f"step {step}: val mIoU {scalars['miou']:.2%} (after each iteration: {iterations})")
        self._log.restart_clock()
        self._mious.append(scalars["miou"])
        if self._patience and training_log.since_best(self._mious) >= self._patience:
            self.model.stop_training = True
