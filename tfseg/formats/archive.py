"""Unpacks untrusted archives: only regular files and folders, up to a size limit, completely or not at all."""

import gzip
import lzma
import os
import re
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from pathlib import Path

from tfseg.errors import InputError
from tfseg.system.files import whole_folder

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_BYTES = 1 << 40
# Photos hardly compress; label images and text rarely compress more than fiftyfold.
MAX_RATIO = 100
FREE_BYTES = 100 << 20  # content up to this size is allowed at any ratio to the archive
MAX_MEMBERS = 2_000_000
CHUNK_BYTES = 1 << 20
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


def is_archive(path) -> bool:
    """Whether the name ends like that of an archive that `safe_extract` can unpack."""
    return str(path).lower().endswith(ENDINGS)


def safe_extract(archive, target, max_bytes: int = MAX_BYTES):
    """Unpacks a zip or tar archive into a new folder.

    Permissions, owners and times are not kept. `target` appears only when everything is unpacked.

    Args:
      archive: path of a .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz file.
      target: folder that does not exist yet.
      max_bytes: largest size of the unpacked content in bytes; above 100 MiB, the content may also not be more than 100
        times as large as the archive.
    Raises:
      InputError: the archive is damaged; or a member is a link or device, has an absolute path or `..` in its path,
        occurs twice (upper and lower case count as equal, because some file systems treat them so), or is too large.
    """
    archive, target = Path(archive), Path(target)
    if target.exists():
        raise InputError(f"{target}: exists already")
    try:
        with whole_folder(target) as partial:
            limit = min(max_bytes, max(FREE_BYTES, MAX_RATIO * archive.stat().st_size))
            if zipfile.is_zipfile(archive):
                _Extraction(archive, partial, limit).run(_zip_members(archive))
            else:
                _Extraction(archive, partial, limit).run(_tar_members(archive))
    except FileNotFoundError:
        raise InputError(f"{archive}: no such file") from None
    except InputError:
        raise
    except (*DAMAGE, EOFError, ValueError, RuntimeError) as error:
        raise InputError(f"{archive}: not an archive that can be read, or damaged ({error})") from error


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
        for count, (name, kind, open_content) in enumerate(members, 1):
            if count > MAX_MEMBERS:
                raise InputError(f"{self.archive}: more than {MAX_MEMBERS} members")
            if kind not in ("file", "folder"):
                raise InputError(f"{self.archive}: {name!r} is a {kind}; only files and folders are unpacked")
            path = self.folder / self._checked(name, kind)
            if kind == "folder":
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_content() as source, open(path, "xb") as file:
                self._copy(source, file)

    def _checked(self, name, kind):
        """Returns the path, if it stays inside the folder and clashes with no other path."""
        if re.match(r"/|[A-Za-z]:", name) or "\\" in name or "\0" in name:
            raise InputError(f"{self.archive}: {name!r} is not a relative path")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or (kind == "file" and not parts):
            raise InputError(f"{self.archive}: {name!r} leads out of the archive's folder")
        paths = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        for path in paths:
            entry = path, kind if path == paths[-1] else "folder"
            case_blind = unicodedata.normalize("NFC", path).casefold()
            known = self.known.get(case_blind)
            if known and (known != entry or known[1] == "file"):
                raise InputError(f"{self.archive}: {name!r} clashes with {known[0]!r}")
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


def _zip_members(archive):
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            kind = "folder" if member.is_dir() else "file"
            file_type = stat.S_IFMT(member.external_attr >> 16)
            if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "link" if file_type == stat.S_IFLNK else "device"
            if member.flag_bits & 1:
                kind = "file with a password"
            yield member.filename, kind, lambda member=member: content.open(member)


def _tar_members(archive):
    with tarfile.open(archive, "r:*") as content:
        for member in content:
            if member.isreg() and not member.issparse():
                kind = "file"
            elif member.isdir():
                kind = "folder"
            else:
                kind = "link" if member.islnk() or member.issym() else "device or sparse file"
            yield member.name, kind, lambda member=member: content.extractfile(member)
