"""Reads files of arrays (NumPy archives, TensorFlow checkpoints, Keras weights) without running anything in them.

Every reader first lists names and declared shapes, and later reads one array at a time, so that a caller can refuse a
file before any of it is allocated. No model is ever deserialised: a Keras layer can name any Python function.
"""

import collections
import contextlib
import dataclasses
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable

import h5py
import numpy as np
import tensorflow as tf

from tfseg.errors import InputError

# {Keras class: (its name inside `.keras` archives, the order of its weights there)}; weights' names are not stored.
_KERAS_LAYERS = {
    "Conv2D": ("conv2d", ("kernel", "bias")),
    "Dense": ("dense", ("kernel", "bias")),
    "DepthwiseConv2D": ("depthwise_conv2d", ("depthwise_kernel", "bias")),
    "BatchNormalization": ("batch_normalization", ("gamma", "beta", "moving_mean", "moving_variance")),
}

# Exceptions that the readers raise on bytes that they do not expect.
DAMAGE = (OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, struct.error, zlib.error)
DAMAGE += (zipfile.BadZipFile, tf.errors.OpError)
MAX_CONFIG_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """Names and shapes of a file's arrays.

    Attributes:
      path: the path that the user gave.
      shapes: {name: shape} as declared by the file.
      reader: function from a name to an array; call `read` instead.
    """

    path: str
    shapes: dict[str, tuple[int, ...]]
    reader: Callable[[str], np.ndarray]

    def read(self, name: str) -> np.ndarray:
        """Reads an array as float32. Raises InputError if the file is damaged there."""
        with _damage_named(self.path, name):
            values = self.reader(name)
        if values.dtype == tf.bfloat16.as_numpy_dtype or values.dtype.kind in "fiu":
            return np.asarray(values, np.float32)
        raise InputError(f"{self.path}: {name} holds {values.dtype}, not numbers")


def open_weights(path: str) -> WeightFile:
    """Lists the arrays of `path`.

    Args:
      path: `.npz`; `.h5` written by Keras' `save_weights`; `.keras`; or a TensorFlow checkpoint: its prefix, its
        `.index` file, or a folder with one checkpoint.
    Raises:
      InputError: there is no such file, it is damaged, or it holds more than arrays (pickled objects, a whole model,
        foreign layers).
    """
    path = os.fspath(path)
    openers = {".npz": _open_npz, ".h5": _open_h5, ".hdf5": _open_h5, ".keras": _open_keras}
    opener = openers.get(os.path.splitext(path)[1].lower(), _open_checkpoint)
    if opener is not _open_checkpoint and not os.path.isfile(path):
        raise InputError(f"{path}: no such weights file")
    with _damage_named(path):
        return opener(path)


@contextlib.contextmanager
def _damage_named(path, name="file"):
    try:
        yield
    except InputError:
        raise
    except DAMAGE as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: {name} is damaged or of another format ({detail[:200]})") from error


