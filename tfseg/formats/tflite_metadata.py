"""Writes and reads the metadata of a .tflite file: names, normalisation, labels, and tfseg's own description.

The metadata are a FlatBuffer inside the model (`tflite_metadata_tables`) and a zip archive of small files after it.
MediaPipe's ImageSegmenter does not run a model without metadata.
"""

import contextlib
import dataclasses
import io
import json
import math
import struct
import zipfile
import zlib

import flatbuffers
from tensorflow.lite.python import schema_py_generated as schema

from tfseg.errors import InputError
from tfseg.formats import flatbuffer, tflite_bytes, tflite_file, tflite_metadata_tables
from tfseg.formats.export_manifest import DESCRIPTION

# Names of the metadata in a model and of MediaPipe's part in them, and the versions of their schemas.
METADATA, VERSION = b"TFLITE_METADATA", "1.5.0"
SEGMENTER, SEGMENTER_VERSION = "SEGMENTER_METADATA", "1.0.0"
# Enumeration values in the schemas.
IMAGE_PROPERTIES, NORMALIZATION, RGB, TENSOR_AXIS_LABELS = 2, 1, 1, 2
ACTIVATIONS = ("NONE", "SIGMOID", "SOFTMAX")
LABELS = "labels.txt"
# Largest size of all attached files together, and of a single file when unpacked.
MAX_ARCHIVE_BYTES, MAX_FILE_BYTES = 1 << 22, 1 << 20


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What a file says about itself; None if it does not say it.

    Attributes:
      description: tfseg's own description: the JSON object that was passed to `with_metadata`.
      labels: names of the classes, by class id.
      mean, std: one value, or one per channel: the network takes (image - mean) / std for an image from 0 to 255.
      activation: one of ACTIVATIONS, which turns the logits into probabilities.
    """

    description: dict | None = None
    labels: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    activation: str | None = None


def with_metadata(content, description) -> bytes:
    """Returns a .tflite file with metadata, which replace existing ones; equal inputs give equal bytes.

    Args:
      content: bytes of a file from the converter. Inputs named "image" are RGB images from 0 to 255, outputs named
        "logits" are scores of the classes before softmax.
      description: object of JSON types, stored unchanged; "name", "classes" (`DatasetInfo.to_dict`) and "size"
        ([height, width] or None) are used.
    Raises:
      InputError: a class name has several lines, or the file has more than 2 GB.
    """
    names = description["classes"]["class_names"]
    for name in names:
        if "\n" in name or "\r" in name:
            raise InputError(f"class name {name!r}: files of labels have one line per class; remove the line break")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    if any(buffer.offset > 1 for buffer in model.buffers):
        raise InputError("a .tflite file of more than 2 GB cannot be given metadata; export a smaller model")
    _set(model, tflite_metadata_tables.pack("ModelMetadata", _described(model, description)))
    model.buffers = [_AlignedBuffer(buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(len(content) + (1 << 16))
    builder.Finish(model.Pack(builder), tflite_bytes.IDENTIFIER)
    file = io.BytesIO()
    file.write(builder.Output())
    with zipfile.ZipFile(file, "a") as archive:
        _attach(archive, LABELS, "".join(f"{name}\n" for name in names))
        _attach(archive, DESCRIPTION, json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return file.getvalue()


def read_metadata(content, model) -> Metadata:
    """Reads what any .tflite file says about itself.

    Args:
      content: bytes of the file.
      model: the same file as returned by `tflite_file.read`.
    Raises:
      ValueError: the metadata or the attached files are damaged, too large, or do not fit each other. The message is
        one line.
    """
    archive = _archive(content)
    has_description = archive is not None and DESCRIPTION in archive.namelist()
    description = _json_object(_file(archive, DESCRIPTION)) if has_description else None
    buffers = [entry.buffer for entry in model.metadata if entry.name == METADATA]
    if not buffers:
        return Metadata(description)
    data = model.buffers[buffers[0]].data
    root = tflite_metadata_tables.read(b"" if data is None else bytes(data), "ModelMetadata")
    mean, std = _normalization(root)
    return Metadata(description, _labels(root, archive), mean, std, _activation(root))


class _AlignedBuffer:
    """A buffer whose bytes start at a multiple of 16, as the format demands; `BufferT` puts them anywhere."""

    def __init__(self, data):
        self.data = data

    def Pack(self, builder):
        place = None if self.data is None else tflite_metadata_tables.add_bytes(builder, self.data)
        schema.BufferStart(builder)
        if place is not None:
            schema.BufferAddData(builder, place)
        return schema.BufferEnd(builder)


def _set(model, packed):
    """Puts the metadata into the model's buffers."""
    model.metadata = model.metadata or []
    entries = [entry for entry in model.metadata if entry.name == METADATA]
    if not entries:
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA, len(model.buffers)
        model.metadata.append(entry)
        model.buffers.append(schema.BufferT())
        entries = [entry]
    model.buffers[entries[0].buffer].data = packed


def _attach(archive, name, text):
    # The current date would make every file different. Clients read only files that are not compressed.
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_STORED)


