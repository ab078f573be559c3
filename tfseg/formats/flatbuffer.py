"""Checks that every offset, vector and string of a FlatBuffer stays within its bytes, before anything is read from it.

The format is described in https://flatbuffers.dev/internals. The readers that its compiler generates for Python check
nothing: they cut strings short and read fields from any bytes.
"""

import struct

# A table counts as often as it is referred to, so that a few bytes cannot cause endless work. Networks of some thousand
# operators have 30,000; this many take seconds to read.
MAX_TABLES = 50_000
# So do the bytes of tables, vectors and strings: a reader that copies a string copies it for each table that refers to
# it. In files of compilers nearly nothing is shared.
MAX_SHARING, SMALL_BYTES = 4, 1 << 20
STRING = "string"
# A table whose fields are not described: it is only checked that they lie within the table.
ANY_TABLE = "any"


def verify(data, schema, root) -> int:
    """Follows all offsets from the root table, and returns the position in bytes where the last item ends.

    Args:
      data: bytes of the whole buffer.
      schema: {table: (type of its first field, type of its second field, ...)}. A type is the width of a number in
        bytes, STRING, the name of a table, or a list with one of these, which stands for a vector. A dictionary
        {number: name of a table} stands for a union, whose number is in the field before it. Further fields, fields of
        the type None and tables without a description are not followed.
      root: name of the root table.
    Raises:
      ValueError: something lies outside of the bytes or of its own table, which the message names, or so much is
        referred to several times that reading it would take too long.
    """
    end, waiting, tables = 0, [(_unsigned(data, 0, 4, "the root"), root)], 0
    left = MAX_SHARING * len(data) + SMALL_BYTES
    while waiting:
        position, table = waiting.pop()
        tables += 1
        _limit(tables + len(waiting))
        fields, table_end = _fields(data, position, table, schema.get(table))
        end, left = max(end, table_end), left - (table_end - position)
        for field, kind, place in fields:
            what = f"{table} field {field}"
            if isinstance(kind, int):
                continue
            target = place + _unsigned(data, place, 4, what)
            if not isinstance(kind, list) and kind != STRING:
                waiting.append((target, kind))
                continue
            length, first = _unsigned(data, target, 4, what), target + 4
            [element] = kind if isinstance(kind, list) else [1]
            width = element if isinstance(element, int) else 4
            # A zero byte follows a string.
            last = first + length * width + (kind == STRING)
            _within(data, first, last - first, what)
            end, left = max(end, last), left - (last - first)
            if left < 0:
                raise ValueError("its parts share so much that they are many times its size")
            if not isinstance(element, int):
                _limit(tables + len(waiting) + length)
                waiting += [(place + _unsigned(data, place, 4, what), element) for place in range(first, last, 4)]
    return end


def _fields(data, position, table, described):
    """Checks a table; returns [(number, type, position)] of its described fields that exist, and the table's end."""
    vtable = position - struct.unpack("<i", _within(data, position, 4, table))[0]
    vtable_size, table_size = struct.unpack("<2H", _within(data, vtable, 4, table))
    if vtable_size < 4 or vtable_size % 2:
        raise ValueError(f"{table}: its list of fields has {vtable_size} bytes")
    _within(data, vtable, vtable_size, table)
    _within(data, position, table_size, table)
    offsets = struct.unpack_from(f"<{vtable_size // 2 - 2}H", data, vtable + 4)
    fields = []
    kinds = [1] * len(offsets) if described is None else described
    for number, (offset, kind) in enumerate(zip(offsets, kinds, strict=False)):  # newer files may have further fields
        if not offset or kind is None:
            continue
        width = kind if isinstance(kind, int) else 4
        if offset < 4 or offset + width > table_size:
            raise ValueError(f"{table}: field {number} lies outside of it")
        if isinstance(kind, dict):
            chosen = offsets[number - 1]
            kind = kind.get(data[position + chosen] if 4 <= chosen < table_size else 0, ANY_TABLE)
        fields.append((number, kind, position + offset))
    return fields, position + table_size


def _limit(tables):
    if tables > MAX_TABLES:
        raise ValueError(f"more than {MAX_TABLES} tables")


def _unsigned(data, position, width, what):
    return int.from_bytes(_within(data, position, width, what), "little")


def _within(data, position, width, what):
    if position < 0 or position + width > len(data):
        raise ValueError(f"{what} lies beyond the {len(data)} bytes")
    # A view, not a copy: vectors can be large.
    return memoryview(data)[position : position + width]
