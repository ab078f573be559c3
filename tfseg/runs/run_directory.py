"""What a run directory holds beside its checkpoints: the config, the lock and the weights that are evaluated.

A model zoo folder is read in the same way.
"""

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfseg import architectures
from tfseg.config import ExperimentConfig
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights
from tfseg.labels import DatasetInfo
from tfseg.models.segmenter import set_output_stride
from tfseg.system import files
from tfseg.system.files import check_sha256, write_atomically


@contextlib.contextmanager
def locked(workdir):
    """Locks the run directory for this process; the lock ends with the process, even if it is killed.

    If the directory is made here and nothing is written into it, it is removed again.

    Raises:
      InputError: another run holds the lock, or the directory cannot be written.
    """
    workdir = Path(workdir)
    is_new = not workdir.exists()

    def refuse():
        raise InputError(f"{workdir}: another run is using this directory; choose another --workdir") from None

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(files.locked(workdir / "lock", refuse, is_kept=True))
        except OSError as error:
            raise InputError(f"{workdir}: cannot be written ({error.strerror}); choose another --workdir") from None
        try:
            yield
        finally:
            if is_new and os.listdir(workdir) == ["lock"]:
                os.remove(workdir / "lock")
                workdir.rmdir()


def weight_arrays(network) -> dict[str, np.ndarray]:
    """Returns every weight of a network by its path, e.g. `cells/0/kernel`."""
    return {path: variable.numpy() for path, variable in variables_by_path(network).items()}


def variables_by_path(network) -> dict[str, tf.Variable]:
    """Returns every variable by the path of attributes that lead to it.

    Unlike the names that Keras gives to layers, these paths do not depend on what else this process has made.
    """
    variables = {}
    tracked = {id(variable) for variable in network.variables}
    seen = set()

    def visit(trackable, path):
        if id(trackable) in seen:
            return
        seen.add(id(trackable))
        if isinstance(trackable, tf.Variable) or hasattr(trackable, "handle"):
            if id(trackable) in tracked:
                variables["/".join(path)] = trackable
            return
        for name, child in sorted(trackable._trackable_children().items()):
            if not name.startswith("_") and name not in ("layers", "variables", "trainable_variables", "keras_api"):
                visit(child, [*path, name])

    visit(network, [])
    if len(variables) != len(tracked):
        raise RuntimeError(f"{len(tracked) - len(variables)} weights of {network.name} have no path")
    return variables


def assign_weights(network, path, skip_mismatched=False) -> list[str]:
    """Sets a network's weights from a file of arrays, by path. Shapes are compared before any array is read.

    Args:
      network: the network; its variables exist.
      path: .npz file of float16 or float32 arrays, as `save_weights` writes it.
      skip_mismatched: whether to skip weights that are missing, superfluous or of another shape instead of refusing.
    Returns:
      A line for each weight that was skipped, which says why.
    Raises:
      InputError: weights are not finite or, without `skip_mismatched`, are missing, superfluous or of another shape.
    """
    file, variables = open_weights(path), variables_by_path(network)
    lines = []
    for name in sorted(set(variables) | set(file.shapes)):
        if name not in file.shapes:
            lines.append(f"{name}: not in the file")
        elif name not in variables:
            lines.append(f"{name}: not in this model")
        elif tuple(file.shapes[name]) != tuple(variables[name].shape):
            lines.append(
                f"{name}: {tuple(file.shapes[name])} in the file, {tuple(variables[name].shape)} in this model"
            )
    if lines and not skip_mismatched:
        raise InputError(
            f"{path}: {len(lines)} weights do not fit: {'; '.join(lines[:4])}{'; ...' if lines[4:] else ''}"
        )
    skipped = {line.split(":")[0] for line in lines}
    arrays = {name: file.read(name) for name in sorted(set(variables) & set(file.shapes) - skipped)}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise InputError(f"{path}: values that are not finite in {', '.join(bad[:4])}")
    for name, array in arrays.items():
        variables[name].assign(array)
    return lines


def save_weights(path, network, is_chief=True):
    """Writes all weights as arrays (.npz, float32), and the file's sha256 beside it (`<path>.sha256`).

    Every worker has to call it, because moving statistics are averaged over all workers; only the chief writes.
    """
    arrays = weight_arrays(network)
    if not is_chief:
        return
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    data = buffer.getvalue()
    write_atomically(path, data)
    write_atomically(f"{path}.sha256", f"{hashlib.sha256(data).hexdigest()}  {Path(path).name}\n".encode())


def load_run(path, which="last", output_stride=None):
    """Loads a trained model.

    Args:
      path: run directory, or model zoo folder (config.json and weights.npz).
      which: which weights of a run directory, "last" or "best".
      output_stride: the backbone's output stride, if it shall differ from training; None is the one of training.
    Returns:
      (ExperimentConfig, DatasetInfo, network).
    Raises:
      InputError: there is no such run, the weights are damaged or belong to another model, or they do not fit this
        output stride.
    """
    folder = Path(path)
    config, info = read_config(folder)
    if output_stride is not None:
        set_output_stride(config.model, output_stride, folder)
    weights = weights_file(folder, which)
    check_weights_sha256(weights)
    network = architectures.build(config.model, info.num_classes)
    assign_weights(network, weights)
    return config, info, network


def weights_file(folder, which="last") -> Path:
    """Returns the weights file of a run directory or a model zoo folder. Raises InputError if there is none."""
    folder = Path(folder)
    for candidate in (folder / "weights.npz", folder / "weights" / f"{which}.npz"):
        if candidate.exists():
            return candidate
    raise InputError(
        f"{folder}: no weights yet (weights/{which}.npz); train it first: python train.py --workdir={folder}"
    )


def check_weights_sha256(path):
    """Compares a weights file with the checksum beside it. Raises InputError if that differs or is missing."""
    beside = Path(f"{path}.sha256")
    if not beside.exists():
        raise InputError(f"{path}: its checksum {beside.name} is missing beside it")
    check_sha256(str(path), beside.read_text().split()[0])


def read_config(folder):
    """Reads (ExperimentConfig, DatasetInfo) of a run directory or a model zoo folder.

    Raises:
      InputError: there is no config.json, or it is damaged or has unknown fields.
    """
    path = Path(folder) / "config.json"
    if not path.exists():
        raise InputError(f"{folder}: not a run directory (no config.json)")
    try:
        values = json.loads(path.read_text())
        info = DatasetInfo.from_dict(values.pop("dataset_info"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error})") from None
    return ExperimentConfig.from_dict(values), info


def write_config(folder, config, info):
    """Writes config.json: the experiment and what its labels mean."""
    values = config.to_dict() | {"dataset_info": info.to_dict()}
    write_atomically(Path(folder) / "config.json", json.dumps(values, indent=1).encode())
