"""Writes the report of a trained model: scores, cost and pictures on one split, and how they were measured."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

from tfseg import visualize
from tfseg.errors import InputError
from tfseg.evaluation import charts, semantic
from tfseg.evaluation.curve_file import CURVE_COLUMNS, read_curve
from tfseg.evaluation.panoptic import evaluate_panoptic, panoptic_label
from tfseg.evaluation.protocol import cost_size, instance_protocol, protocol, views_lines
from tfseg.evaluation.report_options import ReportOptions
from tfseg.evaluation.scored_images import REMARK, WHOLE, open_scored_split, scored
from tfseg.evaluation.tables import comparison, comparison_csv, summary
from tfseg.formats.images import encode_png
from tfseg.inference.panoptic import PanopticInference
from tfseg.inference.runner import inference_of
from tfseg.inference.views import View
from tfseg.runs.run_directory import load_run
from tfseg.system.files import write_atomically
from tfseg.system.small_files import sealed

STRIP_ROWS, STRIP_ITERATIONS = 4, 6


def evaluate_run(workdir, options: ReportOptions, count_gmacs) -> dict:
    """Evaluates a trained model and writes its report.

    The report folder gets metrics.json, report.md, curve.csv, curve.png, confusion.png and strip.png; for a panoptic
    model also panoptic.png; and if other models are evaluated with it, comparison.csv and comparison.md. Each file
    appears only when it is whole.

    Example:
      metrics = evaluate_run("runs/scenes_rnn", ReportOptions(iterations=6), flops.executed_gmacs)
      metrics["iterations"][-1]["miou"]

    Args:
      workdir: run directory or model zoo folder.
      options: a ReportOptions.
      count_gmacs: (network, size, iterations) -> executed 10^9 multiply-adds after 1, 2, ..., `iterations` iterations,
        e.g. `tfseg.profiling.flops.executed_gmacs`.
    Returns:
      The content of metrics.json.
    Raises:
      InputError: there is no such run, split or data; the data are damaged, or their labels have other classes.
    """
    config, info, network = load_run(workdir, options.weights, options.output_stride)
    name = _name(workdir, options.output_stride)
    curves, others = _others(options, info, name)
    data = config.data
    split = open_scored_split(
        data.dataset, options.data_dir, data.data_dir, options.split, data.validation_split, info, data.fold
    )
    if network.is_panoptic and (options.scales or options.long_side or options.window or options.fusion != "logits"):
        raise InputError(f"{workdir} tells instances apart: omit --scales, --long_side, --window and --fuse")
    if options.panoptic_output and not network.is_panoptic:
        raise InputError(f"--panoptic_output is for panoptic models; {workdir} only tells classes apart")
    networks = {name: network} | others
    with split.damage_named():
        results = _results(networks, split, options)
        panoptic = _panoptic_result(network, split, options)
        pictures = _pictures_of_images(network, split, options, info)
    entries = _with_costs(networks, results, options, count_gmacs)
    measured = {key: _points(values) for key, values in entries.items()}
    metrics = {
        "protocol": protocol(workdir, config, network.padding, split.name, options, results[name])
        | instance_protocol(split.info, results[name]),
        "trained_iterations": network.default_iterations,
        "best_iteration": semantic.best_entry(results[name])["iteration"],
        "remarks": _remarks(split, config, results[name]),
        "num_images": results[name]["num_images"],
        "num_images_in_all": split.num_examples_in_all,
        "iterations": entries[name],
        **({"panoptic": panoptic} if panoptic else {}),
        **({"comparison": measured} if others else {}),
    }
    pictures["curve"] = charts.curve(measured | curves)
    pictures["confusion"] = charts.confusion(metrics["iterations"][-1]["confusion"], info)
    folder = Path(options.report_dir or Path(workdir) / "report")
    _write_comparison(folder, metrics.get("comparison"))
    _write(folder, metrics, pictures)
    return metrics


def _results(networks, split, options):
    """Scores every network on the split; returns {name: result of `semantic.evaluate`}."""
    # Take the facts from the records: those stored with the model may predate the categories.
    facts = split.info
    return {
        name: semantic.evaluate(
            network,
            _examples(split),
            facts,
            options.iterations_of(network),
            num_examples=split.num_examples,
            views=options.views,
            fusion=options.fusion,
        )
        for name, network in networks.items()
    }


def _panoptic_result(network, split, options):
    """Returns the scores of a panoptic network; None for another one."""
    if not network.is_panoptic:
        return None
    return evaluate_panoptic(
        network,
        _examples(split),
        split.info,
        num_examples=split.num_examples,
        size=options.size,
        output_dir=options.panoptic_output,
    )


def _pictures_of_images(network, split, options, info):
    """Draws images of the split with what the network makes of them; returns {name: picture}."""
    iterations = min(options.iterations_of(network), STRIP_ITERATIONS)
    pictures = {"strip": _strip(network, _examples(split), split.num_examples, iterations, info)}
    if network.is_panoptic:
        strip = _panoptic_strip(network, _examples(split), split.num_examples, split.info, options.size)
        pictures["panoptic"] = strip
    return pictures


def _examples(split):
    return split.examples(with_instances=bool(split.info.thing_ids))


def _remarks(split, config, result):
    if split.name == WHOLE:  # none of these images was trained on
        return [REMARK, *semantic.remarks(result)]
    train = split.manifest.splits.get(config.data.train_split)
    return semantic.remarks(result, train.label_histogram if train else None)


def _write_comparison(folder, measured):
    """Writes comparison.csv and comparison.md; if nothing is compared, removes those of an earlier evaluation."""
    if measured:
        write_atomically(folder / "comparison.csv", comparison_csv(measured).encode())
        write_atomically(folder / "comparison.md", comparison(measured).encode())
    else:
        for file in ("comparison.csv", "comparison.md"):
            (folder / file).unlink(missing_ok=True)


def _others(options, info, name):
    """Returns ({name: points of a report}, {name: network}) for what is to be compared with the model `name`."""
    curves, networks = {}, {}
    for given in options.compare:
        folder, stride = re.fullmatch(r"(.+?)(?:@(\d+))?", given).groups()
        if not (Path(folder) / "config.json").exists():
            if stride:
                raise InputError(f"--compare={given}: {folder} is no run (no config.json) to evaluate at a stride")
            curves[_name(folder)] = read_curve(folder)
            continue
        _, other, network = load_run(folder, options.weights, int(stride) if stride else None)
        if other.label_hash() != info.label_hash():
            raise InputError(f"--compare={given}: its classes are not those of {name}")
        networks[_name(folder, stride)] = network
    if name in networks | curves or len(networks | curves) < len(options.compare):
        raise InputError("--compare: two models have one name; their folders' names have to differ")
    return curves, networks


def _name(folder, output_stride=None):
    path = Path(folder).resolve()
    name = path.parent.name if path.name == "report" else path.name
    return f"{name}, stride {output_stride}" if output_stride else name


def _strip(network, examples, num_examples, iterations, info):
    """A picture with images from all over the split, and their class maps iteration by iteration."""
    rows = []
    for example in examples.shard(max(num_examples // STRIP_ROWS, 1), 0).take(STRIP_ROWS):
        image, label = example["image"][0].numpy(), example["label"][0].numpy()
        rows.append((image, semantic.class_maps(network, image, iterations), label))
    return visualize.strips(rows, info)


def _panoptic_strip(network, examples, num_examples, info, size):
    """A picture with images from all over the split, and their instances as found and as labelled."""
    inference, rows = PanopticInference(network, info, View(base_size=size)), []
    for example in examples.shard(max(num_examples // STRIP_ROWS, 1), 0).take(STRIP_ROWS):
        image = example["image"][0].numpy()
        label = panoptic_label(example["label"][0].numpy(), example["instance"][0].numpy(), info)
        rows.append((image, inference.predict(image).panoptic_ids, label))
    return visualize.panoptic_strips(rows, info)


def _with_costs(networks, results, options, count_gmacs):
    """Adds "gmacs", "gflops" (2 per multiply-add) and "milliseconds" to the entries of each model.

    All three are for one image in the size that most images have.
    """
    size = cost_size(next(iter(results.values())))
    counts = {name: len(result["iterations"]) for name, result in results.items()}
    timed = {name: (networks[name], counts[name]) for name in results}
    milliseconds = semantic.latencies(timed, size, options.views, options.fusion)
    entries = {}
    for name, result in results.items():
        gmacs = [0.0] * counts[name]
        sizes = inference_of(networks[name]).network_sizes(size, options.views)
        for network_size, times in Counter(sizes).items():
            for index, value in enumerate(count_gmacs(networks[name], network_size, counts[name])):
                gmacs[index] += times * value
        entries[name] = [
            entry | {"gmacs": gmacs[index], "gflops": 2 * gmacs[index], "milliseconds": milliseconds[name][index]}
            for index, entry in enumerate(result["iterations"])
        ]
    return entries


def _points(entries):
    return [{name: entry[name] for name in CURVE_COLUMNS} for entry in entries]


def _write(folder, metrics, pictures):
    """Writes all files of the report."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CURVE_COLUMNS)
    writer.writeheader()
    writer.writerows(_points(metrics["iterations"]))
    write_atomically(folder / "curve.csv", text.getvalue().encode())
    for name, picture in pictures.items():
        write_atomically(folder / f"{name}.png", encode_png(picture))
    write_atomically(folder / "report.md", _markdown(metrics).encode())
    write_atomically(folder / "metrics.json", _json(sealed(metrics)).encode())


def _json(metrics):
    """Indented JSON with each list of numbers (a row of a confusion matrix) on one line."""
    text = json.dumps(metrics, indent=1, allow_nan=False)
    return re.sub(r"\[[\d\s,.]+\]", lambda match: " ".join(match[0].split()), text) + "\n"


def _markdown(metrics):
    protocol = metrics["protocol"]
    lines = [f"# {protocol['model']['name']} on {protocol['dataset']} {protocol['split']}: {scored(metrics)}", ""]
    lines += [summary(metrics), *(f"- {line}" for line in metrics["remarks"]), ""]
    names = ("panoptic", "curve", "strip", "confusion") if "panoptic" in metrics else ("curve", "strip", "confusion")
    lines += [f"![{name}]({name}.png)\n" for name in names]
    lines += ["## Protocol", "", *(f"{line}\n" for line in views_lines(protocol))]
    lines += [*(f"- {key}: {json.dumps(value)}" for key, value in protocol.items()), ""]
    return "\n".join(lines)
