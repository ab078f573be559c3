"""Exports a model: makes all files and compares them with the model before the first file takes its place."""

import contextlib
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from tfseg.data.opening import open_split
from tfseg.errors import InputError, listed
from tfseg.export import comparison, latency
from tfseg.export.format_table import FORMATS
from tfseg.export.making import entry, make
from tfseg.export.plan import Export, ExportOptions, Planned
from tfseg.formats import export_manifest, trusted_files
from tfseg.inference.views import resized_pixels
from tfseg.profiling import flops
from tfseg.runs.run_directory import weight_arrays
from tfseg.system.files import locked, partial_folder, take_place


def export_model(model, options: ExportOptions, load, say) -> list:
    """Exports a model: all files, or none.

    Example:
      options = ExportOptions(formats=("tflite_fp16",), check_images=0)
      export_model("model_zoo/camvid_rnn_mobilenet_v2", options, load=tfseg.load, say=print)
      predictor = tfseg.load("exports/camvid_rnn_mobilenet_v2/camvid_rnn_mobilenet_v2_stream_fp16.tflite")

    Args:
      model: the model's path, see `load_model`.
      options: an ExportOptions.
      load: (path of a file) -> its predictor, for the comparison and for `fit_latency`.
      say: shows one line of progress to the user.
    Returns:
      One `comparison.Compared` for every file and number of iterations; empty without a comparison. If one of them is
      not good, no file has taken its place.
    Raises:
      InputError: `Export` refuses the model or options, data are missing that int8 or the comparison needs, or a
        conversion is not possible.
    """
    export = Export(model, options)
    export.check_target()
    with _partial_folder(export) as partial:
        images = _calibration_images(export) if any(p.precision == "int8" for p in export.planned) else None
        entries = _made(export, partial, images, load, say)
        content = describe(export, entries)
        export_manifest.write(partial, content)
        rows = compare(export, partial, load) if options.check_images else []
        add_scores(content, rows, options.split or export.config.data.validation_split)
        if all(row.is_good for row in rows):
            _take_place(partial, export.folder, content)
        return rows


@contextlib.contextmanager
def _partial_folder(export):
    """An empty folder beside the export's folder, for this process alone.

    It is removed at the end; if the process is killed, the next export removes it.
    """

    def refuse():
        raise InputError(
            f"{export.folder}: another export into it is running; wait for it, or take another --name or --output_dir"
        ) from None

    lock = export.folder.with_name(f".{export.name}.lock")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(lock, refuse))
            partial = held.enter_context(partial_folder(export.folder))
        except OSError as error:
            raise InputError(
                f"{lock.parent}: cannot be written ({error.strerror}); take another --output_dir"
            ) from None
        yield partial


def _made(export, folder, images, load, say):
    """Makes all files and notes that they were made here; returns {path: entry of the manifest}."""
    milliseconds, threads, entries, reason = export.options.fit_latency, export.options.threads, {}, None
    for index, planned in enumerate(export.planned):
        choice = None
        if milliseconds is not None and FORMATS[planned.kind].has_number_in_name:
            planned, choice = latency.fitted(export, planned, load, milliseconds, images)
            export.planned[index] = planned
        make(export, planned, folder, images)
        entries[planned.path] = facts = entry(export, planned, folder)
        reason = trusted_files.note_made_here({export.folder / planned.path: facts["sha256"]})
        if milliseconds is not None and choice is None:
            choice = latency.measured(export, load(folder / planned.path), milliseconds)
        say(f"{planned.path}: {facts['bytes'] / 1e6:.2f} MB{f'; {choice}' if choice else ''}")
        if choice:
            facts["budget"] = latency.note(export, choice, threads)
    if reason:
        say(f"note: {reason}; so the exported files will need --trust or --sha256, like those of somebody else")
    return entries


def check_export(model, options: ExportOptions, load) -> list:
    """Compares an existing export with the model, in the sizes and after the iterations that its files have.

    Arguments, return value and errors are those of `export_model`. InputError is also raised if the manifest lists
    nothing to compare, or if files were made from other weights.
    """
    export = Export(model, dataclasses.replace(options, formats=(), kinds=()))
    place = export.folder / export_manifest.FILE_NAME
    sha256, export.planned = _weights_sha256(export.network), []
    for path, facts in export_manifest.read(export.folder)["artifacts"].items():
        precision = facts.get("precision")
        if precision not in comparison.LEAST_AGREEMENT:
            raise InputError(f"{place}: the precision of {path} is {precision!r}; export it again")
        if facts["kind"] not in FORMATS:
            raise InputError(f"{place}: the kind of {path} is {facts['kind']!r}; there are {listed(FORMATS)}")
        if facts.get("weights_sha256", sha256) != sha256:
            raise InputError(f"{export.folder / path}: of other weights than {model}; --weights is {options.weights}")
        export.planned.append(Planned(path, facts["kind"], precision, facts.get("iterations")))
    rows = compare(export, export.folder, load)
    if not rows:
        raise InputError(f"{place}: lists nothing that can be compared here")
    return rows


