"""Times forms of the deformable 3x3 convolution beside a plain convolution of the same products, on this machine.

python -m tfseg.benchmarks.deformable
    64 to 64 channels, maps of 45x60 and 23x30, one image, float32, all in turn: a frame in use, and a step of training,
    which is forwards and backwards. The plain form convolves for offsets, too, but reads where plain convolutions do.

All forms but the two that say so are made of operations that TFLite has; all but the one in 16 bits give the same.
"""

import dataclasses
import importlib.util
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from absl import flags

from tfseg import markdown
from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.layers.deformable import DeformableConv2D
from tfseg.layers.sampling import bilinear_sample, corners
from tfseg.system import timing

NUM_ROUNDS = flags.DEFINE_integer("num_rounds", 40, "How often each form is timed.", lower_bound=1)
MOST_SECONDS = flags.DEFINE_float("most_seconds", 15.0, "No round of a map begins after so many.", lower_bound=0.0)
CHANNELS = 64
SIZES = ((45, 60), (23, 30))
PLAIN, PRODUCT = "plain convolution", "tfseg's: four gathers of corners"


@dataclasses.dataclass(frozen=True)
class Form:
    """One way to compute a `DeformableConv2D`.

    Attributes:
      compute: (layer, inputs [batch, h, w, channels]) -> [batch, h, w, filters].
      is_exportable: whether TFLite has its operations.
      is_exact: whether it gives what the layer does, but for rounding in float32.
    """

    compute: Callable
    is_exportable: bool = True
    is_exact: bool = True


def plain(layer, inputs):
    """The plain convolution; the offsets are found, too, so that it does as many products."""
    found = layer.offsets(inputs)
    with tf.control_dependencies([found]):
        return tf.nn.conv2d(inputs, layer.kernel, 1, "SAME") + 0 * found[..., :1]


def product_of(layer, inputs, read):
    """Multiplies what the taps read, [batch, h * w * 9, channels], by the kernel."""
    batch, height, width, channels = inputs.shape
    kernel = tf.reshape(layer.kernel, [1, 1, 9 * channels, layer.filters])
    return tf.nn.conv2d(tf.reshape(read, [batch, height, width, 9 * channels]), kernel, 1, "VALID")


def batched_gathers(layer, inputs):
    """Four gathers from every image by itself."""
    framed, first, steps, shares = corners(inputs, *layer.places(inputs))
    batch, height, width, channels = framed.shape
    flat = tf.reshape(framed, [batch, height * width, channels])
    first -= tf.range(batch)[:, tf.newaxis] * height * width
    rows = [tf.gather(flat, first + step, batch_dims=1) for step in steps]
    return product_of(layer, inputs, _weighted_sum(rows, shares))


def _weighted_sum(rows, shares):
    return tf.add_n([share[..., tf.newaxis] * row for share, row in zip(shares, rows, strict=True)])


def _beside(framed, downs):
    """Returns [positions, channels * 2 * downs]: every framed position, its right neighbour, perhaps those below."""
    _, height, width, channels = framed.shape
    further = tf.pad(framed, [[0, 0], [0, 1], [0, 1], [0, 0]])
    shifted = [further[:, down : down + height, across : across + width] for down in range(downs) for across in (0, 1)]
    return tf.reshape(tf.concat(shifted, -1), [-1, 2 * downs * channels])


def one_gather(layer, inputs):
    """One gather of rows that hold all four corners, and one small product for each."""
    framed, first, _, shares = corners(inputs, *layer.places(inputs))
    rows = tf.reshape(tf.gather(_beside(framed, 2), first), [-1, 4, inputs.shape[-1]])
    read = tf.matmul(tf.reshape(tf.stack(shares, -1), [-1, 1, 4]), rows)
    return product_of(layer, inputs, read)


def two_gathers(layer, inputs):
    """Two gathers of rows that hold two neighbours."""
    framed, first, (_, _, below, _), shares = corners(inputs, *layer.places(inputs))
    pairs = _beside(framed, 1)
    rows = [half for step in (0, below) for half in tf.split(tf.gather(pairs, first + step), 2, -1)]
    return product_of(layer, inputs, _weighted_sum(rows, shares))


def one_tap_after_the_other(layer, inputs):
    """Four gathers for each tap, so that what is read stays in the cache until it is multiplied."""
    framed, first, steps, shares = corners(inputs, *layer.places(inputs))
    batch, height, width, channels = inputs.shape
    flat = tf.reshape(framed, [-1, channels])
    first = tf.unstack(tf.reshape(first, [-1, 9]), axis=1)
    shares = [tf.unstack(tf.reshape(share, [-1, 9]), axis=1) for share in shares]
    kernels = tf.unstack(tf.reshape(layer.kernel, [9, channels, layer.filters]))
    results = []
    for tap, kernel in enumerate(kernels):
        rows = [tf.gather(flat, first[tap] + step) for step in steps]
        results.append(tf.matmul(_weighted_sum(rows, [share[tap] for share in shares]), kernel))
    return tf.reshape(tf.add_n(results), [batch, height, width, layer.filters])


def _transformed(layer, inputs):
    """Returns the products of every position and tap [positions * 9, filters], and [h * w, 36] numbers and shares."""
    framed, first, steps, shares = corners(inputs, *layer.places(inputs))
    channels = inputs.shape[-1]
    kernel = tf.transpose(tf.reshape(layer.kernel, [9, channels, layer.filters]), [1, 0, 2])
    products = tf.nn.conv2d(framed, tf.reshape(kernel, [1, 1, channels, -1]), 1, "VALID")
    first = tf.reshape(first, [-1, 9]) * 9 + tf.range(9)
    numbers = tf.concat([first + 9 * step for step in steps], -1)
    return (
        tf.reshape(products, [-1, layer.filters]),
        numbers,
        tf.concat([tf.reshape(one, [-1, 9]) for one in shares], -1),
    )


