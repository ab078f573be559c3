"""Worker processes: order, errors, death."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.hanging import HANG_SECONDS, wait_for
from tfseg.errors import InputError, RunError
from tfseg.system.parallel import Attempt, parallel_map


def square(number):
    return number * number


def refuse(item):
    raise InputError(f"{item}: refused")


def die(item):
    os._exit(1)


def test_results_keep_the_order_of_the_items():
    assert list(parallel_map(square, range(64), num_workers=2)) == [number**2 for number in range(64)]


def test_an_attempt_returns_the_message_of_an_input_error():
    assert Attempt(refuse)("a.png") == "a.png: refused"


def test_a_worker_that_dies_is_a_failed_run_not_a_hang():
    with pytest.raises(RunError, match=r"train: a worker process died.*--num_workers=1"):
        list(parallel_map(die, range(64), num_workers=2, title="train"))


def test_workers_do_not_import_the_main_module(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('imported')\n"
        "from tfseg.system.parallel import parallel_map\n"
        "print(sum(parallel_map(abs, range(64), num_workers=2)), __file__ is not None)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    run = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert run.stdout.splitlines() == ["imported", "2016 True"], run.stderr


def test_workers_end_when_their_parent_is_killed(tmp_path):
    # A worker leaves its number, and is then at work for longer than this test can wait.
    (tmp_path / "working.py").write_text(
        "import os, pathlib, time\n"
        "def work(folder):\n"
        "    pathlib.Path(folder, str(os.getpid())).touch()\n"
        f"    time.sleep({2 * HANG_SECONDS})\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from working import work\n"
        "from tfseg.system.parallel import parallel_map\n"
        "list(parallel_map(work, sys.argv[1:] * 64, num_workers=2))\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).resolve().parents[2]}:{tmp_path}"}
    folder = tmp_path / "at work"
    folder.mkdir()
    with subprocess.Popen([sys.executable, script, folder], env=environment) as parent:
        wait_for(lambda: len(os.listdir(folder)) == 2, parent)
        children = psutil.Process(parent.pid).children()  # the workers, and what keeps count of their memory
        parent.kill()
    assert {int(name) for name in os.listdir(folder)} <= {child.pid for child in children}
    wait_for(lambda: not any(map(is_alive, children)))


def is_alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
