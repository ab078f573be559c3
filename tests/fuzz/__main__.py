"""Damages every kind of file that tfseg reads, and watches what tfseg makes of it.

python -m tests.fuzz --seconds=600
    All kinds. The exit code is 1 if something crashed, hung, raised an error without the file's name, or gave another
    result without an error although a checksum or a type tells; the inputs that did so are kept.
python -m tests.fuzz --seconds=60 --kinds=mask,weights --seed=1
    Two kinds, with other damages. Ctrl-C prints what has been counted.
"""

import os
import tempfile
from pathlib import Path

from absl import flags

from tests.fuzz.driver import Fuzzer
from tests.fuzz.kinds import KINDS
from tfseg.commands import entry
from tfseg.errors import InputError, RunError
from tfseg.system.progress import say

SECONDS = flags.DEFINE_float("seconds", 600, "Time for all kinds together, without preparation.", lower_bound=0)
SEED = flags.DEFINE_integer("seed", 0, "Of the damages.", lower_bound=0)
CHOSEN = flags.DEFINE_list("kinds", [], f"Kinds of files: {', '.join(KINDS)}; default all.")
KEEP = flags.DEFINE_string("keep", None, "Folder for inputs that find a fault; default a new one in the temp folder.")
INPUT_SECONDS = flags.DEFINE_float("input_seconds", 60, "Time after which an input counts as hanging.", lower_bound=0)


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if unknown := [name for name in CHOSEN.value if name not in KINDS]:
        raise InputError(f"--kinds={','.join(unknown)}: unknown; there are {', '.join(KINDS)}")
    kinds = [KINDS[name] for name in CHOSEN.value or KINDS]
    keep = Path(KEEP.value or Path(tempfile.gettempdir(), f"fuzz-faults-{os.getpid()}")).absolute()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as work:
        fuzzer = Fuzzer(Path(work), keep, SEED.value, INPUT_SECONDS.value, say)
        try:
            fuzzer.make(kinds)
            fuzzer.run(kinds, SECONDS.value)
        finally:
            print(fuzzer.counts.as_markdown(), flush=True)
    if fuzzer.counts.num_faults:
        raise RunError(f"{fuzzer.counts.num_faults} faults; their inputs are in {keep}")


if __name__ == "__main__":
    entry.run(main)
