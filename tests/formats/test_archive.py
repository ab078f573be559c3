"""Untrusted archives: nothing is written outside of the target, and nothing is half unpacked."""

import io
import os
import shutil
import stat
import tarfile
import zipfile

import pytest

from tfseg.errors import MAX_MESSAGE, InputError
from tfseg.formats import archive
from tfseg.formats.archive import is_archive, safe_extract


@pytest.fixture
def tar(tmp_path):
    """tar(members) writes an archive and returns its path; members are (name, content) or TarInfo."""

    def write(*members):
        path = tmp_path / "x.tar.gz"
        with tarfile.open(path, "w:gz") as file:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    file.addfile(member)
                    continue
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                file.addfile(info, io.BytesIO(member[1]))
        return path

    return write


@pytest.fixture
def zipped(tmp_path):
    """zipped(members) writes an archive and returns its path; members are (name or ZipInfo, content)."""

    def write(*members):
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(name, content)
        return path

    return write


def special(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


def refused(path, message):
    target = path.parent / "target"
    before = sorted(path.parent.iterdir())
    with pytest.raises(InputError, match=message):
        safe_extract(path, target)
    assert sorted(path.parent.iterdir()) == before  # nothing inside, beside or above


def test_files_and_folders_are_unpacked_without_permissions(tar, zipped, tmp_path):
    folder = special("data", tarfile.DIRTYPE)
    executable = special("data/run.sh", tarfile.REGTYPE)
    executable.mode = 0o4777
    safe_extract(tar(folder, ("data/a.txt", b"a"), executable), tmp_path / "from_tar")
    assert (tmp_path / "from_tar/data/a.txt").read_bytes() == b"a"
    assert not (tmp_path / "from_tar/data/run.sh").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR)
    safe_extract(zipped(("data/", b""), ("data/ç b.txt", b"b")), tmp_path / "from_zip")
    assert (tmp_path / "from_zip/data/ç b.txt").read_bytes() == b"b"


@pytest.mark.parametrize("name", ["../x", "a/../../x"])
def test_a_path_that_leads_out_is_refused(tar, zipped, name):
    refused(tar(("ok", b""), (name, b"")), "leads out")
    refused(zipped(("ok", b""), (name, b"")), "leads out")


@pytest.mark.parametrize("name", ["/tmp/x", "C:/x", "a\\x"])
def test_an_absolute_path_is_refused(tar, zipped, name):
    refused(tar((name, b"")), "not a relative path")
    refused(zipped((name, b"")), "not a relative path")


