"""A Triton server answers as a direct call does, also under load: python triton_client.py FOLDER [SECONDS]

FOLDER is what `tests.clients.artifacts` describes. SECONDS, by default 60, is how long requests are sent at once.
Prints the figures. Fails with an AssertionError.
"""

import collections
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as the server does

import numpy as np
import tensorflow as tf
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

SERVER = Path(__file__).with_name("triton_server.py")
CLIENTS = {"HTTP": tritonclient.http, "gRPC": tritonclient.grpc}
ITERATIONS = (1, 2, 6, 10)
NUM_WORKERS = 4
START_SECONDS, ANSWER_SECONDS = 300, 60
# Memory of the last third of the load, divided by that of the third before.
MOST_GROWTH = 1.05


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextlib.contextmanager
def server(model, log):
    """Starts Triton, which writes to a log file; yields (its process, {protocol: address})."""
    ports = [free_port() for _ in range(3)]
    command = [sys.executable, "-W", "ignore", SERVER, model, *map(str, ports)]
    with open(log, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while "ready\n" not in log.read_text():
            assert process.poll() is None, f"the server ended before it was ready, see {log}"
            assert time.monotonic() < deadline, f"the server was not ready after {START_SECONDS} s, see {log}"
            time.sleep(0.2)
        yield process, {name: f"127.0.0.1:{port}" for name, port in zip(CLIENTS, ports, strict=False)}
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answer(library, client, model, **inputs):
    """Sends arrays; returns {name of the output: array}."""
    sent = []
    for name, array in inputs.items():
        tensor = library.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        sent.append(tensor)
    # HTTP clients have a limit of their own, 60 s.
    limit = {"client_timeout": ANSWER_SECONDS} if library is tritonclient.grpc else {}
    answered = client.infer(model, sent, **limit)
    outputs = client.get_model_metadata(model)["outputs"] if library is tritonclient.http else None
    names = [output["name"] for output in outputs] if outputs else [out.name for out in answered.get_response().outputs]
    return {name: answered.as_numpy(name) for name in names}


def files(paths):
    return np.array([path.read_bytes() for path in paths], np.object_)


def pixels(mask_png_bytes):
    return [tf.io.decode_png(content).numpy() for content in mask_png_bytes]


def compare(name, found, expected):
    """Fails unless an answer is that of the direct call."""
    expected = {key: tensor.numpy() for key, tensor in expected.items()}
    assert found.keys() == expected.keys(), f"{name}: {sorted(found)}, not {sorted(expected)}"
    for key, value in found.items():
        if key == "mask_png_bytes":
            for mask, wanted in zip(pixels(value), pixels(expected[key]), strict=True):
                np.testing.assert_array_equal(mask, wanted, f"{name}: {key}")
        elif key == "confidence":
            np.testing.assert_allclose(value, expected[key], atol=1e-5, err_msg=f"{name}: {key}")
        else:
            np.testing.assert_array_equal(value, expected[key], f"{name}: {key}")


def check_answers(addresses, signatures, folder):
    photos = sorted(folder.glob("photo_*.jpg")) + sorted(folder.glob("photo_*.png"))
    image = tf.io.decode_jpeg(photos[0].read_bytes(), dct_method="INTEGER_ACCURATE").numpy()
    compared = 0
    for protocol, library in CLIENTS.items():
        client = library.InferenceServerClient(addresses[protocol])
        for count in ITERATIONS:
            counts = np.full([len(photos)], count, np.int32)
            requests = {"segment_bytes": {"image_bytes": files(photos), "iterations": counts}}
            requests["segment_tensors"] = {"images": image[np.newaxis], "iterations": counts[:1]}
            for model, inputs in requests.items():
                expected = signatures[model](**{name: tf.constant(array) for name, array in inputs.items()})
                compare(f"{protocol}, {model}, {count}", answer(library, client, model, **inputs), expected)
                compared += len(inputs["iterations"])
        each = np.array(ITERATIONS[: len(photos)], np.int32)  # an own number for every image of a request
        inputs = {"image_bytes": files(photos[: len(each)]), "iterations": each}
        expected = signatures["segment_bytes"](**{name: tf.constant(array) for name, array in inputs.items()})
        compare(f"{protocol}, mixed", answer(library, client, "segment_bytes", **inputs), expected)
        compared += len(each)
    print(f"answers: {compared} images by HTTP and gRPC, {listed(ITERATIONS)} iterations, equal to a direct call")


def listed(numbers):
    return ", ".join(map(str, numbers))


def garbage(photo):
    """{what it is: (model, inputs)}: requests that have to fail."""
    one, content = np.ones([1], np.int32), photo.read_bytes()

    def of_file(data):
        return "segment_bytes", {"image_bytes": np.array([data], np.object_), "iterations": one}

    return {
        "no bytes": of_file(b""),
        "text": of_file(b"GET / HTTP/1.1"),
        "half a JPEG": of_file(content[: len(content) // 2]),
        "numbers as files": ("segment_bytes", {"image_bytes": np.ones([1], np.float32), "iterations": one}),
        "no iterations": ("segment_bytes", {"image_bytes": np.array([content], np.object_)}),
        "two counts for a file": ("segment_bytes", {**of_file(content)[1], "iterations": np.ones([2], np.int32)}),
        "real numbers as pixels": ("segment_tensors", {"images": np.ones([1, 9, 9, 3], np.float32), "iterations": one}),
        "four channels": ("segment_tensors", {"images": np.ones([1, 9, 9, 4], np.uint8), "iterations": one}),
    }


def reason(error):
    lines = error.message().splitlines()
    last = next((line for line in lines if "assertion failed" in line), lines[0])
    return last.split("InvalidOperationError: ")[-1][:110]


def check_garbage(addresses, folder):
    [photo] = folder.glob("photo_0.jpg")
    for protocol, library in CLIENTS.items():
        client = library.InferenceServerClient(addresses[protocol])
        for name, (model, inputs) in garbage(photo).items():
            try:
                answer(library, client, model, **inputs)
            except InferenceServerException as error:
                if protocol == "gRPC":
                    print(f"refused, {name}: {reason(error)}")
            else:
                raise AssertionError(f"{protocol}: {name} was answered")
        for count, used in ((0, 1), (1000, 10)):
            sent = {"image_bytes": files([photo]), "iterations": np.array([count], np.int32)}
            assert answer(library, client, "segment_bytes", **sent)["iterations"] == [used]
    print("iterations 0 and 1000 are cut to 1 and 10")


def memory(session):
    """Returns how many MB of memory the processes of a session hold."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if os.getsid(int(folder.name)) == session:
                total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total / 1e6


def load(process, addresses, folder, seconds):
    """Sends photos of several sizes from several clients at once, with garbage in between."""
    photos, end = sorted(folder.glob("photo_*")), time.monotonic() + seconds
    bad = list(garbage(folder / "photo_0.jpg").values())
    latencies, refused, failures, samples = collections.defaultdict(list), [], [], []

    def work(worker):
        protocol = list(CLIENTS)[worker % len(CLIENTS)]
        library = CLIENTS[protocol]
        client = library.InferenceServerClient(addresses[protocol])
        i = worker
        while time.monotonic() < end:
            i += 1
            try:
                if i % 10 == 0:
                    model, inputs = bad[i // 10 % len(bad)]
                    with contextlib.suppress(InferenceServerException):
                        answer(library, client, model, **inputs)
                        failures.append("garbage was answered")
                    refused.append(1)
                    continue
                count = np.array([ITERATIONS[i % len(ITERATIONS)]], np.int32)
                start = time.perf_counter()
                inputs = {"image_bytes": files([photos[i % len(photos)]]), "iterations": count}
                found = answer(library, client, "segment_bytes", **inputs)
                latencies[protocol].append(time.perf_counter() - start)
                assert found["iterations"] == count
            except Exception as error:  # a thread's error has to reach the main one
                failures.append(f"{type(error).__name__}: {error}")

    workers = [threading.Thread(target=work, args=[worker]) for worker in range(NUM_WORKERS)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        samples.append(memory(process.pid))
        time.sleep(min(1.0, seconds / 30))
    assert not failures, f"{len(failures)} failures under load, first {failures[0]}"
    assert process.poll() is None, "the server ended under load"
    for protocol, values in latencies.items():
        cuts = statistics.quantiles(values, n=20)
        print(
            f"load, {protocol}: {len(values)} requests, {len(values) / seconds:.1f} a second, "
            f"p50 {1e3 * cuts[9]:.0f} ms, p95 {1e3 * cuts[18]:.0f} ms"
        )
    print(f"load: {NUM_WORKERS} clients at once for {seconds:.0f} s, {len(refused)} bad requests refused in between")
    third = len(samples) // 3
    before, last = max(samples[third : 2 * third]), max(samples[-third:])
    print(f"memory of the server: peak {max(samples):.0f} MB; middle third {before:.0f} MB, last third {last:.0f} MB")
    assert last <= MOST_GROWTH * before, "memory of the server grows"


def main(folder, seconds=60.0):
    [model] = folder.glob("serving/*/1")
    signatures = tf.saved_model.load(model).signatures
    with server(model, folder / "triton.log") as (process, addresses):
        check_answers(addresses, signatures, folder)
        check_garbage(addresses, folder)
        load(process, addresses, folder, float(seconds))
        check_answers(addresses, signatures, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
