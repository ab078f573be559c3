"""Finds the engine that runs the model at a path."""

import re
from pathlib import Path

from tfseg.errors import InputError, listed
from tfseg.formats import export_manifest, saved_model, trusted_files
from tfseg.formats.saved_model import PROGRAM
from tfseg.inference.engines.network import NetworkEngine
from tfseg.runs import zoo
from tfseg.runs.deeplab_file import load_model

# Endings of files that only other programs run.
FOR_OTHERS = (".onnx",)


def open_engine(path, weights="last", trust=False, threads=1, normalization=None, sha256=None):
    """Opens a model's engine. Arguments and errors are those of `Predictor.load`; `normalization` is (mean, std)."""
    path = found(zoo.resolved(path))
    is_tflite = path.suffix == ".tflite" and not path.is_dir()
    is_saved_model = (path / PROGRAM).is_file()
    if normalization is not None and not (is_tflite or is_saved_model):
        raise InputError(f"--mean and --std do not apply to {path}: it normalises images itself")
    if weights != "last" and (is_tflite or is_saved_model):
        raise InputError(f"--weights={weights} does not apply to {path}: an exported model has one set of weights")
    if is_saved_model:
        return _open_saved_model(path, trust, sha256, normalization)
    if sha256 is not None and not path.is_file():
        raise InputError(f"--sha256 does not apply to {path}: it is for a SavedModel or a file")
    vouched = None
    if path.is_file() and (is_tflite or sha256 is not None):
        vouched = trusted_files.vouched(path, sha256)
    if is_tflite:
        from tfseg.inference.engines.tflite import TFLiteEngine  # the interpreter is slow to import

        return TFLiteEngine(path, threads, trust or vouched is not None, normalization)
    _, info, network = load_model(path, weights)
    return NetworkEngine(network, info)


def _open_saved_model(path, trust, sha256, normalization):
    from tfseg.inference.engines.foreign_saved_model import ForeignSavedModelEngine
    from tfseg.inference.engines.saved_model import SavedModelEngine, is_described

    signature = saved_model.load(path, trust, sha256)
    if not is_described(signature):
        return ForeignSavedModelEngine(signature, normalization)
    if normalization is not None:
        raise InputError(f"--mean and --std do not apply to {path}: it normalises images itself")
    return SavedModelEngine(signature)


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
