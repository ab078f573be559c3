"""What a .tflite file needs is read from its shapes, before anything allocates it."""

import pytest
import tensorflow as tf

from tests.export.toy_exports import changed, converted, kernel
from tfseg.errors import InputError
from tfseg.formats import tflite_memory


@pytest.fixture(scope="module")
def data():
    return converted(lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel(3, 3, 4, 8), 2, "SAME")) * 2, [1, 8, 6, 4])


def test_all_tensors_but_constants_are_summed(read_tflite, data):
    # Image, convolution, and product by 2.
    assert tflite_memory.activation_bytes(read_tflite(data)) == 4 * (8 * 6 * 4 + 2 * 4 * 3 * 8)
    tflite_memory.check("a.tflite", read_tflite(data))


def swollen(inner):
    """The file with one inner tensor, or its image, of 2^31 elements a side."""

    def change(model):
        graph = model.subgraphs[0]
        tensor = graph.tensors[graph.operators[0].outputs[0] if inner else graph.inputs[0]]
        tensor.shape = [1, 2**31 - 1, 2**31 - 1, 4]

    return change


@pytest.mark.parametrize("inner", [False, True])
def test_sizes_beyond_any_integer_are_named_in_a_short_line(read_tflite, data, inner):
    model = read_tflite(changed(data, swollen(inner)))
    with pytest.raises(
        InputError, match=r"a\.tflite: the activations of one run have [\d.]+ GiB, more than 16"
    ) as caught:
        tflite_memory.check("a.tflite", model)
    assert len(str(caught.value)) < 200


def test_what_lives_at_one_moment_has_to_fit_into_the_machine(read_tflite, data, monkeypatch):
    model = read_tflite(data)
    peak = tflite_memory.peak_activation_bytes(model)
    monkeypatch.setattr(tflite_memory, "memory_bytes", lambda: peak)
    tflite_memory.check("a.tflite", model)
    monkeypatch.setattr(tflite_memory, "memory_bytes", lambda: peak - 1)
    with pytest.raises(InputError, match=r"a\.tflite: one run needs at least 0\.0 GiB, this machine has"):
        tflite_memory.check("a.tflite", model)


def test_the_memory_is_at_most_the_machine_s():
    assert 1 << 20 < tflite_memory.memory_bytes() < 1 << 50
