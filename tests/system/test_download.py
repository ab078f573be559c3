"""Files by URL and sha256: whole and checked, or not there."""

import contextlib
import functools
import hashlib
import http.server
import threading

import pytest

from tfseg.errors import InputError
from tfseg.system.download import download, local_path

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"{SHA256[:8]}-weights.npz"


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; a name with "cut" in it ends before its announced length."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        if "cut" not in self.path:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(10 * len(CONTENT)))
        self.end_headers()
        return self.wfile.write(CONTENT)


@contextlib.contextmanager
def serve(folder):
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "weights.npz").write_bytes(CONTENT)
    return tmp_path / "site"


def test_a_file_is_fetched_once_and_then_taken_from_the_cache(site, tmp_path):
    cache = tmp_path / "cache"
    with serve(site) as url:
        path = download(f"{url}/weights.npz", SHA256, str(cache))
    assert path == str(cache / NAME)
    assert (cache / NAME).read_bytes() == CONTENT
    assert download(f"{url}/weights.npz", SHA256, str(cache)) == path  # the server is gone


def test_other_content_than_expected_leaves_no_file(site, tmp_path):
    with serve(site) as url, pytest.raises(InputError, match=f"/weights.npz: sha256 is {SHA256}, expected 000"):
        download(f"{url}/weights.npz", "0" * 64, str(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_file_in_the_cache_is_named(site, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(InputError, match=f"{tmp_path}/{NAME}: sha256 is .*another or a damaged file"):
        download("https://example.org/weights.npz", SHA256, str(tmp_path))


def test_a_connection_that_ends_early_leaves_no_file(site, tmp_path):
    with serve(site) as url, pytest.raises(InputError, match="cannot download .*cut.npz"):
        download(f"{url}/cut.npz", SHA256, str(tmp_path / "cache"))
    assert list((tmp_path / "cache").iterdir()) == []


def test_offline_the_error_says_what_to_fetch_and_where_to_put_it(site, tmp_path):
    with serve(site) as url:
        pass
    with pytest.raises(InputError, match=rf"cannot download {url}/weights.npz .* put it at {tmp_path}/{NAME}$"):
        download(f"{url}/weights.npz", SHA256, str(tmp_path))


def test_a_source_is_a_path_a_checked_path_or_a_checked_url(site, tmp_path):
    path = str(site / "weights.npz")
    assert local_path(path, str(tmp_path)) == path
    assert local_path(f"{path}#sha256={SHA256}", str(tmp_path)) == path
    assert local_path(f"file://{path}#sha256={SHA256}", str(tmp_path / "cache")) == str(tmp_path / "cache" / NAME)
    with pytest.raises(InputError, match="add #sha256=<hex> to the URL"):
        local_path(f"file://{path}", str(tmp_path))
    with pytest.raises(InputError, match="not the http, https or file URL of a file"):
        local_path(f"ftp://example.org/weights.npz#sha256={SHA256}", str(tmp_path))
