"""Worker processes: order, errors, death."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

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
    run = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert run.stdout.splitlines() == ["imported", "2016 True"], run.stderr


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from tfseg.system.parallel import parallel_map\n"
        "list(parallel_map(time.sleep, [1] * 640, num_workers=2))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    with subprocess.Popen([sys.executable, script], env=environment) as parent:
        workers = wait_for(lambda: len(children := psutil.Process(parent.pid).children()) >= 2 and children)
        parent.kill()
    assert wait_for(lambda: not any(worker.is_running() for worker in workers))


def wait_for(condition):
    for _ in range(200):
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError("waited 10 s in vain")
