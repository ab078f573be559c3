"""Makes single files of a model, and says what is in them."""

import tensorflow as tf

from tfseg.errors import RunError
from tfseg.export import compatibility, onnx, tflite
from tfseg.export.functions import NetworkFunctions
from tfseg.export.plan import Export, Planned
from tfseg.export.serving import server_files, service
from tfseg.formats import export_manifest, tflite_file, tflite_metadata
from tfseg.profiling import exported_cost
from tfseg.system.files import write_atomically


def make(export: Export, planned: Planned, folder, images=None):
    """Writes one file or SavedModel into a folder.

    Args:
      folder: takes the place of the export's.
      images: for int8: [count, height, width, 3] uint8, on which ranges are measured.
    Raises:
      InputError: a conversion that is not possible. RunError: no space.
    """
    path, description = folder / planned.path, export.description(planned)
    if planned.kind == "savedmodel":
        try:
            service.save(export.network, path, description, export.max_iterations, export.options.size)
        except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
            raise RunError(f"{path}: cannot be written ({error.message.splitlines()[0]}); is the disk full?") from error
        server_files.write(folder / "serving", export.name, description)
        return
    functions = NetworkFunctions(export.network, export.size)
    if planned.kind == "onnx":
        write_atomically(path, onnx.convert(functions.holder, functions.segment(planned.iterations)))
        return
    signatures = {
        "segment": lambda: functions.segment(planned.iterations),
        "resizable": lambda: functions.resizable(planned.iterations),
        "stream": functions.stream,
        "panoptic": functions.panoptic,
        "dynamic": lambda: functions.dynamic(export.max_iterations),
    }[planned.kind]()
    content = tflite.convert(functions.holder, signatures, planned.precision, images, export.max_iterations)
    write_atomically(path, tflite_metadata.with_metadata(content, description))


def entry(export: Export, planned: Planned, folder) -> dict:
    """What the manifest says of a file: kind, size, sha256, operators, verdict on GPUs, GFLOPs of every signature."""
    path = folder / planned.path
    facts = {"kind": planned.kind, "precision": planned.precision, "iterations": planned.iterations}
    facts |= {
        "size": export.description(planned)["size"],
        "bytes": _num_bytes(path),
        "sha256": export_manifest.sha256(path),
    }
    counts = list(range(1, export.max_iterations + 1))
    if planned.kind == "onnx":
        return facts
    if planned.kind == "savedmodel":
        costs = exported_cost.profile_saved_model(path, export.size, counts, rounds=0)
    else:
        facts["operators"] = compatibility.operators(tflite_file.read(path))
        facts["gpu"] = compatibility.gpu_verdict(path)
        if planned.kind == "resizable":  # its cost depends on the image
            return facts
        costs = exported_cost.profile_tflite(path, counts if planned.kind == "dynamic" else None, rounds=0)
    facts["gflops"] = [
        {"signature": cost.signature, "iterations": cost.iterations, "gflops": cost.executed_gflops} for cost in costs
    ]
    return facts


def _num_bytes(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
