"""The architecture diagram: which part of the package may import which.

A row is a folder, a sub-folder or a single module; what has no row of its own belongs to the folder above it.
"""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.hanging import HANG_SECONDS

ROOT = Path(__file__).resolve().parent.parent / "tfseg"
SCRIPTS = {path.stem for path in ROOT.parent.glob("*.py")}
ANYWHERE = {"errors"}
MOST_LOOSE_MODULES = 7
MAY_IMPORT = {
    # the ground
    "errors": set(),
    "painting": set(),
    "labels": {"painting"},
    "markdown": set(),
    "visualize": {"labels", "painting", "postprocess"},
    # the machine, and files that strangers wrote
    "system": set(),
    "formats": {"labels", "system"},
    "formats/coco_panoptic": {"labels", "system"},
    "formats/annotations": {"formats", "formats/coco_panoptic", "labels", "system"},
    "formats/object_files": {"labels", "postprocess"},
    # networks and what they are trained on
    "layers": set(),
    "backbones": {"formats", "layers"},
    "losses": set(),
    "postprocess": {"labels"},
    "data": {"labels", "postprocess", "system"},
    "data/conversion": {"data", "formats", "formats/annotations", "formats/coco_panoptic", "labels", "system"},
    "data/scenes": {"data/conversion", "labels"},
    "data/datasets": {
        "data/conversion",
        "data/scenes",
        "formats",
        "formats/annotations",
        "formats/coco_panoptic",
        "labels",
        "system",
    },
    "data/opening": {"data", "data/conversion", "data/datasets", "formats", "labels", "system"},
    "data/check": {"data", "formats", "markdown", "system"},
    "models/segmenter": {"backbones"},
    "models/deeperlab_config": {"backbones", "data", "losses", "models/segmenter", "postprocess"},
    "models/feed_forward": {"backbones", "layers", "models/segmenter"},
    "models/arch2": {"backbones", "layers", "models/feed_forward", "models/segmenter"},
    "models/cells": {"layers", "models/arch2"},
    "models": {
        "backbones",
        "layers",
        "models/arch2",
        "models/cells",
        "models/deeperlab_config",
        "models/feed_forward",
        "models/segmenter",
    },
    # what belongs together, and trained models on disk
    "architectures": {"data", "losses", "models", "models/arch2", "models/deeperlab_config", "models/segmenter"},
    "config": {"architectures", "data", "data/datasets", "models/segmenter", "system"},
    "runs/zoo": set(),
    "runs": {
        "architectures",
        "backbones",
        "config",
        "data/datasets",
        "formats",
        "labels",
        "models",
        "models/segmenter",
        "system",
    },
    # use
    "inference": {"labels", "layers", "models/segmenter", "postprocess"},
    "inference/engines": {
        "formats",
        "inference",
        "labels",
        "layers",
        "models/segmenter",
        "postprocess",
        "runs",
        "runs/zoo",
        "system",
    },
    "inference/stream": {"formats", "inference", "layers", "models/segmenter", "system"},
    "inference/predictor": {"formats", "inference", "inference/engines", "inference/stream", "labels"},
    "inference/budget_measurement": {"system"},
    "inference/budget": {"formats", "inference/budget_measurement", "system"},
    "__init__": {"inference/predictor"},
    # scores and cost
    "metrics": {"formats/coco_panoptic", "labels", "system"},
    "evaluation/charts": {"labels", "visualize"},
    "evaluation": {
        "config",
        "data/datasets",
        "data/opening",
        "evaluation/charts",
        "formats",
        "formats/coco_panoptic",
        "inference",
        "inference/predictor",
        "labels",
        "markdown",
        "metrics",
        "postprocess",
        "runs",
        "system",
        "visualize",
    },
    "profiling": {
        "architectures",
        "backbones",
        "formats",
        "inference",
        "inference/engines",
        "layers",
        "markdown",
        "models",
        "system",
    },
    # training, export, programs
    "training": {
        "architectures",
        "backbones",
        "config",
        "data",
        "data/opening",
        "evaluation",
        "inference",
        "layers",
        "losses",
        "metrics",
        "runs",
        "runs/zoo",
        "system",
    },
    "nas": {
        "architectures",
        "backbones",
        "data",
        "data/opening",
        "formats",
        "labels",
        "layers",
        "losses",
        "markdown",
        "metrics",
        "models/arch2",
        "models/cells",
        "runs",
        "system",
        "visualize",
    },
    "export/functions": {"layers"},
    "export/serving": {"export/functions", "formats", "layers", "system"},
    "export": {
        "data/opening",
        "evaluation",
        "export/functions",
        "export/serving",
        "formats",
        "inference",
        "inference/budget_measurement",
        "markdown",
        "metrics",
        "profiling",
        "runs",
        "system",
    },
    "benchmarks": {
        "architectures",
        "backbones",
        "commands",
        "data",
        "data/opening",
        "evaluation",
        "export",
        "export/functions",
        "formats",
        "inference",
        "inference/engines",
        "inference/predictor",
        "labels",
        "layers",
        "markdown",
        "metrics",
        "models",
        "postprocess",
        "profiling",
        "system",
    },
    "beam": {"data", "system"},
    "beam/photo_jobs": {"beam", "commands", "system"},
    "commands": {
        "architectures",
        "backbones",
        "beam",
        "config",
        "data/conversion",
        "data/datasets",
        "evaluation/charts",
        "formats",
        "formats/coco_panoptic",
        "formats/object_files",
        "inference/budget",
        "inference/predictor",
        "labels",
        "markdown",
        "metrics",
        "postprocess",
        "runs/zoo",
        "system",
        "visualize",
    },
    "commands/check_data": {"commands", "data", "data/check", "data/datasets", "data/opening", "visualize"},
    "commands/evaluate": {"commands", "evaluation", "inference", "profiling", "training"},
    "commands/export": {"commands", "export", "inference/budget_measurement", "inference/predictor", "system"},
    "commands/prepare_data": {"beam", "commands", "data", "data/opening"},
    "commands/profile_flops": {
        "architectures",
        "commands",
        "data/datasets",
        "evaluation/charts",
        "formats",
        "inference",
        "inference/engines",
        "profiling",
        "runs",
        "system",
    },
    "commands/publish": {"commands", "evaluation", "runs/zoo"},
    "commands/search": {"commands", "nas"},
    "commands/segment": {"beam/photo_jobs", "commands", "formats", "inference/budget_measurement", "profiling"},
    "commands/train": {"commands", "training", "visualize"},
}
# Modules that share a name because they are stages of one idea.
STAGES = {
    "annotations",  # the formats of tools, and the JSON of COCO's panoptic format
    "coco_panoptic",  # the data set, and the files it comes in
    "export",  # the command, and what it does; as for publish, search and train
    "publish",
    "search",
    "train",
    "deformable",  # the layer, and the program that times forms of it
    "fusion",  # the fusion of instance maps, and the program that times it
    "panoptic",  # losses, inference and scores of panoptic networks
    "panoptic_quality",  # the metric, and the program that times it
    "saved_model",  # the files, and the engine that runs them
    "semantic",  # losses and scores of semantic networks
    "tflite",  # the conversion, the engine, and the program that times both
}


