"""The FlatBuffers of TFLite's model metadata: packs dictionaries as tables, and reads tables from verified bytes.

The formats: metadata_schema.fbs of TFLite and image_segmenter_metadata_schema.fbs of MediaPipe, both in
https://github.com/google-ai-edge/mediapipe/tree/master/mediapipe/tasks/metadata.
"""

import struct
from collections.abc import Iterator

import flatbuffers
import numpy as np
from flatbuffers.table import Table

from tfseg.formats import flatbuffer

TEXT, FLOATS, BYTES, ENUM, NUMBER = flatbuffer.STRING, [4], [1], 1, 4
UNION = flatbuffer.ANY_TABLE  # a table of the type that the field before it names
STRINGS = [4]  # a vector of offsets: the strings themselves are not read here
ALIGNMENT = 16  # alignment of the bytes of custom metadata and of a model's constants
# Many tables may refer to the same long string.
MAX_TEXT_BYTES = 1000
IDENTIFIERS = {"ModelMetadata": b"M001", "ImageSegmenterOptions": b"V001"}
# Fields of each table, in the schema's order.
TABLES = {
    "ModelMetadata": {
        "name": TEXT,
        "description": TEXT,
        "version": TEXT,
        "subgraph_metadata": ["SubGraphMetadata"],
        "author": TEXT,
        "license": TEXT,
        "associated_files": ["AssociatedFile"],
        "min_parser_version": TEXT,
    },
    "SubGraphMetadata": {
        "name": TEXT,
        "description": TEXT,
        "input_tensor_metadata": ["TensorMetadata"],
        "output_tensor_metadata": ["TensorMetadata"],
        "associated_files": ["AssociatedFile"],
        "input_process_units": ["ProcessUnit"],
        "output_process_units": ["ProcessUnit"],
        "input_tensor_groups": ["TensorGroup"],
        "output_tensor_groups": ["TensorGroup"],
        "custom_metadata": ["CustomMetadata"],
    },
    "TensorMetadata": {
        "name": TEXT,
        "description": TEXT,
        "dimension_names": STRINGS,
        "content": "Content",
        "process_units": ["ProcessUnit"],
        "stats": "Stats",
        "associated_files": ["AssociatedFile"],
    },
    "AssociatedFile": {"name": TEXT, "description": TEXT, "type": ENUM, "locale": TEXT, "version": TEXT},
    "Content": {"content_properties_type": ENUM, "content_properties": UNION, "range": "ValueRange"},
    "ImageProperties": {"color_space": ENUM, "default_size": "ImageSize"},
    "ImageSize": {"width": NUMBER, "height": NUMBER},
    "ValueRange": {"min": NUMBER, "max": NUMBER},
    "ProcessUnit": {"options_type": ENUM, "options": UNION},
    "NormalizationOptions": {"mean": FLOATS, "std": FLOATS},
    "Stats": {"max": FLOATS, "min": FLOATS},
    "TensorGroup": {"name": TEXT, "tensor_names": STRINGS},
    "CustomMetadata": {"name": TEXT, "data": BYTES},
    "ImageSegmenterOptions": {"activation": ENUM, "min_parser_version": TEXT},
}
SCHEMA = {table: tuple(fields.values()) for table, fields in TABLES.items()}


