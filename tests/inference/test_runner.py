"""Images of any size through a network: whole, in tiles, scaled, mirrored, on several replicas."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.fake_network import FakeNetwork, blocks, striped
from tests.hanging import HANG_SECONDS
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.inference import runner
from tfseg.inference.runner import Inference, inference_of
from tfseg.inference.views import views_of
from tfseg.layers.resize import resize_bilinear, upsample
from tfseg.models.pspnet import PSPNetConfig
from tfseg.models.rnn import RNNConfig

CLASS_IDS = np.array([[0, 1, 2, 0], [2, 1, 0, 1]])


@pytest.fixture(scope="module")
def inference():
    return Inference(FakeNetwork())


def test_class_ids_are_there_after_every_iteration(inference):
    [answer] = inference.refine([blocks(CLASS_IDS)], 3)
    assert len(answer) == 3
    np.testing.assert_array_equal(answer.class_ids(0), np.zeros([8, 16]))
    for index in (1, 2):
        np.testing.assert_array_equal(answer.class_ids(index)[2::4, 2::4], CLASS_IDS)


def test_answers_are_the_argmax_of_the_models_own_canvases_after_upsampling():
    backbone = tiny()
    network = architectures.build(RNNConfig(backbone, widths=(8, 6), canvas_stride=8, feature_strides=(8,)), 5)
    image = np.random.default_rng(0).integers(0, 256, [50, 75, 3], np.uint8)
    [answer] = Inference(network).refine([image], 4)
    canvases = network(image[np.newaxis].astype(np.float32), iterations=4)["canvases"]
    for index, canvas in enumerate(canvases):
        expected = tf.argmax(resize_bilinear(canvas, (50, 75))[0], -1)
        assert (answer.class_ids(index) == expected.numpy()).mean() > 0.999


@pytest.mark.parametrize("size", [(49, 81), (50, 75)])
def test_canvases_of_symmetric_padding_are_read_on_their_own_grid(size):
    backbone = tiny(padding="symmetric")
    network = architectures.build(RNNConfig(backbone, widths=(8, 6), canvas_stride=8), 5)
    image = np.random.default_rng(0).integers(0, 256, [*size, 3], np.uint8)
    [answer] = Inference(network).refine([image], 2)
    canvas = network(image[np.newaxis].astype(np.float32), iterations=2)["canvases"][-1]
    expected = tf.argmax(upsample(canvas, size, 8, "symmetric")[0], -1)
    assert (answer.class_ids() == expected.numpy()).mean() > 0.999


def test_logits_of_a_fixed_size_cover_the_image_whatever_the_padding():
    backbone = tiny(padding="symmetric")
    network = architectures.build(PSPNetConfig(backbone, width=8, head_size=(3, 9)), 3)
    image = np.random.default_rng(0).integers(0, 256, [64, 80, 3], np.uint8)
    [answer] = Inference(network).refine([image], 1)
    logits = network(image[np.newaxis].astype(np.float32))["semantic_logits"]
    expected = tf.argmax(resize_bilinear(logits, (64, 80))[0], -1)
    assert (answer.class_ids() == expected.numpy()).mean() > 0.999


class CornerNetwork(FakeNetwork):
    """Reads every fourth pixel instead of averages: what symmetric padding gives."""

    padding = "symmetric"

    def encode(self, images, training=False):
        return {"colors": tf.cast(images[:, ::4, ::4], tf.float32)}


@pytest.mark.parametrize("size", [(49, 81), (50, 76), (1057, 1110)])
@pytest.mark.parametrize("views", [views_of(), views_of(flip=True)[1:]], ids=["plain", "mirrored"])
def test_a_colour_edge_stays_where_it_is_on_the_grid_of_symmetric_padding(size, views):
    """Red falls and green rises with the column: they meet in the middle, whatever the view, in tiles as well."""
    ramp = np.linspace(0, 255, size[1])
    image = np.zeros([*size, 3], np.float32)
    image[..., 0], image[..., 1] = 255 - ramp, ramp
    [answer] = Inference(CornerNetwork(), 1 << 20).refine([image], 2, views)
    edge = (answer.class_ids() == 0).sum(1)
    assert set(edge) == {int(np.ceil(size[1] / 2))} or set(edge) == {size[1] // 2}


def test_only_the_last_canvas_is_kept_when_only_that_is_asked(inference):
    [answer] = inference.refine([blocks(CLASS_IDS)], 5, last_only=True)
    assert len(answer) == 1
    np.testing.assert_array_equal(answer.class_ids()[2::4, 2::4], CLASS_IDS)


def test_a_feed_forward_network_answers_once():
    [answer] = Inference(FakeNetwork(is_recurrent=False)).refine([blocks(CLASS_IDS)], 7)
    assert len(answer) == 1


def test_all_sizes_and_iteration_counts_share_one_trace(inference):
    for size in ((1, 1), (1, 40), (33, 7), (64, 65)):
        for iterations in (1, 4):
            [answer] = inference.refine([np.zeros([*size, 3], np.uint8)], iterations)
            assert answer.class_ids().shape == size
    assert inference._run.experimental_get_tracing_count() == 1


def test_tiles_give_the_same_answer_as_the_whole_image_where_the_network_sees_only_its_surroundings():
    image = np.random.default_rng(2).integers(0, 256, [1184, 1440, 3], np.uint8)
    network = FakeNetwork()
    [whole], [tiled] = (Inference(network, limit).refine([image], 2) for limit in (1 << 22, 1 << 20))
    np.testing.assert_allclose(tiled._layers[0].canvases, whole._layers[0].canvases, rtol=1e-6)
    assert (tiled.class_ids() == whole.class_ids()).mean() > 0.9999


@pytest.mark.parametrize("flip", [False, True])
def test_tiles_of_an_image_off_the_grid_are_cut_to_its_size(flip):
    class_ids = striped(1105, 1203)
    image = np.eye(3, dtype=np.uint8)[class_ids] * 255
    [answer] = Inference(FakeNetwork(), 1 << 20).refine([image], 2, views_of(flip=flip))
    assert answer.class_ids().shape == (1105, 1203)
    assert (answer.class_ids() == class_ids).mean() > 0.98


def test_a_mirrored_view_agrees_with_the_plain_one(inference):
    image = blocks(CLASS_IDS)
    [plain], [flipped], [both] = (
        inference.refine([image], 2, views) for views in (views_of(), views_of(flip=True)[1:], views_of(flip=True))
    )
    np.testing.assert_array_equal(plain.class_ids(), flipped.class_ids())
    np.testing.assert_array_equal(plain.class_ids(), both.class_ids())


def test_scaled_views_are_averaged_at_the_images_size(inference):
    image = np.eye(3, dtype=np.uint8)[striped(96, 160)] * 255
    views = views_of(multi_scale=True, flip=True)
    [answer] = inference.refine([image], 2, views)
    logits = 0
    for view in views:
        pixels = tf.image.resize(image[np.newaxis], view.size((96, 160)), antialias=True)
        pixels = pixels[:, :, ::-1] if view.is_flipped else pixels
        canvas = inference.network.encode(pixels)["colors"]
        canvas = canvas[:, :, ::-1] if view.is_flipped else canvas
        logits += resize_bilinear(canvas, (96, 160))[0] / len(views)
    assert (answer.class_ids() == tf.argmax(logits, -1).numpy()).mean() > 0.9999
    assert (answer.class_ids() == striped(96, 160)).mean() > 0.9


def test_network_sizes_list_every_input():
    inference = Inference(FakeNetwork(), 1 << 20)
    assert inference.network_sizes((513, 513)) == [(513, 513)]
    assert inference.network_sizes((513, 513), views_of(flip=True)) == [(513, 513)] * 2
    assert inference.network_sizes((1025, 1025)) == [(1024, 1024)] * 4


def test_a_network_is_traced_once_however_often_it_is_evaluated():
    network = FakeNetwork()
    assert inference_of(network) is inference_of(network)


def test_two_replicas_share_the_images_and_give_the_same_answers():
    script = Path(__file__).with_name("two_replicas.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]


class OnItsClock(FakeNetwork):
    """Every iteration but the first takes a second, of a clock that nothing else moves."""

    now = 0.0

    def refine(self, features, state=None):
        refined = super().refine(features, state)
        if state is not None:
            # Not stateful, so that nothing but its result says when it has ended.
            zero = tf.numpy_function(self._take_a_second, [state["step"]], tf.float32, stateful=False)
            refined["canvas"] += tf.ensure_shape(zero, [])
        return refined

    def timestamp(self):
        """In place of tf.timestamp."""
        return tf.ensure_shape(tf.numpy_function(lambda: np.float64(self.now), [], tf.float64), [])

    def _take_a_second(self, step):
        time.sleep(0.1)  # who does not wait for the end reads the clock now
        self.now += 1
        return np.float32(0)


@pytest.fixture
def on_its_clock(monkeypatch):
    network = OnItsClock()
    monkeypatch.setattr(tf, "timestamp", network.timestamp)
    # Those of this process, by which it is asked and answers, are 999 apart.
    monkeypatch.setattr(runner, "time", SimpleNamespace(time=lambda: 1000.0, perf_counter=lambda: 1.0))
    return Inference(network)


@pytest.mark.parametrize(("latest_start", "iterations"), [(-1000, 1), (-998.5, 2), (-997.5, 3), (1, 5)])
def test_no_iteration_begins_after_the_latest_start_and_the_beginning_of_the_last_is_known(
    on_its_clock, latest_start, iterations
):
    # The second begins at 0, the third at 1, ...; for who asks at -999, -998, ...
    run = on_its_clock.refine_until(blocks(CLASS_IDS), 5, latest_start)
    assert (len(run.answer), run.iterations) == (1, iterations)
    assert run.began == (iterations - 2 - 999 if iterations > 1 else None)
    expected = CLASS_IDS if iterations > 1 else np.zeros_like(CLASS_IDS)
    np.testing.assert_array_equal(run.answer.class_ids()[2::4, 2::4], expected)


def test_tiles_of_an_image_have_the_same_iterations_whatever_the_time():
    class_ids = striped(24, 300, 8)
    run = Inference(FakeNetwork(), 40 * 1024).refine_until(blocks(class_ids), 2, 0.0)
    assert (run.iterations, run.began) == (2, None)
    np.testing.assert_array_equal(run.answer.class_ids()[2::4, 2::4], class_ids)


def test_a_feed_forward_network_runs_once_whatever_the_time():
    run = Inference(FakeNetwork(is_recurrent=False)).refine_until(blocks(CLASS_IDS), 2, 0.0)
    assert (len(run.answer), run.iterations, run.began, run.state) == (1, 1, None, None)


@pytest.fixture(scope="module")
def recurrent():
    backbone = tiny()
    return Inference(architectures.build(RNNConfig(backbone, widths=(8, 6)), 3))


def test_two_iterations_and_three_from_their_state_are_five(recurrent):
    image = np.random.default_rng(0).integers(0, 256, [50, 75, 3], np.uint8)
    before = recurrent.refine_until(image, 2)
    run = recurrent.refine_until(image, 3, start=before.state)
    whole = recurrent.refine_until(image, 5)
    assert run.iterations == 3 and run.state.keys() == {"canvas", "h1", "c1", "h2", "c2", "h3", "c3"}
    for name, value in whole.state.items():
        np.testing.assert_allclose(run.state[name], value, atol=1e-5)
    np.testing.assert_allclose(run.answer.canvas(), whole.answer.canvas(), atol=1e-5)


def test_a_start_of_zeros_is_no_start(recurrent):
    image = np.random.default_rng(1).integers(0, 256, [48, 64, 3], np.uint8)
    spec = recurrent.network.state_spec()
    zeros = {name: np.zeros([1, 3, 4, one.shape[3]], np.float32) for name, one in spec.items()}
    seeded, own = (recurrent.refine_until(image, 2, start=start).state["canvas"] for start in (zeros, None))
    np.testing.assert_allclose(seeded, own, atol=1e-6)


def test_a_canvas_that_starts_settled_stops_after_one_iteration(recurrent):
    image = np.random.default_rng(2).integers(0, 256, [48, 64, 3], np.uint8)
    sure = recurrent.refine_until(image, 1).state
    sure = sure | {"canvas": 100 * tf.one_hot(tf.argmax(sure["canvas"], -1), 3)}
    assert recurrent.refine_until(image, 5, tolerance=0.0, start=sure).iterations == 1
    assert recurrent.refine_until(image, 5, tolerance=0.0).iterations > 1


def test_only_what_keeps_a_state_can_start_from_one(recurrent):
    state = recurrent.refine_until(blocks(CLASS_IDS), 1).state
    with pytest.raises(ValueError, match="only a network that keeps a state"):
        Inference(FakeNetwork()).refine_until(blocks(CLASS_IDS), 1, start=state)
    with pytest.raises(ValueError, match="not cut into tiles"):
        Inference(recurrent.network, 40 * 1024).refine_until(blocks(striped(24, 300, 8)), 1, start=state)
