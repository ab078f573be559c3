"""Crops are compared with what `Geometry`'s docstring says, computed again in NumPy on coordinate-coded images."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfseg.config import DataConfig
from tfseg.data import augment

IGNORE = 255
HEIGHT, WIDTH = 12, 20


Data = functools.partial(DataConfig, crop_size=(9, 14))


def coordinate_image(height=HEIGHT, width=WIDTH):
    """Red is 10 x and green 10 y at a pixel's centre (x + 0.5, y + 0.5): linear, so bilinear sampling keeps them."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([10 * x, 10 * y, np.zeros_like(x)], axis=-1).astype(np.float32)


def coordinate_label():
    """Every pixel has an id of its own, 0 to 239."""
    return np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)


def geometry_of(scale=1.0, offset=(0, 0), is_flipped=False, angle=0.0, size=(HEIGHT, WIDTH)):
    size = np.array(size, np.int32)
    scaled_size = np.maximum(np.round(size * scale), 1).astype(np.int32)
    return augment.Geometry(
        tf.constant(size),
        tf.constant((scaled_size / size).astype(np.float32)),
        tf.constant(scaled_size),
        tf.constant(offset, tf.int32),
        tf.constant(is_flipped),
        tf.constant(angle, tf.float32),
    )


def crop(image, label, geometry, data):
    """Crops through the source window, as the pipeline does."""
    window = augment.source_window(geometry, data)
    top, left, height, width = augment.mirror(window, geometry).numpy()
    pixels = tf.constant(image[top : top + height, left : left + width])
    image = augment.crop_image(pixels, window, geometry, data)
    return image.numpy(), augment.crop_label(tf.constant(label), geometry, data, IGNORE).numpy()


def source_coordinates(geometry, data):
    """Returns (y, x) of every crop pixel on the source, with centres at + 0.5, computed from the definition."""
    (height, width), angle = data.crop_size, float(geometry.angle)
    i, j = np.mgrid[:height, :width] + 0.5
    down, right = i - height / 2, j - width / 2
    turned_y = np.sin(angle) * right + np.cos(angle) * down + height / 2
    turned_x = np.cos(angle) * right - np.sin(angle) * down + width / 2
    y = (geometry.offset[0].numpy() + turned_y) / geometry.scale[0].numpy()
    x = (geometry.offset[1].numpy() + turned_x) / geometry.scale[1].numpy()
    return y, (geometry.source_size[1].numpy() - x) if geometry.is_flipped else x


def draw(seed, data, size=(HEIGHT, WIDTH)):
    return augment.draw_geometry(tf.constant(size, tf.int32), tf.constant([0, seed], tf.int64), data)


@pytest.mark.parametrize("rotation", [0.0, 30.0])
@pytest.mark.parametrize("seed", range(12))
def test_image_and_label_show_the_same_source_point_at_every_crop_pixel(seed, rotation):
    data = Data(rotation=rotation)
    geometry = draw(seed, data)
    image, label = crop(coordinate_image(), coordinate_label(), geometry, data)
    y, x = source_coordinates(geometry, data)

    is_inside = (y > 0) & (y < HEIGHT) & (x > 0) & (x < WIDTH)
    expected = np.where(is_inside, np.floor(y).clip(0, HEIGHT - 1) * WIDTH + np.floor(x).clip(0, WIDTH - 1), IGNORE)
    # Exactly between two source pixels, both are nearest.
    is_clear = (np.abs(y - np.round(y)) > 1e-3) & (np.abs(x - np.round(x)) > 1e-3)
    assert is_clear.mean() > 0.5 or not rotation
    np.testing.assert_array_equal(label[is_clear], expected[is_clear])

    support = max(1.0, (1 / geometry.scale.numpy()).max())
    is_interior = (np.minimum(y, HEIGHT - y) > support) & (np.minimum(x, WIDTH - x) > support)
    assert is_interior.any()
    # Bilinear sampling keeps a linear image; the sampled triangle of antialiasing keeps it to a tenth of a pixel.
    tolerance = 0.02 if rotation or geometry.scale.numpy().min() >= 1 else 1.0
    np.testing.assert_allclose(image[is_interior][:, 0], 10 * x[is_interior], atol=tolerance)
    np.testing.assert_allclose(image[is_interior][:, 1], 10 * y[is_interior], atol=tolerance)


