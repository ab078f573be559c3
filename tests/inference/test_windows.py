"""Sliding windows, scales relative to a long side, and the ways to fuse views."""

import numpy as np
import pytest
import tensorflow as tf

from tests.fake_network import FakeNetwork, striped
from tfseg.errors import InputError
from tfseg.inference.refinement import Layer, Refinement
from tfseg.inference.runner import Inference
from tfseg.inference.views import FUSIONS, SCALES, View, Window, views_of, windows_of


class Pointwise(FakeNetwork):
    """A 1x1 convolution with stride 1: equivariant to moves and mirrors. It counts its forward calls."""

    canvas_stride = 1
    num_classes = 4

    def __init__(self):
        super().__init__(is_recurrent=False)
        self.kernel = np.random.default_rng(0).normal(size=[1, 1, 3, 4]).astype(np.float32) / 100
        self.sizes = []

    def encode(self, images, training=False):
        with tf.control_dependencies([tf.py_function(self._note, [tf.shape(images)], [])]):
            return {"colors": tf.nn.conv2d(images - 127.5, self.kernel, 1, "SAME")}

    def _note(self, shape):
        self.sizes.append(tuple(shape.numpy()[1:3]))


@pytest.fixture
def network():
    return Pointwise()


def noise(height, width):
    return np.random.default_rng(1).integers(0, 256, [height, width, 3], np.uint8)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("size", [(96, 160), (100, 75), (50, 200)])
def test_windows_and_mirror_images_of_an_equivariant_network_equal_a_single_pass(network, size, fusion):
    image, inference = noise(*size), Inference(network)
    [single] = inference.refine([image], 1)
    views = views_of(flip=True, window=Window.of((64, 64)))
    [fused] = inference.refine([image], 1, views, fusion=fusion)
    for layer in fused._layers:
        np.testing.assert_allclose(layer.canvases[:, : size[0], : size[1]], single._layers[0].canvases, atol=1e-5)
    np.testing.assert_array_equal(fused.class_ids(), single.class_ids())


