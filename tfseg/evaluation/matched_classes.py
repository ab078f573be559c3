"""Scores single classes of a model on a data set whose classes differ from the model's."""

from tfseg.data.opening import open_split
from tfseg.errors import InputError, listed
from tfseg.evaluation import semantic
from tfseg.evaluation.tables import percent
from tfseg.markdown import table
from tfseg.runs.deeplab_file import load_model


def evaluate_matches(path, dataset, options, names) -> str:
    """Scores single classes of a model on a data set whose classes differ from the model's.

    Args:
      path: run directory, model zoo folder or weights file, see `load_model`.
      dataset: name of the data set; its split is `options.split`, or "val".
      options: a ReportOptions; no report is written.
      names: pairs (class name of the model, class name of the data set) that mean the same.
    Returns:
      A Markdown table with IoU, recall and precision of each pair.
    Raises:
      InputError: there is no such model, data set or class.
    """
    _, info, network = load_model(path, options.weights, options.output_stride)
    split = open_split(dataset, options.data_dir, options.split or "val")
    pairs = [(_class_id(info, ours), _class_id(split.info, theirs)) for ours, theirs in names]
    with split.damage_named():
        scores = semantic.evaluate_matches(
            network,
            split.examples(),
            pairs,
            iterations=options.iterations_of(network),
            views=options.views,
            num_examples=split.num_examples,
        )
    rows = [
        [*pair, *(percent(score[key]) for key in ("iou", "recall", "precision"))]
        for pair, score in zip(names, scores, strict=True)
    ]
    return table(["class", f"class of {dataset} {split.name}", "IoU", "recall", "precision"], rows)


def _class_id(info, name):
    if name not in info.class_names:
        raise InputError(f"--match: {info.name} has no class {name!r}; it has {listed(info.class_names)}")
    return info.class_names.index(name)
