"""What a server reads beside a SavedModel, in the server's own formats."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from tests.fake_network import INFO
from tfseg.errors import InputError
from tfseg.export.serving import server_files

DESCRIPTION = {
    "format": "tfseg 1",
    "name": "street",
    "classes": INFO.to_dict(),
    "is_recurrent": True,
    "iterations": 3,
    "max_iterations": 8,
    "size": None,
}
FEED_FORWARD = DESCRIPTION | {"is_recurrent": False, "iterations": 1, "max_iterations": 1}


def requests(description):
    """[(signature, {input: array})] of the warm-up records."""
    found = []
    for record in server_files.warmup_records("street", description):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log" and not log.predict_log.HasField("response")
        request = log.predict_log.request
        assert request.model_spec.name == "street"
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        found.append((request.model_spec.signature_name, inputs))
    return found


def batching_parameters(text):
    """A BatchingParameters of tensorflow_serving/servables/tensorflow/session_bundle_config.proto, its first fields."""
    file = descriptor_pb2.FileDescriptorProto(name="batching.proto", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        ["max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"], 1
    ):
        message.field.add(name=name, number=number, type=11, label=1, type_name=".google.protobuf.Int64Value")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))
    return text_format.Parse(text, kind())


def test_warm_up_asks_every_image_signature_for_the_fewest_and_the_most_iterations():
    found = requests(DESCRIPTION)
    counts = [(signature, inputs["iterations"].tolist()) for signature, inputs in found if "iterations" in inputs]
    assert counts == [
        *(("segment_bytes", [count]) for count in (1, 8)),
        *(("segment_tensors", [count]) for count in (1, 8)),
    ]
    [default] = [inputs for signature, inputs in found if signature == "serving_default"]
    image = tf.io.decode_png(default["image_bytes"][0]).numpy()
    assert image.shape == (64, 64, 3)
    tensors = found[-1][1]["images"]
    assert tensors.dtype == np.uint8 and tensors.shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(tensors[0], image)


def test_warm_up_of_a_model_of_one_size_and_without_iterations():
    found = requests(FEED_FORWARD | {"size": [200, 300]})
    assert [signature for signature, _ in found] == ["serving_default", "segment_bytes", "segment_tensors"]
    assert found[-1][1]["images"].shape == (1, 200, 300, 3)
    assert found[-1][1]["iterations"].tolist() == [1]


def test_models_config_is_a_model_server_config():
    config = text_format.Parse(server_files.models_config("street"), model_server_config_pb2.ModelServerConfig())
    [model] = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("street", "/models/street", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 1


def test_batching_config_is_a_batching_parameters():
    parameters = batching_parameters(server_files.batching_config(16, timeout_micros=900, num_threads=4))
    assert (parameters.max_batch_size.value, parameters.batch_timeout_micros.value) == (16, 900)
    assert (parameters.num_batch_threads.value, parameters.max_enqueued_batches.value) == (4, 100)
    with pytest.raises(InputError, match="max_batch_size is 0; at least 1"):
        server_files.batching_config(0)


def test_files_are_put_in_their_places(tmp_path):
    for version in ("1", "2"):
        tf.saved_model.save(tf.Module(), tmp_path / "street" / version)
    server_files.write(tmp_path, "street", DESCRIPTION, max_batch_size=5, max_pixels=1000)
    assert {path.name for path in tmp_path.iterdir()} == {"models.config", "batching.config", "serve.md", "street"}
    assert batching_parameters((tmp_path / "batching.config").read_text()).max_batch_size.value == 5
    assert "An image has at most 1,000 pixels." in (tmp_path / "serve.md").read_text()
    for version in ("1", "2"):
        extra = tmp_path / "street" / version / "assets.extra"
        assert [path.name for path in extra.iterdir()] == ["tf_serving_warmup_requests"]
        records = tf.data.TFRecordDataset(str(extra / "tf_serving_warmup_requests"))
        assert [record.numpy() for record in records] == server_files.warmup_records("street", DESCRIPTION)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "a:b", ".hidden", 'a"b'])
def test_a_name_that_addresses_cannot_have_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="a model that is served has letters, digits, and _ . - in its name"):
        server_files.write(tmp_path, name, DESCRIPTION)


def test_a_folder_without_the_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"street: no <version>/saved_model\.pb in it; export the SavedModel first"):
        server_files.write(tmp_path, "street", DESCRIPTION)
    assert not list(tmp_path.iterdir())


def test_the_page_says_what_fits_the_model():
    recurrent = server_files.serve_markdown("street", DESCRIPTION)
    assert "cut to 1 .. 8" in recurrent and "there are 3." in recurrent and '["red", "green", "blue"]' in recurrent
    assert "-e MODEL_NAME=street tensorflow/serving:2.15.1" in recurrent
    assert "`tensorflow_model_server`, has not been run" in " ".join(recurrent.split())
    assert "`refine`" in recurrent and "images go through the network in their own size" in recurrent.lower()
    fixed = server_files.serve_markdown("street", FEED_FORWARD | {"size": [200, 300]})
    assert "`refine`" not in fixed and 'call("refine"' not in fixed
    assert "The network sees images in 200x300 (height x width)" in fixed
    assert "uint8 [batch, 200, 300, 3]" in fixed and ".resize((300, 200))" in fixed
    for page in (recurrent, fixed):
        assert max(map(len, page.splitlines())) <= 120


def test_a_server_of_images_of_any_size_is_started_so_that_its_memory_does_not_grow_with_their_sizes():
    switch = "-e TF_ENABLE_ONEDNN_OPTS=0 "
    for description in (DESCRIPTION, FEED_FORWARD):
        page = server_files.serve_markdown("street", description)
        commands = [line for line in page.splitlines() if line.startswith("docker run")]
        assert len(commands) == 2 and all(switch in command for command in commands)
        assert "**Memory**" in page
    fixed = server_files.serve_markdown("street", FEED_FORWARD | {"size": [200, 300]})
    assert fixed.count("docker run") == 2 and "ONEDNN" not in fixed
