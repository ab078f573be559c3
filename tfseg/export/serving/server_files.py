"""Writes what goes beside a SavedModel: warm-up requests and configurations for TensorFlow Serving, and serve.md.

Formats: https://www.tensorflow.org/tfx/serving/saved_model_warmup and https://www.tensorflow.org/tfx/serving/serving_config.
"""

import json
import re
from pathlib import Path
from string import Template

import numpy as np
import tensorflow as tf

from tfseg.errors import InputError
from tfseg.export.serving.page import FIXED_SIZE, FRAMES, GATE, INTRODUCTION, OWN_SIZE, PANOPTIC, REST, STEPS, TENSORS
from tfseg.export.serving.service import MAX_PIXELS
from tfseg.system.files import whole_file, write_atomically

WARMUP = "assets.extra/tf_serving_warmup_requests"
MODELS, BATCHING, PAGE = "models.config", "batching.config", "serve.md"
WARMUP_SIDE = 64
MAX_BATCH_SIZE = 8
# Images of any size go to the server with this environment; the page says why.
OPEN_SIZE_SWITCH = "-e TF_ENABLE_ONEDNN_OPTS=0 "


def write(folder, name, description, max_batch_size=MAX_BATCH_SIZE, max_pixels=MAX_PIXELS):
    """Writes models.config, batching.config and serve.md into a folder, and warm-up requests into its models.

    Args:
      folder: folder with the SavedModels <name>/<version>/ that `service.save` wrote.
      name: the model's name, as requests give it.
      description: content of the SavedModels' tfseg.json.
      max_batch_size: most images that the server collects from several requests.
      max_pixels: the limit that the SavedModels were written with.
    Raises:
      InputError: the name does not fit into an address, there is no SavedModel, or the batch size is below 1.
      RunError: the disk is full.
    """
    folder = Path(folder)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InputError(f"name {name!r}: a model that is served has letters, digits, and _ . - in its name")
    models = sorted(path.parent for path in (folder / name).glob("[0-9]*/saved_model.pb"))
    if not models:
        raise InputError(f"{folder / name}: no <version>/saved_model.pb in it; export the SavedModel first")
    write_atomically(folder / MODELS, models_config(name).encode())
    write_atomically(folder / BATCHING, batching_config(max_batch_size).encode())
    write_atomically(folder / PAGE, serve_markdown(name, description, max_batch_size, max_pixels).encode())
    for model in models:
        _write_records(model / WARMUP, warmup_records(name, description))


def models_config(name) -> str:
    """The text for the server's `--model_config_file`: a ModelServerConfig for a folder mounted as /models."""
    return f"""model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
}}
"""


def batching_config(max_batch_size=MAX_BATCH_SIZE, timeout_micros=5000, num_threads=2) -> str:
    """The text for the server's `--batching_parameters_file`: a BatchingParameters.

    Args:
      max_batch_size: most images in a batch.
      timeout_micros: microseconds that a request waits for others.
      num_threads: number of batches that run at the same time.
    Raises:
      InputError: `max_batch_size` or `num_threads` is below 1.
    """
    for what, value in (("max_batch_size", max_batch_size), ("num_threads", num_threads)):
        if value < 1:
            raise InputError(f"{what} is {value}; at least 1")
    return f"""max_batch_size {{ value: {max_batch_size} }}
batch_timeout_micros {{ value: {timeout_micros} }}
num_batch_threads {{ value: {num_threads} }}
max_enqueued_batches {{ value: 100 }}
"""


def warmup_records(name, description) -> list[bytes]:
    """Returns the requests that a server sends to a model before clients can: PredictionLogs, as bytes.

    They call serving_default, segment_bytes and segment_tensors; the latter two with the fewest and with the most
    iterations. The images have the model's size, or 64x64 pixels if it takes any size.
    """
    height, width = description["size"] or (WARMUP_SIDE, WARMUP_SIDE)
    image = np.arange(height * width * 3).reshape(1, height, width, 3).astype(np.uint8)
    png = [tf.io.encode_png(image[0]).numpy()]
    counts = sorted({1, description["max_iterations"] if description["is_recurrent"] else 1})
    records = [_prediction_log(name, "serving_default", {"image_bytes": png})]
    for signature, images in (("segment_bytes", {"image_bytes": png}), ("segment_tensors", {"images": image})):
        for count in counts:
            inputs = images | {"iterations": np.array([count], np.int32)}
            records.append(_prediction_log(name, signature, inputs))
    return records


def serve_markdown(name, description, max_batch_size=MAX_BATCH_SIZE, max_pixels=MAX_PIXELS) -> str:
    """The page that explains how to start a server, and how to send it requests from Python and with curl."""
    size = description["size"]
    values = {
        "name": name,
        "classes": json.dumps(description["classes"]["class_names"], ensure_ascii=False),
        "num_classes": len(description["classes"]["class_names"]),
        "default": description["iterations"],
        "most": description["max_iterations"] if description["is_recurrent"] else 1,
        "max_batch_size": max_batch_size,
        "switch": "" if size else OPEN_SIZE_SWITCH,
        "max_pixels": f"{max_pixels:,}",
        "resized": f".resize({(size[1], size[0])})" if size else "",
        "height": size[0] if size else "height",
        "width": size[1] if size else "width",
    }
    if "fusion" in description:
        fields = ", ".join(f"{key}={value!r}" for key, value in description["fusion"].items())
        values |= {"stride": description["stride"], "fusion": fields}
        values |= {"thing_ids": sorted(description["classes"]["thing_ids"])}
        values |= {"label_divisor": description["classes"]["label_divisor"]}
    # The part about states, or instances, appears twice: for gRPC and for REST.
    steps = {"table": "", "loop": ""}
    if description["is_recurrent"]:
        steps = STEPS
    elif "fusion" in description:
        steps = PANOPTIC
    elif "carry" in description:
        steps = FRAMES
    if description.get("carry", {}).get("has_gate"):
        steps = steps | {"table": steps["table"] + GATE}
    parts = [INTRODUCTION, FIXED_SIZE if size else OWN_SIZE, TENSORS, steps["loop"], REST, steps["loop"]]
    text = "".join(parts).replace("$steps\n", steps["table"])
    return Template(text).substitute(values)


def _prediction_log(name, signature, inputs):
    """The bytes of a PredictionLog that holds a PredictRequest; inputs are sorted by name, so the bytes never vary."""
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog  # here: other exports do without it

    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString(deterministic=True)


def _write_records(path, records):
    with whole_file(path) as part, tf.io.TFRecordWriter(str(part)) as writer:
        for record in records:
            writer.write(record)
