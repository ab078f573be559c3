"""Scores single classes of a model on a data set whose classes differ from the model's."""

from tfseg.errors import InputError, listed
from tfseg.evaluation import semantic
from tfseg.evaluation.scored_images import REMARK, WHOLE, open_scored_split
from tfseg.evaluation.tables import percent
from tfseg.markdown import table
from tfseg.runs.deeplab_file import load_model
from tfseg.system.progress import say


def evaluate_matches(path, dataset, options, names) -> str:
    """Scores single classes of a model on a data set whose classes differ from the model's.

    Args:
      path: run directory, model zoo folder or weights file, see `load_model`.
      dataset: name of the data set; its split is `options.split`, or that of `open_scored_split`.
      options: a ReportOptions; no report is written.
      names: pairs (class name of the model, class name of the data set) that mean the same.
    Returns:
      A Markdown table with IoU, recall and precision of each pair. How many images were scored is said on stderr.
    Raises:
      InputError: there is no such model, data set or class.
    """
    config, info, network = load_model(path, options.weights, options.output_stride)
    own_dir = config.data.data_dir if config and config.data.dataset == dataset else None
    split = open_scored_split(dataset, options.data_dir, own_dir, options.split, "val", None)
    pairs = [(_class_id(info, ours), _class_id(split.info, theirs)) for ours, theirs in names]
    with split.damage_named():
        scores = semantic.evaluate_matches(
            network,
            split.examples(),
            pairs,
            iterations=options.iterations_of(network),
            views=options.views,
            fusion=options.fusion,
            num_examples=split.num_examples,
        )
    rows = [
        [*pair, *(percent(score[key]) for key in ("iou", "recall", "precision"))]
        for pair, score in zip(names, scores, strict=True)
    ]
    say(f"{split.num_examples} of {split.num_examples_in_all} images scored: {dataset} {split.name}")
    if split.name == WHOLE:
        say(REMARK)
    return table(["class", f"class of {dataset} {split.name}", "IoU", "recall", "precision"], rows)


def _class_id(info, name):
    if name not in info.class_names:
        raise InputError(f"--match: {info.name} has no class {name!r}; it has {listed(info.class_names)}")
    return info.class_names.index(name)
