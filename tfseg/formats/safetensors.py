"""Reads .safetensors files: a header of names, types and places, then the bytes of the arrays. Nothing in them runs.

Layout: 8 bytes little-endian length of the header, the header in JSON, and a buffer that the arrays fill without gaps
(format documented by the safetensors project).
"""

import dataclasses
import json
import math
import os

import numpy as np
import tensorflow as tf

from tfseg.errors import MAX_NAME, InputError, shortened
from tfseg.system.files import open_regular

MAX_HEADER_BYTES = 8 << 20  # a network of a thousand arrays has 0.1 MB
MAX_ARRAYS = 20_000
MAX_RANK = 8
DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(tf.bfloat16.as_numpy_dtype),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}


@dataclasses.dataclass(frozen=True)
class Array:
    """Where an array is: its type, its shape, and its first byte in the file."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int

    @property
    def num_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(path) -> dict[str, Array]:
    """Returns {name: Array} of a file, whose places were all checked; no array is read.

    Raises:
      InputError: the header is damaged, has a type that is not read, or its arrays leave gaps, overlap, or do not fill
        the file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise InputError(
                f"{path}: its header would have {length} bytes; at most {MAX_HEADER_BYTES >> 20} MB of the {size}"
            )
        header = _json(path, file.read(length))
    header.pop("__metadata__", None)
    if len(header) > MAX_ARRAYS:
        raise InputError(f"{path}: more than {MAX_ARRAYS} arrays; a file of weights has a few thousand")
    entries = {name: _entry(path, name, values) for name, values in header.items()}
    end = 0
    for name, (dtype, shape, first, last) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if first != end or last - first != math.prod(shape) * dtype.itemsize:
            raise InputError(
                f"{path}: {shortened(name, MAX_NAME)} has bytes {first} to {last}; from {end} on, its shape "
                f"{shortened(list(shape), MAX_NAME)} of {dtype.name} takes {math.prod(shape) * dtype.itemsize}"
            )
        end = last
    if 8 + length + end != size:
        raise InputError(
            f"{path}: its arrays take {8 + length + end} bytes, but the file has {size}: cut short or longer"
        )
    return {name: Array(dtype, shape, 8 + length + first) for name, (dtype, shape, first, _) in entries.items()}


def read_array(path, array: Array) -> np.ndarray:
    """Reads the array that `read_header` found."""
    with open_regular(path) as file:
        file.seek(array.start)
        content = file.read(array.num_bytes)
    return np.frombuffer(content, array.dtype).reshape(array.shape)


def _json(path, content):
    def without_twins(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    try:
        header = json.loads(content.decode("utf-8"), object_pairs_hook=without_twins)
        if isinstance(header, dict):
            return header
        reason = "no table of arrays"
    except (ValueError, RecursionError) as error:
        reason = shortened(error, 100)
    raise InputError(f"{path}: its header is damaged or of another format ({reason})")


def _entry(path, name, values):
    """Returns (dtype, shape, first byte, byte after the last) of one entry of the header."""
    where = f"{path}: {shortened(name, MAX_NAME)}"
    if not isinstance(values, dict) or set(values) != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{where} has no dtype, shape and data_offsets")
    dtype, shape, offsets = values["dtype"], values["shape"], values["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InputError(f"{where} has the type {shortened(dtype, MAX_NAME)}; read are {', '.join(DTYPES)}")
    if not _are_counts(shape) or len(shape) > MAX_RANK:
        raise InputError(f"{where} has the shape {shortened(shape, MAX_NAME)}, which is none")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise InputError(f"{where} has data_offsets {shortened(offsets, MAX_NAME)}, not two positions")
    return DTYPES[dtype], tuple(shape), *offsets


def _are_counts(values):
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)
