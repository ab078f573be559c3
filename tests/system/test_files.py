"""Files and folders are there whole or not at all, also after a kill; a lock lasts as long as its process."""

import contextlib
import errno
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.hanging import HANG_SECONDS
from tfseg.errors import InputError, RunError
from tfseg.system import files
from tfseg.system.files import (
    check_sha256,
    file_sha256,
    locked,
    open_regular,
    partial_folder,
    remove_unfinished,
    take_place,
    whole_file,
    whole_folder,
    write_atomically,
)

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@contextlib.contextmanager
def child(body, *words):
    """A process that runs `body` with the words as sys.argv[1:], once it is ready; it is killed at the end.

    Its stdin stays open: reading it takes as long as this process is there.
    """
    script = f"import os, signal, sys\nfrom tfseg.system.files import *\n{body}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", script, *map(str, words)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def content_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def made(folder, content):
    folder.mkdir()
    (folder / "a").write_bytes(content)
    return folder


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, step):
    write_atomically(tmp_path / "config.json", b"old")
    monkeypatch.setattr(*((Path, "write_bytes") if step == "write" else (files.os, step)), full)
    message = (
        r"config.json: cannot be written \(No space left on device: free some space\); the file of before is untouched$"
    )
    with pytest.raises(RunError, match=message):
        write_atomically(tmp_path / "config.json", b"new")
    monkeypatch.undo()
    assert content_of(tmp_path) == {"config.json": b"old"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_one_line_and_folders_are_made(tmp_path):
    write_atomically(tmp_path / "deep" / "er" / "a", b"1")
    with pytest.raises(RunError, match=r"a/b: cannot be written \(File exists\)") as caught:
        write_atomically(tmp_path / "deep" / "er" / "a" / "b", b"2")
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(RunError, match=r"er: cannot be written \(Is a directory\)"):
        write_atomically(tmp_path / "deep" / "er", b"3")
    assert content_of(tmp_path) == {"deep/er/a": b"1"}


@pytest.mark.parametrize("error", [InputError("of the caller"), KeyboardInterrupt()])
def test_an_error_of_the_caller_passes_and_leaves_the_old_file(tmp_path, error):
    write_atomically(tmp_path / "a", b"old")
    with pytest.raises(type(error)), whole_file(tmp_path / "a") as part:
        part.write_bytes(b"new")
        raise error
    assert content_of(tmp_path) == {"a": b"old"}


def test_content_is_on_disk_before_it_has_the_name(tmp_path, monkeypatch):
    steps = []
    for name in ("fsync", "replace"):
        done = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *args, name=name, done=done: (steps.append(name), done(*args)))
    write_atomically(tmp_path / "a", b"new")
    assert steps == ["fsync", "replace"]


def test_a_kill_leaves_the_old_file_and_the_next_write_nothing_else(tmp_path):
    write_atomically(tmp_path / "a", b"old")
    body = "with whole_file(sys.argv[1]) as part:\n"
    body += "    part.write_bytes(b'ne'); print('ready', flush=True); sys.stdin.read()"
    with child(body, tmp_path / "a") as process:
        process.kill()
    assert sorted(content_of(tmp_path).values()) == [b"ne", b"old"]
    with child("write_atomically(sys.argv[1], b'n'); print('ready', flush=True)", tmp_path / "b"):
        assert content_of(tmp_path) == {"a": b"old", "b": b"n"}


def test_two_writers_do_not_write_into_the_same_file(tmp_path):
    body = "with whole_file(sys.argv[1]) as part:\n"
    body += "    part.write_bytes(b'theirs'); print('ready', flush=True); sys.stdin.read()"
    with child(body, tmp_path / "a"):
        with whole_file(tmp_path / "a") as part, whole_file(tmp_path / "a") as second:
            part.write_bytes(b"ours")
            second.write_bytes(b"ours, too")
            remove_unfinished(tmp_path)  # none of them is left from a killed process
            assert sorted(content_of(tmp_path).values()) == [b"ours", b"ours, too", b"theirs"]
        assert (tmp_path / "a").read_bytes() == b"ours"