@pytest.mark.parametrize("rotation", [0.0, 180.0])
@pytest.mark.parametrize("seed", range(8))
def test_the_window_holds_all_that_the_crop_is_made_of(seed, rotation):
    data = Data(crop_size=(7, 9), rotation=rotation)
    image = np.random.default_rng(seed).uniform(0, 255, (40, 50, 3)).astype(np.float32)
    geometry = draw(seed, data, size=(40, 50))
    window = augment.source_window(geometry, data)
    top, left, height, width = augment.mirror(window, geometry).numpy()
    assert height < 40 or width < 50
    pixels = image[top : top + height, left : left + width]
    cropped = augment.crop_image(tf.constant(pixels), window, geometry, data)
    whole = augment.crop_image(tf.constant(image), tf.constant([0, 0, 40, 50]), geometry, data)
    np.testing.assert_allclose(cropped, whole, atol=0.05)


def test_scale_one_without_flip_copies_pixels():
    data = Data(crop_size=(3, 4))
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    cropped, label = crop(image, coordinate_label(), geometry_of(offset=(2, 5)), data)
    np.testing.assert_array_equal(cropped, image[2:5, 5:9])
    np.testing.assert_array_equal(label, coordinate_label()[2:5, 5:9])


def test_half_scale_averages_the_source_where_the_label_picks_from_it():
    data = Data(crop_size=(2, 2))
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, ::2] = 200
    image = image.astype(np.float32)
    cropped, _ = crop(image, np.zeros((4, 4), np.uint8), geometry_of(scale=0.5, size=(4, 4)), data)
    # A triangle of 2 target pixels: weights 3/7, 3/7, 1/7 at the left border (1/8 of it is cut off).
    np.testing.assert_allclose(cropped[0, :, 0], [200 * 4 / 7, 200 * 3 / 7], atol=0.01)


def test_a_flipped_crop_is_the_mirror_image_of_the_same_crop_of_the_mirrored_source():
    data = Data(crop_size=(5, 6))
    image, label = coordinate_image(), coordinate_label()
    flipped = crop(image, label, geometry_of(scale=1.5, offset=(3, 4), is_flipped=True), data)
    mirrored = crop(image[:, ::-1], label[:, ::-1], geometry_of(scale=1.5, offset=(3, 4)), data)
    np.testing.assert_allclose(flipped[0], mirrored[0], atol=1e-3)
    np.testing.assert_array_equal(flipped[1], mirrored[1])


@pytest.mark.parametrize("size", [(4, 5), (1, 30), (30, 1), (1, 1)])
def test_what_lies_outside_a_small_image_is_mean_colour_and_ignored(size):
    data = Data(crop_size=(9, 14), min_scale=1.0, max_scale=1.0)
    image, label = crop(np.full([*size, 3], 7, np.uint8), np.full(size, 3, np.uint8), draw(1, data, size), data)
    assert image.shape == (9, 14, 3) and label.shape == (9, 14)
    is_padding = label == IGNORE
    assert (~is_padding).sum() == min(size[0], 9) * min(size[1], 14)
    np.testing.assert_array_equal(image[is_padding], augment.FILL_COLOR)
    np.testing.assert_array_equal(image[~is_padding], 7)
    np.testing.assert_array_equal(label[~is_padding], 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (3, 2)])
def test_tiny_images_survive_scale_and_rotation(size):
    data = Data(rotation=180.0)
    for seed in range(5):
        image, label = crop(np.full([*size, 3], 7, np.uint8), np.full(size, 3, np.uint8), draw(seed, data, size), data)
        assert image.shape == (9, 14, 3) and set(np.unique(label)) <= {3, IGNORE}
        assert image.min() >= 7 and image.max() <= augment.FILL_COLOR


@pytest.mark.parametrize("rotation", [0.0, 45.0])
def test_labels_are_never_invented(rotation):
    data = Data(rotation=rotation)
    source = np.where(np.indices((HEIGHT, WIDTH)).sum(0) % 2, 3, 200).astype(np.uint8)
    for seed in range(20):
        label = augment.crop_label(tf.constant(source), draw(seed, data), data, IGNORE).numpy()
        assert set(np.unique(label)) <= {3, 200, IGNORE}


def test_a_quarter_turn_turns_image_and_label_alike_and_fills_the_rest():
    data = Data(crop_size=(5, 5), rotation=90.0)
    image = np.random.default_rng(0).uniform(0, 255, (5, 5, 3)).astype(np.float32)
    label = np.arange(25, dtype=np.uint8).reshape(5, 5)
    turned = crop(image, label, geometry_of(angle=np.pi / 2, size=(5, 5)), data)
    np.testing.assert_allclose(turned[0], np.rot90(image, axes=(0, 1)), atol=0.05)
    np.testing.assert_array_equal(turned[1], np.rot90(label))

    turned = crop(image, label, geometry_of(angle=np.pi / 4, size=(5, 5)), data)
    for corner in ((0, 0), (0, 4), (4, 0), (4, 4)):  # 2.83 from the centre, the source's border is at 2.5
        np.testing.assert_allclose(turned[0][corner], augment.FILL_COLOR, atol=45)
        assert turned[1][corner] == IGNORE


