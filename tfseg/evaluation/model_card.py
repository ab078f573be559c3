"""Writes the model card, a Markdown page. All its figures come from the report and the training log."""

from tfseg.data.datasets.table import DATASETS
from tfseg.evaluation.protocol import views_flags, views_lines

CAPTIONS = {
    "curve.png": "mIoU against cost",
    "panoptic.png": "Images, predicted instances, labels",
    "strip.png": "Images, predicted classes, labels",
}


def model_card(name, config, info, metrics, facts, tables, pictures) -> str:
    """The text of a model's README.md.

    Args:
      name: name of the model's folder in the zoo.
      config: ExperimentConfig, without paths.
      info: DatasetInfo of the training data.
      metrics: content of the report's metrics.json.
      facts: "steps", "images" and "hours" (or None) of the training; "parameters" and "weights_sha256" of the
        published weights.
      tables: Markdown tables of the scores.
      pictures: file names of the pictures that lie beside the page.
    """
    protocol = metrics["protocol"]
    entry = metrics["iterations"][metrics["trained_iterations"] - 1]
    lines = [
        f"# {name}",
        "",
        *_head(config, info, metrics, entry),
        "",
        *(f"![{CAPTIONS[picture]}]({picture})\n" for picture in pictures),
        "",
        "## Use",
        "",
        *_commands(name, protocol),
        "",
        "## Results",
        "",
        *_protocol_lines(protocol),
        "",
        tables,
        *(f"- {line}" for line in metrics["remarks"]),
        "",
        "## Cost",
        "",
        *_cost(entry, protocol, facts),
        "",
        "## Training",
        "",
        *_training(config, facts),
        "",
        "## Intended use and limits",
        "",
        *_limits(info, protocol),
        "",
        "## Files",
        "",
        f"- `weights.npz`, float16, sha256 `{facts['weights_sha256']}`. The figures above were measured with the same "
        f"weights in float32 (sha256 `{protocol['weights_sha256']}`).",
        "- `config.json`: the whole experiment. `metrics.json`: the figures of the report. `metrics.csv`: the log of "
        "the training.",
    ]
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text + "\n"


def _head(config, info, metrics, entry):
    name, backbone, protocol = config.to_dict()["model"]["name"], config.model.backbone, metrics["protocol"]
    below = f" on `{backbone.name}` (output stride {backbone.output_stride})" if backbone else ""
    return [
        f"Model `{name}`{below}, for the {info.num_classes} classes of {info.name}: {', '.join(info.class_names)}.",
        "",
        f"**mIoU {100 * entry['miou']:.1f} %** after {_iterations(entry)}, on {_where(protocol)}.",
        *_panoptic(metrics.get("panoptic")),
    ]


def _panoptic(scores):
    if scores is None:
        return []
    found, one, parts = (100 * scores[key]["all"]["pq"] for key in ("quality", "one_segment", "components"))
    return [
        "",
        f"**Panoptic quality (PQ) {found:.1f} %.** Without its instance maps, its classes alone would score {one:.1f} "
        f"with one segment for each class, and {parts:.1f} with one for each connected component.",
    ]


def _commands(name, protocol):
    dataset = DATASETS.get(protocol["dataset"])
    data = "" if dataset and dataset.is_generated else " --data_dir=DIR"
    images = f"{data} --split={protocol['split']}{views_flags(protocol)}"
    evaluate = f"python evaluate.py --model=model_zoo/{name}{images} --report_dir=report"
    return [
        "```",
        f"python segment.py --model=model_zoo/{name} photo.jpg",
        evaluate,
        f"python train.py --config=RECIPE --init_from=model_zoo/{name} --workdir=runs/mine",
        "```",
    ]


def _protocol_lines(protocol):
    sizes, commit = protocol["image_sizes"], protocol["commit"] or "unknown"
    sizes = ", ".join(sizes) if isinstance(sizes, list) else sizes
    differs = " (+: files differed from that commit)" if commit.endswith("+") else ""
    return [
        f"- Data: {_where(protocol)}, {protocol['num_images']} images ({sizes}); sha256 of their names "
        f"`{protocol['filenames_sha256']}`",
        *(f"- {line}" for line in views_lines(protocol)),
        f"- Prediction: {protocol['prediction']}",
        f"- Label {protocol['ignored_label']} is ignored; means are {protocol['mean']}",
        *_instance_line(protocol),
        f"- Evaluated with TensorFlow {protocol['tensorflow']} at commit `{commit}`{differs}",
    ]


def _instance_line(protocol):
    sizes = protocol.get("instance_sizes")
    if sizes is None:
        return []
    source = "averages are those the data set fixes" if isinstance(sizes, dict) else sizes
    return [f"- iIoU: a pixel of an instance weighs average size of its class / size of the instance ({source})"]


def _cost(entry, protocol, facts):
    return [
        f"An image of {_size(protocol['cost_size'])} costs {entry['gmacs']:.3f} GMACs after {_iterations(entry)} (10^9 "
        f"multiply-accumulates, as executed, over all views), that is {entry['gflops']:.3f} GFLOPs (2 per "
        f"multiply-accumulate), and {entry['milliseconds']:.1f} ms on {protocol['device']}. The model has "
        f"{facts['parameters']:,} weights, the statistics of batch normalisation among them."
    ]


def _training(config, facts):
    data, training = config.data, config.training
    start = [f"`{path}`" for path in (training.init_backbone_from, training.init_from) if path]
    hours = "" if facts["hours"] is None else f", {facts['hours']:.2f} hours on the machine of the run"
    return [
        f"- Data: split {data.train_split} of {data.dataset}, crops of {_size(data.crop_size)}",
        f"- {facts['steps']:,} updates of {training.global_batch_size} images, {facts['images']:,} images seen{hours}",
        f"- Start: {' and '.join(start) or 'random weights'}",
        f"- {training.optimizer}, learning rate {training.learning_rate:g}, weight decay {training.weight_decay:g}, "
        f"moving average of weights {training.average_decay:g}, class weights {training.class_weights}, seed "
        f"{training.seed}",
    ]


def _limits(info, protocol):
    terms = f"- For research and education. The terms of its training data apply: {info.url}"
    return [
        *([terms] if info.url else []),
        f"- The scores are those of one training on {_where(protocol)}. Other images, cameras and places give others: "
        "measure them there.",
        "- Every pixel gets one of the classes above, whatever it shows.",
        "- Not made for decisions that somebody's safety depends on.",
    ]


def _where(protocol):
    return f"{protocol['dataset']} {protocol['split']}"


def _iterations(entry):
    return f"{entry['iteration']} iteration{'' if entry['iteration'] == 1 else 's'}"


def _size(size):
    return f"{size[0]}x{size[1]}"
