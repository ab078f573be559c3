"""THE table of export formats: one record each says what the files are, how they are made, and what runs them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from tfseg.errors import RunError
from tfseg.export import compatibility, onnx, tflite
from tfseg.export.functions import NetworkFunctions
from tfseg.export.serving import server_files, service
from tfseg.formats import saved_model, tflite_file, tflite_metadata
from tfseg.profiling import exported_cost
from tfseg.system.files import write_atomically

ANY, RECURRENT, STATEFUL, PANOPTIC = "any", "recurrent", "stateful", "panoptic"


def _make_saved_model(export, planned, path, images):
    del images
    description = export.description(planned)
    try:
        service.save(export.network, path, description, export.max_iterations, export.options.size)
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
        raise RunError(f"{path}: cannot be written ({error.message.splitlines()[0]}); is the disk full?") from error
    server_files.write(path.parents[1], export.name, description)


def _make_onnx(export, planned, path, images):
    del images
    functions = NetworkFunctions(export.network, export.size)
    write_atomically(path, onnx.convert(functions.holder, functions.segment(planned.iterations)))


def _make_tflite(signatures):
    """Returns the `make` of a .tflite format.

    Args:
      signatures: (NetworkFunctions, iterations, max_iterations) -> {name of the signature: ConcreteFunction}.
    """

    def make(export, planned, path, images):
        functions = NetworkFunctions(export.network, export.size)
        traced = signatures(functions, planned.iterations, export.max_iterations)
        content = tflite.convert(functions.holder, traced, planned.precision, images, export.max_iterations)
        write_atomically(path, tflite_metadata.with_metadata(content, export.description(planned)))

    return make


def _saved_model_cost(export, path):
    signature = saved_model.load(path, trust=True)  # it was made a moment ago
    return exported_cost.profile_saved_model(signature, export.size, range(1, export.max_iterations + 1), rounds=0)


def _tflite_cost(export, path):
    return exported_cost.profile_tflite(path, None, rounds=0)


def _dynamic_cost(export, path):
    return exported_cost.profile_tflite(path, range(1, export.max_iterations + 1), rounds=0)


def _tflite_facts(path):
    return {
        "operators": compatibility.operators(tflite_file.read(path)),
        "gpu": compatibility.gpu_verdict(path),
    }


def _no_facts(path):
    return {}


@dataclasses.dataclass(frozen=True)
class ExportFormat:
    """One form in which a model is exported. Its key in FORMATS is the kind, which every file's description states.

    Attributes:
      text: one line that says what it is.
      path: path of the file or SavedModel folder in the export, with {name}, {kind}, {number}, {precision} and
        {version} to be filled in.
      make: (Export, Planned, path, images for int8 or None) -> None; writes the file or folder.
      precisions: the precisions it can have, taken from `tflite.PRECISIONS`.
      has_fixed_iterations: whether the file runs only one number of iterations.
      has_number_in_name: whether each number of iterations that is asked for gets its own file.
      has_open_size: whether it takes images of any size; None means that it does unless `--size` is given.
      network: which networks can be exported in it: ANY, RECURRENT, STATEFUL (those that keep a state) or PANOPTIC.
      cost: (Export, path) -> rows of `profiling.exported_cost`; None if its cost is not counted.
      facts: path -> further entries of the manifest, in JSON types.
      has_engine: whether `inference.engines` runs it, so that it can be compared with the model and timed.
    """

    text: str
    path: str
    make: Callable
    precisions: tuple[str, ...] = tflite.PRECISIONS
    has_fixed_iterations: bool = False
    has_number_in_name: bool = False
    has_open_size: bool | None = False
    network: str = ANY
    cost: Callable | None = _tflite_cost
    facts: Callable[[Path], dict] = _tflite_facts
    has_engine: bool = True

    def suits(self, network) -> bool:
        """Whether a network can be exported in this format."""
        return {
            ANY: True,
            RECURRENT: network.is_recurrent,
            STATEFUL: network.keeps_state,
            PANOPTIC: network.is_panoptic,
        }[self.network]


TFLITE_PATH = "{name}_{kind}{number}_{precision}.tflite"
NOT_INT8 = ("fp32", "fp16", "dynamic")
FORMATS = {
    "savedmodel": ExportFormat(
        "a SavedModel for TensorFlow Serving",
        "serving/{name}/{version}",
        _make_saved_model,
        ("fp32",),
        has_open_size=None,
        cost=_saved_model_cost,
        facts=_no_facts,
    ),
    "segment": ExportFormat(
        "a fixed number of iterations, one call",
        TFLITE_PATH,
        _make_tflite(lambda functions, iterations, most: functions.segment(iterations)),
        has_fixed_iterations=True,
        has_number_in_name=True,
    ),
    "class_map": ExportFormat(
        "a segment file that ends in class ids, on CPUs",
        TFLITE_PATH,
        _make_tflite(lambda functions, iterations, most: functions.class_map(iterations)),
        has_fixed_iterations=True,
        has_number_in_name=True,
    ),
    "stream": ExportFormat(
        "encode, refine, decode: the caller keeps the state",
        TFLITE_PATH,
        _make_tflite(lambda functions, iterations, most: functions.stream()),
        network=STATEFUL,
    ),
    "dynamic": ExportFormat(
        "the number of iterations is an input of every call",
        TFLITE_PATH,
        _make_tflite(lambda functions, iterations, most: functions.dynamic(most)),
        NOT_INT8,
        network=RECURRENT,
        cost=_dynamic_cost,
    ),
    "resizable": ExportFormat(
        "a segment file for images of any size, on CPUs",
        TFLITE_PATH,
        _make_tflite(lambda functions, iterations, most: functions.resizable(iterations)),
        NOT_INT8,
        has_fixed_iterations=True,
        has_number_in_name=True,
        has_open_size=True,
        cost=None,  # it depends on the image
    ),
    "panoptic": ExportFormat(
        "the maps that instances are made of",
        TFLITE_PATH,
        _make_tflite(lambda functions, iterations, most: functions.panoptic()),
        NOT_INT8,
        has_fixed_iterations=True,
        network=PANOPTIC,
    ),
    "onnx": ExportFormat(
        "a fixed number of iterations, for other programs",
        "{name}_segment{number}.onnx",
        _make_onnx,
        ("fp32",),
        has_fixed_iterations=True,
        has_number_in_name=True,
        cost=None,
        facts=_no_facts,
        has_engine=False,
    ),
}
TFLITE_KINDS = tuple(kind for kind, one in FORMATS.items() if one.path == TFLITE_PATH)
# {word of `--format`: (kinds that the word can mean, precision)}
WORDS = {
    "savedmodel": (("savedmodel",), "fp32"),
    "tflite": (TFLITE_KINDS, "fp32"),
    **{f"tflite_{precision}": (TFLITE_KINDS, precision) for precision in tflite.PRECISIONS[1:]},
    "onnx": (("onnx",), "fp32"),
}