def transformed_and_gathered(layer, inputs):
    """The products of all positions with all taps first; then 36 of them are gathered and added."""
    products, numbers, shares = _transformed(layer, inputs)
    result = tf.matmul(shares[:, tf.newaxis], tf.gather(products, numbers))
    return tf.reshape(result, [*inputs.shape[:3], layer.filters])


def transformed_and_sparse(layer, inputs):
    """The products of all positions with all taps, times a sparse matrix with 36 entries a row."""
    products, numbers, shares = _transformed(layer, inputs)
    count = numbers.shape[0]
    places = tf.stack([tf.repeat(tf.range(count), 36), tf.reshape(numbers, [-1])], 1)
    matrix = tf.SparseTensor(tf.cast(places, tf.int64), tf.reshape(shares, [-1]), [count, products.shape[0]])
    return tf.reshape(tf.sparse.sparse_dense_matmul(matrix, products), [*inputs.shape[:3], layer.filters])


def in_16_bits(layer, inputs):
    """Like the product's, but the map is read as bfloat16."""
    read = bilinear_sample(tf.cast(inputs, tf.bfloat16), *layer.places(inputs))
    return product_of(layer, inputs, tf.cast(read, tf.float32))


def resampler(layer, inputs):
    """The operation `Addons>Resampler`, which reads bilinearly in one pass; 0 outside."""
    import tensorflow_addons as tfa  # slow to import

    rows, columns, modulations = layer.places(inputs)
    read = tfa.image.resampler(inputs, tf.stack([columns, rows], -1))
    return product_of(layer, inputs, read * modulations[..., tf.newaxis])


FORMS = {
    PLAIN: Form(plain, is_exact=False),
    PRODUCT: Form(lambda layer, inputs: layer(inputs)),
    "four gathers, each image by itself": Form(batched_gathers),
    "two gathers of two neighbours": Form(two_gathers),
    "one gather of four neighbours": Form(one_gather),
    "one tap after the other": Form(one_tap_after_the_other),
    "products first, one gather of 36": Form(transformed_and_gathered),
    "four gathers in bfloat16": Form(in_16_bits, is_exact=False),
    "products first, sparse matrix (not for TFLite)": Form(transformed_and_sparse, is_exportable=False),
}
if importlib.util.find_spec("tensorflow_addons"):  # not with TensorFlow 2.20
    FORMS["resampler of TensorFlow Addons (not for TFLite)"] = Form(resampler, is_exportable=False)


@dataclasses.dataclass(frozen=True)
class Timed:
    """Milliseconds of one form on one size of map: of every frame, and of every step of training."""

    form: str
    size: tuple[int, int]
    frames: list[float]
    steps: list[float]


def measure(forms, sizes, num_rounds, seconds, channels=CHANNELS) -> list[Timed]:
    """Runs all forms in turn, in use and in training.

    Args:
      forms: {name: Form}.
      sizes: (height, width) of the maps.
      num_rounds: largest number of rounds of each size; the first one, which traces, is not counted.
      seconds: no further round of a size begins after this time.
      channels: of the map and of the result.
    """
    rows = []
    for size in sizes:
        layer, inputs = layer_and_inputs(size, channels)
        frames = {name: _frame(form, layer, inputs) for name, form in forms.items()}
        steps = {f"{name}, step": _step(form, layer, inputs) for name, form in forms.items()}
        taken = timing.interleaved(frames | steps, num_rounds, seconds)
        rows += [Timed(name, size, taken[name], taken[f"{name}, step"]) for name in forms]
    return rows


def layer_and_inputs(size, channels=CHANNELS):
    """Returns a layer whose offsets are about one position in each direction, and a random map [1, *size, channels]."""
    random = np.random.default_rng(0)
    inputs = tf.constant(random.normal(size=[1, *size, channels]), tf.float32)
    layer = DeformableConv2D(channels)
    layer(inputs)
    for weight in layer.weights:
        weight.assign(random.normal(size=weight.shape) / (9 * channels) ** 0.5)
    return layer, inputs


def _frame(form, layer, inputs):
    function = tf.function(lambda images: form.compute(layer, images))
    return lambda: function(inputs).numpy()


def _step(form, layer, inputs):
    @tf.function
    def gradients(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(form.compute(layer, images) ** 2)
        return tape.gradient(total, [images, *layer.trainable_variables])

    return lambda: gradients(inputs)[0].numpy()


def as_markdown(rows) -> str:
    """The table: medians in milliseconds, and ratios to the plain convolution on the same map."""
    lines = []
    plains = {row.size: row for row in rows if row.form == PLAIN}
    for row in rows:
        cells = [f"{row.size[0]}x{row.size[1]}", row.form]
        for own, reference in ((row.frames, plains[row.size].frames), (row.steps, plains[row.size].steps)):
            cells += [f"{timing.median(own):.2f}", f"{timing.median(own) / timing.median(reference):.2f}"]
        lines.append(cells)
    head = ["map", "form", "frame, ms", "ratio", "training step, ms", "ratio"]
    return markdown.table(head, lines, [False, False, True, True, True, True])


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    rows = measure(FORMS, SIZES, NUM_ROUNDS.value, MOST_SECONDS.value)
    print(as_markdown(rows))
    print(f"medians of {len(rows[0].frames)} and {len(rows[-1].frames)} rounds")


if __name__ == "__main__":
    entry.run(main)