def _described(model, description):
    """Returns the fields of ModelMetadata. Its subgraphs are listed by index, up to the last that can be called."""
    last = max((signature.subgraphIndex for signature in model.signatureDefs or ()), default=0)
    return {
        "name": description["name"],
        "description": f"Semantic segmentation into {len(description['classes']['class_names'])} classes.",
        "subgraph_metadata": [_subgraph(model, index, description["size"]) for index in range(last + 1)],
        "min_parser_version": VERSION,
    }


def _subgraph(model, index, size):
    graph = model.subgraphs[index]
    names = {number: tflite_file.tensor_name(tensor) for number, tensor in enumerate(graph.tensors)}
    for signature in model.signatureDefs or ():
        if signature.subgraphIndex == index:
            names |= {item.tensorIndex: tflite_file.text(item.name) for item in (*signature.inputs, *signature.outputs)}
    inputs, outputs = [names[i] for i in graph.inputs], [names[i] for i in graph.outputs]
    fields = {
        "input_tensor_metadata": [_image(size) if name == "image" else {"name": name} for name in inputs],
        "output_tensor_metadata": [_logits() if name == "logits" else {"name": name} for name in outputs],
    }
    if "logits" in outputs:
        options = {"activation": ACTIVATIONS.index("SOFTMAX"), "min_parser_version": SEGMENTER_VERSION}
        packed = tflite_metadata_tables.pack("ImageSegmenterOptions", options)
        fields["custom_metadata"] = [{"name": SEGMENTER, "data": packed}]
    return fields


def _image(size):
    properties = {"color_space": RGB}
    if size is not None:
        properties["default_size"] = {"width": size[1], "height": size[0]}
    normalization = ("NormalizationOptions", {"mean": [0.0], "std": [1.0]})
    return {
        "name": "image",
        "description": "RGB image, values from 0 to 255.",
        "content": {
            "content_properties_type": IMAGE_PROPERTIES,
            "content_properties": ("ImageProperties", properties),
        },
        "process_units": [{"options_type": NORMALIZATION, "options": normalization}],
        "stats": {"max": [255.0], "min": [0.0]},
    }


def _logits():
    file = {"name": LABELS, "description": "Name of each class.", "type": TENSOR_AXIS_LABELS}
    return {"name": "logits", "description": "Score of each class, before softmax.", "associated_files": [file]}


def _normalization(root):
    """Returns (mean, std) of the first input that has them."""
    for tensor in _tensors(root, "input_tensor_metadata"):
        for unit in tensor.parts("process_units"):
            if unit.number("options_type") != NORMALIZATION:
                continue
            options = unit.union("options", "NormalizationOptions")
            mean, std = options.floats("mean"), options.floats("std")
            if len(mean) not in (1, 3) or len(std) != len(mean):
                raise ValueError(f"its normalisation has {len(mean)} means and {len(std)} deviations, not 1 or 3")
            if not all(map(math.isfinite, mean + std)) or 0 in std:
                raise ValueError(f"its normalisation is {mean}, {std}")
            return mean, std
    return None, None


def _labels(root, archive):
    for tensor in _tensors(root, "output_tensor_metadata"):
        for file in tensor.parts("associated_files"):
            if file.number("type") == TENSOR_AXIS_LABELS:
                text = _file(archive, file.text("name")).decode("utf-8", "replace")
                return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
    return None


def _activation(root):
    for graph in root.parts("subgraph_metadata"):
        for custom in graph.parts("custom_metadata"):
            if custom.text("name") == SEGMENTER:
                number = tflite_metadata_tables.read(custom.data("data"), "ImageSegmenterOptions").number("activation")
                if number >= len(ACTIVATIONS):
                    raise ValueError(f"its activation has the number {number}, which is not one of {ACTIVATIONS}")
                return ACTIVATIONS[number]
    return None


def _tensors(root, name):
    return (tensor for graph in root.parts("subgraph_metadata") for tensor in graph.parts(name))


def _archive(content):
    """Returns the archive of attached files; None if there is none."""
    attached = content[flatbuffer.verify(content, tflite_bytes.SCHEMA, "Model") :].lstrip(b"\0")
    if not attached.startswith(b"PK\3\4"):
        return None
    if len(attached) > MAX_ARCHIVE_BYTES:
        raise ValueError(f"{len(attached)} bytes of files are attached to it; at most {MAX_ARCHIVE_BYTES} are read")
    # The reader gets only the attached bytes, so that it cannot mistake the model before them for a list of files.
    with _reading():
        return zipfile.ZipFile(io.BytesIO(attached))


def _file(archive, name):
    if archive is None or name not in archive.namelist():
        raise ValueError(f"{name!r} is not attached to it")
    info = archive.getinfo(name)
    # With other compression methods, unpacking cannot be stopped at a limit.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is compressed in a way other than deflate")
    with _reading(), archive.open(info) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{name!r} has more than {MAX_FILE_BYTES} bytes")
    return data


@contextlib.contextmanager
def _reading():
    """Turns everything that `zipfile` raises on damaged files into a ValueError of one line."""
    errors = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError, OverflowError)
    try:
        yield
    except errors as error:  # RuntimeError means encrypted, and includes NotImplementedError
        raise ValueError(f"the files attached to it are damaged ({error})") from error


def _json_object(data):
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{DESCRIPTION} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{DESCRIPTION} is not a JSON object")
    return value
