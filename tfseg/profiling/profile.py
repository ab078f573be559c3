"""What a model costs, by iteration: counts in three conventions, memory, and time on this machine."""

import csv
import dataclasses
import functools
import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfseg import architectures, markdown
from tfseg.errors import InputError
from tfseg.inference.views import SINGLE_VIEW
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import flops
from tfseg.profiling.measurement import MATRIX_SIDE, measure, speeds
from tfseg.system import timing
from tfseg.system.parallel import num_cores

MIB = 2**20
COLUMNS = {
    "iterations": "iterations",
    "published_gmacs": "paper GMACs",
    "tensorflow_gflops": "TensorFlow GFLOPs",
    "executed_gmacs": "executed GMACs",
    "executed_gflops": "executed GFLOPs",
    "parameters": "parameters",
    "activation_mib": "activations MiB",
    "resident_mib": "resident MiB",
    "milliseconds": "ms median",
    "milliseconds_p95": "ms p95",
    "gflops_per_second": "GFLOP/s",
    "share_of_matrix_product": "of a matrix product",
}
CONVENTIONS = (
    "paper GMACs: 10^9 multiply-accumulates in the convention of the papers' tables: half of TensorFlow's FLOPs, with",
    "  features multiplied in every iteration and dilated convolutions on padded maps.",
    "TensorFlow GFLOPs: 10^9 FLOPs as TensorFlow's profiler counts the same function with native dilation: 2 for a",
    "  multiply-accumulate, plus additions, products and pooling.",
    "executed: the operations that run. Features are multiplied once, and products with the zero state are skipped.",
    "  A multiply-accumulate is 2 FLOPs.",
)
LEGEND = (
    *CONVENTIONS,
    "activations: largest total size of the float32 tensors that are live at one moment, computed from the graph;",
    "  resident: growth of the process' memory in the first run, which includes the kernels' own buffers.",
    "ms: from the image in memory to the logits, at the model's stride.",
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """One row: the cost for one number of iterations. None means that a value was not measured.

    Attributes:
      iterations: number of iterations from an image to the result; 1 for a feed-forward model.
      published_gmacs: 10^9 multiply-accumulates in the papers' convention, see `flops.published_gmacs`.
      tensorflow_gflops: 10^9 FLOPs as TensorFlow counts them, see `flops.tensorflow_gflops`.
      executed_gmacs, executed_gflops: cost of the operations that run; GFLOPs are 2 per multiply-accumulate.
      parameters: number of trainable weights.
      activation_mib: peak of the largest view's activations in 2^20 bytes, see `flops.peak_activation_bytes`.
      resident_mib: growth of the process' memory in the first run, in 2^20 bytes.
      milliseconds, milliseconds_p95: median and 95th percentile of the wall time.
      gflops_per_second: executed GFLOPs divided by the median time.
      share_of_matrix_product: that speed as a share, 0 to 1, of the speed of a product of two 1024x1024 matrices in the
        same rounds.
    """

    iterations: int
    published_gmacs: float
    tensorflow_gflops: float
    executed_gmacs: float
    executed_gflops: float
    parameters: int
    activation_mib: float
    resident_mib: float | None = None
    milliseconds: float | None = None
    milliseconds_p95: float | None = None
    gflops_per_second: float | None = None
    share_of_matrix_product: float | None = None


def profile(model_config, num_classes, size, iterations, views=SINGLE_VIEW, rounds=20) -> list[Cost]:
    """Returns the costs of one image after each number of iterations.

    Args:
      model_config: a model's config; the model is built with random weights, which do not change its cost.
      num_classes: number of classes.
      size: (height, width) of the image.
      iterations: numbers of iterations, ascending; a feed-forward model has one row.
      views: the views of the image that are run; their costs add up.
      rounds: number of timing rounds, in which all calls take turns; 0 for no timing.
    Raises:
      InputError: the config is not possible.
    """
    network = architectures.build(model_config, num_classes)
    written = architectures.build(model_config.published(), num_classes)
    iterations = list(iterations) if network.is_recurrent else [1]
    sizes = Counter(view.size(size) for view in views)
    traced = {n: {s: flops.trace(network, s, n) for s in sizes} for n in iterations}
    executed = {
        n: sum(times * flops.gmacs(flops.count(traced[n][s])) for s, times in sizes.items()) for n in iterations
    }
    published, counted = (
        np.sum([times * np.array(count(written, s, iterations[-1])) for s, times in sizes.items()], axis=0)
        for count in (flops.published_gmacs, flops.tensorflow_gflops)
    )
    largest = max(sizes, key=lambda s: s[0] * s[1])
    measured = _measure(traced, sizes, executed, rounds) if rounds else {n: {} for n in iterations}
    return [
        Cost(
            n,
            float(published[n - 1]),
            float(counted[n - 1]),
            executed[n],
            2 * executed[n],
            sum(int(np.prod(variable.shape)) for variable in network.trainable_variables),
            flops.peak_activation_bytes(traced[n][largest]) / MIB,
            **measured[n],
        )
        for n in iterations
    ]


def _measure(traced, sizes, executed, rounds):
    def runner(functions):
        runs = {size: image_call(functions[size], size) for size in sizes}

        def run():
            for size, times in sizes.items():
                for _ in range(times):
                    runs[size]()

        return run

    calls = {n: runner(functions) for n, functions in traced.items()}
    return speeds(*measure(calls, matrix_product(), rounds), executed)


def image_call(function, size):
    """Returns a call of a function of one image with random pixels of a size (height, width)."""
    return functools.partial(function, tf.random.stateless_uniform([1, *size, 3], [0, 0], 0, 255))


def matrix_product():
    """Returns a callable that multiplies two matrices with TensorFlow, for `measurement.measure`."""
    matrix = tf.random.stateless_normal([MATRIX_SIDE, MATRIX_SIDE], [0, 0])
    return functools.partial(tf.function(tf.matmul), matrix, matrix)


def recurrence(model_config, num_classes, size, rounds=30) -> list[dict]:
    """Compares an iteration of the recurrent model with the same one un-hoisted and with its bare matrix products.

    All are timed in turn in one process. The first iteration starts from the zero state and skips its products.

    Args:
      model_config: an RNNConfig with 1x1 kernels.
      num_classes: number of classes.
      size: (height, width) of the image.
      rounds: number of timing rounds.
    Returns:
      Rows {"what", "gmacs" (10^9 multiply-accumulates), "milliseconds" (median), "of_unhoisted", "of_products"}. The
      last two are the time divided by the un-hoisted iteration's and by that of all products together.
    Raises:
      InputError: the model is not a recurrent one with 1x1 kernels.
    """
    if not isinstance(model_config, RNNConfig) or model_config.kernel_size != 1:
        raise InputError("--recurrence needs the recurrent model with 1x1 kernels: its products are matrix products")
    image = tf.random.stateless_uniform([1, *size, 3], [0, 0], 0, 255)
    runs = {}
    for name, hoist in (("iteration", True), ("iteration, un-hoisted", False)):
        network = architectures.build(dataclasses.replace(model_config, hoist=hoist), num_classes)
        features = network.encode(image)
        state = network.refine(features, network.refine(features))
        runs[name] = functools.partial(network.refine, features, state)
        if hoist:
            runs["first iteration"] = functools.partial(network.refine, features)
    positions = int(np.prod(state["canvas"].shape[1:3]))
    products = {}
    for index, cell in enumerate(network.cells, 1):
        _, _, _, rows, filters = cell.kernel.shape
        pair = tf.random.normal([positions, rows]), tf.random.normal([rows, 4 * filters])
        products[f"matrix product {index}"] = functools.partial(tf.matmul, *pair)
    # Tensors that a function closes over become its inputs, not constants that could be folded.
    calls = {name: tf.function(run).get_concrete_function() for name, run in (runs | products).items()}
    taken = {name: timing.median(times) for name, times in timing.interleaved(calls, rounds).items()}
    counted = {name: flops.gmacs(flops.count(call)) for name, call in calls.items()}
    for values in (taken, counted):
        values["products together"] = sum(values[name] for name in products)
    return [
        {
            "what": name,
            "gmacs": counted[name],
            "milliseconds": taken[name],
            "of_unhoisted": taken[name] / taken["iteration, un-hoisted"],
            "of_products": taken[name] / taken["products together"],
        }
        for name in taken
    ]


def layers(model_config, num_classes, size, iterations) -> list[dict]:
    """Returns every executed convolution and matrix product, in order: name, kind, executions, GMACs and share."""
    network = architectures.build(model_config, num_classes)
    return shares(flops.count(flops.trace(network, size, iterations)))


def shares(operations) -> list[dict]:
    """Makes the rows of `layers` from counted operations; operations without multiply-accumulates are left out."""
    found = [op for op in operations if op.macs]
    total = sum(op.macs for op in found)
    return [
        {
            "operation": op.name,
            "kind": op.kind,
            "executions": op.executions,
            "executed_gmacs": op.macs / 1e9,
            "share": op.macs / total,
        }
        for op in found
    ]


def device() -> dict:
    """Returns what the times were measured on: device, threads, TensorFlow's version."""
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "device": f"GPU: {', '.join(map(str, gpus))}" if gpus else processor(),
        "threads": tf.config.threading.get_intra_op_parallelism_threads() or num_cores(),
        "tensorflow": tf.__version__,
    }


