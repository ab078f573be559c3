"""Requests to a served model, with the real server's gRPC classes and over REST, to a double of the server."""

import base64
import io
import json
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from tests.export.serving.conftest import MAX_ITERATIONS
from tests.export.serving.protocol_double import MAX_MESSAGE, Model
from tests.hanging import HANG_SECONDS

WRONG_TENSOR = r"images: expected uint8 \(None, None, None, 3\), got {}"


def png(image):
    return tf.io.encode_png(image).numpy()


def decoded(mask_png):
    picture = Image.open(io.BytesIO(mask_png))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return np.array(picture)


@pytest.fixture(scope="module")
def stub(served):
    with grpc.insecure_channel(served[1], MAX_MESSAGE) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def call(stub):
    """call(signature, **inputs) -> {output: array} over gRPC."""

    def call(signature, name="toy", **inputs):
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = name, signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        return {
            key: tf.make_ndarray(value) for key, value in stub.Predict(request, timeout=HANG_SECONDS).outputs.items()
        }

    return call


@pytest.fixture(scope="module")
def rest(served):
    """rest(body) -> (HTTP status, answer)."""

    def rest(body, path="/v1/models/toy:predict"):
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(f"http://{served[2]}{path}", content, timeout=HANG_SECONDS) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return rest


def int32(*values):
    return np.array(values, np.int32)


def test_a_batch_of_different_iterations_equals_single_requests(call, images, expected):
    together = call("segment_tensors", images=images, iterations=int32(1, 5, 3))
    assert together["iterations"].tolist() == [1, 5, 3]
    for index, count in enumerate((1, 5, 3)):
        alone = call("segment_tensors", images=images[index : index + 1], iterations=int32(count))
        np.testing.assert_array_equal(together["mask"][index], alone["mask"][0])
        np.testing.assert_allclose(together["confidence"][index], alone["confidence"][0], atol=1e-5)
        np.testing.assert_array_equal(alone["mask"][0], expected(images[index], count))


def test_files_of_different_sizes_and_iterations_go_in_one_request(call, images, expected):
    files = [images[0], images[1][:30], images[2][:, :17]]
    answer = call("segment_bytes", image_bytes=[png(image) for image in files], iterations=int32(5, 1, 3))
    for index, (image, count) in enumerate(zip(files, (5, 1, 3), strict=True)):
        mask = decoded(answer["mask_png_bytes"][index])
        np.testing.assert_array_equal(mask, expected(image, count))
        np.testing.assert_array_equal(answer["class_pixels"][index], np.bincount(mask.ravel(), minlength=3))


def test_without_iterations_the_models_own_number_is_run(call, images, expected):
    answer = call("serving_default", image_bytes=[png(images[0])])
    assert answer["iterations"].tolist() == [3]
    np.testing.assert_array_equal(decoded(answer["mask_png_bytes"][0]), expected(images[0], 3))


def test_iterations_are_cut_to_what_is_allowed_and_reported(call, images, expected):
    answer = call("segment_tensors", images=images, iterations=int32(0, -1, 10**6))
    assert answer["iterations"].tolist() == [1, 1, MAX_ITERATIONS]
    for index, count in enumerate((1, 1, MAX_ITERATIONS)):
        np.testing.assert_array_equal(answer["mask"][index], expected(images[index], count))


def test_a_client_can_keep_the_state(call, images, expected):
    features = call("encode", images=images[:2])
    size = features.pop("size")
    assert size.tolist() == [[48, 64], [48, 64]]
    state = call("initial_state", invariant_i=features["invariant_i"])
    for count in range(1, 4):
        state = call("refine", **features, **state)
        mask = call("decode", canvas=state["canvas"], size=size)["mask"]
        np.testing.assert_array_equal(mask[1], expected(images[1], count))


@pytest.mark.parametrize(
    "signature,inputs,reason",
    [
        ("serving_default", {"image": [b"x"]}, r"input tensor alias not found in signature: \['image'\]"),
        ("segment_bytes", {"image_bytes": [b"x"]}, r"Missing but required: \['iterations'\]"),
        ("serving_default", {"image_bytes": b"x"}, "image_bytes: expected string"),
        ("serving_default", {"image_bytes": int32(1)}, "image_bytes: expected string"),
        ("serving_default", {"image_bytes": [b"garbage"]}, "7 bytes that are not a JPEG"),
        ("serving_default", {"image_bytes": [b""]}, "0 bytes that are not a JPEG"),
        ("serving_default", {"image_bytes": [png(np.zeros([9, 9, 3], np.uint8))[:40]]}, "Invalid PNG"),
        (
            "serving_default",
            {"image_bytes": [png(np.zeros([1500, 1600, 3], np.uint8))]},
            r"an image of \[1500 1600\] \(height, width\) has more than the 2200000 pixels",
        ),
        (
            "segment_bytes",
            {"image_bytes": [png(np.zeros([9, 9, 3], np.uint8))], "iterations": int32(1, 2)},
            "2 numbers of iterations for 1 images",
        ),
        (
            "segment_tensors",
            {"images": np.zeros([1, 8, 8, 3], np.float32), "iterations": int32(1)},
            WRONG_TENSOR.format("float32"),
        ),
        (
            "segment_tensors",
            {"images": np.zeros([8, 8, 3], np.uint8), "iterations": int32(1)},
            WRONG_TENSOR.format("uint8"),
        ),
        (
            "segment_tensors",
            {"images": np.zeros([1, 8, 0, 3], np.uint8), "iterations": int32(1)},
            r"an image of \[8 0\] \(height, width\) has no pixels",
        ),
        (
            "segment_tensors",
            {"images": np.zeros([0, 8, 8, 3], np.uint8), "iterations": np.zeros([0], np.int32)},
            "there is no image in the batch",
        ),
        (
            "decode",
            {"canvas": np.zeros([1, 3, 4, 3], np.float32), "size": np.array([[48, 65]], np.int32)},
            r"size \[48 65\] does not belong to a canvas of \[3 4\]",
        ),
        (
            "decode",
            {"canvas": np.zeros([2, 3, 4, 3], np.float32), "size": np.array([[48, 64], [47, 64]], np.int32)},
            "the sizes of a batch have to be alike",
        ),
    ],
)
def test_a_wrong_request_is_an_invalid_argument_and_the_next_one_is_answered(call, images, signature, inputs, reason):
    with pytest.raises(grpc.RpcError, match=reason) as caught:
        call(signature, **inputs)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert call("segment_tensors", images=images[:1], iterations=int32(1))["mask"].shape == (1, 48, 64)