def pack(table, fields) -> bytes:
    """Packs a FlatBuffer.

    Args:
      table: name of the root table, which must have an identifier.
      fields: {name: value} of the fields to set. A value is a string, a number, bytes, a list of floats, such a
        dictionary for a table, a list of such dictionaries, or (name of the table, its dictionary) for a union.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_add(builder, table, fields), IDENTIFIERS[table])
    return bytes(builder.Output())


def add_bytes(builder, data) -> int:
    """Adds an aligned vector of bytes, and returns its place."""
    builder.StartVector(1, len(data), ALIGNMENT)
    # Copies all bytes at once, like the builder's own `CreateByteVector`, which does not align them.
    builder.head = builder.Head() - len(data)
    builder.Bytes[builder.Head() : builder.Head() + len(data)] = bytes(data)
    return builder.EndVector()


def _add(builder, kind, value):
    """Adds the value that a field of this kind refers to, and returns its place."""
    if kind == UNION:
        kind, value = value
    if kind == TEXT:
        return builder.CreateString(value)
    if kind == BYTES:
        return add_bytes(builder, value)
    if kind == FLOATS:
        return builder.CreateNumpyVector(np.array(value, np.float32))
    if isinstance(kind, list):
        places = [_add(builder, kind[0], element) for element in value]
        builder.StartVector(4, len(places), 4)
        for place in reversed(places):
            builder.PrependUOffsetTRelative(place)
        return builder.EndVector()
    kinds = TABLES[kind]
    # Values that the table refers to come first: a table cannot be begun within another one.
    added = {
        name: one if kinds[name] in (ENUM, NUMBER) else _add(builder, kinds[name], one) for name, one in value.items()
    }
    builder.StartObject(len(kinds))
    for slot, (name, field) in enumerate(kinds.items()):
        if name not in added:
            continue
        if field == ENUM:
            builder.PrependUint8Slot(slot, added[name], 0)
        elif field == NUMBER:
            builder.PrependUint32Slot(slot, added[name], 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, added[name], 0)
    return builder.EndObject()


def read(data, table) -> "Part":
    """Checks a whole FlatBuffer, and returns its root table.

    Raises:
      ValueError: the buffer is damaged or has another format.
    """
    wanted = IDENTIFIERS[table]
    if data[4:8] != wanted:
        raise ValueError(f"{table} does not have {wanted.decode()} in bytes 4 to 8")
    flatbuffer.verify(data, SCHEMA, table)
    return Part(data, table, int.from_bytes(data[:4], "little"))


class Part:
    """A table in verified bytes. Fields are read only on demand, because many may refer to the same bytes."""

    def __init__(self, data, table, position):
        self._table, self._fields = Table(data, position), list(TABLES[table].items())

    def number(self, name) -> int:
        """Returns the value of a field of one byte; 0 if it is missing."""
        place, _ = self._place(name)
        return self._table.Bytes[place] if place else 0

    def text(self, name) -> str:
        """Returns a string, up to MAX_TEXT_BYTES; empty if it is missing."""
        first, count = self._vector(name)
        return self._table.Bytes[first : first + min(count, MAX_TEXT_BYTES)].decode("utf-8", "replace")

    def data(self, name) -> bytes:
        """Returns a vector of bytes; empty if it is missing."""
        first, count = self._vector(name)
        return self._table.Bytes[first : first + count]

    def floats(self, name) -> tuple[float, ...]:
        """Returns a vector of floats; empty if it is missing."""
        first, count = self._vector(name)
        return struct.unpack_from(f"<{count}f", self._table.Bytes, first)

    def parts(self, name) -> Iterator["Part"]:
        """Yields the tables of a vector; none if it is missing."""
        first, count = self._vector(name)
        _, [kind] = self._place(name)
        for place in range(first, first + 4 * count, 4):
            yield Part(self._table.Bytes, kind, self._table.Indirect(place))

    def union(self, name, table) -> "Part":
        """Checks and returns a union field as the table that other fields name as its type.

        Raises:
          ValueError: the field is missing or damaged.
        """
        place, _ = self._place(name)
        if not place:
            raise ValueError(f"{table} is missing")
        position = self._table.Indirect(place)
        flatbuffer.verify(position.to_bytes(4, "little") + self._table.Bytes[4:], SCHEMA, table)
        return Part(self._table.Bytes, table, position)

    def _place(self, name):
        """Returns where a field is (0 if it is missing) and its kind."""
        [(slot, kind)] = [(slot, kind) for slot, (field, kind) in enumerate(self._fields) if field == name]
        offset = self._table.Offset(4 + 2 * slot)
        return self._table.Pos + offset if offset else 0, kind

    def _vector(self, name):
        """Returns where a vector's first element is, and the number of elements."""
        place, _ = self._place(name)
        if not place:
            return 0, 0
        first = self._table.Indirect(place) + 4
        return first, int.from_bytes(self._table.Bytes[first - 4 : first], "little")
