"""Scores panoptic predictions: panoptic quality (PQ = SQ * RQ) and parsing covering (PC).

python -m tfseg.commands.panoptic_scores --gt=panoptic_val2017.json --pred=predictions.json
    Labels and predictions of any data set in COCO's panoptic format. Each is a JSON file, or a folder with one JSON
    file. The PNGs are in the folder that has the JSON file's name without .json, or beside the file.
python -m tfseg.commands.panoptic_scores --gt=labels --pred=predictions --output=scores.json --num_workers=4
"""

import json
import os
from pathlib import Path

from absl import flags

from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.markdown import table
from tfseg.system.files import write_atomically
from tfseg.system.progress import say

GROUPS = ("all", "things", "stuff")
REMARK = (
    "Each mean is over classes: mean PQ is not mean SQ * mean RQ. PC normalized: every image weighs the same. "
    "A dash: the class is not counted."
)


def define_flags():
    """Defines the flags of this program. It is a function so that other programs can import this module."""
    flags.DEFINE_string("gt", None, "The labels: a JSON file in COCO's panoptic format, or a folder that has one.")
    flags.DEFINE_string(
        "pred", None, "The predictions, likewise. Categories in their file, if any, must be those of the labels."
    )
    flags.DEFINE_string("output", None, "JSON file for all scores and counts at full precision.")
    flags.DEFINE_integer("num_workers", None, "Processes; default one per core.", lower_bound=1)
    flags.DEFINE_boolean(
        "panopticapi_compat",
        False,
        "Of several crowds of a class in one image only the last excuses false positives, as in panopticapi.",
    )


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    given = flags.FLAGS
    for name in ("gt", "pred"):
        if not given[name].value:
            raise InputError(f"--{name} is missing: a JSON file in COCO's panoptic format, or a folder that has one")
    from tfseg.formats.coco_panoptic.annotations import read_annotations
    from tfseg.metrics.panoptic_folders import check_images, score_folders

    labels = read_annotations(given.gt)
    predictions = read_annotations(given.pred, labels)
    if given.output:
        check_output(given.output, {"gt": labels.path, "pred": predictions.path})
    check_images(labels, predictions)
    num_others = len(predictions.images.keys() - labels.images.keys())
    if num_others:
        say(
            f"{num_others} predictions are not scored: {labels.path} does not have their images; add their labels to "
            "have them counted"
        )
    scores = score_folders(labels, predictions, given.num_workers, given.panopticapi_compat)
    print(summary(scores))
    if given.output:
        paths = {"label": labels.path, "prediction": predictions.path}
        write_atomically(given.output, (json.dumps(paths | scores, indent=1) + "\n").encode())


def check_output(path: str, inputs: dict[str, str]):
    """Raises InputError unless scores can be written to `path` without overwriting an input.

    Args:
      path: the value of `--output`.
      inputs: {flag: path of the file that it names}.
    """
    if os.path.isdir(path):
        raise InputError(f"--output={path}: a folder; name a file in it, e.g. {os.path.join(path, 'scores.json')}")
    for flag, other in inputs.items():
        if os.path.exists(path) and os.path.samefile(path, other):
            raise InputError(f"--output={path}: the file of --{flag}, which scores would overwrite; name another file")
    place = next(parent for parent in Path(path).absolute().parents if os.path.lexists(parent))
    if not os.path.isdir(place):
        raise InputError(f"--output={path}: {place} is no folder; name a file in a folder")


def summary(scores: dict) -> str:
    """Markdown tables of percentages: means over all classes, over things and over stuff, and scores of every class.

    Args:
      scores: the result of `score_folders`.
    """
    quality, covering = scores["panoptic_quality"], scores["parsing_covering"]
    means = []
    for group in GROUPS:
        of_quality, of_covering = quality[group], covering[group]
        row = [group.capitalize(), *_percents(of_quality, "pq", "sq", "rq"), str(of_quality["num_classes"])]
        means.append([*row, *_percents(of_covering, "pc", "pc_normalized"), str(of_covering["num_classes"])])
    classes = []
    for name, scored in quality["classes"].items():
        counts = [str(scored[key]) for key in ("true_positives", "false_positives", "false_negatives")]
        percents = _percents(scored, "pq", "sq", "rq") + _percents(covering["classes"][name], "pc", "pc_normalized")
        classes.append([name, *percents, *counts])
    tables = [
        table(["mean, %", "PQ", "SQ", "RQ", "classes", "PC", "PC normalized", "classes"], means),
        table(["class, %", "PQ", "SQ", "RQ", "PC", "PC normalized", "TP", "FP", "FN"], classes),
    ]
    return "\n\n".join([f"{scores['num_images']} images", *tables, REMARK])


def _percents(scores, *keys):
    return ["-" if scores[key] is None else f"{100 * scores[key]:.2f}" for key in keys]


if __name__ == "__main__":
    define_flags()
    entry.run(main)
