"""Reads files of arrays (NumPy archives, safetensors, Keras weights, checkpoints) without running anything in them.

Every reader first lists names and declared shapes, and later reads one array at a time, so that a caller can refuse a
file before any of it is allocated. No model is ever deserialised: a Keras layer can name any Python function.
"""

import collections
import contextlib
import dataclasses
import glob
import io
import json
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable

import h5py
import numpy as np
import tensorflow as tf

from tfseg.errors import MAX_NAME, InputError, shortened
from tfseg.formats import foreign_weights, safetensors
from tfseg.formats.foreign_weights import ADVICE, MAX_ENTRIES
from tfseg.system.files import open_regular

# {Keras class: (its name inside `.keras` archives, the order of its weights there)}; weights' names are not stored.
_KERAS_LAYERS = {
    "Conv2D": ("conv2d", ("kernel", "bias")),
    "Dense": ("dense", ("kernel", "bias")),
    "DepthwiseConv2D": ("depthwise_conv2d", ("depthwise_kernel", "bias")),
    "BatchNormalization": ("batch_normalization", ("gamma", "beta", "moving_mean", "moving_variance")),
}

# Exceptions that the readers raise on bytes that they do not expect.
DAMAGE = (OSError, ValueError, TypeError, LookupError, EOFError, RuntimeError, struct.error, zlib.error)
DAMAGE += (zipfile.BadZipFile, tf.errors.OpError, MemoryError)  # std::bad_alloc of a damaged checkpoint is the last
# A file beyond these limits is refused before it is read, because a small one can take hours or all memory to list.
# Networks have a few thousand arrays, three times as many with an optimizer's state, and configurations of a megabyte.
MAX_DEPTH = 32
MAX_CONFIG_BYTES = 8 << 20
MAX_NPY_HEADER = 10_000  # NumPy's own limit
MOST_COMPRESSION = 200  # arrays of a network shrink by half at most, and zeros by 1000


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
        raise InputError(f"{self.path}: {shortened(name, MAX_NAME)} holds {values.dtype.name}, not numbers")

    def read_bytes(self, name: str) -> bytes:
        """Reads the only string of an array. Raises InputError if it is damaged or something else."""
        with _damage_named(self.path, name):
            value = self.reader(name)
        if not isinstance(value, bytes):
            raise InputError(f"{self.path}: {shortened(name, MAX_NAME)} holds no bytes")
        return value


def open_weights(path: str) -> WeightFile:
    """Lists the arrays of `path`.

    Args:
      path: `.npz`; `.safetensors`; `.h5` written by Keras' `save_weights`; `.keras`; or a TensorFlow checkpoint: its
        prefix, its `.index` file, or a folder with one checkpoint.
    Raises:
      InputError: there is no such file, it is damaged, or it holds more than arrays (pickled objects, a whole model,
        foreign layers).
    """
    path = os.fspath(path)
    openers = {".npz": _open_npz, ".h5": _open_h5, ".hdf5": _open_h5, ".keras": _open_keras}
    openers[".safetensors"] = _open_safetensors
    opener = openers.get(os.path.splitext(path)[1].lower(), _open_checkpoint)
    if opener is not _open_checkpoint and not os.path.isfile(path):
        raise InputError(f"{path}: no such weights file")
    with _damage_named(path):
        if opener is _open_checkpoint and os.path.isfile(path):
            foreign_weights.refuse(path)
        return opener(path)


@contextlib.contextmanager
def _damage_named(path, name="file"):
    try:
        yield
    except InputError:
        raise
    except DAMAGE as error:
        detail = shortened(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)
        raise InputError(f"{path}: {shortened(name, MAX_NAME)} is damaged or of another format ({detail})") from error


