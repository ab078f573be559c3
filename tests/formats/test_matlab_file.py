"""MATLAB files: a map is read as SciPy wrote it, and a damaged file is named."""

import struct

import numpy as np
import pytest
from scipy import io

from tfseg.errors import InputError
from tfseg.formats.matlab_file import read_map

MAP = np.array([[1, 459, 0], [2, 3, 300]], np.uint16)


@pytest.fixture
def mat(tmp_path):
    """mat(variables, **options of SciPy) writes a file and returns its path."""

    def write(variables, **options):
        io.savemat(tmp_path / "a.mat", variables, **options)
        return tmp_path / "a.mat"

    return write


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float64, np.float32, np.int32, np.uint64])
def test_a_map_is_read_among_other_variables(mat, is_packed, dtype):
    others = {"a": np.zeros([5]), "LabelMapOfText": "text", "cell": np.array([1, "b"], object), "s": {"LabelMap": 1}}
    path = mat(others | {"LabelMap": MAP.astype(dtype)}, do_compression=is_packed)
    found = read_map(path, "LabelMap")
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, MAP)


def test_a_map_of_four_bytes_is_in_its_tag(mat):
    np.testing.assert_array_equal(read_map(mat({"a": np.array([[7, 9]], np.uint16)}), "a"), [[7, 9]])


def test_the_order_of_bytes_is_told_by_the_header(tmp_path):
    def element(kind, content):
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    parts = [(6, struct.pack(">II", 11, 0)), (5, struct.pack(">ii", 2, 3)), (1, b"LabelMap")]
    inside = b"".join(element(*part) for part in [*parts, (4, MAP.astype(">u2").tobytes(order="F"))])
    path = tmp_path / "a.mat"
    path.write_bytes(bytes(124) + b"\x01\x00MI" + element(14, inside))
    np.testing.assert_array_equal(read_map(path, "LabelMap"), MAP)


def test_a_compressed_variable_is_not_unpacked_beyond_what_a_map_needs(mat):
    path = mat({"bomb": np.zeros([3000, 3000])}, do_compression=True)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="more than 10000 pixels"):
        read_map(path, "LabelMap", max_pixels=10_000)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[0.5, 1.0]], "is not a map of whole numbers"),
        ([[-1.0, 1.0]], "is not a map of whole numbers"),
        ([[np.nan, 1.0]], "is not a map of whole numbers"),
        ([[1j, 1.0]], "it does not hold real numbers"),
        (np.zeros([2, 2, 2]), "its size is 2x2x2"),
        (np.zeros([0, 2]), "its size is 0x2"),
        (np.zeros([4, 9]), "its size is 4x9; a map has two sides and up to 30 pixels"),
        ({"field": 1}, "it does not hold real numbers"),
        (["text"], "it does not hold real numbers"),
    ],
)
def test_a_variable_that_is_no_map_is_refused(mat, values, reason):
    path = mat({"LabelMap": values})
    with pytest.raises(InputError) as error:
        read_map(path, "LabelMap", max_pixels=30)
    assert str(error.value).startswith(f"{path}: ") and reason in str(error.value)


def test_missing_files_and_variables_are_named(mat, tmp_path):
    with pytest.raises(InputError, match=r"a.mat: .*its variables are other"):
        read_map(mat({"other": MAP}), "LabelMap")
    with pytest.raises(InputError, match=r"b.mat: no such file"):
        read_map(tmp_path / "b.mat", "LabelMap")
    with pytest.raises(InputError):
        read_map(tmp_path, "LabelMap")
    with pytest.raises(InputError, match="its header is not that of versions 5 to 7.2"):
        read_map(mat({"LabelMap": MAP}, format="4"), "LabelMap")


@pytest.mark.parametrize("options", [{}, {"do_compression": True}])
def test_a_file_that_is_cut_short_is_refused_wherever_it_ends(mat, options):
    path = mat({"LabelMap": np.arange(600).reshape(20, 30) % 459}, **options)
    content = path.read_bytes()
    for length in range(0, len(content) - 8, max(len(content) // 40, 1)):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"a.mat: "):
            read_map(path, "LabelMap")
