"""The record of one kind of file: how it is made, what of it is damaged, and how tfseg reads it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Target:
    """A file that is damaged.

    Attributes:
      path: its path in the kind's folder.
      content: "bytes"; "text", "log" or "json", damaged as such, too; or "flag", the text of a flag in a file.
      has_checksum: whether a checksum covers all that is read of it, so that no other content can pass for it.
      may_be_refused: whether tfseg may refuse the undamaged file.
    """

    path: str
    content: str = "bytes"
    has_checksum: bool = False
    may_be_refused: bool = False


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
      name: its name in `--kinds` and in the table.
      targets: the files that are damaged, one at a time.
      make: called with an empty folder, in which it writes the undamaged files.
      read: (what `prepare` returned, path of the damaged file) -> what tfseg reads, in types that `reader.fingerprint`
        knows. It runs in a copy of the folder, whose paths are relative to the working directory.
      prepare: called once in every reading process, in the undamaged folder.
      known_as: what a message may call a file besides its own name and those of the other targets, because a user gave
        the files under this name.
    """

    name: str
    targets: tuple[Target, ...]
    make: Callable[[Path], None]
    read: Callable[[object, str], object]
    prepare: Callable[[], object] = lambda: None
    known_as: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """What a message may name: the damaged file, or the one that it now contradicts."""
        return *(Path(target.path).name for target in self.targets), *self.known_as
