"""The bytes of a .tflite file: checks that all of them are there and lie where they should, and unpacks them.

The format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs.
"""

import io
import struct
import zipfile

from tensorflow.lite.python.schema_py_generated import BuiltinOptions, BuiltinOptions2, Model, ModelT

from tfseg.formats import flatbuffer

IDENTIFIER = b"TFL3"
BYTES, INTS, TEXT = [1], [4], flatbuffer.STRING
# Options of operators; only those with strings are described.
OPTIONS = {BuiltinOptions.VarHandleOptions: "VarHandleOptions"}
OPTIONS_2 = {BuiltinOptions2.StablehloCustomCallOptions: "StablehloCustomCallOptions"}
# Types of each table's fields, in the schema's order; None is a field that is no longer used.
SCHEMA = {
    "Model": (4, ["OperatorCode"], ["SubGraph"], TEXT, ["Buffer"], INTS, ["Metadata"], ["SignatureDef"]),
    "OperatorCode": (1, TEXT, 4, 4),
    "SubGraph": (["Tensor"], INTS, INTS, ["Operator"], TEXT),
    "Tensor": (INTS, 1, 4, TEXT, "Quantization", 1, "Sparsity", INTS, 1, ["VariantSubType"]),
    "Quantization": (INTS, INTS, INTS, [8], 1, flatbuffer.ANY_TABLE, 4),
    "Sparsity": (INTS, INTS, ["DimensionMetadata"]),
    "DimensionMetadata": (1, 4, 1, flatbuffer.ANY_TABLE, 1, flatbuffer.ANY_TABLE),
    "VariantSubType": (INTS, 1, 1),
    "Operator": (4, INTS, INTS, 1, OPTIONS, BYTES, 1, BYTES, INTS, 8, 8, 1, OPTIONS_2),
    "VarHandleOptions": (TEXT, TEXT),
    "StablehloCustomCallOptions": (TEXT, 1, TEXT, 4, INTS, BYTES),
    "Buffer": (BYTES, 8, 8),
    "Metadata": (TEXT, 4),
    "SignatureDef": (["TensorMap"], ["TensorMap"], TEXT, None, 4),
    "TensorMap": (TEXT, 4),
}


def unpacked(data) -> ModelT:
    """Checks the bytes of a file and returns its parts; vectors that the file lacks are empty.

    Raises:
      ValueError: the bytes are not a whole .tflite file.
    """
    _check_bytes(data)
    try:
        model = ModelT.InitFromObj(Model.GetRootAs(data))
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError("the options of an operator lie outside of it") from error
    _fill(model, "operatorCodes", "subgraphs", "buffers", "metadata", "metadataBuffer", "signatureDefs")
    for signature in model.signatureDefs:
        _fill(signature, "inputs", "outputs")
    for graph in model.subgraphs:
        _fill(graph, "tensors", "inputs", "outputs", "operators")
        for operator in graph.operators:
            _fill(operator, "inputs", "outputs")
    return model


def _check_bytes(data):
    _check(data, "it is empty")
    _check(data[4:8] == IDENTIFIER, f"it does not have {IDENTIFIER.decode()} in bytes 4 to 8")
    end = flatbuffer.verify(data, SCHEMA, "Model")
    # Labels and other files may follow as a zip archive, which ends with its directory.
    is_followed = data[end:].lstrip(b"\0").startswith(b"PK\3\4")
    if is_followed:
        _check(zipfile.is_zipfile(io.BytesIO(data[end:])), "its end is missing")
    _check(is_followed or len(data) % 4 == 0, f"{len(data)} bytes are not a multiple of 4: its end is missing")


def _fill(part, *vectors):
    for name in vectors:
        if getattr(part, name) is None:
            setattr(part, name, [])


def _check(condition, reason):
    if not condition:
        raise ValueError(reason)
