"""Puts a trained and evaluated run into the model zoo.

python evaluate.py --model=runs/camvid_rnn --iters=10
python publish.py --model=runs/camvid_rnn --name=camvid_rnn_mobilenet_v2
    Writes model_zoo/camvid_rnn_mobilenet_v2 with config.json (without paths of this machine), weights.npz (float16) and
    its sha256, metrics.json and curve.png from the report, metrics.csv, and README.md, a model card made from them.
"""

from pathlib import Path

from absl import flags

from tfseg.commands import entry, model_flag
from tfseg.errors import InputError

MODEL = flags.DEFINE_string("model", None, "Run directory that train.py wrote.")
model_flag.define_alias()
REPORT_DIR = flags.DEFINE_string("report_dir", None, "Its report; default MODEL/report.")
NAME = flags.DEFINE_string("name", None, "Name of the model, e.g. camvid_rnn_mobilenet_v2.")
ZOO_DIR = flags.DEFINE_string("zoo_dir", None, "Folder of the zoo; default model_zoo beside this command.")
WITH_IMAGES = flags.DEFINE_boolean(
    "with_images", False, "Also pictures that show images of the data, if their licence allows it."
)
OVERWRITE = flags.DEFINE_boolean("overwrite", False, "Replace the model of that name.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    for name, value in (("model", MODEL.value), ("name", NAME.value)):
        if not value:
            raise InputError(f"--{name} is missing: python publish.py --model=runs/mine --name=my_model")
    if Path(NAME.value).name != NAME.value:
        raise InputError(f"--name={NAME.value}: a name, not a path; --zoo_dir is the folder it goes to")
    from tfseg.evaluation import report
    from tfseg.evaluation.publish import publish

    zoo = Path(ZOO_DIR.value) if ZOO_DIR.value else Path(__file__).resolve().parent / "model_zoo"
    report_dir = REPORT_DIR.value or f"{MODEL.value}/report"
    print(publish(MODEL.value, report_dir, zoo / NAME.value, report.summary, OVERWRITE.value, WITH_IMAGES.value))


if __name__ == "__main__":
    entry.run(main, model_flag.with_model)