def test_rotation_stays_within_its_bound_and_zero_is_off():
    angles = [float(draw(seed, Data(rotation=10.0)).angle) for seed in range(50)]
    assert max(angles) <= np.radians(10) and min(angles) >= -np.radians(10)
    assert max(angles) > np.radians(5) and min(angles) < -np.radians(5)
    assert float(draw(0, Data()).angle) == 0.0


@pytest.mark.parametrize("fill", augment.FILLS)
def test_the_corners_of_a_turned_mask_are_ignored_and_those_of_its_image_filled(fill):
    """The whole image is the crop, turned by 8 degrees: its corners lie outside, whatever fills them."""
    data = Data(crop_size=(40, 60), rotation=10.0, fill=fill)
    image, label = crop(
        np.full([40, 60, 3], 9, np.uint8),
        np.ones([40, 60], np.uint8),
        geometry_of(angle=np.radians(8), size=(40, 60)),
        data,
    )
    corners = ([0, 0, -1, -1], [0, -1, 0, -1])
    np.testing.assert_array_equal(label[corners], IGNORE)
    assert set(np.unique(label)) == {1, IGNORE} and (label == 1).mean() > 0.8
    colors = {"grey": [augment.FILL_COLOR] * 3, "mean": augment.MEAN_COLOR, "reflect": [9, 9, 9]}
    np.testing.assert_allclose(image[corners], [colors[fill]] * 4, atol=1e-3)
    np.testing.assert_allclose(image[20, 30], 9, atol=1e-3)


def test_a_padded_image_is_its_own_mirror_image_beyond_its_borders():
    data = Data(crop_size=(5, 9), fill="reflect")
    row = np.array([10, 20, 30, 40], np.uint8)
    source = np.stack([np.stack([row, row + 1, row + 2])] * 3, -1)  # [3, 4, 3]
    image, label = crop(source, np.zeros([3, 4], np.uint8), geometry_of(offset=(-1, -3), size=(3, 4)), data)
    np.testing.assert_array_equal(image[1, :, 0], [30, 20, 10, 10, 20, 30, 40, 40, 30])
    np.testing.assert_array_equal(image[:, 3, 0], [10, 10, 11, 12, 12])
    np.testing.assert_array_equal(label[1], [IGNORE] * 3 + [0] * 4 + [IGNORE] * 2)


def test_an_image_much_smaller_than_the_crop_is_mirrored_again_and_again():
    data = Data(crop_size=(1, 9), fill="reflect")
    source = np.array([[[1] * 3, [2] * 3]], np.uint8)  # [1, 2, 3]
    image, _ = crop(source, np.zeros([1, 2], np.uint8), geometry_of(offset=(0, -4), size=(1, 2)), data)
    np.testing.assert_array_equal(image[0, :, 0], [1, 2, 2, 1, 1, 2, 2, 1, 1])


def test_a_padded_image_may_have_the_mean_colour_around_it():
    data = Data(crop_size=(2, 3), fill="mean")
    image, _ = crop(np.full([2, 1, 3], 200, np.uint8), np.zeros([2, 1]), geometry_of(offset=(0, -1), size=(2, 1)), data)
    np.testing.assert_allclose(image[0], [augment.MEAN_COLOR, [200] * 3, augment.MEAN_COLOR], atol=1e-4)


def test_scales_may_be_picked_from_a_list():
    geometries = [draw(seed, Data(scales=(0.75, 1.25, 2.0)), size=(400, 800)) for seed in range(90)]
    scales = [round(float(geometry.scale[0]), 3) for geometry in geometries]
    assert set(scales) == {0.75, 1.25, 2.0}
    assert min(map(scales.count, set(scales))) > 15


