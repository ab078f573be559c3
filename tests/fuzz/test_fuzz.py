"""Damaged files are refused in one line that names them; and the program that finds this out counts what it should."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.damages import BYTES, TEXT, Damage
from tests.fuzz.driver import Case, Fuzzer, cases
from tests.fuzz.json_damages import JSON
from tests.fuzz.kind import Kind, Target
from tests.hanging import HANG_SECONDS, wait_for
from tfseg.errors import InputError, RunError

ROOT = Path(__file__).resolve().parents[2]
CONTENT = b'{\n "format": 1,\n "names": ["road", "sky"],\n "share": 0.25,\n "is_thing": true\n}\n'


def program(*words):
    command = [sys.executable, "-m", "tests.fuzz", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_minutes_of_damages_to_all_kinds_of_files_find_no_fault(tmp_path):
    process = program("--seconds=120", f"--keep={tmp_path}")
    table, error = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, error[-3000:]
    assert "| all" in table


@pytest.mark.slow
def test_ctrl_c_prints_what_has_been_counted():
    process = program("--seconds=1000", "--kinds=--map")
    wait_for(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text, process)
    process.send_signal(signal.SIGINT)
    table, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130
    assert "| kind" in table


@pytest.mark.parametrize("damage", [*BYTES, *TEXT, *JSON], ids=lambda damage: damage.name)
def test_a_damage_changes_the_content_and_is_the_same_for_the_same_seed(damage):
    damaged = [damage.change(CONTENT, np.random.default_rng(seed)) for seed in range(20)]
    assert damaged == [damage.change(CONTENT, np.random.default_rng(seed)) for seed in range(20)]
    assert any(content != CONTENT for content in damaged)


def test_every_damage_is_done_to_every_target_before_one_comes_again():
    kind = Kind("toy", (Target("a.json", "json"), Target("b.bin")), lambda folder: None, lambda prepared, path: None)
    first = cases(kind, seed=0)
    pairs = []
    for case in first:
        if (case.target, case.damage) in pairs:
            break
        pairs.append((case.target, case.damage))
    names = {(target.path, damage.name) for target, damage in pairs}
    assert ("a.json", "key twice") in names and ("b.bin", "FIFO") in names and ("b.bin", "key twice") not in names
    again = cases(kind, seed=0)
    assert pairs == [(case.target, case.damage) for case, _ in zip(again, pairs, strict=False)]


def read_number(prepared, path):
    """A reader with every fault: it reads a number below 10 and does what that number says."""
    number = int(Path(path).read_text())
    actions = {
        1: lambda: os.kill(os.getpid(), signal.SIGKILL),
        2: lambda: time.sleep(HANG_SECONDS),
        3: lambda: [][0],
        4: lambda: _refuse("it is damaged"),
        5: lambda: _refuse(f"{path}: damaged"),
        6: lambda: _refuse(f"{path}: damaged" + 300 * "!"),
        9: lambda: print(f"note: {path} is odd", file=sys.stderr),
    }
    return actions[number]() if number in actions else number


def _refuse(message):
    raise InputError(message)


@pytest.fixture
def fuzzed(tmp_path):
    """fuzzed(number, has_checksum, can_be_told) -> (row of the table, said lines) of one file that holds the number."""

    def run(number, has_checksum=False, can_be_told=False):
        damage = Damage("another number", lambda content, random: b"%d" % number, can_be_told)
        kind = Kind(
            "toy",
            (Target("number.txt", has_checksum=has_checksum),),
            lambda folder: (folder / "number.txt").write_text("0"),
            read_number,
        )
        said = []
        work = tmp_path / f"{number} {has_checksum} {can_be_told}"
        work.mkdir()
        fuzzer = Fuzzer(work, tmp_path / "kept", 0, 0.5, said.append)
        fuzzer.make([kind])
        fuzzer.run_cases(kind, [Case(kind, kind.targets[0], damage, (0, 0, number))])
        [row] = [line for line in fuzzer.counts.as_markdown().splitlines() if line.startswith("| toy")]
        return [int(word) for word in row.split("|")[2:-1]], said

    return run


@pytest.mark.parametrize(
    "number,column,word",
    [
        (0, 1, ""),
        (5, 2, ""),
        (9, 2, ""),
        (8, 3, ""),
        (3, 4, "IndexError"),
        (4, 4, "it is damaged"),
        (6, 4, "!!!"),
    ],
)
def test_what_comes_of_a_file_is_counted_in_its_column(fuzzed, number, column, word):
    counts, said = fuzzed(number)
    assert [index for index, count in enumerate(counts) if count] == [0, column]
    assert word in "".join(said) and bool(said) == bool(word)


def test_another_result_is_silent_where_a_checksum_or_a_type_tells(fuzzed, tmp_path):
    assert fuzzed(8, has_checksum=True)[0] == [1, 0, 0, 0, 0, 1, 0, 0]
    assert fuzzed(8, can_be_told=True)[0] == [1, 0, 0, 0, 0, 1, 0, 0]
    [kept] = (tmp_path / "kept").iterdir()
    assert (kept / "input" / "number.txt").read_text() == "8"
    assert '"outcome": "silent"' in (kept / "fault.json").read_text()


def test_a_hang_and_a_crash_are_counted(fuzzed):
    assert fuzzed(2)[0] == [1, 0, 0, 0, 0, 0, 1, 0]
    counts, [line] = fuzzed(1)
    assert counts == [1, 0, 0, 0, 0, 0, 0, 1]
    assert line == "crash: toy, number.txt, another number: exit code -9"


def test_an_undamaged_file_that_is_refused_ends_the_program(tmp_path):
    kind = Kind("toy", (Target("a"),), lambda folder: (folder / "a").write_text("5"), read_number)
    fuzzer = Fuzzer(tmp_path, tmp_path / "kept", 0, 0.5, print)
    fuzzer.make([kind])
    with pytest.raises(RunError, match="toy: a is not damaged, but: a: damaged"):
        fuzzer.run([kind], 1)