def modules():
    """{path: name in the diagram's form, e.g. "data/opening" or "layers"} of every module of the package."""
    names = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        names[path] = name.removesuffix("/__init__")
    return names


def row_of(name):
    """The row of the diagram that a module belongs to: the longest that it is, or lies in."""
    fitting = [row for row in MAY_IMPORT if name == row or name.startswith(f"{row}/")]
    assert fitting, f"{name} has no row in MAY_IMPORT: add one, below everything that imports it"
    return max(fitting, key=len)


def imports_of(path, names):
    """Names of the modules of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    imported = set()
    for name in found:
        parts = name.split(".")
        while parts and parts[0] == "tfseg" and "/".join(parts[1:]) not in names:
            parts = parts[:-1]  # a function of the module, not the module
        if parts[:1] == ["tfseg"] and len(parts) > 1:
            imported.add("/".join(parts[1:]))
    return imported


def test_each_part_imports_only_the_parts_below_it():
    names, wrong = modules(), []
    for path, name in names.items():
        row = row_of(name)
        for imported in sorted(imports_of(path, set(names.values()))):
            if row_of(imported) not in MAY_IMPORT[row] | ANYWHERE | {row}:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_every_arrow_of_the_diagram_is_used():
    names, used = modules(), defaultdict(set)
    for path, name in names.items():
        used[row_of(name)] |= {row_of(imported) for imported in imports_of(path, set(names.values()))}
    unused = {row: sorted(below - used[row]) for row, below in MAY_IMPORT.items()}
    assert {row: below for row, below in unused.items() if below} == {}


def test_the_diagram_has_no_circle():
    done = set()
    while len(done) < len(MAY_IMPORT):
        free = {part for part, below in MAY_IMPORT.items() if below <= done} - done
        assert free, f"these import each other: {sorted(set(MAY_IMPORT) - done)}"
        done |= free


def test_every_folder_has_a_row_and_every_row_is_there():
    folders = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_dir()}
    folders = {folder for folder in folders if "__pycache__" not in folder}
    assert folders <= set(MAY_IMPORT)
    there = folders | set(modules().values())
    assert set(MAY_IMPORT) <= there


def test_few_modules_stand_outside_of_a_folder():
    assert len(list(ROOT.glob("*.py"))) <= MOST_LOOSE_MODULES


def test_two_modules_share_a_name_only_if_they_are_stages_of_one_idea():
    places = defaultdict(list)
    for name in modules().values():
        places[name.rpartition("/")[2]].append(name)
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert set(shared) == STAGES, shared


def test_tensorflow_addons_is_imported_in_one_file_and_a_benchmark():
    files = [path for path in ROOT.rglob("*.py") if "tensorflow_addons" in path.read_text()]
    assert sorted(str(path.relative_to(ROOT)) for path in files) == ["benchmarks/deformable.py", "data/augment.py"]


def test_the_package_does_not_import_the_model_zoo_or_the_commands():
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in ("model_zoo", *SCRIPTS)]


def test_all_modules_can_be_imported_in_one_process():
    """No two of them define the same flag, and none runs at import."""
    code = (
        "import importlib, pkgutil, tfseg\n"
        "for module in pkgutil.walk_packages(tfseg.__path__, 'tfseg.'):\n"
        "    try:\n"
        "        importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        if error.name != 'apache_beam': raise  # an extra, requirements-beam.txt\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
