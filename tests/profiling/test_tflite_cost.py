"""Costs of .tflite files, against counts by hand."""

import pytest
import tensorflow as tf

from tests.export.toy_exports import changed, converted, from_saved_model, kernel, loop
from tfseg.errors import InputError
from tfseg.formats import tflite_file, tflite_memory
from tfseg.profiling import tflite_cost

IMAGE = [2, 9, 7, 4]
VOLUME = [1, 5, 9, 7, 4]


# The function to convert, its inputs, the operator's kind, multiply-accumulates, elements of kernels and biases.
PRODUCTS = {
    # 2 images x positions of the result x kernel area x input channels x output channels; the converter adds a bias.
    "strided": (lambda x: tf.nn.conv2d(x, kernel(3, 3, 4, 5), 2, "SAME"), [IMAGE], "CONV_2D", 2 * 5 * 4 * 180, 185),
    "dilated": (
        lambda x: tf.nn.conv2d(x, kernel(3, 3, 4, 5), 1, "SAME", dilations=4),
        [IMAGE],
        "CONV_2D",
        2 * 9 * 7 * 180,
        185,
    ),
    "grouped": (
        lambda x: tf.nn.conv2d(x, kernel(3, 3, 2, 6), 1, "SAME"),
        [IMAGE],
        "CONV_2D",
        2 * 9 * 7 * 9 * 2 * 6,
        108 + 6,
    ),
    # The kernel's last axis is the number of maps per channel.
    "depthwise": (
        lambda x: tf.nn.depthwise_conv2d(x, kernel(3, 3, 4, 2), [1, 1, 1, 1], "SAME"),
        [IMAGE],
        "DEPTHWISE_CONV_2D",
        2 * 9 * 7 * 9 * 4 * 2,
        72 + 8,
    ),
    # Every input position is multiplied by the whole kernel.
    "transposed": (
        lambda x: tf.nn.conv2d_transpose(x, kernel(2, 2, 5, 4), [2, 18, 14, 5], 2, "SAME"),
        [IMAGE],
        "TRANSPOSE_CONV",
        2 * 9 * 7 * 80,
        80,
    ),
    "dense": (lambda x: tf.tensordot(x, kernel(4, 5), 1) + kernel(5), [IMAGE], "FULLY_CONNECTED", 2 * 63 * 20, 25),
    "batched": (tf.matmul, [[2, 9, 4], [2, 4, 5]], "BATCH_MATMUL", 2 * 9 * 4 * 5, 0),
    "first transposed": (
        lambda x, y: tf.matmul(x, y, transpose_a=True),
        [[2, 4, 9], [2, 4, 5]],
        "BATCH_MATMUL",
        2 * 9 * 4 * 5,
        0,
    ),
    "second transposed": (
        lambda x, y: tf.matmul(x, y, transpose_b=True),
        [[2, 9, 4], [2, 5, 4]],
        "BATCH_MATMUL",
        2 * 9 * 4 * 5,
        0,
    ),
    "volume": (
        lambda x: tf.nn.conv3d(x, kernel(3, 2, 2, 4, 5), [1, 1, 1, 1, 1], "SAME"),
        [VOLUME],
        "CONV_3D",
        5 * 9 * 7 * 12 * 20,
        240,
    ),
    "volume transposed": (
        lambda x: tf.nn.conv3d_transpose(x, kernel(2, 2, 2, 5, 4), [1, 10, 18, 14, 5], 2, "SAME"),
        [VOLUME],
        "CONV_3D_TRANSPOSE",
        5 * 9 * 7 * 8 * 20,
        160,
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_costs_what_it_multiplies(read_tflite, name):
    run, shapes, kind, macs, parameters = PRODUCTS[name]
    model = read_tflite(converted(run, *shapes))
    [product] = tflite_cost.operations(model)
    assert (product.kind, product.macs, product.executions) == (kind, macs, 1)
    assert tflite_cost.parameters(model) == parameters


@pytest.mark.parametrize("precision", ["float16", "dynamic"])
def test_kernels_of_another_type_count_the_same(read_tflite, precision):
    run = lambda x: tf.nn.conv2d(x, kernel(3, 3, 16, 80), 2, "SAME")  # noqa: E731
    whole, small = (read_tflite(converted(run, [1, 9, 7, 16], precision=p)) for p in ("float32", precision))
    assert tflite_cost.operations(small) == tflite_cost.operations(whole)
    assert tflite_cost.parameters(small) == tflite_cost.parameters(whole) == 9 * 16 * 80 + 80
    # Kernels are not activations, even if they are converted to float32 first.
    assert tflite_memory.peak_activation_bytes(small) == tflite_memory.peak_activation_bytes(whole)


@pytest.fixture(scope="module")
def with_loop():
    return converted(loop, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations"), precision="float16")


@pytest.mark.parametrize("trips", [1, 6])
def test_a_loop_costs_its_body_as_often_as_it_runs(read_tflite, with_loop, trips):
    model = read_tflite(with_loop)
    [product] = tflite_cost.operations(model, trips)
    assert (product.macs, product.executions) == (trips * 9 * 7 * 16, trips)
    assert product.name.startswith("while/")
    # In float16 the kernel enters the loop from outside; a bias of zeros is added.
    assert tflite_cost.parameters(model) == 16 + 4


def test_a_counter_that_starts_later_runs_its_body_less_often(read_tflite):
    """Such a loop belongs to a network whose first iteration is outside of its loop."""
    weights = kernel(1, 1, 4, 4)

    def run(image, iterations):
        body = lambda i, x: (i + 1, tf.nn.relu(tf.nn.conv2d(x, weights, 1, "SAME")))  # noqa: E731
        return tf.while_loop(lambda i, _: i < iterations[0], body, (1, image))[1]

    model = read_tflite(converted(run, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations")))
    for iterations, trips in ((1, 0), (6, 5)):
        assert sum(one.macs for one in tflite_cost.operations(model, iterations)) == trips * 9 * 7 * 4 * 4


def test_a_loop_whose_limit_is_in_the_file_needs_no_number(read_tflite):
    weights = kernel(1, 1, 4, 4)

    def run(image):
        body = lambda i, x: (i + 1, tf.nn.relu(tf.nn.conv2d(x, weights, 1, "SAME")))  # noqa: E731
        return tf.while_loop(lambda i, _: i < 3, body, (0, image))[1]

    model = read_tflite(converted(run, [1, 9, 7, 4]))
    for iterations in (None, 7):
        assert sum(one.macs for one in tflite_cost.operations(model, iterations)) == 3 * 9 * 7 * 4 * 4


def test_a_loop_needs_its_trips(read_tflite, with_loop):
    with pytest.raises(InputError, match=r"how often this loop runs is not in the file; give it, e\.g\. --iters=6"):
        tflite_cost.operations(read_tflite(with_loop))


def test_the_dearer_branch_counts(read_tflite):
    def branches(x):
        def branch(filters):
            return lambda: tf.reduce_sum(tf.nn.conv2d(x, kernel(1, 1, 4, filters), 1, "SAME"))

        return tf.cond(x[0, 0, 0, 0] > 0, branch(3), branch(7))

    [product] = tflite_cost.operations(read_tflite(converted(branches, IMAGE)))
    assert product.macs == 2 * 9 * 7 * 4 * 7


class Steps(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3], name="image")])
    def encode(self, image):
        return {"features": tf.nn.conv2d(image, kernel(3, 3, 3, 4), 2, "SAME")}

    @tf.function(input_signature=[tf.TensorSpec([1, 4, 4, 4], name="state")])
    def refine(self, state):
        return {"state": state + tf.nn.relu(tf.nn.conv2d(state, kernel(1, 1, 4, 4), 1, "SAME"))}


def test_signatures_count_one_by_one(read_tflite, tmp_path):
    module = Steps()
    tf.saved_model.save(module, tmp_path / "saved", {"encode": module.encode, "refine": module.refine})
    model = read_tflite(from_saved_model(tmp_path / "saved", ["encode", "refine"]))
    signatures = tflite_file.signatures(model)
    assert set(signatures) == {"encode", "refine"}
    macs = {name: sum(p.macs for p in tflite_cost.operations(model, None, i)) for name, i in signatures.items()}
    assert macs == {"encode": 4 * 4 * 27 * 4, "refine": 4 * 4 * 16}
    parameters = {name: tflite_cost.parameters(model, i) for name, i in signatures.items()}
    assert parameters == {"encode": 27 * 4 + 4, "refine": 16 + 4}
    assert set(tflite_file.inputs(model, "refine")) == {"state"}


def test_memory_is_what_lives_at_one_moment(read_tflite):
    def run(x):
        wide = tf.nn.relu(tf.nn.conv2d(x, kernel(1, 1, 4, 12), 1, "SAME"))
        return tf.nn.conv2d(wide, kernel(1, 1, 12, 4), 1, "SAME") + x

    # The image is used last; besides it, the wide map and its result are live.
    model = read_tflite(converted(run, IMAGE))
    assert tflite_memory.peak_activation_bytes(model) == 4 * 2 * 9 * 7 * (4 + 12 + 4)


def test_memory_inside_a_loop_counts(read_tflite, with_loop):
    # The image and its successor, the counter, and the number of iterations.
    assert tflite_memory.peak_activation_bytes(read_tflite(with_loop)) == 2 * 4 * 9 * 7 * 4 + 4 + 4


def flattened(x):
    return tf.matmul(tf.reshape(x, [-1, 4]), kernel(4, 5))


def resized_inside(x):
    size = tf.cast(tf.reduce_sum(x[0, 0, 0, :2]) * [1, 1], tf.int32)
    return tf.nn.conv2d(tf.image.resize(x, size), kernel(3, 3, 4, 5), 2, "SAME")


@pytest.mark.parametrize(
    "run,shape,message",
    [
        (
            lambda x: tf.nn.conv2d(x, kernel(3, 3, 4, 5), 2, "SAME"),
            [1, None, None, 4],
            r"x:0: its size 1x\?x\?x4 is not",
        ),
        (resized_inside, [1, 9, 7, 4], r"its size 1x\?x\?x4 is not fixed; export the model at a fixed size"),
        # For a batch that positions were folded into, the file says 1.
        (flattened, [None, 9, 7, 4], "the size of this RESHAPE is not fixed"),
    ],
)
def test_sizes_must_be_fixed(read_tflite, run, shape, message):
    with pytest.raises(InputError, match=message):
        tflite_cost.operations(read_tflite(converted(run, shape)))


def test_a_batch_of_any_size_counts_as_one(read_tflite):
    run = lambda x: tf.nn.conv2d(x, kernel(3, 3, 4, 5), 2, "SAME")  # noqa: E731
    [product] = tflite_cost.operations(read_tflite(converted(run, [None, 9, 7, 4])))
    assert product.macs == 5 * 4 * 180


def as_operator(name, custom_code=None):
    """Returns a change that gives the only operator another kind."""

    def change(model):
        [code] = model.operatorCodes
        number = next(number for number, kind in tflite_file.KINDS.items() if kind == name) if name else 250
        code.deprecatedBuiltinCode, code.builtinCode = min(number, 127), number
        code.customCode = custom_code

    return change


@pytest.mark.parametrize(
    "name,custom_code,message",
    [
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", None, "the operator UNIDIRECTIONAL_SEQUENCE_LSTM cannot be counted"),
        ("SVDF", None, "the operator SVDF cannot be counted"),
        ("STABLEHLO_CONVOLUTION", None, "the operator STABLEHLO_CONVOLUTION cannot be counted"),
        ("CUSTOM", "FlexConv2D", "FlexConv2D is a custom operator"),
        ("CUSTOM", "MyOperator", "MyOperator is a custom operator"),
        (None, None, "the operator number 250 cannot be counted"),
        ("FULLY_CONNECTED", None, r"FULLY_CONNECTED of \[1, 9, 7, 4\] and \[5, 3, 3, 4\] cannot give \[1, 9, 7, 5\]"),
    ],
)
def test_what_would_be_missed_is_an_error(read_tflite, name, custom_code, message):
    data = converted(lambda x: tf.nn.conv2d(x, kernel(3, 3, 4, 5), 1, "SAME"), [1, 9, 7, 4])
    with pytest.raises(InputError, match=message):
        tflite_cost.operations(read_tflite(changed(data, as_operator(name, custom_code))))
