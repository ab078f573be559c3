"""Puts a trained and evaluated run into the model zoo.

python evaluate.py --model=runs/camvid_rnn --iters=10
python publish.py --model=runs/camvid_rnn --name=camvid_rnn_mobilenet_v2
    Writes model_zoo/camvid_rnn_mobilenet_v2 with config.json (without paths of this machine), weights.npz (float16) and
    its sha256, metrics.json and curve.png from the report, metrics.csv, and README.md, a model card made from them.
"""

from pathlib import Path

from absl import flags

from tfseg.commands import model_flag
from tfseg.errors import InputError
from tfseg.runs import zoo

FLAGS = flags.FLAGS
prepare = model_flag.with_model


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("model", None, "Run directory that train.py wrote.")
    model_flag.define_alias()
    flags.DEFINE_string("report_dir", None, "Its report; default MODEL/report.")
    flags.DEFINE_string("name", None, "Name of the model, e.g. camvid_rnn_mobilenet_v2.")
    flags.DEFINE_string("zoo_dir", None, "Folder of the zoo; default that of the zoo: names.")
    flags.DEFINE_boolean(
        "with_images", False, "Also pictures that show images of the data, if their licence allows it."
    )
    flags.DEFINE_boolean("overwrite", False, "Replace the model of that name.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    for name, value in (("model", FLAGS.model), ("name", FLAGS.name)):
        if not value:
            raise InputError(f"--{name} is missing: python publish.py --model=runs/mine --name=my_model")
    if Path(FLAGS.name).name != FLAGS.name:
        raise InputError(f"--name={FLAGS.name}: a name, not a path; --zoo_dir is the folder it goes to")
    from tfseg.evaluation import report
    from tfseg.evaluation.publish import publish

    folder = Path(FLAGS.zoo_dir) if FLAGS.zoo_dir else zoo.ZOO
    report_dir = FLAGS.report_dir or f"{FLAGS.model}/report"
    print(publish(FLAGS.model, report_dir, folder / FLAGS.name, report.summary, FLAGS.overwrite, FLAGS.with_images))
