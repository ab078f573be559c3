"""Serves an exported SavedModel with Triton: python triton_server.py MODEL HTTP_PORT GRPC_PORT METRICS_PORT

MODEL is the folder of one version, e.g. exports/photos/serving/photos/1. Its signatures `segment_bytes` and
`segment_tensors` become models of these names, with the inputs and outputs of the signatures. Each request is a batch
of its own, so that a bad one fails alone. Prints "ready" when requests are answered; ends at SIGTERM.
"""

import os
import signal
import sys
import threading

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # photos of any size: see docs/export.md, memory of a server

import numpy as np
import tensorflow as tf
from pytriton.exceptions import PyTritonInvalidOperationError
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

SIGNATURES = ("segment_bytes", "segment_tensors")


def tensors(specs):
    """Triton's descriptions of tensors: None is -1, strings are bytes."""
    return [
        Tensor(
            name=name,
            dtype=bytes if spec.dtype == tf.string else spec.dtype.as_numpy_dtype,
            shape=[-1 if side is None else side for side in spec.shape],
        )
        for name, spec in sorted(specs.items())
    ]


def reason(error):
    """What a signature says about a bad request, in one line."""
    lines = str(error).splitlines()
    return next((line for line in lines if line.startswith("assertion failed")), lines[0])


def answering(signature):
    """What answers requests by calling a signature."""
    specs = signature.structured_input_signature[1]

    def answer(requests):
        [request] = requests
        try:
            inputs = {name: tf.constant(request[name], spec.dtype) for name, spec in specs.items()}
            outputs = signature(**inputs)
        except (tf.errors.OpError, ValueError) as error:
            raise PyTritonInvalidOperationError(reason(error)) from None
        return [{name: np.asarray(tensor.numpy()) for name, tensor in outputs.items()}]

    return answer


def main(model, *ports):
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    loaded = tf.saved_model.load(model)
    http, grpc, metrics = map(int, ports)
    config = TritonConfig(
        http_address="127.0.0.1", grpc_address="127.0.0.1", http_port=http, grpc_port=grpc, metrics_port=metrics
    )
    with Triton(config=config) as triton:
        for name in SIGNATURES:
            signature = loaded.signatures[name]
            triton.bind(
                model_name=name,
                infer_func=answering(signature),
                inputs=tensors(signature.structured_input_signature[1]),
                outputs=tensors(signature.structured_outputs),
                config=ModelConfig(batching=False),
            )
        triton.run()
        print("ready", flush=True)
        stopped.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
