"""A Triton server gives the answers of a direct call, under load and beside garbage:

    python -m tests.clients.triton_client FOLDER [SECONDS]

FOLDER has serving/NAME/VERSION, a SavedModel of a recurrent model, and photos/*.jpg and *.png, as
`tests.clients.artifacts` makes them; an export with photos beside it will do. SECONDS, by default 60, is how long the
load lasts. What the server prints goes to FOLDER/triton.log. Prints figures. Fails with an AssertionError.
"""

import itertools
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # as the server: other kernels round differently
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from tritonclient.utils import InferenceServerException

from tests.clients.triton_session import PROTOCOLS, TritonSession

ITERATIONS = (1, 2, 5, 10)
NUM_CLIENTS = 4
# Of probabilities, which are computed in batches of other sizes.
TOLERANCE = 1e-5


def files(*contents):
    return np.array(contents, np.object_)


def counts(*numbers):
    return np.array(numbers, np.int32)


def direct(signatures, signature, inputs):
    """What a direct call of the SavedModel gives, {output: array}."""
    tensors = {name: tf.constant(list(array) if array.dtype == object else array) for name, array in inputs.items()}
    return {name: np.asarray(tensor) for name, tensor in signatures[signature](**tensors).items()}


def compare(what, found, expected):
    """Fails unless two answers have the same types, shapes and values."""
    assert found.keys() == expected.keys(), f"{what}: {sorted(found)} instead of {sorted(expected)}"
    for name, wanted in expected.items():
        got = found[name]
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), f"{what}: {name} is {got.dtype} {got.shape}"
        if wanted.dtype == np.float32:
            np.testing.assert_allclose(got, wanted, atol=TOLERANCE, err_msg=f"{what}: {name}")
        else:
            np.testing.assert_array_equal(got, wanted, f"{what}: {name}")


def good_requests(photos, image):
    """(signature, inputs) of requests to each signature that segments, at every number of iterations."""
    yield "serving_default", {"image_bytes": files(*photos)}
    yield "segment_bytes", {"image_bytes": files(*photos[:4]), "iterations": counts(*ITERATIONS)[: len(photos)]}
    for count in ITERATIONS:
        yield "segment_bytes", {"image_bytes": files(*photos), "iterations": counts(*[count] * len(photos))}
        yield "segment_tensors", {"images": image[np.newaxis], "iterations": counts(count)}
        yield "segment_tensors", {"images": np.stack([image, image[::-1]]), "iterations": counts(count, 1)}


def check_answers(server, signatures, photos, image):
    requests, classes = list(good_requests(photos, image)), set()
    for signature, inputs in requests:
        expected = direct(signatures, signature, inputs)
        if "class_pixels" in expected:
            classes |= set(np.flatnonzero(expected["class_pixels"].sum(0)))
        for protocol in PROTOCOLS:
            found = server.call(server.client(protocol), signature, inputs)
            compare(f"{protocol}, {signature}, {inputs.get('iterations')}", found, expected)
    assert len(classes) > 1, "the model finds one class everywhere: equal masks prove nothing"
    print(
        f"{len(requests)} requests by HTTP and by gRPC, {', '.join(map(str, ITERATIONS))} iterations, {len(classes)} "
        "classes: masks, pixel counts and iterations equal a direct call, confidences within 1e-5"
    )


def check_steps(server, signatures, image):
    """A caller that keeps the state itself gets what one request for so many iterations gives."""
    client, num_steps = server.client("gRPC"), 3
    features = server.call(client, "encode", {"images": image[np.newaxis]})
    size = features.pop("size")
    [first] = signatures["initial_state"].structured_input_signature[1]
    state = server.call(client, "initial_state", {first: features[first]})
    for _ in range(num_steps):
        state = server.call(client, "refine", features | state)
    found = server.call(client, "decode", {"canvas": state["canvas"], "size": size})
    expected = direct(signatures, "segment_tensors", {"images": image[np.newaxis], "iterations": counts(num_steps)})
    assert expected.pop("iterations") == num_steps
    compare("steps", found, expected)
    print(f"encode, initial_state, {num_steps} times refine, decode: as one request for {num_steps} iterations")


