"""A child process answers, or says why not, and never outlives what waits for it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hanging import finish, wait_for
from tfseg.system import child_process

COMMAND_OF = child_process.command_of  # as it is before other tests warm their children
# A child that starts a process of its own, writes both ids, and then waits for ever.
WAITING = """
import os, subprocess, sys, time
from tfseg.system import child_process

def work(job):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(10000)"])
    with open(job["file"] + ".part", "w") as file:
        file.write(f"{os.getpid()} {other.pid}")
    os.rename(job["file"] + ".part", job["file"])
    time.sleep(10000)

child_process.answer(work)
"""
PARENT = """
import signal, sys, tempfile
from tfseg.system import child_process

# Programs in the background, or under nohup, are started with these ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
with tempfile.TemporaryDirectory(dir=sys.argv[2]):
    child_process.run("waiting", {"file": sys.argv[1]}, 10000)
"""
ANSWERING = """
import resource, signal, sys
from tfseg.system import child_process

def work(job):
    if job["what"] == "memory":
        child_process.limit(1 << 27, 100)
        bytearray(1 << 26)
        bytearray(1 << 28)
    if job["what"] == "time":
        child_process.limit(1 << 27, 1)
        while True:
            pass
    if job["what"] == "crash":
        signal.raise_signal(signal.SIGSEGV)
    if job["what"] == "long":
        raise ValueError("x" * 10000)
    return {"given": job["what"], "core": resource.getrlimit(resource.RLIMIT_CORE)[0]}

child_process.answer(work)
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Folder of the modules that children run."""
    monkeypatch.setattr(child_process, "command_of", COMMAND_OF)
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "waiting.py").write_text(WAITING)
    (folder / "answering.py").write_text(ANSWERING)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def test_the_answer_comes_back_and_crashes_would_leave_no_core_file(modules):
    assert child_process.run("answering", {"what": "nothing"}, 1000) == {"given": "nothing", "core": 0}


@pytest.mark.parametrize(
    "what,message",
    [
        ("memory", "MemoryError"),
        ("time", "it used up its processor time"),
        ("crash", "it ended by SIGSEGV"),
        ("long", "ValueError: x+"),
    ],
)
def test_what_goes_wrong_is_one_short_line(modules, what, message):
    with pytest.raises(child_process.ChildError, match=message) as caught:
        child_process.run("answering", {"what": what}, 1000)
    assert len(str(caught.value)) <= 150 and len(str(caught.value).splitlines()) == 1


def test_after_the_timeout_the_child_and_what_it_started_are_gone(modules, tmp_path, monkeypatch):
    communicate = subprocess.Popen.communicate

    def out_of_time(child, text, timeout):
        child.stdin.write(text)
        child.stdin.close()
        child.stdin = None
        wait_for((tmp_path / "ids").exists)
        return communicate(child, None, 0.01)

    monkeypatch.setattr(subprocess.Popen, "communicate", out_of_time)
    with pytest.raises(child_process.ChildError, match="it did not end within 7 seconds"):
        child_process.run("waiting", {"file": str(tmp_path / "ids")}, 7)
    for pid in (tmp_path / "ids").read_text().split():
        wait_for(lambda pid=pid: not is_running(pid))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_the_parent_leaves_nothing_behind(modules, tmp_path, number):
    (tmp_path / "work").mkdir()
    root = str(Path(__file__).resolve().parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "ids"), str(tmp_path / "work")],
        env=os.environ | {"PYTHONPATH": f"{root}:{modules}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for((tmp_path / "ids").exists, parent)
    child, other = (tmp_path / "ids").read_text().split()
    parent.send_signal(number)
    finish(parent)
    wait_for(lambda: not is_running(child))
    if number == signal.SIGKILL:  # nobody was left to end what the child had started
        os.kill(int(other), signal.SIGKILL)
        return
    wait_for(lambda: not is_running(other))
    assert list((tmp_path / "work").iterdir()) == []
    assert parent.returncode == (-signal.SIGINT if number == signal.SIGINT else 128 + number)


def test_handlers_of_others_stay_as_they_are(modules):
    def handler(*_):
        pass

    hang_up = signal.getsignal(signal.SIGHUP)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        child_process.run("answering", {"what": "nothing"}, 1000)
        assert signal.getsignal(signal.SIGTERM) is handler
        assert signal.getsignal(signal.SIGHUP) == hang_up
    finally:
        signal.signal(signal.SIGTERM, before)