def test_what_others_have_not_finished_stays(tmp_path):
    for name in (".photo.png.part", "photo.1-00000000.part", ".photo.png.1-0.part"):
        (tmp_path / name).write_bytes(b"of a browser")
    (tmp_path / ".a.1-00000000.part").mkdir()
    before = sorted(tmp_path.iterdir())
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path / "nowhere")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 127, "a\udcff"])
def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path, name):
    write_atomically(tmp_path / name, b"1")
    assert content_of(tmp_path) == {name: b"1"}


def fifo(path):
    os.mkfifo(path)


def bound_socket(path):
    socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))


@pytest.mark.parametrize("make", [fifo, bound_socket, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_only_regular_files_are_opened_and_nothing_waits(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "config.json")
    for read in (open_regular, file_sha256, lambda path: check_sha256(str(path), SHA256)):
        with pytest.raises(InputError, match=r"config.json: a .+, not a regular file"):
            read(tmp_path / "config.json")


def test_a_regular_file_is_opened_also_by_a_link(tmp_path):
    (tmp_path / "a").write_text("ü\n")
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link", "r") as file:
        assert file.read() == "ü\n"
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "b")
    with pytest.raises(InputError, match="not a path"):
        open_regular("a\0b")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device: free some space"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "Disk quota exceeded: free some space, or ask for a larger"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system: this disk is read-only, choose"),
        (OSError(errno.EACCES, "Permission denied"), "Permission denied: no permission, choose another folder"),
        (RuntimeError("{{node}} runs/a/step-1; No space left on device [Op:Save]"), "No space left on device: free"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (RuntimeError("first\nsecond"), "first"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_cause_of_a_failure_is_named_with_what_to_do(error, text):
    assert files.failure(error).startswith(text)


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with whole_folder(tmp_path / "deep" / "new") as partial:
        (partial / "a").write_bytes(b"1")
        assert not (tmp_path / "deep" / "new").exists()
    assert content_of(tmp_path) == {"deep/new/a": b"1"}


@pytest.mark.parametrize("may_replace", [False, True])
def test_after_an_error_there_is_no_partial_folder_and_the_old_one_is_as_it_was(tmp_path, may_replace):
    made(tmp_path / "new", b"old")
    with pytest.raises(KeyError), whole_folder(tmp_path / "new", may_replace) as partial:
        (partial / "a").write_bytes(b"new")
        raise KeyError
    assert content_of(tmp_path) == {"new/a": b"old"}


def test_what_is_there_is_replaced_only_on_request(tmp_path):
    made(tmp_path / "new", b"old")
    with pytest.raises(OSError, match="not empty"), whole_folder(tmp_path / "new") as partial:
        (partial / "a").write_bytes(b"new")
    assert content_of(tmp_path) == {"new/a": b"old"}
    with whole_folder(tmp_path / "new", may_replace=True) as partial:
        (partial / "b").write_bytes(b"new")
    assert content_of(tmp_path) == {"new/b": b"new"}
    assert len(list(tmp_path.iterdir())) == 1


def test_the_rest_of_a_killed_process_is_not_in_the_next_folder(tmp_path):
    made(tmp_path / ".new.partial", b"half")
    with partial_folder(tmp_path / "new") as partial:
        assert list(partial.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_takes_the_place_of_a_file_or_a_folder(tmp_path):
    for number in (1, 2):
        (tmp_path / "source").write_bytes(b"%d" % number)
        take_place(tmp_path / "source", tmp_path / "deep" / "target")
        assert content_of(tmp_path) == {"deep/target": b"%d" % number}
    take_place(made(tmp_path / "folder", b"3"), tmp_path / "other")
    (tmp_path / "source").write_bytes(b"4")
    take_place(tmp_path / "source", tmp_path / "other")
    assert content_of(tmp_path) == {"deep/target": b"2", "other": b"4"}


def test_the_old_folder_is_back_when_the_new_one_cannot_have_its_place(tmp_path, monkeypatch):
    made(tmp_path / "target", b"old")
    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        take_place(made(tmp_path / "source", b"new"), tmp_path / "target")
    assert content_of(tmp_path) == {"source/a": b"new", "target/a": b"old"}


SWAP = """
def stop(*_):
    print('ready', flush=True); sys.stdin.read()

import tfseg.system.files as files
if sys.argv[2] == 'between':
    os.replace = stop  # the old folder is aside, the new one not yet there
else:
    files._remove = lambda path: path.name == '.target.old' and path.exists() and stop()
with whole_folder(sys.argv[1], may_replace=True) as partial:
    (partial / 'a').write_bytes(b'new')
"""


@pytest.mark.parametrize(("moment", "kept"), [("between", b"old"), ("before the old one is removed", b"new")])
def test_a_swap_that_was_killed_is_repaired_by_the_next_even_if_that_fails(tmp_path, moment, kept):
    target = made(tmp_path / "target", b"old")
    with child(SWAP, target, moment) as process:
        process.kill()
    assert content_of(tmp_path)[".target.old/a"] == b"old"
    with pytest.raises(KeyError), whole_folder(target, may_replace=True):
        raise KeyError
    assert content_of(tmp_path) == {"target/a": kept}
    take_place(made(tmp_path / "source", b"newer"), target)
    assert content_of(tmp_path) == {"target/a": b"newer"}


def refuse():
    raise InputError("in use")


HOLD = "with locked(sys.argv[1], lambda: None):\n    print('ready', flush=True); sys.stdin.read()"


def test_a_lock_is_released_by_a_kill(tmp_path):
    with child(HOLD, tmp_path / "lock") as process:
        with pytest.raises(InputError, match="in use"), locked(tmp_path / "lock", refuse):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / "lock").exists()
        with locked(tmp_path / "lock", refuse):
            pass
    assert list(tmp_path.iterdir()) == []


def test_who_waits_gets_the_lock_of_a_killed_process(tmp_path):
    with child(HOLD, tmp_path / "lock") as process, locked(tmp_path / "lock", process.kill):
        assert process.wait() == -signal.SIGKILL


def test_two_processes_work_one_after_the_other(tmp_path):
    order, waits = [], threading.Event()

    def second():
        with locked(tmp_path / "lock", waits.set):
            order.append("second")
            waits.set()

    with locked(tmp_path / "lock", refuse):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(HANG_SECONDS)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_of_a_killed_process_does_not_block(tmp_path):
    (tmp_path / "lock").touch()
    with locked(tmp_path / "lock", refuse), open(tmp_path / "lock") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_file_may_stay(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "deep" / "lock", refuse, is_kept=True):
            pass
        assert content_of(tmp_path) == {"deep/lock": b""}


def test_a_refusal_does_not_take_the_lock_away_from_its_holder(tmp_path):
    with locked(tmp_path / "lock", refuse):
        for _ in range(2):
            with pytest.raises(InputError, match="in use"), locked(tmp_path / "lock", refuse):
                pass


@pytest.mark.parametrize(
    ("content", "expected"),  # of FIPS 180-4's examples
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_the_sha256_of_known_bytes(tmp_path, content, expected):
    (tmp_path / "a").write_bytes(content)
    assert file_sha256(tmp_path / "a") == expected


def test_check_sha256_names_the_file_and_both_sums(tmp_path):
    path = str(tmp_path / "weights.npz")
    Path(path).write_bytes(CONTENT)
    check_sha256(path, SHA256.upper())
    with pytest.raises(InputError, match=f"{path}: sha256 is {SHA256}, expected {'0' * 64}"):
        check_sha256(path, "0" * 64)
    with pytest.raises(InputError, match=f"^a name: sha256 is {SHA256}"):
        check_sha256(path, "0" * 64, name="a name")
    with pytest.raises(InputError, match="a sha256 has 64 hex digits, not 'abc'"):
        check_sha256(path, "abc")
    with pytest.raises(InputError, match="missing.npz: No such file"):
        check_sha256(str(tmp_path / "missing.npz"), SHA256)
