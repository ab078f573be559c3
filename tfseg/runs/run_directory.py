"""What a run directory holds beside its checkpoints: the config, the lock and the weights that are evaluated.

A model zoo folder is read in the same way.
"""

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfseg import architectures
from tfseg.config import ExperimentConfig
from tfseg.errors import InputError, listed, shortened
from tfseg.formats.weight_files import open_weights
from tfseg.labels import DatasetInfo
from tfseg.models.segmenter import set_output_stride
from tfseg.system import files
from tfseg.system.checksums import check_sha256_beside, write_with_sha256
from tfseg.system.files import failure, remove_unfinished, write_atomically
from tfseg.system.progress import say
from tfseg.system.small_files import SEAL, FieldError, check_seal, damage_named, read_json, sealed, typed

WEIGHTS_FOLDER = "weights"
# Names of earlier versions for unfinished files.
UNFINISHED_BEFORE = [
    f".{name}.part"
    for name in ("config.json", "metrics.csv", "last.npz", "last.npz.sha256", "best.npz", "best.npz.sha256")
]


@contextlib.contextmanager
def locked(workdir):
    """Locks the run directory for this process; the lock ends with the process, even if it is killed.

    Files that a killed process left unfinished are removed. If the directory is made here and nothing is written into
    it, it is removed again.

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
            raise InputError(f"{workdir}: cannot be written ({failure(error)}); choose another --workdir") from None
        for folder in (workdir, workdir / WEIGHTS_FOLDER):
            remove_unfinished(folder)
            for name in UNFINISHED_BEFORE:
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
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
        shown = "; ".join(shortened(line, 90) for line in lines[:2])
        more = f"; and {len(lines) - 2} more" if len(lines) > 2 else ""
        raise InputError(f"{path}: {len(lines)} weights do not fit: {shown}{more}")
    skipped = {line.split(":")[0] for line in lines}
    arrays = {name: file.read(name) for name in sorted(set(variables) & set(file.shapes) - skipped)}
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise InputError(f"{path}: values that are not finite in {listed(bad)}")
    for name, array in arrays.items():
        variables[name].assign(array)
    return lines


def load_backbone_of_run(network, folder) -> str:
    """Sets the weights of a network's backbone to those of a trained model, whatever its head is.

    Args:
      network: a `Segmenter` with a backbone; its variables exist.
      folder: run directory or model zoo folder.
    Returns:
      A line that says what was loaded.
    Raises:
      InputError: there is no such run, or its backbone is another one.
    """
    config, _ = read_config(folder)
    ours, theirs = network.config.backbone, config.model.backbone
    if not ours.has_weights_like(theirs):
        raise InputError(f"{folder}: has another backbone, {theirs.name}; this model has {ours.name}, or other options")
    weights = weights_file(folder)
    check_sha256_beside(weights)
    file, variables = open_weights(weights), variables_by_path(network)
    names = [name for name in variables if name.startswith("backbone/")]
    if missing := [name for name in names if tuple(file.shapes.get(name, ())) != tuple(variables[name].shape)]:
        raise InputError(f"{weights}: does not fit this backbone: {listed(missing)}")
    arrays = {name: file.read(name) for name in names}
    if bad := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise InputError(f"{weights}: values that are not finite in {listed(bad)}")
    for name, array in arrays.items():
        variables[name].assign(array)
    return f"{weights}: {len(names)} arrays loaded ({sum(array.size for array in arrays.values()):,} values)"


def save_weights(path, network, is_chief=True):
    """Writes all weights as arrays (.npz, float32), and the file's sha256 beside it (`<path>.sha256`).

    Every worker has to call it, because moving statistics are averaged over all workers; only the chief writes.
    """
    arrays = weight_arrays(network)
    if not is_chief:
        return
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_with_sha256(path, buffer.getvalue())


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
    check_sha256_beside(weights)
    network = _build(config, info, folder)
    assign_weights(network, weights)
    return config, info, network


def _build(config, info, folder):
    try:
        return architectures.build(config.model, info.num_classes)
    except InputError:
        raise
    except (ValueError, ArithmeticError, MemoryError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{folder}/config.json: no network can be built from its model ({reason[0]:.80})") from error


def weights_file(folder, which="last") -> Path:
    """Returns the weights file of a run directory or a model zoo folder. Raises InputError if there is none."""
    folder = Path(folder)
    for candidate in (folder / "weights.npz", folder / "weights" / f"{which}.npz"):
        if candidate.exists():
            return candidate
    raise InputError(
        f"{folder}: no weights yet (weights/{which}.npz); train it first: python train.py --workdir={folder}"
    )


def read_config(folder):
    """Reads (ExperimentConfig, DatasetInfo) of a run directory or a model zoo folder.

    A file that was changed by hand is read, and a line says so.

    Raises:
      InputError: there is no config.json, it is damaged, or it has unknown fields or values that no run can use.
    """
    path = Path(folder) / "config.json"
    try:
        with damage_named(path, "copy the run again, or take its values from the training's command"):
            values = read_json(path)
            info, values, is_changed = _parts(values)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: not a run directory (no config.json)") from None
    config = ExperimentConfig.from_dict(values, path)
    try:
        config.check()
    except InputError as error:
        raise InputError(f"{path}: {str(error).removeprefix('config: ')}") from None
    if is_changed:
        say(f"note: {path} was changed by hand since it was written; it is read as it is")
    return config, info


def _parts(values):
    """Returns (DatasetInfo, the experiment's values, whether the file was changed by hand)."""
    if not isinstance(values, dict):
        raise FieldError("", "not a group of fields")
    if "dataset_info" not in values:
        raise FieldError("dataset_info", "is missing")
    info = typed(DatasetInfo, values["dataset_info"], "dataset_info")
    is_changed = False
    try:
        check_seal(values)
    except FieldError:
        is_changed = True
    return info, {key: value for key, value in values.items() if key not in ("dataset_info", SEAL)}, is_changed


def write_config(folder, config, info):
    """Writes config.json: the experiment, what its labels mean, and a checksum that shows changes by hand."""
    values = config.to_dict() | {"dataset_info": info.to_dict()}
    write_atomically(Path(folder) / "config.json", json.dumps(sealed(values), indent=1).encode())
