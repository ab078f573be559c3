"""Stands for a child process that is a fork of the command server, which has imported TensorFlow already.

python tests/warm_child.py SOCKET MODULE hands its streams, folder and environment to the server at SOCKET, which runs
MODULE as a program with them. It ends as that program does, and if it is ended before, the server ends the program.
"""

import json
import os
import resource
import signal
import socket
import sys


def command_of(address, module):
    """The command line that takes the place of `child_process.command_of`."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__), address, module]


def main(address, module):
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        job = {"module": module, "folder": os.getcwd(), "environment": dict(os.environ), "parent": os.getppid()}
        socket.send_fds(server, [json.dumps(job).encode() + b"\n"], [0, 1, 2])
        code = int(server.makefile().readline() or -signal.SIGKILL)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.raise_signal(-code)
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
