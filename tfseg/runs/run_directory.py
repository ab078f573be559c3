"""What a run directory holds beside its checkpoints: config, lock, evaluated weights.

A model zoo folder is read alike.
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
    """Holds the run directory for this process; a kill releases it.

    A directory made here in which nothing was written is removed again.

    Raises:
      InputError: another run has it, or it cannot be written.
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
    """Every weight of a network by its path, e.g. `cells/0/kernel`."""
    return {path: variable.numpy() for path, variable in variables_by_path(network).items()}


def variables_by_path(network) -> dict[str, tf.Variable]:
    """Variables by the attributes that lead to them: independent of what Keras names layers in this process."""
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
    """Sets a network's weights from a file of arrays, by path; shapes are compared before anything is read.

    Args:
      path: .npz, float16 or float32, as `save_weights` writes it.
      skip_mismatched: leave weights of another shape as they are instead of refusing.
    Returns:
      A line for each weight that was left as it is, with both shapes.
    Raises:
      InputError: missing, superfluous or non-finite weights, or shapes that differ.
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
    """Writes all weights as arrays (.npz, float32) with their sha256 beside it (`<path>.sha256`).

    Every worker has to call it, since moving statistics are averaged over them; only the chief writes.
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
    """A trained model.

    Args:
      path: run directory, or model zoo folder (config.json and weights.npz).
      which: "last" or "best" weights of a run directory.
      output_stride: of the backbone, another than in training; None is that of training.
    Returns:
      (ExperimentConfig, DatasetInfo, network).
    Raises:
      InputError: no such run, damaged weights, weights of another model, or weights that fit no other output stride.
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
    """The weights of a run directory or a model zoo folder. Raises InputError when there are none."""
    folder = Path(folder)
    for candidate in (folder / "weights.npz", folder / "weights" / f"{which}.npz"):
        if candidate.exists():
            return candidate
    raise InputError(
        f"{folder}: no weights yet (weights/{which}.npz); train it first: python train.py --workdir={folder}"
    )


def check_weights_sha256(path):
    """Compares a weights file with the checksum beside it. Raises InputError when it differs or is missing."""
    beside = Path(f"{path}.sha256")
    if not beside.exists():
        raise InputError(f"{path}: its checksum {beside.name} is missing beside it")
    check_sha256(str(path), beside.read_text().split()[0])


def read_config(folder):
    """(ExperimentConfig, DatasetInfo) of a run directory or a model zoo folder. Raises InputError."""
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
