"""Judges what came of an input, and counts."""

import collections

from tfseg.markdown import table

MAX_MESSAGE = 300
# In the order of the table. The first four are as they should be; each of the others is a fault.
FINE = ("same", "refused", "undetectable")
FAULTS = ("unnamed", "silent", "hang", "crash")


def judge(answer, case, expected) -> str:
    """Returns the outcome of an input whose reading ended: one of FINE, "unnamed" or "silent".

    Args:
      answer: the reader's Answer.
      case: the Case.
      expected: the reader's Answer for the undamaged file.
    """
    if answer.kind == "raised" or (answer.kind == "refused" and not _is_named(answer.text, case.kind)):
        return "unnamed"
    if answer.kind == "refused":
        return "refused"
    if answer.text == expected.text:
        return "same"
    # A note that names the file tells as much as an error.
    if any(_is_named(line, case.kind) for line in answer.notes if line not in expected.notes):
        return "refused"
    has_checksum = case.target.has_checksum and not case.damage.is_whole
    return "silent" if has_checksum or case.damage.can_be_told else "undetectable"


def _is_named(message, kind):
    """Whether a message is one line that names a file of this kind and is not too long."""
    is_line = len(message.splitlines()) == 1 and len(message) <= MAX_MESSAGE
    return is_line and any(name in message for name in kind.names())


class Counts:
    """Numbers of outcomes by kind of file."""

    def __init__(self):
        self._by_kind = {}

    def add(self, kind, outcome):
        """Counts one outcome of a kind's name."""
        self._by_kind.setdefault(kind, collections.Counter())[outcome] += 1

    @property
    def num_faults(self) -> int:
        return sum(counts[name] for counts in self._by_kind.values() for name in FAULTS)

    def as_markdown(self) -> str:
        """Returns a table with a row per kind of file, and one of all."""
        rows = [self._row(kind, counts) for kind, counts in self._by_kind.items()]
        total = sum(self._by_kind.values(), collections.Counter())
        return table(["kind", "damages", *FINE, *FAULTS], [*rows, self._row("all", total)])

    def _row(self, kind, counts):
        return [kind, str(counts.total()), *(str(counts[name]) for name in (*FINE, *FAULTS))]
