"""What C++ code prints on stderr is held back; what comes before and after is not."""

import os

import pytest

from tfseg.system.native_output import silenced_stderr


def test_what_is_written_past_pythons_streams_is_held_back(capfd):
    os.write(2, b"before\n")
    with silenced_stderr():
        os.write(2, b"announced\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_an_error_passes_and_stderr_is_back(capfd):
    with pytest.raises(RuntimeError, match="inside"), silenced_stderr():
        raise RuntimeError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
