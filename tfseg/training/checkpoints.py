"""Checkpoints from which a killed run continues."""

import collections
import glob
import re
import shutil
import time
from pathlib import Path

import tensorflow as tf

from tfseg.errors import InputError, RunError, shortened
from tfseg.system.files import failure, open_regular
from tfseg.system.temporary import TemporaryFolder

KEPT_CHECKPOINTS = 3
NAME = "step"
# The names that TensorFlow gives to the files of a checkpoint, and to those that it has not finished.
PARTS = rf"{NAME}-(\d+)\.(index|data-\d{{5}}-of-\d{{5}})"
UNFINISHED = rf"{NAME}-\d+(_temp|\.tmp|\.\w+\.tmp\w*|\..*tempstate\w*)|checkpoint\.tmp\w*"


class Checkpoints:
    """Checkpoints of weights, their average, optimizer, step and best mIoU, from which a run resumes; three are kept.

    Args:
      workdir: the run directory.
      trainer: a compiled `Trainer` whose network has its variables.
      is_chief: whether this process keeps the files; other workers write to a temporary folder, which `close` removes.
    """

    def __init__(self, workdir, trainer, is_chief=True):
        self._folder = Path(workdir) / "checkpoints"
        self.best_miou = tf.Variable(-1.0, trainable=False, name="best_miou")
        trainer.optimizer.build(trainer.network.trainable_variables)
        self._parts = {"network": trainer.network, "optimizer": trainer.optimizer, "best_miou": self.best_miou}
        self._average = trainer.average
        self._checkpoint = tf.train.Checkpoint(**self._parts, average=self._average)
        self._optimizer = trainer.optimizer
        self._is_chief = is_chief
        self._aside = None if is_chief else TemporaryFolder()
        self._written_to = self._folder if is_chief else self._aside.path
        self._manager = None
        self._read_from = self._folder
        if glob.escape(str(self._folder)) != str(self._folder):
            # TensorFlow takes a name with [ for a pattern, and would find no files.
            self._links = TemporaryFolder()
            self._read_from = self._links.path / "checkpoints"
            self._read_from.symlink_to(self._folder.absolute())

    def save(self):
        """Writes the checkpoint of this step. Raises RunError if it cannot be written; older checkpoints stay."""
        step = int(self._optimizer.iterations.numpy())
        try:
            self._manager = self._manager or self._managed([])
            self._manager.save(checkpoint_number=step)
            if self._is_chief:
                self._remove_all_but({int(path.rpartition("-")[2]) for path in self._manager.checkpoints})
        except (tf.errors.OpError, OSError) as error:
            self._remove_partial(step)
            raise RunError(
                f"{self._folder}: the checkpoint of step {step} cannot be written ({failure(error)}); "
                "then start again: older checkpoints are whole"
            ) from None

    def restore(self, warn=print) -> int:
        """Restores the newest whole checkpoint and returns its step; returns 0 if there are no checkpoints.

        What killed processes left behind is removed: unfinished files, and checkpoints beyond the newest three. Only
        the checkpoints themselves count, not TensorFlow's own list of them (the file `checkpoint`), which is rewritten.

        Args:
          warn: called with one line for each checkpoint that cannot be read.
        Raises:
          InputError: there are checkpoints, and none of them can be read.
          RunError: the folder cannot be written.
        """
        found = sorted(self._files_by_step(), reverse=True)
        for index, step in enumerate(found):
            try:
                self._read(step, warn)
            except Exception as error:  # a damaged file can make the reader fail in any way, e.g. with a MemoryError
                reason = shortened(error, 120) or type(error).__name__
                warn(f"{self._path(step)}: not whole or of another model, trying the one before ({reason})")
                continue
            # The first in this list is removed first: one that cannot be read before any other.
            self._tidy([*found[:index], *reversed(found[index:])][-KEPT_CHECKPOINTS:])
            return int(self._optimizer.iterations.numpy())
        if found:
            raise InputError(
                f"{self._folder}: none of {len(found)} checkpoints can be read; delete the folder to start anew"
            )
        self._tidy([])
        return 0

    def _read(self, step, warn):
        for file in self._files_by_step()[step]:
            open_regular(self._folder / file).close()
        path = f"{self._read_from}/{NAME}-{step}"
        if any(key.startswith("average/") for key in tf.train.load_checkpoint(path).get_variable_to_shape_map()):
            self._checkpoint.restore(path).assert_existing_objects_matched()
            return
        tf.train.Checkpoint(**self._parts).restore(path).assert_existing_objects_matched()
        self._average.restart()
        if self._average.values:
            made = f"{self._path(step)}: made by an earlier version"
            warn(f"{made}; the moving average of weights starts anew from its weights")

    def _tidy(self, kept):
        """Removes all but the checkpoints of the steps `kept`, and gives those to the manager in this order."""
        if not self._is_chief or not self._folder.is_dir():
            return
        try:
            self._remove_all_but(set(kept))
            self._manager = self._managed(kept)
        except (tf.errors.OpError, OSError) as error:
            raise RunError(f"{self._folder}: cannot be written ({failure(error)})") from None

    def _managed(self, kept):
        """Returns the manager of the checkpoints of the steps `kept`, which it learns from TensorFlow's list alone."""
        folder = str(self._written_to)
        state = self._written_to / "checkpoint"
        if state.is_dir():
            shutil.rmtree(state)
        state.unlink(missing_ok=True)
        if kept:
            paths = [self._path(step) for step in kept]
            tf.__internal__.train.update_checkpoint_state(
                folder,
                paths[-1],
                all_model_checkpoint_paths=paths,
                save_relative_paths=True,
                all_model_checkpoint_timestamps=[time.time()] * len(paths),
                last_preserved_timestamp=0.0,
            )
        return tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=KEPT_CHECKPOINTS, checkpoint_name=NAME)

    def _path(self, step):
        return str(self._folder / f"{NAME}-{step}")

    def _files_by_step(self):
        """Returns {step: names of the files of its checkpoint}."""
        files = collections.defaultdict(list)
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if (step := _step_of(path.name)) is not None:
                    files[step].append(path.name)
        return files

    def _remove_all_but(self, kept):
        """Removes unfinished files, and the checkpoints of steps that are not in `kept`."""
        for path in list(self._folder.iterdir()):
            step = _step_of(path.name)
            if re.fullmatch(UNFINISHED, path.name) or not (step is None or step in kept):
                _remove(path)

    def _remove_partial(self, step):
        for path in self._written_to.glob(f"{NAME}-{step}*") if self._written_to.is_dir() else ():
            if _step_of(path.name) == step or re.fullmatch(UNFINISHED, path.name):
                _remove(path)

    def close(self):
        if self._aside:
            self._aside.remove()


def _step_of(name):
    """Returns the step of a checkpoint's file; None for any other name."""
    match = re.fullmatch(PARTS, name)
    return int(match[1]) if match else None


def _remove(path):
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
