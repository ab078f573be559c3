"""The checksum beside a file is that of its content at every moment, and a damaged one is named."""

import hashlib
import os

import pytest

from tfseg.errors import InputError, RunError
from tfseg.system import checksums, files
from tfseg.system.checksums import check_sha256_beside, write_with_sha256


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_the_checksum_is_in_the_form_of_sha256sum(tmp_path):
    write_with_sha256(tmp_path / "last.npz", b"abc")
    assert (tmp_path / "last.npz.sha256").read_text() == f"{sha256(b'abc')}  last.npz\n"
    check_sha256_beside(tmp_path / "last.npz")
    assert sorted(os.listdir(tmp_path)) == ["last.npz", "last.npz.sha256"]


class Killed(BaseException):
    """Stands in for a kill: nothing catches it."""


@pytest.mark.parametrize("num_writes", [0, 1, 2, 3])
def test_a_kill_between_any_two_writes_leaves_a_pair_that_fits(tmp_path, monkeypatch, num_writes):
    path = tmp_path / "last.npz"
    write_with_sha256(path, b"old")
    done = []

    def write(path, data):
        if len(done) == num_writes:
            raise Killed
        files.write_atomically(path, data)
        done.append(path)

    monkeypatch.setattr(checksums, "write_atomically", write)
    if num_writes < 3:
        with pytest.raises(Killed):
            write_with_sha256(path, b"new")
    else:
        write_with_sha256(path, b"new")
    check_sha256_beside(path)
    assert path.read_bytes() == (b"old" if num_writes < 2 else b"new")
    monkeypatch.undo()
    write_with_sha256(path, b"newest")
    assert (tmp_path / "last.npz.sha256").read_text() == f"{sha256(b'newest')}  last.npz\n"


def test_another_content_is_refused_also_while_the_file_is_exchanged(tmp_path):
    path = tmp_path / "last.npz"
    write_with_sha256(path, b"old")
    path.write_bytes(b"ole")
    with pytest.raises(
        InputError, match=f"last.npz: sha256 is {sha256(b'ole')}, last.npz.sha256 says {sha256(b'old')}"
    ):
        check_sha256_beside(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"abc", b"\xff\xfe\x00", b"0" * 63, b"0" * 65, b"0" * 64 + b"\nmore", b"0" * 64 + b" a\n" * 9 + b"x"],
)
def test_a_checksum_that_is_none_names_its_file(tmp_path, content):
    (tmp_path / "last.npz").write_bytes(b"abc")
    (tmp_path / "last.npz.sha256").write_bytes(content)
    with pytest.raises(InputError, match=r"last\.npz\.sha256: not a checksum") as caught:
        check_sha256_beside(tmp_path / "last.npz")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("form", ["{}", "{}\n", "{}  other name.npz\r\n", "{} *last.npz\n", "\n{}\tlast.npz"])
def test_other_forms_of_a_checksum_are_read(tmp_path, form):
    (tmp_path / "last.npz").write_bytes(b"abc")
    for text in (sha256(b"abc"), sha256(b"abc").upper()):
        (tmp_path / "last.npz.sha256").write_text(form.format(text))
        check_sha256_beside(tmp_path / "last.npz")


def test_what_is_missing_or_no_file_is_named(tmp_path):
    path = tmp_path / "last.npz"
    with pytest.raises(InputError, match=r"last.npz: its checksum last.npz.sha256 is missing"):
        check_sha256_beside(path)
    (tmp_path / "last.npz.sha256").write_text("0" * 64)
    with pytest.raises(InputError, match=r"last.npz: cannot be read \(No such file"):
        check_sha256_beside(path)
    (tmp_path / "last.npz.sha256").unlink()
    os.mkfifo(tmp_path / "last.npz.sha256")
    with pytest.raises(InputError, match=r"last.npz.sha256: a pipe"):
        check_sha256_beside(path)
    with pytest.raises(RunError, match="cannot be written"):
        write_with_sha256(tmp_path / "last.npz.sha256" / "a", b"")


def test_a_damaged_checksum_does_not_hold_up_the_next_write(tmp_path):
    (tmp_path / "last.npz.sha256").write_bytes(b"\xff")
    write_with_sha256(tmp_path / "last.npz", b"abc")
    check_sha256_beside(tmp_path / "last.npz")
