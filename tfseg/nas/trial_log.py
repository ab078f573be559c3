"""search.csv, the log of a search: a line for every candidate, written as soon as it has its reward."""

import csv
import dataclasses
import io
import os
from pathlib import Path

from tfseg.errors import InputError
from tfseg.models.cells.genotype import Genotype, parse
from tfseg.system.files import failure_named, write_atomically
from tfseg.system.small_files import (
    AtLeastOne,
    Count,
    FieldError,
    NotNegative,
    Rate,
    csv_rows,
    damage_named,
    number_of,
    read_bytes,
    text_of,
    typed,
)

FILE_NAME = "search.csv"


@dataclasses.dataclass(frozen=True)
class Trial:
    """A line of the log.

    Attributes:
      number: number of the candidate, from 1.
      reward, half_reward, epoch, outcome, num_parameters: see `candidate.Outcome`.
      seconds: time that it took, with building its graphs.
      genotype: its numbers, see `cells.genotype.parse`.
    """

    number: AtLeastOne
    reward: Rate
    epoch: Count
    outcome: str
    num_parameters: Count
    seconds: NotNegative
    half_reward: Rate | None
    genotype: str

    @property
    def cell(self) -> Genotype:
        """The parsed genotype."""
        return parse(self.genotype)


NAMES = [field.name for field in dataclasses.fields(Trial)]
TEXTS = ("outcome", "genotype")


class TrialLog:
    """The log of one strategy, which is read, and gets further lines.

    A last line that a kill cut short is dropped.

    Args:
      folder: folder of the file; it is made with the first line.
    Attributes:
      trials: all lines as a list of Trial.
    Raises:
      InputError: a line is damaged, or numbers are missing.
    """

    def __init__(self, folder):
        self.path = Path(folder) / FILE_NAME
        try:
            content = read_bytes(self.path)
        except (FileNotFoundError, NotADirectoryError):
            content = b""
        whole = content[: content.rfind(b"\n") + 1]
        with damage_named(self.path, "correct the line, or begin anew in another --workdir"):
            self.trials = _trials(text_of(whole))
        self._is_cut = whole != content

    def append(self, trial: Trial):
        """Adds a line, which is on the disk when this returns. Raises RunError if that fails."""
        if self._is_cut or not self.trials:
            write_atomically(self.path, _text(self.trials).encode())
            self._is_cut = False
        self.trials.append(trial)
        with failure_named(self.path), open(self.path, "a", encoding="utf-8") as file:
            file.write(_text([trial], with_names=False))
            file.flush()
            os.fsync(file.fileno())


def _text(trials, with_names=True):
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES, lineterminator="\n")
    if with_names:
        writer.writeheader()
    writer.writerows(dataclasses.asdict(trial) for trial in trials)
    return text.getvalue()


def _trials(text):
    trials = []
    if text and text.splitlines()[0] != ",".join(NAMES):
        raise FieldError("line 1", f"names other columns than {', '.join(NAMES)}")
    for line, row in csv_rows(text):
        place = f"line {line},"
        cells = {name: cell if name in TEXTS else number_of(cell, f"{place} {name}") for name, cell in row.items()}
        trial = typed(Trial, cells, place, separator=" ")
        if trial.number != len(trials) + 1:
            raise FieldError(f"{place} number", f"is {trial.number}; {len(trials) + 1} comes next")
        try:
            parse(trial.genotype)
        except InputError as error:
            raise FieldError(f"line {line}", f"has no genotype ({error})") from None
        trials.append(trial)
    return trials
