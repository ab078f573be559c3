"""Trains a segmentation network.

python train.py --model=rnn --iters=6
    The recurrent model on generated street scenes, out of the box.
python train.py --model=rnn --dataset=camvid --data_dir=CamVid --backbone=mobilenet_v2 --workdir=runs/camvid
    On the CamVid folder, which is converted on first use; --dataset=folder takes your own images and masks.
python train.py --config=model_zoo/voc2012/rnn_resnet101.py --config.training.total_steps=60000
    A recipe, with one field changed.

The same command continues a run that was stopped or killed.
"""

from pathlib import Path

from absl import flags

from tfseg.commands import experiment_flags
from tfseg.commands.program import as_typed
from tfseg.errors import InputError

FLAGS = flags.FLAGS
prepare = experiment_flags.with_default_recipe


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("workdir", None, "Run directory; default runs/<dataset>_<model>.")
    flags.DEFINE_enum(
        "strategy", "auto", ["auto", "one_device", "mirrored", "multi_worker", "tpu"], "Devices: see docs/training.md."
    )
    flags.DEFINE_string("tpu", "", "Name or address of the TPU, with --strategy=tpu.")
    flags.DEFINE_boolean("override", False, "Continue a run although its config was another.")
    experiment_flags.define_short_flags()
    flags.adopt_module_key_flags(experiment_flags)


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    from tfseg import visualize
    from tfseg.training.train import RunOptions, train

    config = experiment_flags.experiment_config()
    workdir = FLAGS.workdir or f"runs/{config.data.dataset}_{config.to_dict()['model']['name']}"
    if ".." in Path(workdir).parts:
        raise InputError(f"--workdir={workdir}: '..' in a path; if that is meant, --workdir={Path(workdir).resolve()}")
    train(config, workdir, RunOptions(FLAGS.strategy, FLAGS.tpu, FLAGS.override), draw=visualize.strip)
    print(as_typed(f"done: python evaluate.py --model={workdir}"))