def test_a_symlink_then_a_file_through_it_is_refused(tar, zipped, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    refused(tar(special("link", tarfile.SYMTYPE, str(outside)), ("link/x", b"")), "'link' is a link")
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(zipped((link, str(outside)), ("link/x", b"")), "'link' is a link")
    assert list(outside.iterdir()) == []


def test_hard_links_and_devices_are_refused(tar):
    refused(tar(("a", b""), special("b", tarfile.LNKTYPE, "a")), "'b' is a link")
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        refused(tar(special("b", kind)), "'b' is a device")


@pytest.mark.parametrize(
    "names", [("a/x", "A/y"), ("x", "X"), ("x", "x"), ("x", "x/y"), ("x/y", "x"), ("é", "e\u0301")]
)
def test_two_members_of_one_name_are_refused(tar, names):
    refused(tar(*[(name, b"") for name in names]), "clashes with")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_zip_members_of_one_name_are_refused(zipped):
    refused(zipped(("x", b""), ("x", b"")), "clashes with")


def test_a_bomb_is_refused_while_it_unpacks(tar, zipped, monkeypatch):
    monkeypatch.setattr(archive, "FREE_BYTES", 1 << 20)
    bomb = bytes(5 << 20)  # a thousandfold larger than its archive
    refused(tar(("bomb", bomb)), "unpacks to more than")
    refused(zipped(*[(str(index), bytes(1 << 20)) for index in range(5)]), "unpacks to more than")


def test_a_zip_that_lies_about_its_size_is_refused(zipped, monkeypatch):
    monkeypatch.setattr(archive, "FREE_BYTES", 1 << 10)
    path = zipped(("bomb", bytes(5 << 20)))
    path.write_bytes(path.read_bytes().replace((5 << 20).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    refused(path, "unpacks to more than|damaged")


def test_damaged_and_foreign_files_are_refused(tar, zipped, tmp_path):
    for path in (tar(("x", bytes(range(256)) * 400)), zipped(("x", bytes(range(256)) * 400))):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        refused(path, "not an archive that can be read, or damaged")
    text = tmp_path / "text.zip"
    text.write_text("no archive")
    refused(text, "not an archive")
    with pytest.raises(InputError, match="no such file"):
        safe_extract(tmp_path / "none.zip", tmp_path / "target")


CONTENT = {f"data/{name}": bytes(range(256)) * 3 + name.encode() for name in ("a.png", "b.png", "é.txt")}
KINDS = ("x.zip", "x.tar", "x.tar.gz", "x.tar.bz2", "x.tar.xz")


def packed(folder, kind, members=CONTENT):
    """Writes an archive of `members` and returns its path."""
    path = folder / kind
    if kind.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members.items():
                file.writestr(name, content)
        return path
    with tarfile.open(path, f"w:{kind.removeprefix('x.tar').removeprefix('.')}") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def unpacked(path):
    """The content after unpacking; None if the archive is refused, as an InputError and with nothing left behind."""
    target = path.parent / "target"
    try:
        safe_extract(path, target)
    except InputError as error:
        assert len(str(error)) <= MAX_MESSAGE
        assert not target.exists()
        return None
    found = {file.relative_to(target).as_posix(): file.read_bytes() for file in target.rglob("*") if file.is_file()}
    shutil.rmtree(target)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_that_is_cut_anywhere_is_never_a_smaller_one(tmp_path, kind):
    path = packed(tmp_path, kind)
    content = path.read_bytes()
    assert unpacked(path) == CONTENT
    # Every block of a tar ends at one of these places, and so do headers and members.
    for length in {*range(0, len(content), 512), *range(0, len(content), 97)} - {len(content)}:
        path.write_bytes(content[:length])
        assert unpacked(path) in (None, CONTENT), length


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "x.tar"])
def test_a_flipped_bit_never_changes_what_is_unpacked(tmp_path, kind):
    path = packed(tmp_path, kind)
    content, step = path.read_bytes(), 61
    for place in range(0, 8 * len(content), step):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert unpacked(path) in (None, CONTENT), place


def test_a_flipped_bit_in_a_header_of_a_plain_tar_is_no_end_of_it(tmp_path):
    """Its content has no checksum, so that only headers can be compared."""
    path = packed(tmp_path, "x.tar")
    content = path.read_bytes()
    header = content.index(b"data/b.png")
    for place in range(8 * header, 8 * (header + 512), 7):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert unpacked(path) in (None, CONTENT), place - 8 * header


def test_a_zip_whose_list_of_members_is_shorter_than_it_says_is_refused(tmp_path):
    path = packed(tmp_path, "x.zip")
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    for place in (end + 8, end + 10):
        content[place] += 1
    path.write_bytes(content)
    refused(path, "its end says that it has 4 members, and 3 are listed")


def test_an_archive_that_goes_on_after_its_end_is_refused(tmp_path):
    path = packed(tmp_path, "x.tar")
    path.write_bytes(path.read_bytes() * 2)
    refused(path, "it goes on after its end")


def test_the_kind_of_an_archive_is_told_by_its_content(tmp_path):
    packed(tmp_path, "x.zip").rename(tmp_path / "y.tar.gz")
    assert unpacked(tmp_path / "y.tar.gz") == CONTENT
    inner = packed(tmp_path, "x.zip").read_bytes()
    # At its end, this tar looks like the zip inside it.
    assert unpacked(packed(tmp_path, "x.tar", {"a.zip": inner})) == {"a.zip": inner}


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.zip")
    refused(tmp_path / "x.zip", "not a regular file")


def test_long_names_are_shortened_in_messages(zipped):
    refused(zipped((f"../{'x' * 5000}", b"")), r"^.{1,300}$")


def test_an_existing_target_is_left_alone(tar, tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError, match="exists already"):
        safe_extract(tar(("x", b"")), tmp_path / "target")


def test_archives_are_known_by_their_ending():
    assert is_archive("VOC.tar") and is_archive("a/B.ZIP") and is_archive("x.tar.gz") and is_archive("x.tgz")
    assert not is_archive("x.png") and not is_archive("x.gz")


def test_an_archive_that_holds_nothing_is_refused(tmp_path):
    """A file of zeros only is an empty tar archive."""
    (tmp_path / "data.tar").write_bytes(bytes(10240))
    refused(tmp_path / "data.tar", "holds nothing")
