"""The parent process: damages files, has a child process read them, and ends it when it hangs."""

import contextlib
import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.fuzz import reader
from tests.fuzz.damages import BYTES, NOT_A_NUMBER, NOT_FINITE, PLACES, TEXT, Damage, Place
from tests.fuzz.json_damages import JSON
from tests.fuzz.kind import Kind, Target
from tests.fuzz.outcomes import FAULTS, Counts, judge
from tests.fuzz.reader import Answer
from tests.hanging import HANG_SECONDS
from tfseg.errors import RunError

LOG = tuple(damage for damage in TEXT if damage is not NOT_FINITE)  # a loss may be NaN
# Digits in JSON may belong to a text, where a letter among them is no mistake; `JSON` damages the numbers.
JSON_TEXT = tuple(damage for damage in LOG if damage is not NOT_A_NUMBER)
DAMAGES = {
    "bytes": (*BYTES, *PLACES),
    "text": (*BYTES, *TEXT, *PLACES),
    "log": (*BYTES, *LOG, *PLACES),
    "json": (*BYTES, *JSON_TEXT, *JSON, *PLACES),
    "flag": TEXT,  # it is in no file
}
# This process has imported TensorFlow and must not run it: a fork of it starts at once, and works.
FORKS = multiprocessing.get_context("fork")


@dataclasses.dataclass(frozen=True)
class Case:
    """One input. The same kind, target, damage and seed give the same input.

    Attributes:
      kind, target, damage: what is damaged, and how.
      seed: seed of the damage's random numbers.
    """

    kind: Kind
    target: Target
    damage: Damage | Place
    seed: tuple[int, ...]

    @property
    def name(self) -> str:
        """A name for a folder."""
        words = (self.kind.name, Path(self.target.path).name, self.damage.name, str(self.seed[-1]))
        return "-".join(words).replace(" ", "_").replace("/", "_")

    def write(self, undamaged, folder):
        """Makes `folder`, a copy of the undamaged files in which the target is damaged."""
        shutil.copytree(undamaged, folder)
        path = Path(folder, self.target.path)
        content = path.read_bytes()
        if isinstance(self.damage, Damage):
            path.write_bytes(self.damage.change(content, np.random.default_rng(self.seed)))
            return
        path.unlink()
        self.damage.put(str(path), content)


def cases(kind: Kind, seed: int) -> Iterator[Case]:
    """Yields inputs of a kind without end: every damage to every target in turn, in another order each time."""
    number = zlib.crc32(kind.name.encode())
    pairs = [(target, damage) for target in kind.targets for damage in DAMAGES[target.content]]
    count = 0
    while True:
        for index in np.random.default_rng((seed, number, count)).permutation(len(pairs)):
            yield Case(kind, *pairs[index], (seed, number, count))
            count += 1