def test_draws_cover_scales_positions_and_both_flips():
    geometries = [draw(seed, Data(crop_size=(6, 10))) for seed in range(200)]
    scales = np.array([g.scale.numpy() for g in geometries])
    assert scales.min() < 0.6 and scales.max() > 1.9 and scales.min() >= 0.45 and scales.max() <= 2.05
    assert 70 < sum(bool(g.is_flipped) for g in geometries) < 130
    fixed = [draw(seed, Data(crop_size=(10, 20), min_scale=1.0, max_scale=1.0)) for seed in range(60)]
    assert {tuple(g.offset.numpy()) for g in fixed} == {(0, 0), (1, 0), (2, 0)}
    assert not any(bool(draw(seed, Data(flip=False)).is_flipped) for seed in range(20))


def test_a_seed_draws_one_geometry_and_another_seed_another():
    first, again, other = draw(3, Data()), draw(3, Data()), draw(4, Data())
    np.testing.assert_array_equal(first.scale, again.scale)
    assert not np.array_equal(first.scale, other.scale)


def test_colour_jitter_stays_in_range_changes_colours_and_is_seeded():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    jitter = lambda seed, strength: augment.jitter_color(pixels, tf.constant([0, seed], tf.int64), strength).numpy()  # noqa: E731
    for seed in range(20):
        changed = jitter(seed, 1.0)
        assert changed.shape == pixels.shape and changed.min() >= 0 and changed.max() <= 255
    np.testing.assert_array_equal(jitter(1, 0.5), jitter(1, 0.5))
    assert np.abs(jitter(1, 0.5) - jitter(2, 0.5)).max() > 1
    np.testing.assert_allclose(jitter(1, 0.0), pixels, atol=0.01)


def test_colour_jitter_keeps_grey_grey():
    pixels = np.repeat(np.linspace(60, 190, 12).reshape(3, 4, 1), 3, axis=-1).astype(np.float32)
    changed = augment.jitter_color(pixels, tf.constant([0, 5], tf.int64), 0.5).numpy()
    np.testing.assert_allclose(changed[..., 0], changed[..., 1], atol=0.05)
    np.testing.assert_allclose(changed[..., 0], changed[..., 2], atol=0.05)


def blurred(image, seed, **fields):
    return augment.blur(tf.constant(image, tf.float32), tf.constant([0, seed], tf.int64), Data(**fields)).numpy()


def test_a_blurred_point_becomes_a_gaussian_of_the_drawn_width():
    image = np.zeros([21, 25, 3], np.float32)
    image[10, 12] = [255, 100, 10]
    deviations = []
    for seed in range(20):
        found = blurred(image, seed, blur_rate=1.0, blur_radius=2.0)
        assert found.sum() == pytest.approx(365, rel=1e-4)  # nothing is lost: the point is far from the border
        np.testing.assert_allclose(found[..., 1], found[..., 0] / 2.55, atol=1e-3)
        square = (np.arange(25) - 12) ** 2
        deviations.append((found[10, :, 0] @ square / found[10, :, 0].sum()) ** 0.5)
        if deviations[-1] > 0.7:
            expected = np.exp(-square / 2 / deviations[-1] ** 2)
            np.testing.assert_allclose(found[10, :, 0] / found[10, 12, 0], expected, atol=0.02)
    assert max(deviations) < 2.0 and max(deviations) > 1.5 and min(deviations) < 0.5


def test_a_blur_leaves_even_images_even_and_their_share_sharp():
    even = np.full([4, 5, 3], 77.0, np.float32)
    np.testing.assert_allclose(blurred(even, 3, blur_rate=1.0), even, rtol=1e-6)
    image = np.random.default_rng(0).uniform(0, 255, [6, 7, 3]).astype(np.float32)
    is_sharp = [np.array_equal(blurred(image, seed, blur_rate=0.3), image) for seed in range(60)]
    assert 30 < sum(is_sharp) < 54
    np.testing.assert_array_equal(blurred(image, 5, blur_rate=1.0), blurred(image, 5, blur_rate=1.0))


@pytest.mark.skipif(not augment.HAS_ADDONS, reason="tensorflow-addons ended with TensorFlow 2.15")
@pytest.mark.parametrize("fill_value", [None, 0, 255, 127.5])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_operation_without_tensorflow_addons_gives_the_same_to_the_bit(dtype, interpolation, fill_value):
    pixels = np.random.default_rng(0).integers(0, 255, [13, 17, 3]).astype(dtype)
    transform = tf.constant([0.9, 0.3, -2.25, -0.35, 1.1, 3.5, 0.0, 0.0])
    with_addons, without = (
        augment._projected(pixels, transform, (11, 19), interpolation, fill_value, has_addons=has_addons).numpy()
        for has_addons in (True, False)
    )
    assert with_addons.dtype == dtype and with_addons.shape == (11, 19, 3)
    np.testing.assert_array_equal(with_addons, without)