def test_one_bad_image_fails_its_whole_batch(call, images):
    with pytest.raises(grpc.RpcError, match="7 bytes that are not a JPEG"):
        call("serving_default", image_bytes=[png(images[0]), b"garbage"])


def test_other_models_and_signatures_are_not_found(call, images):
    for name, signature, code in (
        ("other", "serving_default", grpc.StatusCode.NOT_FOUND),
        ("toy", "no_signature", grpc.StatusCode.FAILED_PRECONDITION),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(signature, name, image_bytes=[png(images[0])])
        assert caught.value.code() == code


def test_metadata_list_every_signature_with_batches_first(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "toy"
    response = stub.GetModelMetadata(request)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    signatures = {name: one for name, one in found.signature_def.items() if name != "__saved_model_init_op"}
    assert sorted(signatures) == [
        *("decode", "encode", "initial_state", "refine", "segment_bytes", "segment_tensors", "serving_default")
    ]
    # Batching and rows of REST need an open first axis everywhere.
    for signature in signatures.values():
        assert signature.method_name == "tensorflow/serving/predict"
        for tensor in (*signature.inputs.values(), *signature.outputs.values()):
            assert tensor.tensor_shape.dim[0].size == -1
    assert sorted(signatures["segment_bytes"].outputs) == ["class_pixels", "iterations", "mask_png_bytes"]


def test_rest_takes_and_gives_files_in_base64(rest, images, expected):
    file = {"b64": base64.b64encode(png(images[0])).decode()}
    status, answer = rest({"inputs": {"image_bytes": [file]}})
    assert status == 200 and answer["outputs"]["iterations"] == [3]
    mask = decoded(base64.b64decode(answer["outputs"]["mask_png_bytes"][0]["b64"]))
    np.testing.assert_array_equal(mask, expected(images[0], 3))


def test_rest_answers_rows_with_rows(rest, images, expected):
    rows = [
        {"image_bytes": {"b64": base64.b64encode(png(image)).decode()}, "iterations": count}
        for image, count in ((images[0], 1), (images[1][:30], 5))
    ]
    status, answer = rest({"signature_name": "segment_bytes", "instances": rows})
    assert status == 200
    first, second = answer["predictions"]
    assert (first["iterations"], second["iterations"]) == (1, 5)
    mask = decoded(base64.b64decode(second["mask_png_bytes"]["b64"]))
    np.testing.assert_array_equal(mask, expected(images[1][:30], 5))
    assert second["class_pixels"] == np.bincount(mask.ravel(), minlength=3).tolist()


def test_rest_takes_pixels(rest, images, expected):
    rows = [{"images": images[0].tolist(), "iterations": 2}]
    status, answer = rest({"signature_name": "segment_tensors", "instances": rows})
    assert status == 200
    np.testing.assert_array_equal(answer["predictions"][0]["mask"], expected(images[0], 2))


@pytest.mark.parametrize(
    "body,status,reason",
    [
        (b"{", 400, "JSON Parse error"),
        ({}, 400, "must have either instances or inputs"),
        ({"inputs": {"image_bytes": [{"b64": "Z2FyYmFnZQ=="}]}}, 400, "7 bytes that are not a JPEG"),
        ({"inputs": {"pixels": [1]}}, 400, "input tensor alias not found in signature"),
        ({"signature_name": "segment_tensors", "instances": [{"images": "x"}]}, 400, "images is no uint8 tensor"),
        ({"signature_name": "none", "inputs": [1]}, 412, "not found"),
    ],
)
def test_rest_refuses_with_a_status_and_a_reason(rest, body, status, reason):
    code, answer = rest(body)
    assert code == status and reason in answer["error"]


def test_rest_tells_versions_and_metadata(rest):
    assert rest(None, "/v1/models/toy") == (
        200,
        {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]},
    )
    _, answer = rest(None, "/v1/models/toy/metadata")
    assert "segment_bytes" in answer["metadata"]["signature_def"]["signature_def"]
    assert rest(None, "/v1/models/toy/versions/7")[0] == 404


def test_every_image_signature_is_warmed_up(served):
    assert served[0].warmed == ["serving_default", *["segment_bytes"] * 2, *["segment_tensors"] * 2]


def test_the_highest_version_is_served_once_it_has_its_name(tmp_path):
    for version in ("2", "10", ".11.partial"):
        tf.saved_model.save(tf.Module(), tmp_path / "toy" / version)
    assert Model(tmp_path / "toy").version == 10
