"""Temporary folders last as long as their owner, or until the next process looks."""

import gc
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.hanging import HANG_SECONDS
from tfseg.system import temporary
from tfseg.system.temporary import TemporaryFolder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The system's place for temporary files, empty, in which this process has made no temporary folder yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    temporary._swept_once.cache_clear()
    return tmp_path


def owner(place, ending):
    """Returns (process, folder): a process that makes a temporary folder with a file and does what `ending` says."""
    program = f"""
import os, signal, sys
from tfseg.system.temporary import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "file").write_text("content")
print(folder.path, flush=True)
{ending}
"""
    environment = os.environ | {"TMPDIR": str(place)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", program], text=True, env=environment, **pipes)
    return process, Path(process.stdout.readline().strip())


def ended(process):
    return process.wait(timeout=HANG_SECONDS)


def test_it_is_private_and_removed_with_its_block(place):
    with TemporaryFolder() as folder:
        (folder / "file").write_text("content")
        assert folder.parent == place
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(place.iterdir()) == []


def test_it_is_removed_when_nothing_refers_to_it(place):
    folder = TemporaryFolder()
    assert folder.path.is_dir()
    del folder
    gc.collect()
    assert list(place.iterdir()) == []


def test_it_is_removed_when_python_ends(place):
    process, folder = owner(place, ending="")
    assert ended(process) == 0
    assert not folder.exists()


def test_the_folder_of_a_killed_process_is_removed_by_the_next(place):
    process, folder = owner(place, ending="os.kill(os.getpid(), signal.SIGKILL)")
    assert ended(process) == -signal.SIGKILL
    assert (folder / "file").exists()
    with TemporaryFolder():
        assert not folder.exists()


def test_the_folder_of_a_living_process_stays(place):
    process, folder = owner(place, ending="sys.stdin.read()")
    try:
        with TemporaryFolder():
            assert (folder / "file").read_text() == "content"
    finally:
        process.kill()
        ended(process)


def test_folders_and_links_of_others_stay(place):
    process, target = owner(place, ending="os.kill(os.getpid(), signal.SIGKILL)")
    ended(process)
    kept = place / "results"
    target.rename(kept)
    (place / target.name).symlink_to(kept)
    (place / ".tfseg-1-mine.temporary").mkdir()
    with TemporaryFolder():
        assert (kept / "file").exists()
        assert (place / ".tfseg-1-mine.temporary").is_dir()