def _open_npz(path):
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        _check_entries(len(archive.infolist()), path)
        for member in archive.infolist():
            name, extension = os.path.splitext(member.filename)
            if extension != ".npy":
                raise InputError(f"{path}: {shortened(member.filename, MAX_NAME)} is not an array")
            shapes[name] = _npy_shape(archive, member, path)

    def read(name):
        with zipfile.ZipFile(path) as archive, archive.open(name + ".npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    return WeightFile(path, shapes, read)


def _npy_shape(archive, member, path):
    where = f"{path}: {shortened(member.filename, MAX_NAME)}"
    with archive.open(member) as stream:
        file = io.BytesIO(stream.read(MAX_NPY_HEADER))  # the header may claim to have gigabytes
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header[version](file)
        if dtype.kind not in "fiu":
            kind = "pickled Python objects" if dtype.hasobject else shortened(dtype, MAX_NAME)
            raise InputError(f"{where} holds {kind}; only arrays of numbers are read")
        declared = file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if declared != member.file_size:
        raise InputError(f"{where} declares shape {shortened(shape, MAX_NAME)}, but holds {member.file_size} bytes")
    return shape


def _open_safetensors(path):
    arrays = safetensors.read_header(path)
    shapes = {name: array.shape for name, array in arrays.items()}
    return WeightFile(path, shapes, lambda name: safetensors.read_array(path, arrays[name]))


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


def _check_entries(count, path):
    if count > MAX_ENTRIES:
        raise InputError(f"{path}: more than {MAX_ENTRIES} entries; a file of weights has a few thousand")


def _h5_shapes(file, path):
    """Returns {name: shape} of all datasets; links to other files are left out."""
    shapes, groups, count = {}, [("", file.id)], 0
    while groups:
        place, group = groups.pop()
        count += group.get_num_objs()
        _check_entries(count, path)
        if place.count("/") > MAX_DEPTH:
            raise InputError(f"{path}: more than {MAX_DEPTH} groups in each other; a file of weights has a few")
        for link in group:
            name = place + link.decode("utf-8", errors="replace")
            if group.links.get_info(link).type != h5py.h5l.TYPE_HARD:
                continue
            kind = h5py.h5o.get_info(group, link).type
            if kind == h5py.h5o.TYPE_GROUP:
                groups.append((f"{name}/", h5py.h5g.open(group, link)))
            elif kind == h5py.h5o.TYPE_DATASET:
                shapes[name] = _h5_shape(h5py.h5d.open(group, link), name, path)
    return shapes


def _h5_shape(dataset, name, path):
    layout = dataset.get_create_plist()
    if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
        raise InputError(f"{path}: {shortened(name, MAX_NAME)} points to another file")
    if dataset.get_type().get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT):
        raise InputError(f"{path}: {shortened(name, MAX_NAME)} holds no numbers; only arrays of numbers are read")
    return dataset.shape


def _open_keras(path):
    with zipfile.ZipFile(path) as archive:
        _check_entries(len(archive.infolist()), path)
        if archive.getinfo("config.json").file_size > MAX_CONFIG_BYTES:
            raise InputError(f"{path}: its config.json is larger than {MAX_CONFIG_BYTES >> 20} MB")
        config = json.loads(archive.read("config.json"))
        _refuse_foreign(config, path)
        weights = _unpacked(archive, archive.getinfo("model.weights.h5"), path)
    file = h5py.File(weights, "r")
    shapes = _h5_shapes(file, path)
    stored = _keras_names(config, shapes)
    return WeightFile(
        path, {name: shapes[place] for name, place in stored.items()}, lambda name: file[stored[name]][()]
    )


def _unpacked(archive, member, path):
    """Returns an unnamed file with a member's content: HDF5 jumps about, and zip archives are slow to jump in."""
    if member.file_size > MOST_COMPRESSION * member.compress_size:
        raise InputError(
            f"{path}: {member.filename} would unpack to {member.file_size / 1e9:.1f} GB, {MOST_COMPRESSION} times its "
            "size or more; weights do not shrink like that"
        )
    file = tempfile.TemporaryFile()  # noqa: SIM115, the reader of the weights keeps it open
    with archive.open(member) as stream:
        shutil.copyfileobj(stream, file, 1 << 20)  # never more than file_size
    return file


def _refuse_foreign(config, path):
    """Checks, without importing anything, that all objects of the configuration are Keras' own and none has code."""
    if isinstance(config, list):
        for item in config:
            _refuse_foreign(item, path)
    if not isinstance(config, dict):
        return
    class_name, module = config.get("class_name"), config.get("module")
    if class_name in ("Lambda", "__lambda__", "function") or ">" in (config.get("registered_name") or ""):
        name = shortened(class_name, MAX_NAME)
        raise InputError(f"{path}: its configuration holds code ({name}); only plain Keras layers are read")
    if module is not None and module != "builtins" and module.split(".")[0] not in ("keras", "tf_keras"):
        module = shortened(module, MAX_NAME)
        raise InputError(f"{path}: its configuration names a foreign module, {module}; only Keras layers are read")
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
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise InputError(f"{path}: a SavedModel, whose weights are not read; {ADVICE}")
    if os.path.isdir(path):
        found = sorted(name for name in os.listdir(path) if name.endswith(".index"))
        prefix = tf.train.latest_checkpoint(path) or (os.path.join(path, found[0][:-6]) if len(found) == 1 else None)
        if prefix is None:
            raise InputError(f"{path}: {len(found)} checkpoints (*.index) in this folder; name the one to read")
    if not (os.path.isfile(prefix) or os.path.exists(prefix + ".index")):
        raise InputError(
            f"{path}: no such weights file or checkpoint (.npz, .safetensors, .h5, .keras or a TensorFlow checkpoint)"
        )
    for name in filter(os.path.exists, (prefix, f"{prefix}.index", *glob.glob(f"{glob.escape(prefix)}.data-*"))):
        open_regular(name).close()  # TensorFlow would wait for a pipe
    reader = tf.train.load_checkpoint(prefix)
    shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    return WeightFile(path, shapes, reader.get_tensor)
