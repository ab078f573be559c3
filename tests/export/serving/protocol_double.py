"""Answers TensorFlow Serving's requests, gRPC and REST, in its place: the protocol, not the server.

Sources: https://www.tensorflow.org/tfx/serving/api_rest, tensorflow_serving/servables/tensorflow/predict_util.cc and
tensorflow_serving/util/json_tensor.cc.
"""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import re
import threading
from pathlib import Path

import grpc
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_log_pb2
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

WARMUP = "assets.extra/tf_serving_warmup_requests"
MAX_WARMUP_RECORDS = 1000
MAX_MESSAGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
CODES = {code.value[0]: code for code in grpc.StatusCode}
INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION = 3, 5, 9
HTTP_STATUS = {INVALID_ARGUMENT: 400, NOT_FOUND: 404, FAILED_PRECONDITION: 412}
ADDRESS = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(:predict|/metadata)?")


class RequestError(Exception):
    """What is answered instead of outputs: a status code of gRPC, and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Model(PredictionServiceServicer):
    """The highest version below a base path, warmed up.

    Attributes:
      version: its number.
      warmed: signatures that the warm-up requests asked for.
    """

    def __init__(self, base_path):
        self.name = Path(base_path).name
        self.version = max(int(path.name) for path in Path(base_path).iterdir() if path.name.isdecimal())
        folder = Path(base_path) / str(self.version)
        self._loaded = tf.saved_model.load(str(folder))
        self.signatures = self._loaded.signatures
        content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.signature_defs = content.meta_graphs[0].signature_def
        self.warmed = [self._warm_up(record) for record in self._records(folder / WARMUP)]

    def Predict(self, request, context):
        return _answered(context, self.predict, request)

    def GetModelMetadata(self, request, context):
        return _answered(context, self.metadata, request)

    def predict(self, request):
        """PredictResponse to a PredictRequest. Raises RequestError."""
        name = request.model_spec.signature_name or "serving_default"
        inputs = {}
        for key, proto in request.inputs.items():
            try:
                inputs[key] = tf.constant(tf.make_ndarray(proto))
            except (TypeError, ValueError) as error:
                raise RequestError(INVALID_ARGUMENT, f"{key}: no tensor ({error})") from error
        version, outputs = self.run(request.model_spec, name, inputs)
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = self.name, name
        response.model_spec.version.value = version
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response

    def metadata(self, request):
        """GetModelMetadataResponse. Raises RequestError."""
        self._check_model(request.model_spec)
        if list(request.metadata_field) != ["signature_def"]:
            raise RequestError(INVALID_ARGUMENT, f"Metadata fields {list(request.metadata_field)} are not supported")
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name, response.model_spec.version.value = self.name, self.version
        response.metadata["signature_def"].Pack(
            get_model_metadata_pb2.SignatureDefMap(signature_def=self.signature_defs)
        )
        return response

    def run(self, model_spec, name, inputs):
        """(version, outputs) of a signature. Raises RequestError."""
        self._check_model(model_spec)
        specs = self.specs(name)
        if extra := inputs.keys() - specs.keys():
            wanted = ", ".join(sorted(specs))
            raise RequestError(
                INVALID_ARGUMENT, f"input tensor alias not found in signature: {sorted(extra)}. Expected: {wanted}"
            )
        if missing := specs.keys() - inputs.keys():
            raise RequestError(INVALID_ARGUMENT, f"Missing but required: {sorted(missing)}")
        for key, spec in specs.items():
            if inputs[key].dtype != spec.dtype or not spec.shape.is_compatible_with(inputs[key].shape):
                got = f"{inputs[key].dtype.name} {inputs[key].shape}"
                raise RequestError(INVALID_ARGUMENT, f"{key}: expected {spec.dtype.name} {spec.shape}, got {got}")
        try:
            return self.version, self.signatures[name](**inputs)
        except tf.errors.OpError as error:
            raise RequestError(error.error_code, error.message) from error

    def specs(self, name):
        """{input: TensorSpec} of a signature. Raises RequestError."""
        if name not in self.signatures:
            raise RequestError(FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signatures[name].structured_input_signature[1]

    def _check_model(self, model_spec):
        version = model_spec.version.value if model_spec.HasField("version") else self.version
        if (model_spec.name, version) != (self.name, self.version):
            raise RequestError(NOT_FOUND, f"Servable not found for request: {model_spec.name} {version}")

    def _records(self, path):
        records = [record.numpy() for record in tf.data.TFRecordDataset([str(path)])] if path.exists() else []
        assert len(records) <= MAX_WARMUP_RECORDS
        return records

    def _warm_up(self, record):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        self.predict(log.predict_log.request)
        return log.predict_log.request.model_spec.signature_name


def _answered(context, answer, request):
    try:
        return answer(request)
    except RequestError as error:
        context.abort(CODES[error.code], str(error))


class Handler(http.server.BaseHTTPRequestHandler):
    """REST; the server has the `model`."""

    def do_POST(self):
        self._answer(self._predict)

    def do_GET(self):
        self._answer(self._describe)

    def log_message(self, *_):
        """Says nothing."""

    def _answer(self, answer):
        try:
            found = ADDRESS.fullmatch(self.path)
            if not found:
                raise RequestError(INVALID_ARGUMENT, f"Malformed request: {self.command} {self.path}")
            status, body = 200, answer(*found.groups())
        except RequestError as error:
            status, body = HTTP_STATUS.get(error.code, 500), {"error": str(error)}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _describe(self, name, version, verb):
        model = self.server.model
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill(request.model_spec, name, version)
        response = model.metadata(request)
        if verb == "/metadata":
            return json_format.MessageToDict(response, preserving_proto_field_name=True)
        return {"model_version_status": [{"version": str(model.version), "state": "AVAILABLE"}]}

    def _predict(self, name, version, _):
        model, spec = self.server.model, predict_pb2.PredictRequest().model_spec
        _fill(spec, name, version)
        try:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        except ValueError as error:
            raise RequestError(INVALID_ARGUMENT, f"JSON Parse error: {error}") from error
        signature = body.get("signature_name", "serving_default")
        specs = model.specs(signature)
        if ("instances" in body) == ("inputs" in body):
            raise RequestError(INVALID_ARGUMENT, "JSON Value: must have either instances or inputs")
        is_rows = "instances" in body
        columns = _columns(body["instances"], specs) if is_rows else _named(body["inputs"], specs)
        _, outputs = model.run(spec, signature, {key: _tensor(key, value, specs) for key, value in columns.items()})
        outputs = {key: _plain(key, value.numpy()) for key, value in outputs.items()}
        if not is_rows:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        if len(outputs) == 1:
            return {"predictions": next(iter(outputs.values()))}
        rows = zip(*outputs.values(), strict=True)
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _fill(model_spec, name, version):
    model_spec.name = name
    if version:
        model_spec.version.value = int(version)


def _named(values, specs):
    """The only input of a signature can be given without its name."""
    return values if isinstance(values, dict) and "b64" not in values else {next(iter(specs)): values}


def _columns(rows, specs):
    rows = [_named(row, specs) for row in rows]
    if any(row.keys() != rows[0].keys() for row in rows):
        raise RequestError(INVALID_ARGUMENT, "JSON Value: all instances need the same keys")
    return {key: [row[key] for row in rows] for key in rows[0]}


def _tensor(key, values, specs):
    if key not in specs:
        return tf.constant(0)  # refused by its name before its value is looked at
    try:
        return tf.constant(_without_base64(values), specs[key].dtype)
    except (TypeError, ValueError) as error:
        raise RequestError(INVALID_ARGUMENT, f"JSON Value: {key} is no {specs[key].dtype.name} tensor") from error


def _without_base64(values):
    if isinstance(values, dict) and values.keys() == {"b64"}:
        return base64.b64decode(values["b64"])
    return [_without_base64(value) for value in values] if isinstance(values, list) else values


def _plain(key, array):
    """Of strings, those of outputs whose name ends in _bytes are in base64, others stand as they are."""
    if array.dtype != object:
        return array.tolist()
    is_base64 = key.endswith("_bytes")
    return [{"b64": base64.b64encode(value).decode()} if is_base64 else value.decode() for value in array]


@contextlib.contextmanager
def serve(base_path):
    """Serves a model on free ports of this machine; yields (Model, gRPC address, REST address)."""
    model = Model(base_path)
    pool = concurrent.futures.ThreadPoolExecutor(2)
    server = grpc.server(pool, options=MAX_MESSAGE)
    add_PredictionServiceServicer_to_server(model, server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as rest:
        rest.model = model
        thread = threading.Thread(target=rest.serve_forever)
        thread.start()
        try:
            yield model, f"localhost:{port}", f"localhost:{rest.server_port}"
        finally:
            rest.shutdown()
            thread.join()
            server.stop(None).wait()
            pool.shutdown()
