"""Starts examples/triton_server.py on this machine, and sends it requests."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

PROGRAM = Path(__file__).parents[2] / "examples" / "triton_server.py"
PROTOCOLS = {"HTTP": tritonclient.http, "gRPC": tritonclient.grpc}
HANG_SECONDS = 300


class TritonSession:
    """Triton on free ports of this machine, in a session of its own.

    Args:
      folder: the folder NAME of <NAME>/<version>.
      signatures: names of those to serve.
      log: where its output goes.
    """

    def __init__(self, folder, signatures, log):
        self._name, self._signatures, self._log = folder.name, signatures, log
        ports = free_ports(3)
        self._addresses = {name: f"127.0.0.1:{port}" for name, port in zip(PROTOCOLS, ports, strict=False)}
        flags = [f"--{kind}_port={port}" for kind, port in zip(("http", "grpc", "metrics"), ports, strict=True)]
        self._command = [sys.executable, PROGRAM, folder, f"--signatures={','.join(signatures)}", *flags]

    def __enter__(self):
        self._home = tempfile.TemporaryDirectory()
        environment = os.environ | dict.fromkeys(("PYTRITON_HOME", "TMPDIR"), self._home.name)
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._home.cleanup()

    def _wait(self):
        end = time.monotonic() + HANG_SECONDS
        client = self.client("HTTP")
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the server ended: {self._log.read_text()[-2000:]}"
            with contextlib.suppress(OSError, InferenceServerException):
                if all(client.is_model_ready(f"{self._name}_{name}") for name in self._signatures):
                    return
            time.sleep(0.5)
        raise AssertionError(f"the server is not ready after {HANG_SECONDS} s; see {self._log}")

    def client(self, protocol):
        options = {"network_timeout": HANG_SECONDS} if protocol == "HTTP" else {}
        return PROTOCOLS[protocol].InferenceServerClient(self._addresses[protocol], **options)

    def call(self, client, signature, inputs):
        """Returns {output: array} of {input: array}. Raises InferenceServerException if the server answers an error."""
        is_http = isinstance(client, tritonclient.http.InferenceServerClient)
        library = PROTOCOLS["HTTP" if is_http else "gRPC"]
        tensors = []
        for name, array in inputs.items():
            tensors.append(library.InferInput(name, array.shape, np_to_triton_dtype(array.dtype)))
            tensors[-1].set_data_from_numpy(array)
        answer = client.infer(f"{self._name}_{signature}", tensors)
        response = answer.get_response()
        if is_http:
            names = [output["name"] for output in response["outputs"]]
        else:
            names = [output.name for output in response.outputs]
        return {name: answer.as_numpy(name) for name in names}

    def memory(self):
        """Returns the MB (10^6 bytes) that the server's processes hold; what they share counts in each."""
        pages = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.getsid(int(folder.name)) == self.process.pid:
                    pages += int((folder / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
