"""Unpacks untrusted archives: only regular files and folders, up to a size limit, completely or not at all.

Every archive is read to its end, so that the checksums of its format are compared: those of gzip, bzip2 and xz, and the
one that a zip file has for each member. A plain .tar has checksums of its headers only, not of its content.
"""

import bz2
import errno
import gzip
import lzma
import os
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

from tfseg.errors import MAX_NAME, InputError, RunError, shortened
from tfseg.system.files import open_regular, whole_folder

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_BYTES = 1 << 40
# Photos hardly compress; label images and text rarely compress more than fiftyfold.
MAX_RATIO = 100
FREE_BYTES = 100 << 20  # content up to this size is allowed at any ratio to the archive
MAX_MEMBERS = 2_000_000
CHUNK_BYTES = 1 << 20
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error)
DAMAGE += (EOFError, LookupError, ValueError, RuntimeError)
ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
# {first bytes: function that opens the decompressed content}
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
ZIP_END_BYTES, ZIP64_LOCATOR_BYTES = 22, 20
ZIP_COUNT_IN_ZIP64 = 0xFFFF
ZIP_UTF8_NAME = 0x800


def is_archive(path) -> bool:
    """Whether the name ends like that of an archive that `safe_extract` can unpack."""
    return str(path).lower().endswith(ENDINGS)


def safe_extract(archive, target, max_bytes: int = MAX_BYTES):
    """Unpacks a zip or tar archive into a new folder.

    Permissions, owners and times are not kept. `target` appears only when everything is unpacked and all checksums of
    the archive have been compared.

    Args:
      archive: path of a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz file.
      target: folder that does not exist yet.
      max_bytes: largest size of the unpacked content in bytes; above 100 MiB, the content may also not be more than 100
        times as large as the archive.
    Raises:
      InputError: the archive is damaged, cut short or goes on after its end; or a member is a link or device, has an
        absolute path or `..` in its path, occurs twice (upper and lower case count as equal, because some file systems
        treat them so), or is too large.
      RunError: the content cannot be written.
    """
    archive, target = Path(archive), Path(target)
    if target.exists():
        raise InputError(f"{target}: exists already")
    try:
        file = open_regular(archive)
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise InputError(f"{archive}: {reason}") from None
    try:
        with file, whole_folder(target) as partial:
            limit = min(max_bytes, max(FREE_BYTES, MAX_RATIO * archive.stat().st_size))
            is_zip = file.read(len(ZIP_MAGIC[0])) in ZIP_MAGIC or archive.name.lower().endswith(".zip")
            file.seek(0)
            _Extraction(archive, partial, limit).run(_zip_members(file) if is_zip else _tar_members(file))
    except InputError:
        raise
    except DAMAGE as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno in (None, errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ):  # bz2 and gzip give no number
            raise _damaged(archive, error.strerror or error) from error
        raise RunError(f"{archive}: cannot be unpacked into {target} ({error.strerror})") from error


def _damaged(archive, error):
    return InputError(f"{archive}: not an archive that can be read, or damaged ({shortened(str(error), 100)})")


class _Extraction:
    """Writes members into `folder` and counts their bytes."""

    def __init__(self, archive, folder, max_bytes):
        self.archive, self.folder, self.max_bytes = archive, folder, max_bytes
        self.num_bytes = 0
        self.known = {}  # path as a case-blind file system sees it -> (path, kind)

    def run(self, members):
        """Unpacks all members.

        Args:
          members: iterator over (name, kind, function that opens the content); kind is "file", "folder", or a word for
            anything else.
        """
        count = 0
        for count, (name, kind, open_content) in enumerate(members, 1):
            if count > MAX_MEMBERS:
                raise InputError(f"{self.archive}: more than {MAX_MEMBERS} members")
            if kind not in ("file", "folder"):
                raise InputError(f"{self.archive}: {_shown(name)} is a {kind}; only files and folders are unpacked")
            path = self.folder / self._checked(name, kind)
            if kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_content() as source, open(path, "xb") as file:
                self._copy(source, file)
        if not count:
            raise InputError(f"{self.archive}: holds nothing; pack it or download it again")

    def _checked(self, name, kind):
        """Returns the path, if it stays inside the folder and clashes with no other path."""
        if re.match(r"/|[A-Za-z]:", name) or "\\" in name or "\0" in name:
            raise InputError(f"{self.archive}: {_shown(name)} is not a relative path")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or (kind == "file" and not parts):
            raise InputError(f"{self.archive}: {_shown(name)} leads out of the archive's folder")
        paths = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        for path in paths:
            entry = path, kind if path == paths[-1] else "folder"
            case_blind = unicodedata.normalize("NFC", path).casefold()
            known = self.known.get(case_blind)
            if known and (known != entry or known[1] == "file"):
                raise InputError(f"{self.archive}: {_shown(name)} clashes with {_shown(known[0])}")
            self.known[case_blind] = entry
        return "/".join(parts)

    def _copy(self, source, file):
        while chunk := source.read(CHUNK_BYTES):
            self.num_bytes += len(chunk)
            if self.num_bytes > self.max_bytes:
                raise InputError(
                    f"{self.archive}: unpacks to more than {self.max_bytes / 1e9:.1f} GB, "
                    f"from {os.path.getsize(self.archive) / 1e9:.3f} GB; unpack it by hand if you trust it"
                )
            file.write(chunk)


