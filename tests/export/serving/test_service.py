"""SavedModels for servers: the same class ids as the Keras network's, for any mixture of requests."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow import keras

from tests.export.serving.small_network import small_network
from tests.fake_network import STRIDE, FakeNetwork, blocks, striped
from tests.tiny_backbone import tiny
from tfseg.errors import InputError
from tfseg.export.serving import canvas_reader, service
from tfseg.formats import saved_model
from tfseg.inference.runner import inference_of
from tfseg.inference.views import View
from tfseg.models.deeplabv3 import DeepLabV3, DeepLabV3Config
from tfseg.models.rnn import RNNConfig, RNNSegmenter
from tfseg.profiling import exported_cost

NUM_CLASSES = 5
STEPS = {"encode", "initial_state", "refine", "decode"}
FOR_IMAGES = {"serving_default", "segment_bytes", "segment_tensors"}


def network_of(kind, padding):
    keras.utils.set_random_seed(4)
    backbone = tiny(padding=padding)
    if kind == "deeplabv3":
        network = DeepLabV3(DeepLabV3Config(backbone=backbone, width=8, atrous_rates=(2,)), NUM_CLASSES)
    else:
        network = RNNSegmenter(RNNConfig(backbone=backbone, iterations=3, widths=(8, 6)), NUM_CLASSES)
    network(tf.zeros([1, 32, 32, 3]))
    for variable in network.trainable_variables:
        if "conv_lstm" in variable.name or "logits" in variable.name:
            variable.assign(variable + tf.random.stateless_normal(variable.shape, [1, len(variable.name)]))
    return network


@pytest.fixture(scope="module")
def recurrent():
    return network_of("rnn", "symmetric")


@pytest.fixture(scope="module")
def recurrent_signatures(recurrent, tmp_path_factory):
    """Of a SavedModel read from its folder, for images of any size."""
    folder = tmp_path_factory.mktemp("serving") / "rnn" / "1"
    service.save(recurrent, folder, {"name": "rnn", "size": None}, max_iterations=5)
    return folder, tf.saved_model.load(str(folder)).signatures


@pytest.fixture(scope="module")
def fake():
    return service.Service(FakeNetwork(), max_iterations=4)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, [3, 50, 71, 3], dtype=np.uint8)


def encoded(image, kind="PNG"):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind)
    return buffer.getvalue()


def masks_of(answer):
    return [tf.io.decode_png(mask)[..., 0].numpy() for mask in answer["mask_png_bytes"].numpy()]


def message(call, **inputs):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        call(**inputs)
    return str(caught.value)


def check_equal(answer, network, images, counts):
    """That an answer has the class ids and the confidence of the network in Python."""
    inference = inference_of(network)
    for index, (image, count) in enumerate(zip(images, counts, strict=True)):
        [wanted] = inference.refine([image], count)
        class_ids, confidence = wanted.class_ids_and_confidence()
        np.testing.assert_array_equal(answer["mask"][index], class_ids)
        np.testing.assert_allclose(answer["confidence"][index], confidence, atol=1e-5)


def test_a_batch_is_what_the_network_makes_of_each_image_after_its_iterations(recurrent, recurrent_signatures, images):
    _, signatures = recurrent_signatures
    answer = signatures["segment_tensors"](images=tf.constant(images), iterations=tf.constant([1, 5, 3]))
    assert answer["iterations"].numpy().tolist() == [1, 5, 3]
    check_equal(answer, recurrent, images, [1, 5, 3])


def test_a_batch_equals_single_images(recurrent_signatures, images):
    segment = recurrent_signatures[1]["segment_tensors"]
    together = segment(images=tf.constant(images), iterations=tf.constant([1, 5, 3]))
    for index, count in enumerate([1, 5, 3]):
        alone = segment(images=tf.constant(images[index : index + 1]), iterations=tf.constant([count]))
        np.testing.assert_array_equal(together["mask"][index], alone["mask"][0])
        np.testing.assert_allclose(together["confidence"][index], alone["confidence"][0], atol=1e-5)


def test_files_of_different_sizes_go_through_the_network_in_their_own(recurrent, recurrent_signatures, images):
    files = [images[0], images[1][:20], images[2][:, :33]]
    answer = recurrent_signatures[1]["segment_bytes"](
        image_bytes=tf.constant([encoded(image) for image in files]), iterations=tf.constant([4, 1, 2])
    )
    inference = inference_of(recurrent)
    for mask, image, count in zip(masks_of(answer), files, [4, 1, 2], strict=True):
        [wanted] = inference.refine([image], count)
        np.testing.assert_array_equal(mask, wanted.class_ids())


def test_a_caller_that_keeps_the_state_gets_the_same(recurrent, recurrent_signatures, images):
    _, signatures = recurrent_signatures
    features = signatures["encode"](images=tf.constant(images))
    size = features.pop("size")
    assert set(features) == {"invariant_i", "invariant_f", "invariant_g", "invariant_o"}
    state = signatures["initial_state"](invariant_i=features["invariant_i"])
    assert set(state) == {"canvas", "h1", "c1", "h2", "c2", "h3", "c3"}
    assert not any(np.any(value) for value in state.values())
    for _ in range(2):
        state = signatures["refine"](**features, **state)
    check_equal(signatures["decode"](canvas=state["canvas"], size=size), recurrent, images, [2, 2, 2])


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_a_model_of_one_size_resizes_files_and_enlarges_logits_to_their_size(padding, images):
    network = small_network(NUM_CLASSES, padding)
    signatures = service.Service(network, max_iterations=5, size=(48, 64))
    files = [images[1][:20, :30], images[2][:48, :64], np.tile(images[0], [2, 2, 1])]
    answer = signatures.segment_bytes(tf.constant([encoded(image) for image in files]), tf.constant([3, 1, 5]))
    inference = inference_of(network)
    for index, (image, count) in enumerate(zip(files, [3, 1, 5], strict=True)):
        mask, pixels = masks_of(answer)[index], answer["class_pixels"].numpy()[index]
        [wanted] = inference.refine([image], count, [View(base_size=(48, 64))])
        np.testing.assert_array_equal(mask, wanted.class_ids())
        np.testing.assert_array_equal(pixels, np.bincount(mask.ravel(), minlength=NUM_CLASSES))
    alike = np.random.default_rng(2).integers(0, 256, [2, 48, 64, 3], dtype=np.uint8)
    check_equal(signatures.segment_tensors(tf.constant(alike), tf.constant([4, 2])), network, alike, [4, 2])


def test_a_feed_forward_model_runs_once(images):
    network = network_of("deeplabv3", "same")
    answer = service.Service(network, max_iterations=1).segment_tensors(tf.constant(images), tf.constant([4, 1, 0]))
    assert answer["iterations"].numpy().tolist() == [1, 1, 1]
    check_equal(answer, network, images, [1, 1, 1])


def test_a_feed_forward_model_has_signatures_for_images_only(tmp_path):
    service.save(FakeNetwork(is_recurrent=False), tmp_path / "1", {}, max_iterations=1)
    signatures = tf.saved_model.load(str(tmp_path / "1")).signatures
    assert set(signatures) == FOR_IMAGES
    answer = signatures["serving_default"](image_bytes=tf.constant([encoded(blocks([[0, 1, 2]]))]))
    assert masks_of(answer)[0][1, 1::STRIDE].tolist() == [0, 1, 2] and answer["iterations"].numpy().tolist() == [1]


def test_iterations_change_the_answer_and_are_cut_to_their_limits(fake):
    class_ids = striped(4, 4, 1)
    image = blocks(class_ids)
    counts = tf.constant([1, 2, 0, -7, 10**6])
    answer = fake.segment_tensors(tf.constant(np.stack([image] * 5)), counts)
    assert answer["iterations"].numpy().tolist() == [1, 2, 1, 1, 4]
    middles = answer["mask"].numpy()[:, 1::STRIDE, 1::STRIDE]
    for index, wanted in enumerate([0 * class_ids, class_ids, 0 * class_ids, 0 * class_ids, class_ids]):
        np.testing.assert_array_equal(middles[index], wanted)


def test_without_a_number_the_networks_own_is_run(fake):
    image = blocks([[0, 1], [2, 2]])
    answer = fake.serving_default(tf.constant([encoded(image)]))
    assert answer["iterations"].numpy().tolist() == [3]
    [mask] = masks_of(answer)
    assert mask[1::STRIDE, 1::STRIDE].tolist() == [[0, 1], [2, 2]]
    assert answer["class_pixels"].numpy().tolist() == [np.bincount(mask.ravel(), minlength=3).tolist()]


def test_classes_can_be_read_a_few_at_a_time(fake, monkeypatch):
    random = np.random.default_rng(3).integers(0, 256, [2, 24, 20, 3], dtype=np.uint8)
    random[0] = 9  # all classes alike: the first one wins
    counts = tf.constant([2, 2])
    whole = fake.segment_tensors(tf.constant(random), counts)
    assert (whole["mask"].numpy()[0] == 0).all() and np.ptp(whole["mask"][1]) == 2
    np.testing.assert_allclose(whole["confidence"][0], 1 / 3, rtol=1e-6)
    for group in (1, 2):
        monkeypatch.setattr(canvas_reader, "GROUP", group)
        parts = fake.segment_tensors(tf.constant(random), counts)
        np.testing.assert_array_equal(parts["mask"], whole["mask"])
        np.testing.assert_allclose(parts["confidence"], whole["confidence"], rtol=1e-5)


@pytest.mark.parametrize(
    "kind,mode", [("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "L"), ("PNG", "P"), ("BMP", "RGB"), ("GIF", "P")]
)
def test_files_are_read_as_pictures_of_three_colours(fake, kind, mode):
    picture = Image.fromarray(blocks([[0, 1, 2]])).convert(mode)
    [mask] = masks_of(fake.serving_default(tf.constant([encoded(picture, kind)])))
    wanted = fake.segment_tensors(tf.constant(np.array(picture.convert("RGB"))[np.newaxis]), tf.constant([3]))
    np.testing.assert_array_equal(mask, wanted["mask"][0])


def test_what_cannot_be_segmented_is_an_invalid_argument():
    limited = service.Service(FakeNetwork(), max_iterations=4, max_pixels=100)
    one = tf.constant([1])
    large = encoded(np.zeros([10, 11, 3], np.uint8))
    limit = r"an image of [10 11] (height, width) has more than the 100 pixels that are allowed"
    assert limit in message(limited.segment_bytes, image_bytes=tf.constant([large]), iterations=one)
    assert limit in message(limited.segment_tensors, images=tf.zeros([1, 10, 11, 3], tf.uint8), iterations=one)
    assert masks_of(limited.serving_default(tf.constant([encoded(np.zeros([10, 10, 3], np.uint8))])))
    for content, reason in ((b"", "Input is empty"), (b"garbage", "Unknown image file format")):
        assert reason in message(limited.segment_bytes, image_bytes=tf.constant([content]), iterations=one)
    reason = "2 numbers of iterations for 1 images; one for each is needed"
    wrong = {"images": tf.zeros([1, 8, 8, 3], tf.uint8), "iterations": tf.constant([1, 2])}
    assert reason in message(limited.segment_tensors, **wrong)


def test_shapes_are_static_where_they_are_known():
    functions = service.Service(small_network(NUM_CLASSES, "symmetric"), max_iterations=5, size=(48, 64)).functions()
    assert set(functions) == FOR_IMAGES | STEPS
    shapes = {
        name: {key: tensor.shape.as_list() for key, tensor in function.structured_outputs.items()}
        for name, function in functions.items()
    }
    for name in ("serving_default", "segment_bytes"):
        assert shapes[name] == {"mask_png_bytes": [None], "iterations": [None], "class_pixels": [None, 5]}
    mask = {"mask": [None, 48, 64], "confidence": [None, 48, 64]}
    assert shapes["segment_tensors"] == mask | {"iterations": [None]} and shapes["decode"] == mask
    assert shapes["encode"] == {f"invariant_{gate}": [None, 3, 4, 8] for gate in "ifgo"} | {"size": [None, 2]}
    assert shapes["initial_state"]["h2"] == shapes["refine"]["h2"] == [None, 3, 4, 6]


def test_the_cost_of_iterations_can_be_counted(tmp_path):
    service.save(small_network(NUM_CLASSES), tmp_path / "1", {}, max_iterations=3)
    assert saved_model.load(tmp_path / "1").name == "segment_tensors"
    costs = exported_cost.profile_saved_model(tmp_path / "1", (50, 71), [1, 3], rounds=0)
    first, third = [cost.executed_gmacs for cost in costs]
    # 4 gates at 4x5 positions, three layers; the first iteration leaves out the products with the state.
    later = 20 * 4 * ((NUM_CLASSES + 8) * 8 + (8 + 6) * 6 + (6 + NUM_CLASSES) * NUM_CLASSES) / 1e9
    assert third - first == pytest.approx(2 * later)


def test_the_description_lies_in_the_folder(recurrent_signatures):
    folder, _ = recurrent_signatures
    text = (folder / "assets.extra" / "tfseg.json").read_text()
    assert json.loads(text) == {"name": "rnn", "size": None}


def test_what_cannot_be_saved_is_refused(tmp_path):
    (tmp_path / "1").mkdir()
    with pytest.raises(InputError, match="1: exists; servers expect another model under the next number beside it"):
        service.save(FakeNetwork(), tmp_path / "1", {}, max_iterations=4)
    with pytest.raises(InputError, match="max_iterations is 2; the model's own number of iterations is 3"):
        service.save(FakeNetwork(), tmp_path / "2", {}, max_iterations=2)
    with pytest.raises(InputError, match="size 2000x2000 has more than the 2200000 pixels that are allowed"):
        service.save(FakeNetwork(), tmp_path / "2", {}, max_iterations=4, size=(2000, 2000))
    plain = small_network(3)
    plain.config.hoist = False
    with pytest.raises(InputError, match="a recurrent one is exported with hoist"):
        service.save(plain, tmp_path / "2", {}, max_iterations=6)
    with pytest.raises(TypeError):
        service.save(FakeNetwork(False), tmp_path / "2", {"size": object()}, max_iterations=1)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
