"""Label files: class ids are kept exactly, whatever the mode, and nothing that two readers may read differently."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.formats.png_files import chunk, deep_png, grey_png, png_of
from tests.formats.tiff_files import Page, tiff
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule, read_label, read_stored_label, read_values

ANY = LabelRule(num_classes=None)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_png_labels_of_every_depth_keep_their_values(tmp_path, bits):
    values = np.arange(2**bits, dtype=np.uint8)[np.newaxis]
    path = tmp_path / "l.png"
    path.write_bytes(grey_png(values, bits))
    np.testing.assert_array_equal(read_label(path, ANY), values)


def test_a_palette_png_gives_indices_not_luminance(tmp_path, save):
    image = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8), "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    np.testing.assert_array_equal(read_label(save(tmp_path / "l.png", image), ANY), [[0, 1, 2, 3]])


def test_sixteen_bit_labels_keep_their_values_or_are_refused(tmp_path, save):
    fits = save(tmp_path / "fits.png", np.array([[0, 3, 255]], np.uint16))
    np.testing.assert_array_equal(read_label(fits, LabelRule(4)), [[0, 3, 255]])
    large = save(tmp_path / "large.png", np.array([[0, 1000, 1000]], np.uint16))
    with pytest.raises(InputError, match=r"large\.png: label value 1000 \(2 pixels\)"):
        read_label(large, ANY)
    np.testing.assert_array_equal(read_label(large, LabelRule(3, value_map={1000: 2})), [[0, 2, 2]])


def test_a_label_value_out_of_range_is_named_with_its_pixels(tmp_path, save):
    path = save(tmp_path / "l.png", np.array([[0, 2, 2, 200, 255]], np.uint8))
    with pytest.raises(InputError, match=r"l\.png: label value 2 \(2 pixels\), 200 \(1 pixels\) is neither .* 0 to 1 "):
        read_label(path, LabelRule(2))


def test_values_are_mapped_to_class_ids(tmp_path, save):
    path = save(tmp_path / "l.png", np.array([[0, 11, 255]], np.uint8))
    np.testing.assert_array_equal(read_label(path, LabelRule(2, value_map={11: 255, 255: 1})), [[0, 255, 1]])


def test_a_grey_label_saved_as_rgb_is_read_as_grey(tmp_path, save):
    path = save(tmp_path / "l.png", np.full([2, 2, 3], 5, np.uint8))
    np.testing.assert_array_equal(read_label(path, ANY), np.full([2, 2], 5))


def test_colour_coded_labels_need_a_palette_and_unknown_colours_are_counted(tmp_path, save, photo):
    path = save(tmp_path / "l.png", photo)
    with pytest.raises(InputError, match="--palette"):
        read_label(path, ANY)
    red, blue = (255, 0, 0), (0, 0, 255)
    expected = np.repeat([[7, 7, 7, 255, 255, 255]], 4, 0)
    np.testing.assert_array_equal(read_label(path, LabelRule(8, palette={red: 7, blue: 255})), expected)
    with pytest.raises(InputError, match=r"l\.png: colour \(0, 0, 255\) \(12 pixels\) is not in the palette"):
        read_label(path, LabelRule(8, palette={red: 7}))


def test_a_palette_applies_to_the_colours_of_a_palette_png_too(tmp_path, save):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([9, 9, 9, 200, 0, 0])
    rule = LabelRule(2, palette={(9, 9, 9): 1, (200, 0, 0): 0})
    np.testing.assert_array_equal(read_label(save(tmp_path / "l.png", image), rule), [[1, 0]])


def test_a_jpeg_label_is_refused(tmp_path, save, label):
    with pytest.raises(InputError, match="store labels as PNG"):
        read_label(save(tmp_path / "l.jpg", label), ANY)


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


PALETTE = [0, 0, 0, 255, 0, 0, 0, 0, 255]
RED, BLUE = (255, 0, 0), (0, 0, 255)


def palette_image(values):
    image = Image.fromarray(np.array(values, np.uint8), "P")
    image.putpalette(PALETTE)
    return image


TRUE_COLOR = Image.fromarray(np.array([[RED, BLUE]], np.uint8))
NOISE = np.random.default_rng(0).integers(0, 3, [16, 16], np.uint8)
LOSSY = {
    "JPEG": (saved(Image.fromarray(NOISE), "JPEG"), "a JPEG"),
    "lossy WebP": (saved(Image.fromarray(NOISE).convert("RGB"), "WEBP", quality=80), "lossy WebP"),
    "lossy WebP with metadata": (
        saved(Image.fromarray(NOISE).convert("RGB"), "WEBP", quality=100, exif=Image.Exif().tobytes()),
        "lossy WebP",
    ),
    "JPEG in TIFF": (saved(Image.fromarray(NOISE).convert("RGB"), "TIFF", compression="jpeg"), "a TIFF with jpeg"),
}
LOSSLESS = {
    "lossless WebP": saved(Image.fromarray(NOISE).convert("RGB"), "WEBP", lossless=True),
    "GIF": saved(Image.fromarray(NOISE), "GIF"),
    "BMP": saved(Image.fromarray(NOISE), "BMP"),
    "PPM": saved(Image.fromarray(NOISE), "PPM"),
    **{
        f"TIFF {way}": saved(Image.fromarray(NOISE), "TIFF", compression=way)
        for way in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
    },
}


@pytest.mark.parametrize("content, form", LOSSY.values(), ids=LOSSY)
@pytest.mark.parametrize("palette", [None, {(value,) * 3: value for value in range(3)}], ids=["ids", "palette"])
def test_every_lossy_form_is_refused_whatever_the_name_says(tmp_path, content, form, palette):
    (tmp_path / "l.png").write_bytes(content)
    with pytest.raises(InputError, match=rf"l\.png: {form}.* blurs class ids; store labels as PNG"):
        read_label(tmp_path / "l.png", LabelRule(3, palette=palette))
    with pytest.raises(InputError, match="blurs class ids"):
        read_values(tmp_path / "l.png")


@pytest.mark.parametrize("content", LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_forms_keep_their_values(content):
    np.testing.assert_array_equal(read_label(io.BytesIO(content), LabelRule(3), name="l"), NOISE)


def test_jpeg_2000_which_may_be_lossy_is_refused_by_name():
    with pytest.raises(InputError, match=r"l: is not an image of a known format but JPEG 2000; convert it to PNG"):
        read_label(io.BytesIO(saved(TRUE_COLOR, "JPEG2000")), ANY, name="l")


def grey_and_alpha(alpha):
    return Image.merge("LA", [Image.fromarray(np.full([1, 2], 255, np.uint8)), Image.fromarray(np.uint8([alpha]))])


def with_alpha(alpha):
    image = TRUE_COLOR.copy()
    image.putalpha(Image.fromarray(np.uint8([alpha])))
    return image


TRANSPARENT = {
    "LA": (saved(grey_and_alpha([0, 255]), "PNG"), LabelRule(2, {255: 1})),
    "RGBA": (saved(with_alpha([255, 0]), "PNG"), LabelRule(2, palette={RED: 0, BLUE: 1})),
    "RGBA, grey": (saved(grey_and_alpha([0, 255]).convert("RGBA"), "PNG"), LabelRule(2, {255: 1})),
    "RGBA, a little": (saved(with_alpha([255, 254]), "PNG"), LabelRule(2, palette={RED: 0, BLUE: 1})),
    "RGBA, everywhere": (saved(with_alpha([0, 0]), "PNG"), LabelRule(2, palette={RED: 0, BLUE: 1})),
    "palette, as ids": (saved(palette_image([[1, 2]]), "PNG", transparency=b"\xff\x00"), LabelRule(3)),
    "palette, as colours": (
        saved(palette_image([[1, 2]]), "PNG", transparency=b"\xff\x00"),
        LabelRule(3, palette={RED: 0, BLUE: 1}),
    ),
    "palette, one index": (saved(palette_image([[1, 2]]), "PNG", transparency=2), LabelRule(3)),
    "GIF": (saved(palette_image([[1, 2]]), "GIF", transparency=1), LabelRule(3)),
    "a colour": (saved(TRUE_COLOR, "PNG", transparency=RED), LabelRule(2, palette={RED: 0, BLUE: 1})),
    "a grey": (saved(Image.fromarray(np.uint8([[0, 1]])), "PNG", transparency=0), LabelRule(2)),
    "a grey of 2 bits": (
        png_of((4, 1), 2, 0, [bytes([0b00011011])], chunk(b"tRNS", bytes([0, 2]))),
        LabelRule(4),
    ),
    "TIFF": (saved(with_alpha([255, 0]), "TIFF"), LabelRule(2, palette={RED: 0, BLUE: 1})),
    "WebP": (saved(with_alpha([255, 9]), "WEBP", lossless=True), LabelRule(2, palette={RED: 0, BLUE: 1})),
}


@pytest.mark.parametrize("content, rule", TRANSPARENT.values(), ids=TRANSPARENT)
def test_transparent_pixels_have_no_clear_class(content, rule):
    with pytest.raises(InputError, match=r"^l: alpha is .*: it has transparent pixels, .* save the mask without"):
        read_label(io.BytesIO(content), rule, name="l")


OPAQUE = {
    "RGBA": saved(with_alpha([255, 255]), "PNG"),
    "RGBA, of one other value": saved(with_alpha([128, 128]), "PNG"),
    "palette": saved(palette_image([[1, 2]]), "PNG", transparency=b"\xff\xff\xff"),
    "palette, an index that does not occur": saved(palette_image([[1, 2]]), "PNG", transparency=0),
    "a colour that does not occur": saved(TRUE_COLOR, "PNG", transparency=(1, 2, 3)),
    "TIFF": saved(with_alpha([255, 255]), "TIFF"),
}


@pytest.mark.parametrize("content", OPAQUE.values(), ids=OPAQUE)
def test_opaque_labels_with_alpha_are_read(content):
    rule = LabelRule(2, palette={RED: 0, BLUE: 1})
    np.testing.assert_array_equal(read_label(io.BytesIO(content), rule, name="l"), [[0, 1]])


def test_a_tiff_with_a_band_that_may_be_transparency_is_refused():
    content = tiff([Page(np.zeros([2, 2, 4], np.uint8), tags={338: [0]})])  # the fourth band: unspecified
    with pytest.raises(InputError, match="labels must be grey or palette images; .*, 4 bands"):
        read_label(io.BytesIO(content), ANY, name="l")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_labels_of_sixteen_bits_per_channel_are_refused(channels):
    content = deep_png(np.full([2, 2, channels], 257))
    for rule in (ANY, LabelRule(2, palette={RED: 0})):
        with pytest.raises(InputError, match="labels must be grey or palette images|needs 8 bits per channel"):
            read_label(io.BytesIO(content), rule, name="l")


FEW_BITS = {
    "PNG of 1 bit": (grey_png(np.uint8([[0, 1]]), 1), 1),
    "PNG of 2 bits": (grey_png(np.uint8([[0, 1]]), 2), 3),
    "PNG of 4 bits": (grey_png(np.uint8([[0, 1]]), 4), 15),
    "TIFF of 1 bit": (saved(Image.fromarray(np.array([[False, True]])), "TIFF"), 1),
    "fax TIFF": (saved(Image.fromarray(np.array([[False, True]])), "TIFF", compression="group4"), 1),
    "BMP of 1 bit": (saved(Image.fromarray(np.array([[False, True]])), "BMP"), 1),
    "PBM": (saved(Image.fromarray(np.array([[False, True]])), "PPM"), 1),
    "PGM up to 9": (b"P5 2 1 9\n\0\1", 9),
    "plain PGM up to 9": (b"P2 2 1 9\n0 1\n", 9),
    "PNG of 8 bits": (grey_png(np.uint8([[0, 1]]), 8), 255),
    "PGM up to 1000": (b"P5 2 1 1000\n\0\0\0\1", 255),
}


@pytest.mark.parametrize("content, white", FEW_BITS.values(), ids=FEW_BITS)
def test_grey_values_are_read_as_stored_and_the_file_says_which_one_is_white(content, white):
    label = read_stored_label(io.BytesIO(content), LabelRule(2), name="l")
    np.testing.assert_array_equal(label.class_ids, [[0, 1]])
    assert label.values.largest_grey == white and label.values.palette is None
    assert label.values.colors == {0: (0,) * 3, 1: (1 if white == 255 else round(255 / white),) * 3}


def test_a_palette_file_says_the_colours_of_the_indices_that_occur():
    label = read_stored_label(io.BytesIO(saved(palette_image([[0, 2]]), "PNG")), ANY, name="l")
    assert label.values.colors == {0: (0, 0, 0), 2: BLUE}
    assert label.values.palette == ((0, 0, 0), RED, BLUE)
    by_color = read_stored_label(
        io.BytesIO(saved(palette_image([[0, 2]]), "PNG")), LabelRule(2, palette={(0, 0, 0): 0, BLUE: 1}), name="l"
    )
    assert by_color.values is None


def test_a_bmp_that_pil_misreads_is_refused():
    # 8 bits per pixel, but only black and white in its palette: PIL takes each byte for 8 pixels.
    content = bytearray(saved(Image.fromarray(np.uint8([[0, 1, 1, 0]])), "BMP"))
    content[46:50] = (2).to_bytes(4, "little")
    content[58:62] = b"\xff\xff\xff\0"
    with pytest.raises(InputError, match="l: a BMP of 8 bits per pixel with a grey palette cannot be read; save it"):
        read_label(io.BytesIO(bytes(content)), ANY, name="l")


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_label_is_turned_as_its_own_exif_orientation_says(form, orientation):
    values, exif = np.arange(6, dtype=np.uint8).reshape(2, 3), Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(values).convert("RGB") if form == "WEBP" else Image.fromarray(values)
    content = saved(image, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    label = read_stored_label(io.BytesIO(content), ANY, name="l")
    upright = {
        1: values,
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: np.rot90(values, -1),
        7: values[::-1, ::-1].T,
        8: np.rot90(values),
    }
    assert label.orientation == orientation
    np.testing.assert_array_equal(label.class_ids, upright[orientation])