def processor() -> str:
    """Returns the name of this machine's CPU and the number of cores that this process may use."""
    try:
        name = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        name = "unknown"
    return f"CPU: {name}, {num_cores()} cores"


def as_markdown(rows, columns=None) -> str:
    """Formats rows (dicts) as a Markdown table; numbers have four digits, cells without a value are empty."""
    columns = columns or {name: name for name in rows[0]}
    cells = [[_cell(name, row[name]) for name in columns] for row in rows]
    is_number = [
        all(isinstance(row[name], int | float | None) and not isinstance(row[name], bool) for row in rows)
        for name in columns
    ]
    return markdown.table(list(columns.values()), cells, is_number)


def _cell(name, value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return (
            f"{100 * value:.1f} %"
            if name.startswith("share")
            else f"{value:,.0f}"
            if value >= 9999.5
            else f"{value:.4g}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)


def as_csv(rows) -> str:
    """Formats the rows as CSV, with a header of field names and at full precision."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def write(folder, name, rows, columns, context):
    """Writes a table as <name>.md, <name>.csv and <name>.json; the JSON file also holds `context`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(as_markdown(rows, columns) + "\n")
    (folder / f"{name}.csv").write_text(as_csv(rows))
    (folder / f"{name}.json").write_text(json.dumps(context | {"rows": rows}, indent=1) + "\n")
