"""Trains a toy model as a process of its own: `toy_run.py RECORDS WORKDIR [JSON]`; JSON may hold

"training", "data", "model": fields that differ; "options": RunOptions; "hold": [FILE, STEP]: once the step is logged
the run stands still as long as there is the file.
Run by the tests that kill it or need several workers.
"""

import json
import os
import sys
import time

sys.path.insert(0, ".")

import tfseg  # noqa: F401  (quiets TensorFlow)
from tests.tiny_backbone import tiny
from tfseg.commands import entry
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.fcn import FCNConfig
from tfseg.training import callbacks
from tfseg.training.train import RunOptions, train


def toy_config(records, values):
    """A small network on the toy records."""
    training = {"total_steps": 8, "global_batch_size": 4, "validate_every": 0, "checkpoint_every": 2, "log_every": 1}
    training |= {"optimizer": "adamw", "learning_rate": 1e-3, "average_decay": 0.9}
    data = {"dataset": "folder", "data_dir": str(records), "crop_size": (32, 32), "color_jitter": 0.2}
    return ExperimentConfig(
        FCNConfig(**{"backbone": tiny(), "widths": (8,)} | values.get("model", {})),
        DataConfig(**data | values.get("data", {})),
        TrainingConfig(**training | values.get("training", {})),
    )


def hold(path, last_step):
    """Lets steps from `last_step` on wait for the end of a file, or of the test that started this process."""
    log, parent = callbacks.MetricsLog.on_step, os.getppid()

    def on_step(self, step, logs):
        log(self, step, logs)
        while step >= last_step and os.path.exists(path) and os.getppid() == parent:
            time.sleep(0.02)

    callbacks.MetricsLog.on_step = on_step


def main(argv):
    _, records, workdir, *rest = argv
    values = json.loads(rest[0]) if rest else {}
    if "hold" in values:
        hold(*values["hold"])
    train(toy_config(records, values), workdir, RunOptions(**values.get("options", {})))


if __name__ == "__main__":
    entry.run(main)