def folder_of(model, options: ExportOptions) -> Path:
    """The folder of an export."""
    return Path(options.output_dir) / (options.name or Path(model).resolve().name)


def compare(export, folder, load) -> list:
    """Compares every planned file with the model on images of a split; `load` is that of `export_model`."""
    options = export.options
    split = _opened(export, options.split or export.config.data.validation_split)
    wanted = min(options.check_images, split.num_examples)
    files = {}
    for planned in export.planned:
        if FORMATS[planned.kind].has_engine:
            files[planned.path] = (load(folder / planned.path), planned.precision)
    if not files:
        return []
    examples = split.examples().shard(split.num_examples // wanted, 0)
    with split.damage_named():
        return comparison.compare(export.network, export.info, files, examples, wanted)


def describe(export, entries) -> dict:
    """The manifest of an export; `entries` is {path: entry} for its files."""
    network, options = export.network, export.options
    gmacs = flops.executed_gmacs(network, export.size, export.max_iterations)
    sha256 = _weights_sha256(network)
    return {
        "format": export_manifest.FORMAT,
        "name": export.name,
        "classes": export.info.to_dict(),
        "is_recurrent": network.is_recurrent,
        "padding": network.padding,
        "stride": network.canvas_stride,
        "input": {
            "color": "RGB",
            "range": [0, 255],
            "mean": 0,
            "std": 1,
            "size": list(options.size) if options.size else None,
        },
        "iterations": {"default": network.default_iterations, "max": export.max_iterations},
        "cost": [
            {"iterations": n, "size": list(export.size), "gmacs": value, "gflops": 2 * value, "miou": None}
            for n, value in enumerate(gmacs, 1)
        ],
        "miou_split": None,
        "miou_images": None,
        "artifacts": {path: facts | {"weights_sha256": sha256} for path, facts in entries.items()},
    }


def add_scores(content, rows, split):
    """Writes the results of a comparison into a manifest: each file's, and the model's own mIoU by iteration."""
    for row in rows:
        scores = {"agreement": row.agreement, "miou": row.miou, "model_miou": row.model_miou, "images": row.num_images}
        scores |= {"served": row.served, "next_frame": row.next_frame, "milliseconds": row.milliseconds}
        content["artifacts"][row.path].setdefault("check", {})[str(row.iterations)] = scores
        for cost in content["cost"]:
            if row.model_miou is not None and (row.iterations, row.size) == (cost["iterations"], tuple(cost["size"])):
                cost["miou"] = row.model_miou
        if row.model_miou is not None:
            content |= {"miou_split": split, "miou_images": row.num_images}


def _opened(export, split):
    data = export.config.data
    fold = "" if export.options.data_dir else data.fold
    return open_split(
        data.dataset, export.options.data_dir or data.data_dir, split, expected_info=export.info, fold=fold
    )


def _calibration_images(export):
    """[count, height, width, 3] uint8 images from all over the training split, resized as the network sees them."""
    split = _opened(export, export.config.data.train_split)
    wanted = min(export.options.calibration_images, split.num_examples)
    with split.damage_named():
        examples = split.examples().shard(split.num_examples // wanted, 0).take(wanted)
        return np.stack([resized_pixels(example["image"][0].numpy(), export.size) for example in examples])


def _weights_sha256(network):
    digest = hashlib.sha256()
    for name, array in sorted(weight_arrays(network).items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _take_place(partial, folder, content):
    """Moves the files of `partial` to the export. The manifest comes last and keeps earlier exports' entries."""
    if (folder / export_manifest.FILE_NAME).exists():
        content = _joined(export_manifest.read(folder), content)
    (partial / export_manifest.FILE_NAME).unlink()
    moved = [path for path in content["artifacts"] if (partial / path).exists()]
    for path in moved:
        take_place(partial / path, folder / path)
    # Files that stand beside a SavedModel, such as serve.md.
    for path in sorted(file.relative_to(partial) for file in partial.rglob("*") if file.is_file()):
        take_place(partial / path, folder / path)
    export_manifest.write(folder, content)


def _joined(before, content):
    """Joins the manifest that is there (`before`) with that of this export."""
    artifacts = before["artifacts"] | content["artifacts"]
    costs, weights = {}, {facts.get("weights_sha256") for facts in artifacts.values()}
    for cost in (*before.get("cost", ()), *content["cost"]):
        key = tuple(cost["size"]), cost["iterations"]
        known = costs.get(key, {}).get("miou") if len(weights) == 1 else None
        costs[key] = cost | {"miou": known if cost["miou"] is None else cost["miou"]}
    scored = content if content["miou_split"] else before
    return content | {
        "artifacts": artifacts,
        "cost": [costs[key] for key in sorted(costs)],
        "miou_split": scored["miou_split"],
        "miou_images": scored["miou_images"],
    }