class Child:
    """A reading process.

    Args:
      kind: the Kind that it reads.
      undamaged: folder of the undamaged files.
      log: path of the file that gets what it prints.
    """

    def __init__(self, kind, undamaged, log):
        self._connection, theirs = FORKS.Pipe()
        self._process = FORKS.Process(target=reader.serve, args=(theirs, kind, undamaged, log))
        self._process.start()
        theirs.close()
        if self._answer(HANG_SECONDS).kind != "ready":
            raise RunError(f"{kind.name}: the reading process does not start; {log} may say why")

    def read(self, folder, path, seconds) -> Answer:
        """Returns the child's Answer for an input, or one of the kind "crash" or "hang"; the child has then ended."""
        self._connection.send((str(folder), path))
        return self._answer(seconds)

    def _answer(self, seconds):
        try:
            if self._connection.poll(seconds):
                return self._connection.recv()
        except (EOFError, ConnectionError):
            self.end()
            return Answer("crash", f"exit code {self._process.exitcode}")
        self.end()
        return Answer("hang", f"no answer within {seconds} seconds")

    def end(self):
        """Ends the child and the processes that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.join()


@dataclasses.dataclass(frozen=True)
class Fuzzer:
    """Damages files, has them read, and counts what comes of it.

    Attributes:
      work: an empty folder for inputs.
      keep: folder for the inputs that find a fault; it is made if there is one.
      seed: seed of all damages.
      input_seconds: seconds after which the reading of an input counts as hanging.
      say: shows a line.
      counts: the outcomes so far.
      found: (outcome, kind, file, damage) of the faults so far. Only the first of each is shown and kept.
    """

    work: Path
    keep: Path
    seed: int
    input_seconds: float
    say: Callable[[str], None]
    counts: Counts = dataclasses.field(default_factory=Counts)
    found: set[tuple[str, ...]] = dataclasses.field(default_factory=set)

    def make(self, kinds):
        """Writes the undamaged files of all kinds, in one child process."""
        process = FORKS.Process(target=_make, args=(kinds, [self._undamaged(kind) for kind in kinds], self._log))
        process.start()
        try:
            process.join()
        finally:
            process.kill()
        if process.exitcode:
            raise RunError(f"the undamaged files cannot be made: {_last_line(self._log)}")

    def run(self, kinds, seconds):
        """Damages files for so many seconds, shared evenly among the kinds; at least one file of each."""
        for kind in kinds:
            self.run_cases(kind, _within(seconds / len(kinds), cases(kind, self.seed)))

    def run_cases(self, kind, inputs):
        """Has the Cases of one kind read."""
        undamaged = self._undamaged(kind)
        child = Child(kind, undamaged, self._log)
        try:
            expected = {target.path: self._expected(child, kind, target) for target in kind.targets}
            for case in inputs:
                folder = self.work / "input"
                case.write(undamaged, folder)
                answer = child.read(folder, case.target.path, self.input_seconds)
                shutil.rmtree(folder)
                self._count(case, answer, expected[case.target.path])
                if answer.kind in ("crash", "hang"):
                    child = Child(kind, undamaged, self._log)
        finally:
            child.end()

    def _expected(self, child, kind, target):
        """The child's Answer for undamaged files. Raises RunError if tfseg refuses what it must not refuse."""
        folder = self.work / "input"
        shutil.copytree(self._undamaged(kind), folder)
        answer = child.read(folder, target.path, HANG_SECONDS)
        shutil.rmtree(folder)
        if answer.kind != "read" and not (answer.kind == "refused" and target.may_be_refused):
            raise RunError(f"{kind.name}: {target.path} is not damaged, but: {answer.text}")
        return answer

    def _count(self, case, answer, expected):
        outcome = answer.kind if answer.kind in FAULTS else judge(answer, case, expected)
        self.counts.add(case.kind.name, outcome)
        facts = {"outcome": outcome, "kind": case.kind.name, "file": case.target.path, "damage": case.damage.name}
        fault = tuple(facts.values())
        if outcome not in FAULTS or fault in self.found:
            return
        self.found.add(fault)
        place = self.keep / case.name
        shutil.rmtree(place, ignore_errors=True)
        case.write(self._undamaged(case.kind), place / "input")
        said = "" if answer.kind == "read" else answer.text
        (place / "fault.json").write_text(json.dumps(facts | {"seed": case.seed, "said": said}, indent=1) + "\n")
        self.say(f"{outcome}: {case.kind.name}, {case.target.path}, {case.damage.name}: {' '.join(said.split())[:500]}")

    def _undamaged(self, kind):
        return self.work / "undamaged" / kind.name.replace(" ", "_")

    @property
    def _log(self):
        return self.work / "log.txt"


def _within(seconds, inputs):
    """Yields inputs until so many seconds after the first; at least one."""
    end = time.monotonic() + seconds
    for case in inputs:
        yield case
        if time.monotonic() > end:
            return


def _make(kinds, folders, log):
    reader.print_into(log)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for kind, folder in zip(kinds, folders, strict=True):
        folder.mkdir(parents=True)
        kind.make(folder)


def _last_line(path):
    return (path.read_text(errors="replace").strip().splitlines() or ["nothing was printed"])[-1]
