"""Runs commands, and the children of `tfseg.system.child_process`, in forks of a process that has imported TensorFlow.

python tests/command_server.py [SOCKET]. Reads lines of JSON from stdin: {"words": ["train.py", ...], "folder": working
directory, "cache": folder for converted data, "kill_after": seconds after which it is killed, or null}; answers each
with a line {"code", "out", "err", "seconds", "orphans": command lines of the processes that outlive a killed one}. So a
command line costs a fork instead of a start, and is still run as `python train.py` does.

At SOCKET it listens for children, see `warm_child`; those of its own commands come there, too.
"""

import contextlib
import functools
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Nothing that defines flags: a command that does not import it may define one of the same name.
from tests import tiny_backbone, warm_child  # noqa: E402, F401
from tests.hanging import HANG_SECONDS  # noqa: E402
from tfseg.commands import photos  # noqa: E402, F401
from tfseg.data import check, opening  # noqa: E402, F401
from tfseg.evaluation import matched_classes, publish, report  # noqa: E402, F401
from tfseg.export import exporting  # noqa: E402, F401
from tfseg.inference import predictor  # noqa: E402, F401
from tfseg.inference.engines import saved_model, tflite  # noqa: E402, F401
from tfseg.profiling import exported_cost, profile  # noqa: E402, F401
from tfseg.system import child_process  # noqa: E402
from tfseg.training import train  # noqa: E402, F401

ORPHAN_SECONDS = 60  # for a process to notice that the one that started it has been killed


def run_in_fork(words, folder, cache, kill_after=None):
    """The answer for `python <words>` in `folder`; see above."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            if kill_after is not None:
                os.setpgid(0, 0)  # so that the processes that it starts can be found
            signal.alarm(HANG_SECONDS)  # ends it by SIGALRM
            os.environ["TFSEG_CACHE"] = cache
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_run(words, folder))
        code = _ended(child, kill_after)
        seconds = time.monotonic() - start
        orphans = [] if kill_after is None else _orphans(child)
        for file in (out, err):
            file.seek(0)
        return {"code": code, "out": out.read(), "err": err.read(), "seconds": seconds, "orphans": orphans}


def _ended(child, kill_after):
    """Waits for a child, and kills it after some seconds unless they are None; returns its exit code."""
    if kill_after is not None:
        end = time.monotonic() + kill_after
        while time.monotonic() < end and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.002)
        os.kill(child, signal.SIGKILL)  # without effect on a child that has ended
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _orphans(group):
    """Command lines of the processes of a group that do not end by themselves; they are then ended."""
    end = time.monotonic() + ORPHAN_SECONDS
    while (found := _members(group)) and time.monotonic() < end:
        time.sleep(0.05)
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return list(found.values())


def _members(group):
    """{process id: command line} of a process group, without processes that have ended."""
    members = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The fields after the name in parentheses: state, parent, group.
            state, _, found, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(found) == group and state != "Z":
                members[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
    return members


def _run(words, folder):
    os.chdir(folder)
    sys.argv = [str(ROOT / words[0]), *words[1:]]
    return _exit_code(functools.partial(runpy.run_path, sys.argv[0], run_name="__main__"))


def _exit_code(program):
    code = 0
    try:
        program()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run_child(client):
    """Runs the module that a `warm_child` asks for, until it ends or its client does."""
    text, streams, *_ = socket.recv_fds(client, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += client.recv(1 << 16)
    child = os.fork()
    if not child:
        client.close()
        os._exit(_run_module(streams, **json.loads(text)))
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(child)
    with selectors.DefaultSelector() as selector:
        selector.register(ended, selectors.EVENT_READ)
        selector.register(client, selectors.EVENT_READ)  # it says no more, so only its end can be read
        is_gone = ended not in [key.fileobj for key, _ in selector.select()]
    if is_gone:
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        client.sendall(f"{code}\n".encode())


def _run_module(streams, module, folder, environment, parent):
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.getppid = lambda: parent  # whom a child of its own would see
    sys.argv = [module]
    warnings.simplefilter("ignore")  # as its command line asks for
    return _exit_code(functools.partial(runpy.run_module, module, run_name="__main__", alter_sys=True))


def serve(children):
    """Answers stdin's lines, and `children`, a listening socket or None, in forks until stdin ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        if children:
            selector.register(children, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is children:
                    with children.accept()[0] as client:
                        _start(functools.partial(run_child, client))
                elif line := sys.stdin.readline():
                    _start(lambda line=line: print(json.dumps(run_in_fork(**json.loads(line))), flush=True))
                else:
                    return
            with contextlib.suppress(ChildProcessError):  # there is none
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _start(work):
    if not os.fork():
        os._exit(_exit_code(work))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child_process.command_of = functools.partial(warm_child.command_of, sys.argv[1])
        with socket.socket(socket.AF_UNIX) as children:
            children.bind(sys.argv[1])
            children.listen()
            serve(children)
    else:
        serve(None)
