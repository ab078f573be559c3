"""Runs command lines one after the other in forks of one process that has imported TensorFlow once.

Reads lines of JSON from stdin: {"words": ["train.py", ...], "folder": working directory, "cache": folder for converted
data}; answers each with a line {"code", "out", "err"}. So a command line costs a fork instead of a start, and is still
run as `python train.py` does.
"""

import json
import os
import runpy
import signal
import sys
import tempfile
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Nothing that defines flags: a command that does not import it may define one of the same name.
from tests import tiny_backbone  # noqa: E402, F401
from tests.hanging import HANG_SECONDS  # noqa: E402
from tfseg.commands import photos  # noqa: E402, F401
from tfseg.data import check, opening  # noqa: E402, F401
from tfseg.evaluation import matched_classes, publish, report  # noqa: E402, F401
from tfseg.export import exporting  # noqa: E402, F401
from tfseg.inference import predictor  # noqa: E402, F401
from tfseg.inference.engines import saved_model, tflite  # noqa: E402, F401
from tfseg.profiling import exported_cost, profile  # noqa: E402, F401
from tfseg.training import train  # noqa: E402, F401


def run_in_fork(words, folder, cache):
    """(exit code, stdout, stderr) of `python <words>` in `folder`."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            signal.alarm(HANG_SECONDS)  # ends it by SIGALRM
            os.environ["TFSEG_CACHE"] = cache
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_run(words, folder))
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read())
    return os.waitstatus_to_exitcode(status), *texts


def _run(words, folder):
    os.chdir(folder)
    sys.argv = [str(ROOT / words[0]), *words[1:]]
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    for line in sys.stdin:
        code, out, err = run_in_fork(**json.loads(line))
        print(json.dumps({"code": code, "out": out, "err": err}), flush=True)
