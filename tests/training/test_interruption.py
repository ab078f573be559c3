"""Ctrl-C and SIGTERM during a training set a mark; a second Ctrl-C ends the process, even one that hangs."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import hanging
from tfseg.training.interruption import Interruption

ROOT = Path(__file__).resolve().parents[2]
# The package itself would import TensorFlow, which this process does not need.
START = """
import ctypes, sys, time, types
package = types.ModuleType("tfseg")
package.__path__ = ["tfseg"]
sys.modules["tfseg"] = package
from tfseg.training.interruption import Interruption
"""
HANG = "with Interruption():\n    print('ready', flush=True)\n    while True: ctypes.CDLL(None).sleep(1000)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_handlers_of_before_come_back(number, capsys):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with Interruption() as interruption:
        assert interruption.signal is None
        os.kill(os.getpid(), number)
        assert interruption.signal is number
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.signal is number
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1
    said = "Ctrl-C: ending after this step, with a checkpoint; once more ends at once, without one\n"
    assert capsys.readouterr().err == (said if number == signal.SIGINT else "")


def test_after_an_error_ctrl_c_is_the_callers_again():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyError), Interruption():
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_ends_a_process_that_hangs_in_a_library():
    command = [sys.executable, "-c", START + HANG]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith("Ctrl-C: ending after this step")
        process.send_signal(signal.SIGINT)
        _, error = hanging.finish(process)
    assert (process.returncode, error) == (130, "interrupted\n")


def test_outside_the_main_thread_it_does_nothing():
    before, found = signal.getsignal(signal.SIGINT), []

    def work():
        with Interruption() as interruption:
            found.append((interruption.signal, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(None, before)]