def _open_npz(path):
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name, extension = os.path.splitext(member.filename)
            if extension != ".npy":
                raise InputError(f"{path}: {member.filename} is not an array")
            shapes[name] = _npy_shape(archive, member, path)

    def read(name):
        with zipfile.ZipFile(path) as archive, archive.open(name + ".npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    return WeightFile(path, shapes, read)


def _npy_shape(archive, member, path):
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header[version](file)
        if dtype.kind not in "fiu":
            kind = "pickled Python objects" if dtype.hasobject else dtype
            raise InputError(f"{path}: {member.filename} holds {kind}; only arrays of numbers are read")
        declared = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if declared != member.file_size:
        raise InputError(f"{path}: {member.filename} declares shape {shape}, but holds {member.file_size} bytes")
    return shape


def _open_h5(path):
    with h5py.File(path, "r") as file:
        if "model_config" in file.attrs:
            raise InputError(
                f"{path}: a whole Keras model (model_config), which can carry code; write only its arrays, with "
                "`model.save_weights`"
            )
        shapes = _h5_shapes(file, path)
    if any("/vars/" in name for name in shapes):
        raise InputError(
            f"{path}: layers without names (.weights.h5); save as .keras, or `save_weights` to another .h5"
        )

    def read(name):
        with h5py.File(path, "r") as file:
            return file[name][()]

    return WeightFile(path, shapes, read)


def _h5_shapes(file, path):
    shapes = {}

    def visit(name, entry):
        if not isinstance(entry, h5py.Dataset):
            return
        if entry.external or entry.is_virtual:
            raise InputError(f"{path}: {name} points to another file")
        if entry.dtype.kind not in "fiu":
            raise InputError(f"{path}: {name} holds {entry.dtype}; only arrays of numbers are read")
        shapes[name] = entry.shape

    file.visititems(visit)  # follows no soft or external links
    return shapes


def _open_keras(path):
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("config.json").file_size > MAX_CONFIG_BYTES:
            raise InputError(f"{path}: its config.json is larger than {MAX_CONFIG_BYTES >> 20} MB")
        config = json.loads(archive.read("config.json"))
        _refuse_foreign(config, path)
        with archive.open("model.weights.h5") as member, h5py.File(member, "r") as file:
            shapes = _h5_shapes(file, path)
    stored = _keras_names(config, shapes)

    def read(name):
        with (
            zipfile.ZipFile(path) as archive,
            archive.open("model.weights.h5") as member,
            h5py.File(member, "r") as file,
        ):
            return file[stored[name]][()]

    return WeightFile(path, {name: shapes[place] for name, place in stored.items()}, read)


def _refuse_foreign(config, path):
    """Checks, without importing anything, that all objects of the configuration are Keras' own and none has code."""
    if isinstance(config, list):
        for item in config:
            _refuse_foreign(item, path)
    if not isinstance(config, dict):
        return
    class_name, module = config.get("class_name"), config.get("module")
    if class_name in ("Lambda", "__lambda__", "function") or ">" in (config.get("registered_name") or ""):
        raise InputError(f"{path}: its configuration holds code ({class_name}); only plain Keras layers are read")
    if module is not None and module != "builtins" and module.split(".")[0] != "keras":
        raise InputError(f"{path}: its configuration names the foreign module {module!r}; only Keras layers are read")
    for value in config.values():
        _refuse_foreign(value, path)


def _keras_names(config, shapes):
    """Returns {"<layer>/<weight>": place in the archive}; Keras drops names and numbers each class' layers in order."""
    counts, names = collections.Counter(), {}
    for layer in config["config"]["layers"]:
        stem, weights = _KERAS_LAYERS.get(layer["class_name"], ("", ()))
        folder = f"{stem}_{counts[stem]}" if counts[stem] else stem
        counts[stem] += 1
        for i, weight in enumerate(weights):
            for root in ("layers", "_layer_checkpoint_dependencies"):
                if f"{root}/{folder}/vars/{i}" in shapes:
                    names[f"{layer['config']['name']}/{weight}"] = f"{root}/{folder}/vars/{i}"
    return names


def _open_checkpoint(path):
    prefix = path[: -len(".index")] if path.endswith(".index") else path
    if os.path.isdir(path):
        found = sorted(name for name in os.listdir(path) if name.endswith(".index"))
        prefix = tf.train.latest_checkpoint(path) or (os.path.join(path, found[0][:-6]) if len(found) == 1 else None)
        if prefix is None:
            raise InputError(f"{path}: {len(found)} checkpoints (*.index) in this folder; name the one to read")
    if not (os.path.isfile(prefix) or os.path.isfile(prefix + ".index")):
        raise InputError(f"{path}: no such weights file or checkpoint (.npz, .h5, .keras or a TensorFlow checkpoint)")
    reader = tf.train.load_checkpoint(prefix)
    shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    return WeightFile(path, shapes, reader.get_tensor)
