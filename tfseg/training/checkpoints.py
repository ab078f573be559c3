"""Checkpoints from which a killed run continues."""

import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

from tfseg.errors import InputError, RunError

KEPT_CHECKPOINTS = 3


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
        self._aside = None if is_chief else tempfile.mkdtemp(prefix="worker-checkpoints-")
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, self._aside or str(self._folder), max_to_keep=KEPT_CHECKPOINTS, checkpoint_name="step"
        )

    def save(self):
        """Writes the checkpoint of this step. Raises RunError if it cannot be written; older checkpoints stay."""
        step = int(self._optimizer.iterations.numpy())
        try:
            self._manager.save(checkpoint_number=step)
        except (tf.errors.OpError, OSError) as error:
            self._remove_partial(step)
            raise RunError(
                f"{self._folder}: the checkpoint of step {step} cannot be written "
                f"({str(error).splitlines()[0][:120]}); free some space and start again: older checkpoints are whole"
            ) from None

    def restore(self, warn=print) -> int:
        """Restores the newest whole checkpoint and returns its step; returns 0 if there are no checkpoints.

        `warn` is called with one line for each checkpoint that cannot be read. Raises InputError if none of them can.
        """
        found = sorted(self._steps_on_disk(), reverse=True)
        for step in found:
            path = str(self._folder / f"step-{step}")
            try:
                self._restore(path, warn)
                return int(self._optimizer.iterations.numpy())
            except (tf.errors.OpError, AssertionError, ValueError, IndexError, OSError) as error:
                reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
                warn(f"{path}: not whole or of another model, trying the one before ({reason})")
        if found:
            raise InputError(
                f"{self._folder}: none of {len(found)} checkpoints can be read; delete the folder to start anew"
            )
        return 0

    def _restore(self, path, warn):
        if any(key.startswith("average/") for key in tf.train.load_checkpoint(path).get_variable_to_shape_map()):
            self._checkpoint.restore(path).assert_existing_objects_matched()
            return
        tf.train.Checkpoint(**self._parts).restore(path).assert_existing_objects_matched()
        self._average.restart()
        if self._average.values:
            warn(f"{path}: made by an earlier version; the moving average of weights starts anew from its weights")

    def _steps_on_disk(self):
        names = {path.name.split(".")[0] for path in self._folder.glob("step-*") if not path.name.endswith(".tmp")}
        return {int(name.split("-")[1]) for name in names if name.split("-")[1].isdigit()}

    def _remove_partial(self, step):
        folder = Path(self._aside) if self._aside else self._folder
        for path in folder.glob(f"step-{step}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def close(self):
        if self._aside:
            shutil.rmtree(self._aside, ignore_errors=True)
