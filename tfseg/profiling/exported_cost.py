"""What an exported model (a SavedModel or a .tflite file) costs, by signature and number of iterations."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tfseg.errors import InputError, shortened
from tfseg.formats import saved_model, tflite_file, tflite_memory
from tfseg.inference.engines import tflite_trial
from tfseg.profiling import flops, frozen_graph, measurement, profile, tflite_cost, tflite_timing
from tfseg.system.progress import say

COLUMNS = {"signature": "signature", "size": "size"} | {
    name: title for name, title in profile.COLUMNS.items() if name != "published_gmacs"
}
LEGEND = (
    "TensorFlow GFLOPs: 10^9 FLOPs as TensorFlow's profiler counts the SavedModel's graph: 2 per multiply-accumulate,",
    "  plus additions, products and pooling. Empty for a .tflite file.",
    "executed: 10^9 multiply-accumulates of one call with one image, counted from shapes; a multiply-accumulate is 2",
    "  FLOPs.",
    "parameters: the trainable weights of a SavedModel; the kernels and biases, of any type, of a .tflite file.",
    "activations: largest total size of the tensors that are live at one moment, computed from the graph; resident:",
    "  growth of the process' memory in the first run, which includes the kernels' own buffers.",
    "A .tflite file that takes several images at once: everything but resident is the share of one image.",
    "ms: from the inputs in memory to the outputs. The matrix product is TensorFlow's, or NumPy's for a .tflite file.",
)


@dataclasses.dataclass(frozen=True)
class ExportedCost:
    """One row: a signature, run with a number of iterations. None means that a value does not apply or is not measured.

    Attributes:
      signature: the signature's name in the file.
      size: HEIGHTxWIDTH of the image; None for a signature that takes no image.
      iterations: number of iterations that its loop runs; None without a loop.
      tensorflow_gflops: 10^9 FLOPs as TensorFlow counts them; None for a .tflite file.
      executed_gmacs, executed_gflops: cost of the operations that run; GFLOPs are 2 per multiply-accumulate.
      parameters: see LEGEND.
      activation_mib: peak of the activations in 2^20 bytes, see `flops.peak_activation_bytes`.
      resident_mib, milliseconds, milliseconds_p95, gflops_per_second, share_of_matrix_product: see `profile.Cost`.
    """

    signature: str
    size: str | None
    iterations: int | None
    tensorflow_gflops: float | None
    executed_gmacs: float
    executed_gflops: float
    parameters: int | None
    activation_mib: float
    resident_mib: float | None = None
    milliseconds: float | None = None
    milliseconds_p95: float | None = None
    gflops_per_second: float | None = None
    share_of_matrix_product: float | None = None


def profile_saved_model(signature, size=None, iterations=None, rounds=20) -> list[ExportedCost]:
    """Returns the costs of one image in a SavedModel, whose signature is traced anew with static shapes.

    Args:
      signature: the SavedModel's ImageSignature, from `saved_model.load`.
      size: (height, width) of the image; None if the signature has a fixed size.
      iterations: numbers of iterations, ascending; None for a signature without iterations.
      rounds: number of timing rounds, in which all calls take turns; 0 for no timing.
    Raises:
      InputError: the signature does not take the size or the iterations; or some of the graph's cost cannot be counted.
    """
    size, traced = _traced(signature, size, iterations)
    with saved_model.refusing(signature, size):
        frozen = {n: frozen_graph.freeze(function) for n, function in traced.items()}
        operations = {n: flops.count(graph) for n, graph in frozen.items()}
        gmacs = {n: flops.gmacs(counted) for n, counted in operations.items()}
        measured = _measured(signature, size, traced, gmacs, rounds) if rounds else {}
    weights = {id(variable): variable for variable in signature.function.trainable_variables}.values()
    return [
        ExportedCost(
            signature=signature.name,
            size=f"{size[0]}x{size[1]}",
            iterations=n,
            tensorflow_gflops=flops.gflops(operations[n]),
            executed_gmacs=gmacs[n],
            executed_gflops=2 * gmacs[n],
            # A graph that was frozen before it was saved does not tell which of its constants were trained.
            parameters=sum(int(np.prod(variable.shape)) for variable in weights) if weights else None,
            activation_mib=frozen_graph.peak_activation_bytes(frozen[n]) / profile.MIB,
            **measured.get(n, {}),
        )
        for n in traced
    ]


def saved_model_layers(signature, size=None, iterations=None) -> list[dict]:
    """Returns every convolution and matrix product for the last number of iterations; see `profile_saved_model`."""
    size, traced = _traced(signature, size, iterations and iterations[-1:])
    with saved_model.refusing(signature, size):
        return profile.shares(flops.count(frozen_graph.freeze(*traced.values())))


def _traced(signature, size, iterations):
    """Returns the size and {iterations: ConcreteFunction}; refuses a size or iterations that are not taken."""
    path, own = signature.path, signature.image.shape[1:3]
    if size is None and not own.is_fully_defined():
        raise InputError(f"--size is missing: {path} takes images of any size, e.g. --size=513x513")
    if size is not None and not own.is_compatible_with(size):
        sides = "x".join("any" if side is None else str(side) for side in own)
        raise InputError(f"--size={size[0]}x{size[1]}: {path} takes images of {sides}")
    if signature.iterations is None and iterations is not None:
        raise InputError(f"--iters does not apply: {path} takes no number of iterations")
    if signature.iterations is not None and iterations is None:
        raise InputError(f"--iters is missing: {path} runs as many iterations as it is told, e.g. --iters=6")
    size = tuple(own if size is None else size)
    return size, {n: saved_model.trace(signature, size, n) for n in iterations or [None]}


def _measured(signature, size, traced, gmacs, rounds):
    image = tf.cast(tf.random.stateless_uniform([1, *size, 3], [0, 0], 0, 255), signature.image.dtype)
    calls = {n: functools.partial(function, image) for n, function in traced.items()}
    return measurement.speeds(*measurement.measure(calls, profile.matrix_product(), rounds), gmacs)


def profile_tflite(path, iterations=None, rounds=20, threads=1) -> list[ExportedCost]:
    """Returns the costs of every signature in a .tflite file, counted from the file and timed in a separate process.

    Args:
      path: the file's path.
      iterations: numbers, ascending: how often a loop's body runs, and the value of an int32 input "iterations"; None
        for a file with neither.
      rounds: number of timing rounds, in which all calls take turns; 0 for no timing. A loop in a signature without the
        input "iterations" is not timed, because nothing tells it how often to run.
      threads: number of threads of the interpreter.
    Returns:
      A row for each signature and number of iterations, for one image. Without times, and with a note on stderr, if the
      interpreter cannot run the file.
    Raises:
      InputError: the file is damaged or does not take iterations, or a cost cannot be counted (see
        `tflite_cost.operations`).
    """
    model = tflite_file.read(path)
    counted = _counted(path, model, iterations)
    gmacs = {key: flops.gmacs(operations) for key, operations in counted.items()}
    measured = _measured_tflite(path, model, gmacs, rounds, threads) if rounds else {}
    subgraphs = tflite_file.signatures(model)
    return [
        ExportedCost(
            signature=name,
            size=_size(tflite_file.inputs(model, name)),
            iterations=n,
            tensorflow_gflops=None,
            executed_gmacs=gmacs[name, n],
            executed_gflops=2 * gmacs[name, n],
            parameters=tflite_cost.parameters(model, subgraphs[name]),
            activation_mib=tflite_memory.peak_activation_bytes(model, subgraphs[name])
            / profile.MIB
            / _num_images(model, name),
            **measured.get(str(number), {}),
        )
        for number, (name, n) in enumerate(counted)
    ]


def _measured_tflite(path, model, gmacs, rounds, threads):
    """Returns {number of the row: measured fields}; none of them, and a note, if the file cannot be run."""
    # JSON has no tuples as keys.
    timed = {str(number): key for number, key in enumerate(gmacs) if _obeys(model, key[0])}
    calls = {number: _call(model, *key) for number, key in timed.items()}
    if not calls:
        return {}
    try:
        tflite_memory.check(path, model)
        taken, grown = tflite_timing.run(path, calls, rounds, threads, tflite_trial.allowed_bytes(model, path))
    except InputError as error:
        say(f"note: no times: {error}")
        return {}
    for number, (name, _) in timed.items():
        taken[number] = [milliseconds / _num_images(model, name) for milliseconds in taken[number]]
    return measurement.speeds(taken, grown, {number: gmacs[key] for number, key in timed.items()})


def tflite_layers(path, iterations=None) -> list[dict]:
    """Returns every convolution and matrix product of every signature; arguments as in `profile_tflite`."""
    counted = _counted(path, tflite_file.read(path), iterations and iterations[-1:])
    return [
        {"signature": name} | row for (name, _), operations in counted.items() for row in profile.shares(operations)
    ]


def _counted(path, model, iterations):
    """Returns {(signature, iterations): operations}."""
    counted = {}
    for name, subgraph in tflite_file.signatures(model).items():
        is_repeated = tflite_cost.has_loop(model, subgraph) or _takes_iterations(model, name)
        if is_repeated and iterations is None:
            raise InputError(f"--iters is missing: {path} runs as many iterations as it is told, e.g. --iters=6")
        try:
            for n in iterations if is_repeated else [None]:
                operations = tflite_cost.operations(model, n, subgraph)
                counted[name, n] = [_of_one_image(one, _num_images(model, name)) for one in operations]
        except InputError as error:
            raise InputError(f"{path}: {shortened(error, 200)}") from error
    if iterations is not None and all(n is None for _, n in counted):
        raise InputError(f"--iters does not apply: nothing in {path} is repeated")
    return counted


def _of_one_image(operation, num_images):
    return dataclasses.replace(operation, macs=round(operation.macs / num_images))


def _num_images(model, signature):
    """Returns how many images a signature takes at once; 1 for a signature that takes no images."""
    shapes = [tflite_file.shape_of(tensor) for tensor in tflite_file.inputs(model, signature).values()]
    batches = {shape[0] for shape in shapes if len(shape) == 4 and 3 in (shape[1], shape[3])}
    return max(*batches, 1) if len(batches) == 1 else 1


def _takes_iterations(model, signature):
    tensor = tflite_file.inputs(model, signature).get(saved_model.ITERATIONS)
    return tensor is not None and tflite_file.TYPES[tensor.type] == "INT32"


def _obeys(model, signature):
    """Whether a timed run executes the same operations that were counted."""
    has_loop = tflite_cost.has_loop(model, tflite_file.signatures(model)[signature])
    return not has_loop or (model.signatureDefs and _takes_iterations(model, signature))


def _call(model, signature, iterations):
    return signature if model.signatureDefs else None, iterations if _takes_iterations(model, signature) else None


def _size(inputs):
    images = [shape for shape in map(tflite_file.shape_of, inputs.values()) if len(shape) == 4]
    sizes = [shape[1:3] if shape[3] == 3 else shape[2:] for shape in images if 3 in (shape[1], shape[3])]
    return f"{sizes[0][0]}x{sizes[0][1]}" if len(sizes) == 1 else None
