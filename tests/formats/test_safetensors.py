"""Files of safetensors give their arrays; one whose header does not describe its bytes is refused in one line."""

import json

import numpy as np
import pytest

from tests.formats.test_weight_files import little_memory
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights


def written(path, header, buffer):
    """Writes a file with a header, a dict or bytes, and the bytes of its arrays."""
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + buffer)
    return path


def entry(dtype, shape, first, last):
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def test_arrays_of_all_widths_are_read_as_float32(tmp_path):
    values = np.array([[1.5, -2, 0.25], [3, 4, -0.5]])
    whole = values.astype(np.float32)
    parts = {
        "F64": values.astype("<f8").tobytes(),
        "F32": whole.astype("<f4").tobytes(),
        "F16": values.astype("<f2").tobytes(),
        "BF16": (whole.view(np.uint32) >> 16).astype("<u2").tobytes(),  # these values have only zeros below
    }
    header, buffer = {"__metadata__": {"format": "pt"}}, b""
    for dtype, content in parts.items():
        header[f"kernel.{dtype}"] = entry(dtype, [2, 3], len(buffer), len(buffer) + len(content))
        buffer += content
    header["steps"] = entry("I64", [], len(buffer), len(buffer) + 8)
    file = open_weights(written(tmp_path / "a.safetensors", header, buffer + (7).to_bytes(8, "little")))
    assert file.shapes == {f"kernel.{dtype}": (2, 3) for dtype in parts} | {"steps": ()}
    for dtype in parts:
        np.testing.assert_array_equal(file.read(f"kernel.{dtype}"), whole)
        assert file.read(f"kernel.{dtype}").dtype == np.float32
    assert file.read("steps") == 7


def test_empty_arrays_take_no_bytes(tmp_path):
    header = {"a": entry("F32", [0, 3], 0, 0), "b": entry("F32", [1], 0, 4), "c": entry("F32", [0], 4, 4)}
    file = open_weights(written(tmp_path / "a.safetensors", header, bytes(4)))
    assert [file.read(name).shape for name in "abc"] == [(0, 3), (1,), (0,)]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{}", "its arrays take 10 bytes, but the file has 18"),
        (b"[1]", "no table of arrays"),
        (b"{not json", "its header is damaged"),
        (b"\xff\xfe{}", "its header is damaged"),
        (b"[" * 100_000, "its header is damaged"),
        (b'{"a": 1, "a": 2}', "a name is there twice"),
        ({"a": entry("F32", [2], 0, 8) | {"extra": 1}}, "a has no dtype, shape and data_offsets"),
        ({"a": entry("Q4", [2], 0, 8)}, "a has the type Q4; read are F64, F32"),
        ({"a": entry(["F32"], [2], 0, 8)}, "a has the type"),
        ({"a": entry("F32", [-2], 0, 8)}, r"a has the shape \[-2\]"),
        ({"a": entry("F32", [True, 2], 0, 8)}, "a has the shape"),
        ({"a": entry("F32", [1] * 9, 0, 4)}, "a has the shape"),
        ({"a": entry("F32", [2], 0, 8.0)}, "a has data_offsets"),
        ({"a": entry("F32", [3], 0, 8)}, r"a has bytes 0 to 8; from 0 on, its shape \[3\] of float32 takes 12"),
        ({"a": entry("F32", [10**6, 10**6], 0, 8)}, "takes 4000000000000"),
        ({"a": entry("F32", [1], 4, 8)}, "a has bytes 4 to 8; from 0 on"),
        ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 0, 4)}, "b has bytes 0 to 4; from 4 on"),
        ({"a": entry("F32", [1], 0, 4)}, "cut short or longer"),
        ({"a": entry("F32", [3], 0, 12)}, "cut short or longer"),
    ],
)
def test_a_header_that_does_not_describe_its_bytes_is_refused(header, message, tmp_path):
    path = written(tmp_path / "a.safetensors", header, bytes(8))
    with little_memory(), pytest.raises(InputError, match=message) as caught:
        open_weights(path)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300 and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x02\0\0", b"\xff" * 8, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_header_longer_than_the_file_or_the_limit_is_refused_unread(content, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(content)
    with little_memory(), pytest.raises(InputError, match="its header would have"):
        open_weights(tmp_path / "a.safetensors")
