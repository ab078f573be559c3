"""Finds the engine that runs the model at a path."""

import re
from pathlib import Path

from tfseg.errors import InputError, listed
from tfseg.formats import export_manifest
from tfseg.inference.engines.network import NetworkEngine
from tfseg.runs.deeplab_file import load_model

PROGRAM = "saved_model.pb"
# Endings of files that only other programs run.
FOR_OTHERS = (".onnx",)


def open_engine(path, weights="last", trust=False, threads=1, normalization=None):
    """Opens a model's engine. Arguments and errors are those of `Predictor.load`; `normalization` is (mean, std)."""
    path = found(path)
    is_tflite = path.suffix == ".tflite" and not path.is_dir()
    is_saved_model = (path / PROGRAM).is_file()
    if normalization is not None and not is_tflite:
        raise InputError(f"--mean and --std do not apply to {path}: it normalises images itself")
    if weights != "last" and (is_tflite or is_saved_model):
        raise InputError(f"--weights={weights} does not apply to {path}: an exported model has one set of weights")
    if is_tflite:
        from tfseg.inference.engines.tflite import TFLiteEngine  # the interpreter is slow to import

        return TFLiteEngine(path, threads, trust, normalization)
    if is_saved_model:
        from tfseg.inference.engines.saved_model import SavedModelEngine

        return SavedModelEngine(path, trust)
    _, info, network = load_model(path, weights)
    return NetworkEngine(network, info)


def found(path) -> Path:
    """Returns the artifact that a folder stands for, or the path itself if it is not such a folder.

    Args:
      path: e.g. serving/NAME, whose highest version is taken, or a folder of exports with one artifact.
    Raises:
      InputError: the folder holds several artifacts or none, or the file is for other programs.
    """
    path = Path(path)
    if path.suffix in FOR_OTHERS or path.name == PROGRAM:
        other = "is for other programs" if path.suffix in FOR_OTHERS else "is part of a SavedModel, which is its folder"
        raise InputError(f"{path}: {other}; give a .tflite file, a SavedModel folder or a run directory")
    if not path.is_dir() or (path / PROGRAM).is_file() or (path / "config.json").exists():
        return path
    versions = [child for child in path.iterdir() if re.fullmatch("[0-9]+", child.name) and (child / PROGRAM).is_file()]
    if versions:
        return max(versions, key=lambda child: int(child.name))
    if not (path / export_manifest.FILE_NAME).is_file():
        raise InputError(
            f"{path}: neither a run directory or a model zoo folder (config.json), nor a SavedModel ({PROGRAM}), nor a "
            f"folder of exports ({export_manifest.FILE_NAME})"
        )
    artifacts = [name for name in export_manifest.read(path)["artifacts"] if Path(name).suffix not in FOR_OTHERS]
    if len(artifacts) != 1:
        several = f"holds {len(artifacts)} models; give one of them: {listed(sorted(artifacts))}"
        raise InputError(f"{path}: {several if artifacts else 'holds no model that can be run here'}")
    return path / artifacts[0]
