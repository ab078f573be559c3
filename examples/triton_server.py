"""Serves an exported SavedModel with NVIDIA Triton.

    python examples/triton_server.py exports/photos/serving/photos

The folder is one that export.py made: <name>/<version>/, of which the highest version is served. Each signature becomes
a model <name>_<signature> of Triton with the signature's inputs and outputs, so that requests go to
/v2/models/photos_segment_bytes/infer. docs/export.md describes the signatures; --signatures=encode,refine,decode serves
the steps of a model that keeps a state.

It needs nothing of tfseg, only nvidia-pytriton and TensorFlow (requirements-clients-triton.txt). A SavedModel is a
program: serve those that you made, or whose maker you trust.
"""

import argparse
import logging
import os
import signal
import sys
import sysconfig
import threading
from pathlib import Path

# Photos of any size need less memory without it, see "Memory of a server" in docs/export.md. It has to be set before
# TensorFlow is imported; one that is set already stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from pytriton.exceptions import PyTritonInvalidOperationError
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

SIGNATURES = "serving_default,segment_bytes,segment_tensors"


def parsed(words):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="exports/NAME/serving/NAME, as export.py writes it")
    parser.add_argument("--signatures", default=SIGNATURES, help="which of the model to serve (default: %(default)s)")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen (default: %(default)s)")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        parser.add_argument(f"--{name}_port", type=int, default=port, help="default: %(default)s")
    return parser.parse_args(words)


def refuse(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def newest(folder):
    """Returns the folder of the highest version in a model's folder."""
    versions = [path.parent for path in folder.glob("*/saved_model.pb") if path.parent.name.isdecimal()]
    if not versions:
        refuse(f"{folder}: has no <version>/saved_model.pb; give the folder that export.py wrote, serving/NAME")
    return max(versions, key=lambda path: int(path.name))


def described(specs):
    """Returns Triton's description of tensors, {name: tf.TensorSpec}: sizes that are open are -1, strings are bytes."""
    return [
        Tensor(
            name=name,
            dtype=np.bytes_ if spec.dtype == tf.string else spec.dtype.as_numpy_dtype,
            shape=tuple(-1 if side is None else side for side in spec.shape),
        )
        for name, spec in sorted(specs.items())
    ]


def reason(error):
    """Returns the line of TensorFlow's message that says what is wrong: the one before it names its operation."""
    lines = error.message.partition("\n\t [[")[0].splitlines()
    return lines[-1].removeprefix("assertion failed: ") if lines else type(error).__name__


def answering(signature):
    """Returns a function of Triton's requests that calls a signature for each."""
    specs = signature.structured_input_signature[1]

    def answered(request):
        try:
            outputs = signature(**{name: tf.constant(request[name], spec.dtype) for name, spec in specs.items()})
        except tf.errors.OpError as error:
            raise PyTritonInvalidOperationError(reason(error)) from None  # its traceback goes to the client
        return {name: np.asarray(tensor) for name, tensor in outputs.items()}

    return lambda requests: [answered(request) for request in requests]


def find_python_library():
    """Lets Triton's processes find the library of the Python that runs this, which may lie where nobody looks."""
    folder, name = map(sysconfig.get_config_var, ("LIBDIR", "INSTSONAME"))
    if ".so" not in name or not Path(folder, name).is_file():
        refuse(
            f"{sys.executable} has no shared library, which Triton needs: with Debian's or Ubuntu's Python "
            "apt-get install libpython3-dev; one that you build yourself is configured with --enable-shared"
        )
    places = [folder, os.environ.get("LD_LIBRARY_PATH")]
    os.environ["LD_LIBRARY_PATH"] = ":".join(filter(None, places))


def wanted(signatures, names):
    """Returns {name: signature} of the signatures with the names, which commas separate."""
    unknown = [name for name in names.split(",") if name not in signatures]
    if unknown:
        refuse(f"--signatures: the model has no {', '.join(unknown)}; it has {', '.join(sorted(signatures))}")
    return {name: signatures[name] for name in names.split(",")}


def main(words):
    given = parsed(words)
    version = newest(given.folder)
    find_python_library()
    # Otherwise a bad request prints its traceback twice: Triton logs it as well.
    log = logging.getLogger("pytriton.proxy.inference")
    log.addFilter(lambda record: "PyTritonInvalidOperationError" not in record.getMessage())
    loaded = tf.saved_model.load(version)
    signatures = wanted(loaded.signatures, given.signatures)
    config = TritonConfig(
        http_address=given.address,
        grpc_address=given.address,
        http_port=given.http_port,
        grpc_port=given.grpc_port,
        metrics_port=given.metrics_port,
    )
    is_over = threading.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: is_over.set())
    with Triton(config=config) as triton:
        for name, signature in signatures.items():
            triton.bind(
                model_name=f"{given.folder.resolve().name}_{name}",
                infer_func=answering(signature),
                inputs=described(signature.structured_input_signature[1]),
                outputs=described(signature.structured_outputs),
                # A batch that Triton joined would fail as a whole for one bad image in it.
                config=ModelConfig(batching=False),
                strict=True,
            )
        triton.run()
        print(f"serving {version} at {given.address}, HTTP {given.http_port}, gRPC {given.grpc_port}", flush=True)
        is_over.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
