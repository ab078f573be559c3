"""metrics.csv, the log of a training: read for figures, and recovered for a run that goes on."""

import dataclasses
import os
import re
from pathlib import Path

from tfseg.errors import InputError
from tfseg.system.files import failure
from tfseg.system.progress import say
from tfseg.system.small_files import Count, FieldError, Rate, csv_rows, number_of, read_bytes, read_csv, text_of

FILE_NAME = "metrics.csv"
MAX_BYTES = 1 << 28
CUT_SHORT = re.compile(rb"[0-9.,e+naif-]+\r?")  # what a kill may leave of a row of numbers


@dataclasses.dataclass(frozen=True)
class LogRow:
    """What is read of a row for figures.

    Attributes:
      step: number of updates made.
      val_miou: mean IoU of the validation after this step; None in rows of the training.
      images_per_second: speed of the training since the row before; None in rows of a validation.
    """

    step: Count
    val_miou: Rate | None = None
    images_per_second: float | None = None


def read_log(path) -> list[LogRow]:
    """Reads a metrics.csv. Raises InputError that names the line, or that there is no such file."""
    try:
        return read_csv(path, LogRow)
    except FieldError as error:
        raise InputError(f"{path}: damaged ({error}); correct the line, or take the file of the run") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)}); it is the log of the training") from None


def since_best(mious) -> int:
    """Returns how many of a list of validations came after the one with the highest mIoU; the first of equals."""
    return len(mious) - 1 - mious.index(max(mious)) if mious else 0


def recovered_rows(workdir, last_step: int) -> list[dict[str, str]]:
    """Reads the rows of a run's metrics.csv that a run that goes on keeps, as text by column.

    A damaged file does not hold up the run: its whole rows are kept, and the file is put aside as metrics.csv.bad. A
    last line that a kill cut short is dropped without a word.

    Args:
      workdir: the run directory.
      last_step: rows of later steps are dropped.
    Raises:
      InputError: it is no regular file, or it cannot be read.
    """
    path = Path(workdir) / FILE_NAME
    try:
        content = read_bytes(path, MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        content = b""
    except FieldError as error:
        _put_aside(path, error, 0)
        return []
    if last_step and not content:
        say(f"note: {path}: missing or empty; the log begins anew after step {last_step}")
    whole, cut = content[: content.rfind(b"\n") + 1], content[content.rfind(b"\n") + 1 :]
    try:
        rows = _whole_rows(text_of(whole))
        if cut and not (whole and CUT_SHORT.fullmatch(cut)):
            raise FieldError("the last line", "is not a row that was cut short")
    except FieldError as error:
        rows = _rows_of_damaged(whole)
        _put_aside(path, error, len(rows))
    return [row for row in rows if int(row["step"]) <= last_step]


def _rows_of_damaged(content):
    """Returns the rows of the lines that are whole, in the columns that the first line names."""
    first, *lines = content.splitlines(keepends=True) or [b""]
    rows = []
    for line in lines:
        try:
            rows += _whole_rows(text_of(first + line))
        except FieldError:
            continue
    return rows


def _whole_rows(text):
    rows = []
    if text and "step" not in text.splitlines()[0].split(","):
        raise FieldError("line 1", "names no column step")
    for number, row in csv_rows(text):
        for name, value in row.items():
            number_of(value, f"line {number}, {name}")
        if not re.fullmatch("[0-9]{1,18}", row.get("step", "")):
            raise FieldError(f"line {number}", "has no step")
        rows.append(row)
    return rows


def _put_aside(path, error, num_rows):
    os.replace(path, f"{path}.bad")
    say(f"{path}: damaged ({error}); it is kept as {path.name}.bad, and the log goes on with its {num_rows} whole rows")