@pytest.mark.parametrize("fusion", FUSIONS)
def test_six_scales_of_an_equivariant_network_equal_a_single_pass_where_an_image_is_even(network, fusion):
    image = np.eye(3, dtype=np.uint8)[striped(96, 160)] * 255
    inference = Inference(network)
    [single] = inference.refine([image], 1)
    [fused] = inference.refine([image], 1, views_of(multi_scale=True, flip=True), fusion=fusion)
    is_inner = np.add.outer(np.arange(96) % 32 // 8 % 3 > 0, np.zeros(160, bool)) & (np.arange(160) % 32 // 8 % 3 > 0)
    assert is_inner.mean() > 0.2
    np.testing.assert_array_equal(fused.class_ids()[is_inner], single.class_ids()[is_inner])


def test_six_scales_and_their_mirror_images_are_twelve_forward_calls(network):
    inference, views = Inference(network), views_of(multi_scale=True, flip=True)
    inference.refine([noise(41, 61)], 1, views)
    assert network.sizes == [view.size((41, 61)) for view in views] == inference.network_sizes((41, 61), views)
    assert len(network.sizes) == 12


def test_every_window_is_a_forward_call_of_its_size(network):
    inference, views = Inference(network), views_of(window=Window.of((64, 96), (32, 64)))
    inference.refine([noise(120, 170)], 1, views)
    # Padded to 128x192: windows begin at 0, 32, 64 down and at 0, 64, 96 across.
    assert network.sizes == [(64, 96)] * 9 == inference.network_sizes((120, 170), views)


def test_windows_over_a_constant_network_are_constant():
    class Constant(FakeNetwork):
        def encode(self, images, training=False):
            return {"colors": 0 * super().encode(images)["colors"] + [0.25, 0.5, -3.0]}

    image = noise(200, 330)
    for fusion in FUSIONS:
        views = views_of(multi_scale=True, flip=True, window=Window.of((64, 128)))
        [answer] = Inference(Constant(is_recurrent=False)).refine([image], 1, views, fusion=fusion)
        assert len(answer._layers) == 12
        for layer in answer._layers:
            np.testing.assert_allclose(layer.canvases - [0.25, 0.5, -3.0], 0, atol=1e-6)
        assert set(np.unique(answer.class_ids())) == {1}


def test_where_windows_overlap_their_sum_is_divided_by_their_number(network):
    """Of three windows across, the middle one overlaps both others; near to borders it counts as much as elsewhere."""

    class Place(FakeNetwork):
        """The canvas says which window it is: their images have grey levels that rise from left to right."""

        def encode(self, images, training=False):
            return {"colors": tf.ones_like(super().encode(images)["colors"]) * tf.reduce_min(images)}

    image = np.zeros([32, 128, 3], np.float32) + 10 * (np.arange(128) // 32)[:, np.newaxis]
    views = views_of(window=Window.of((32, 64), (32, 32)))
    [answer] = Inference(Place(is_recurrent=False)).refine([image], 1, views)
    np.testing.assert_allclose(answer.canvas()[0, :, 0], np.repeat([0, 5, 15, 20], 8))


@pytest.mark.parametrize(
    ("size", "tops", "lefts", "tile"),
    [
        ((1024, 2048), (0, 512, 256), None, (768, 768)),
        ((500, 375), (0,), (0,), (500, 375)),
        ((769, 100), (0, 32), (0,), (768, 128)),
    ],
)
def test_windows_cover_a_view_and_the_last_ends_with_it(size, tops, lefts, tile):
    tiling = windows_of(size, Window.of((768, 768)))
    assert tiling.tile == tile
    assert set(tiling.tops) == {min(top, tiling.padded_size[0] - tile[0]) for top in tops}
    if lefts:
        assert tiling.lefts == lefts
    for axis, starts in enumerate((tiling.tops, tiling.lefts)):
        assert starts[0] == 0 and all(0 < gap <= 512 for gap in np.diff(starts))
        assert 0 <= tiling.padded_size[axis] - size[axis] < 32


def test_the_stride_is_two_thirds_of_the_window_unless_it_is_given():
    assert Window.of((768, 768)).stride == (512, 512)
    assert Window.of((512, 1024)).stride == (352, 672)  # 341.3 and 682.7, to the nearest multiple of 32
    assert Window.of((32, 64)).stride == (32, 32)
    assert Window.of((512, 512), (128, 512)).stride == (128, 512)


@pytest.mark.parametrize(
    ("size", "stride", "message"),
    [
        ((500, 512), None, "--window=500x512: two multiples of 32"),
        ((512, 512), (341, 341), "--stride=341x341: two multiples of 32"),
        ((512, 512), (544, 512), "--stride=544x512 leaves gaps between windows of 512x512"),
    ],
)
def test_windows_off_the_grid_or_with_gaps_are_refused(size, stride, message):
    with pytest.raises(InputError) as error:
        Window.of(size, stride)
    assert str(error.value).startswith(message)


def test_scales_may_be_relative_to_a_long_side():
    # Published for Cityscapes: scale 1.75 of a long side of 1024 is 896x1792, never the full 1024x2048.
    sizes = [view.size((1024, 2048)) for view in views_of(multi_scale=True, long_side=1024)]
    assert sizes == [(256, 512), (384, 768), (512, 1024), (640, 1280), (768, 1536), (896, 1792)]
    assert View(long_side=608).size((500, 375)) == (608, 456)
    assert View(scale=0.5, long_side=101).size((1, 400)) == (1, 51)


def test_scales_may_be_chosen():
    assert [view.scale for view in views_of(scales=(0.75, 1.0, 2.0))] == [0.75, 1.0, 2.0]
    assert [view.scale for view in views_of(multi_scale=True)] == list(SCALES)


def fused(fusion, groups, *logits):
    """(class ids, confidence) of one pixel for views with these logits."""
    layers = [Layer(tf.constant([[[list(values)]]], tf.float32), (1.0, 1.0)) for values in logits]
    ids, confidence = Refinement(layers, (1, 1), fusion=fusion, groups=groups).class_ids_and_confidence()
    return int(ids[0, 0]), float(confidence[0, 0])


def test_the_three_fusions_by_hand():
    views = ((4.0, 0.0, 0.0), (-4.0, 0.0, -9.0), (-4.0, 0.0, -9.0))
    # Mean logits: -4/3, 0, -6.
    class_id, share = fused("logits", (0, 1, 2), *views)
    assert (class_id, share) == (1, pytest.approx(1 / (1 + np.exp(-4 / 3) + np.exp(-6)), rel=1e-5))
    # Probabilities: 0.9647, 0.0177, 0.0177, and twice 0.018, 0.982, 0.0001.
    softmax = np.exp(views) / np.exp(views).sum(1, keepdims=True)
    class_id, share = fused("probabilities", (0, 1, 2), *views)
    assert (class_id, share) == (1, pytest.approx(softmax.mean(0)[1], rel=1e-5))
    # Exponentials: e^4 + 2 e^-4 for class 0, 3 for class 1: the one sure view decides.
    class_id, share = fused("exp_logits", (0, 1, 2), *views)
    total = np.exp(views).sum(0)
    assert (class_id, share) == (0, pytest.approx(total[0] / total.sum(), rel=1e-5))


def test_exponentials_are_taken_of_the_sum_of_a_scale_and_its_mirror_image():
    views = ((3.0, 0.0), (-2.0, 0.0), (0.0, 2.5), (0.0, 0.0))
    # Pairs: (1, 0) and (0, 2.5): e^1 + 1 against 1 + e^2.5.
    class_id, share = fused("exp_logits", (0, 0, 2, 2), *views)
    assert (class_id, share) == (1, pytest.approx((1 + np.exp(2.5)) / (2 + np.exp(1) + np.exp(2.5)), rel=1e-5))
    # Each by itself: e^3 + e^-2 + 2 against 3 + e^2.5.
    assert fused("exp_logits", (0, 1, 2, 3), *views)[0] == 0


def test_exponentials_of_large_logits_do_not_overflow():
    assert fused("exp_logits", (0, 1), (500.0, 0.0), (0.0, 400.0)) == (0, pytest.approx(1.0))


def test_a_runs_views_are_grouped_by_their_scale(network):
    """Two scales with their mirror images: the logits of each pair are summed before the exponential."""
    image, inference = noise(32, 32), Inference(network)
    views = views_of(scales=(1.0, 2.0), flip=True)
    [answer] = inference.refine([image], 1, views, fusion="exp_logits")
    assert answer._fusion == ("exp_logits", (0, 0, 2, 2))
