"""Gets files from the network or from disk whose content is known by its sha256."""

import http.client
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

from tfseg.errors import InputError
from tfseg.system.files import ADVICE, check_sha256, whole_file

CHUNK_BYTES = 1 << 20


def local_path(source: str, cache_dir: str) -> str:
    """Returns the path of the file that `source` means, after downloading it if need be.

    Args:
      source: a path, `path#sha256=<hex>` (checked), or `https://...#sha256=<hex>` (downloaded once, and checked).
      cache_dir: folder that keeps downloads.
    Raises:
      InputError: a URL has no sha256, or `check_sha256` or `download` fails.
    """
    location, _, sha256 = source.partition("#sha256=")
    if "://" in location:
        if not sha256:
            raise InputError(f"{source}: add #sha256=<hex> to the URL; nothing is downloaded unchecked")
        return download(location, sha256, cache_dir)
    if sha256:
        check_sha256(location, sha256)
    return location


def download(url: str, sha256: str, cache_dir: str) -> str:
    """Fetches a file, unless it was fetched before.

    The file gets its final name only when it is complete and checked; until then it is a `.part` file.

    Args:
      url: http, https or file URL.
      sha256: sha256 of the content, in hex.
      cache_dir: folder for the file, made if missing. The file's name is the first 8 digits of its sha256, a hyphen and
        the name in the URL.
    Returns:
      The file's path.
    Raises:
      InputError: there is no connection (the message says where to put the file by hand), or the content differs.
      RunError: the file cannot be written.
    """
    parts = urllib.parse.urlparse(url)
    name = os.path.basename(parts.path)
    if parts.scheme not in ("http", "https", "file") or not name:
        raise InputError(f"{url}: not the http, https or file URL of a file")
    path = os.path.join(cache_dir, f"{sha256[:8].lower()}-{name}")
    if os.path.exists(path):
        check_sha256(path, sha256)
        return path
    with whole_file(path) as part:
        try:
            _fetch(url, part)
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            if getattr(error, "errno", None) in ADVICE:  # the file cannot be written
                raise
            reason = getattr(error, "reason", None) or error
            raise InputError(
                f"cannot download {url} ({reason}); fetch it by other means and put it at {path}"
            ) from error
        check_sha256(part, sha256, name=url)
    return path


def _fetch(url, path):
    with urllib.request.urlopen(url, timeout=30) as response, open(path, "wb") as file:
        total, done = int(response.headers.get("Content-Length") or 0), 0
        while chunk := response.read(CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            if sys.stderr.isatty():
                size = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{done / 1e6:.1f} MB"
                print(f"\r{url}: {size}", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        if total and done != total:
            raise OSError(f"connection ended after {done} of {total} bytes")