def bad_requests(photo):
    """{what is wrong: (signature, inputs, a word of the answer)}"""
    one, pixels = counts(1), np.zeros([1, 32, 32, 3], np.uint8)

    def of_file(content, word):
        return "segment_bytes", {"image_bytes": files(content), "iterations": one}, word

    return {
        "an empty file": of_file(b"", "0 bytes that are not a JPEG"),
        "text": of_file(b"hello, server", "13 bytes that are not a JPEG"),
        "half a JPEG": of_file(photo[: len(photo) // 2], "Invalid JPEG"),
        "the start of a PNG": of_file(b"\x89PNG\r\n\x1a\n", "PNG that is cut short"),
        "two numbers for one file": (
            "segment_bytes",
            {"image_bytes": files(photo), "iterations": counts(1, 2)},
            "2 numbers of iterations for 1 images",
        ),
        "float32 instead of files": (
            "segment_bytes",
            {"image_bytes": np.zeros([1], np.float32), "iterations": one},
            "image_bytes",
        ),
        "no iterations": ("segment_bytes", {"image_bytes": files(photo)}, "expected 2 inputs but got 1"),
        "no input of the model": ("segment_bytes", {"photo": files(photo), "iterations": one}, "photo"),
        "float32 images": ("segment_tensors", {"images": pixels.astype(np.float32), "iterations": one}, "images"),
        "four channels": ("segment_tensors", {"images": pixels.repeat(2, -1)[..., :4], "iterations": one}, "images"),
        "an image without pixels": ("segment_tensors", {"images": pixels[:, :0], "iterations": one}, "zeros in shape"),
    }


def refuse(server, client, what, request):
    """Returns the line of the server's error that says what is wrong with a bad request. Fails if none does."""
    signature, inputs, word = request
    try:
        server.call(client, signature, inputs)
    except InferenceServerException as error:
        assert word in error.message(), f"{what}: the error does not say {word!r}: {error.message()}"
        lines = error.message().splitlines()
        return next((line for line in lines if "InvalidOperationError:" in line), lines[0])
    raise AssertionError(f"{what}: was answered")


def check_bad_requests(server, signatures, photo):
    for protocol in PROTOCOLS:
        client = server.client(protocol)
        for what, request in bad_requests(photo).items():
            message = refuse(server, client, what, request)
            if protocol == "gRPC":
                print(f"  {what}: {message[:140]}")
        runs = []
        for asked in (0, 1000):
            inputs = {"image_bytes": files(photo), "iterations": counts(asked)}
            found = server.call(client, "segment_bytes", inputs)
            compare(f"{asked} iterations", found, direct(signatures, "segment_bytes", inputs))
            runs += [int(count) for count in found["iterations"]]
        assert 1 == runs[0] < runs[1] < 1000, f"0 and 1000 iterations are not cut: {runs} ran"
    print(
        "bad requests, by HTTP and by gRPC: each answered with an error; of 0 and 1000 iterations "
        f"{runs[0]} and {runs[1]} run"
    )


class Load:
    """Several clients that send requests at once, each waiting for its answer, and one that sends bad ones."""

    def __init__(self, server, signatures, photos, bad):
        self._server, self._bad = server, bad
        self._requests = []
        for photo, count in itertools.product(photos, ITERATIONS):
            inputs = {"image_bytes": files(photo), "iterations": counts(count)}
            self._requests.append((inputs, direct(signatures, "segment_bytes", inputs)))
        self._is_over = threading.Event()
        self.seconds, self.errors, self.num_refused = defaultdict(list), [], 0

    def run(self, duration):
        """Returns the MB of memory that the server held, sampled all the while. Fails if an answer is wrong."""
        protocols = enumerate(itertools.islice(itertools.cycle(PROTOCOLS), NUM_CLIENTS))
        threads = [threading.Thread(target=self._guarded, args=[self._good, *one]) for one in protocols]
        threads.append(threading.Thread(target=self._guarded, args=[self._refused]))
        for thread in threads:
            thread.start()
        held, end = [], time.monotonic() + duration
        while time.monotonic() < end and not self._is_over.wait(min(0.5, duration / 60)):
            held.append(self._server.memory())
        self._is_over.set()
        for thread in threads:
            thread.join()
        assert not self.errors, self.errors[0]
        assert self._server.process.poll() is None, "the server ended under load"
        return held

    def _guarded(self, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            self.errors.append(error)
            self._is_over.set()

    def _good(self, number, protocol):
        client, order = self._server.client(protocol), np.random.default_rng(number)
        while not self._is_over.is_set():
            inputs, expected = self._requests[order.integers(len(self._requests))]
            start = time.perf_counter()
            found = self._server.call(client, "segment_bytes", inputs)
            self.seconds[protocol].append(time.perf_counter() - start)
            compare(f"under load, {protocol}", found, expected)

    def _refused(self):
        clients = [self._server.client(protocol) for protocol in PROTOCOLS]
        for client, (what, request) in zip(itertools.cycle(clients), itertools.cycle(self._bad.items()), strict=False):
            if self._is_over.wait(0.1):
                return
            refuse(self._server, client, what, request)
            self.num_refused += 1


def check_load(server, signatures, photos, duration):
    load = Load(server, signatures, photos, bad_requests(photos[0]))
    held = load.run(duration)
    total = sum(map(len, load.seconds.values()))
    print(
        f"{NUM_CLIENTS} clients for {duration:g} s: {total} requests of one file with {ITERATIONS[0]} to "
        f"{ITERATIONS[-1]} iterations, {total / duration:.1f} a second, all equal to a direct call; "
        f"{load.num_refused} bad ones refused"
    )
    for protocol, seconds in load.seconds.items():
        p50, p95 = np.percentile(seconds, [50, 95]) * 1000
        print(f"  {protocol}: {len(seconds)} requests, p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    third = len(held) // 3
    middle, last = max(held[third:-third]), max(held[-third:])
    growth = 1e6 * (last - middle) / (total / 3)
    print(
        f"memory of the server: peak {max(held):.0f} MB in {len(held)} samples; at most {middle:.0f} MB in the middle "
        f"third and {last:.0f} MB in the last, {growth:.0f} bytes a request more"
    )
    smallest = min(tf.io.decode_image(photo).numpy().nbytes for photo in photos)
    assert growth < smallest, f"memory grows by more than a photo of {smallest} bytes a request: something is kept"


def main(folder, duration=60.0):
    [model] = (folder / "serving").glob("*/")
    [version] = model.glob("[0-9]*/")
    paths = sorted([*folder.glob("photos/*.jpg"), *folder.glob("photos/*.png")])
    assert paths and paths[0].suffix == ".jpg", f"{folder}/photos: no photos, or the first is no JPEG"
    photos = [path.read_bytes() for path in paths]
    image = tf.io.decode_image(photos[0], channels=3).numpy()
    signatures = tf.saved_model.load(version).signatures
    sizes = sorted({"x".join(map(str, tf.io.decode_image(photo).shape[:2])) for photo in photos})
    print(f"TensorFlow {tf.__version__}, {model.name}, photos of {', '.join(sizes)}")
    with TritonSession(model, sorted(signatures), folder / "triton.log") as server:
        check_answers(server, signatures, photos, image)
        check_steps(server, signatures, image)
        check_bad_requests(server, signatures, photos[0])
        check_load(server, signatures, photos, float(duration))
        check_answers(server, signatures, photos, image)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(Path(sys.argv[1]), *sys.argv[2:])