def _shown(name):
    return repr(shortened(name, MAX_NAME))


def _zip_members(file):
    with zipfile.ZipFile(file) as content:
        members = content.infolist()
        expected = _zip_count(file, content)
        if expected != len(members):
            raise zipfile.BadZipFile(f"its end says that it has {expected} members, and {len(members)} are listed")
        for member in members:
            kind = "folder" if member.is_dir() else "file"
            file_type = stat.S_IFMT(member.external_attr >> 16)
            if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "link" if file_type == stat.S_IFLNK else "device"
            if member.flag_bits & 1:
                kind = "file with a password"
            _check_encoding_of_name(file, member)
            yield member.filename, kind, lambda member=member: content.open(member)


def _zip_count(file, content):
    """Reads from the end of a zip file how many members it has: zipfile itself would stop early without a word."""
    place = file.seek(0, os.SEEK_END) - len(content.comment) - ZIP_END_BYTES
    [count] = _unpacked(file, place + 10, "<H")
    if count == ZIP_COUNT_IN_ZIP64 and place >= ZIP64_LOCATOR_BYTES:
        magic, _, offset = _unpacked(file, place - ZIP64_LOCATOR_BYTES, "<4sLQ")
        if magic == b"PK\x06\x07":
            [count] = _unpacked(file, offset + 32, "<Q")
    return count


def _check_encoding_of_name(file, member):
    """Compares the two places that say how a name is encoded; zipfile only compares the bytes of the name."""
    [flags] = _unpacked(file, member.header_offset + 6, "<H")
    if (flags ^ member.flag_bits) & ZIP_UTF8_NAME:
        raise zipfile.BadZipFile(f"{_shown(member.filename)} has two encodings")


def _unpacked(file, place, form):
    file.seek(place)
    content = file.read(struct.calcsize(form))
    if len(content) < struct.calcsize(form):
        raise zipfile.BadZipFile("cut short")
    return struct.unpack(form, content)


class _Header(tarfile.TarInfo):
    """A member's header. `tarfile` takes a damaged header, and the lack of one, for the end of the archive."""

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if _is_zero(buf) and len(buf) == tarfile.BLOCKSIZE:  # the first of the two blocks at the end
                raise
            raise tarfile.ReadError(f"the header of a member is damaged or missing: {error}") from None


def _tar_members(file):
    magic = file.read(max(map(len, COMPRESSIONS)))
    file.seek(0)
    decompressed = next((opener for first, opener in COMPRESSIONS.items() if magic.startswith(first)), None)
    # Positions only ever grow: a step back would decompress everything from the beginning again.
    stream = decompressed(file) if decompressed else file
    with tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as content:
        for member in content:
            if member.isreg() and not member.issparse():
                kind = "file"
            elif member.isdir():
                kind = "folder"
            else:
                kind = "link" if member.islnk() or member.issym() else "device or sparse file"
            yield member.name, kind, lambda member=member: content.extractfile(member)
    _check_end(stream)


def _check_end(stream):
    """Reads the second block of zeros and all that follows; a compressed file then compares its checksums."""
    num_zeros = 0
    while chunk := stream.read(CHUNK_BYTES):
        if not _is_zero(chunk):
            raise tarfile.ReadError("it goes on after its end")
        num_zeros += len(chunk)
    if num_zeros < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")


def _is_zero(content):
    return content.count(0) == len(content)
