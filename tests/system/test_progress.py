"""What waiting users see: plain lines in files, a bar on a terminal, nothing on stdout."""

import io
import sys
import types

from tfseg.system import progress
from tfseg.system.progress import say, with_progress


def test_a_line_goes_to_stderr(capsys):
    say("going on from step 5")
    assert capsys.readouterr() == ("", "going on from step 5\n")


def test_progress_is_plain_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: 5.0))
    assert list(with_progress(iter("ab"), 2, "val")) == ["a", "b"]
    assert capsys.readouterr().err == "val: 2 images in 0 s\n"


def test_a_plain_line_comes_when_more_than_10_seconds_have_passed(capsys, monkeypatch):
    seconds = iter([0, 1, 11, 11, 12, 21, 21.5, 21.5, 22])  # when it starts, after every item, at a line, at the end
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    assert list(with_progress(iter(range(5)), 5, "check", unit="shards")) == list(range(5))
    assert capsys.readouterr().err.splitlines() == [
        "check: 2 of 5 shards, 0 a second",
        "check: 5 of 5 shards, 0 a second",
        "check: 5 shards in 22 s",
    ]


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert list(with_progress(iter("ab"), 2, "val")) == ["a", "b"]
    assert "\rval:" in sys.stderr.getvalue() and "2/2" in sys.stderr.getvalue()
