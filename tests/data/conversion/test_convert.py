"""What only a whole set shows, over all its splits and workers: palettes, bits per pixel, orientation of masks."""

import numpy as np
import pytest
from PIL import Image

from tests.formats.png_files import deep_png, grey_png
from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.pipeline import eval_examples
from tfseg.errors import InputError

COLORS = {"sky": (0, 0, 0), "road": (255, 0, 0), "car": (0, 0, 255)}
CLASS_IDS = np.uint8([[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 2, 2]])


@pytest.fixture
def folder(tmp_path, save):
    """folder({"train/a": mask}) writes images and masks (PIL images or bytes of a file) and classes.txt."""

    def write(masks, size=CLASS_IDS.shape):
        for name, mask in masks.items():
            save(tmp_path / "raw" / "images" / f"{name}.png", np.zeros([*size, 3], np.uint8))
            path = tmp_path / "raw" / "masks" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(mask, bytes):
                path.write_bytes(mask)
            else:
                save(path, mask)
        (tmp_path / "raw" / "classes.txt").write_text("\n".join(COLORS))
        (tmp_path / "colours.txt").write_text("".join(f"{name} {r} {g} {b}\n" for name, (r, g, b) in COLORS.items()))
        return tmp_path / "raw"

    return write


def with_palette(order, class_ids=CLASS_IDS):
    """A mask whose palette has the colours of the classes in this order."""
    image = Image.fromarray(np.argsort(order).astype(np.uint8)[class_ids], "P")
    image.putpalette([level for index in order for level in list(COLORS.values())[index]])
    return image


def prepare(raw_dir, **options):
    return opening.prepare("folder", raw_dir, raw_dir.with_name("records"), ConvertOptions(**options))


def labels(raw_dir, manifest, split):
    files = opening.split_files(manifest, raw_dir.with_name("records"), split)
    return [np.asarray(example["label"][0]) for example in eval_examples(files, manifest.info)]


@pytest.mark.parametrize("other", ["train/b", "val/b"])
def test_palettes_that_differ_are_refused_wherever_the_files_are(folder, other):
    raw_dir = folder(
        {"train/a": with_palette([0, 1, 2]), "val/c": with_palette([0, 1, 2]), other: with_palette([1, 0, 2])}
    )
    with pytest.raises(InputError, match=r"colour \(\d+, 0, 0\) has index \d and \d, .*--palette=FILE") as caught:
        prepare(raw_dir)
    assert "b.png" in str(caught.value) and "a.png" in str(caught.value) and not raw_dir.with_name("records").exists()


def test_colours_decide_if_a_file_says_what_they_mean(folder, tmp_path):
    raw_dir = folder({"train/a": with_palette([0, 1, 2]), "val/b": with_palette([2, 1, 0])})
    manifest = prepare(raw_dir, palette=str(tmp_path / "colours.txt"))
    for split in ("train", "val"):
        (label,) = labels(raw_dir, manifest, split)
        np.testing.assert_array_equal(label, CLASS_IDS)


def test_one_palette_for_all_files_says_nothing(folder, capsys):
    prepare(folder({"train/a": with_palette([0, 1, 2]), "val/b": with_palette([0, 1, 2], np.minimum(CLASS_IDS, 1))}))
    assert "note" not in capsys.readouterr().err


def test_files_of_many_workers_are_compared(folder):
    masks = {f"train/{index:02d}": with_palette([0, 1, 2]) for index in range(32)} | {"val/a": with_palette([0, 1, 2])}
    raw_dir = folder(masks | {"train/17": with_palette([2, 1, 0])})
    with pytest.raises(InputError, match=r"17\.png and 00\.png: colour"):
        prepare(raw_dir, num_workers=2)


def test_bad_files_do_not_hide_what_makes_them_bad(folder):
    outside = with_palette([0, 1, 2], CLASS_IDS)
    outside.putpixel((0, 0), 7)
    raw_dir = folder({"train/a": with_palette([0, 1, 2]), "train/b": with_palette([1, 0, 2]), "val/c": outside})
    with pytest.raises(InputError, match="--palette=FILE"):
        prepare(raw_dir)


def test_few_bits_are_refused_among_eight_and_noted_alone(folder, capsys):
    few = np.minimum(CLASS_IDS, 1)
    raw_dir = folder({"train/a": grey_png(CLASS_IDS, 8), "val/b": grey_png(few, 1)})
    with pytest.raises(InputError, match=r"b\.png has 1 bit per pixel, \.\./train/a\.png has 8 or more"):
        prepare(raw_dir)
    (raw_dir / "masks" / "train" / "a.png").write_bytes(grey_png(CLASS_IDS, 2))
    manifest = prepare(raw_dir)
    np.testing.assert_array_equal(labels(raw_dir, manifest, "val")[0], few)
    assert "note: the masks have fewer than 8 bits per pixel" in capsys.readouterr().err


def test_orientation_is_asked_for_and_the_flag_changes_the_records(folder, save, capsys):
    raw_dir = folder({"train/a": Image.fromarray(CLASS_IDS), "val/b": Image.fromarray(CLASS_IDS)})
    tags = Image.Exif()
    tags[0x0112] = 3
    for name in ("train/a", "val/b"):
        save(raw_dir / "images" / f"{name}.png", np.zeros([*CLASS_IDS.shape, 3], np.uint8), exif=tags)
    message = r"a\.png: EXIF orientation 3 \(as 2 photos\), and no .*--mask_orientation=upright or stored$"
    with pytest.raises(InputError, match=message):
        opening.open_dataset("folder", raw_dir)
    found = {}
    for way in ("upright", "stored"):
        data_dir, manifest = opening.open_dataset("folder", raw_dir, ConvertOptions(mask_orientation=way))
        files = opening.split_files(manifest, data_dir, "val")
        found[way] = np.asarray(next(iter(eval_examples(files, manifest.info)))["label"][0])
    np.testing.assert_array_equal(found["upright"], CLASS_IDS)
    np.testing.assert_array_equal(found["stored"], CLASS_IDS[::-1, ::-1])
    said = capsys.readouterr().err
    assert "2 images have an EXIF rotation; it was applied to them; their masks were upright already" in said
    assert "2 images have an EXIF rotation; it was applied to them and to their masks" in said


def test_deep_photos_are_bad_files_with_their_values(folder):
    raw_dir = folder({"train/a": Image.fromarray(CLASS_IDS), "val/b": Image.fromarray(CLASS_IDS)})
    (raw_dir / "images" / "val" / "b.png").write_bytes(deep_png(np.full([2, 6, 3], 4080)))
    with pytest.raises(InputError, match=r"b\.png: 16 bits per channel, values 4080 to 4080; convert the") as caught:
        prepare(raw_dir)
    assert len(str(caught.value)) <= 300


def test_a_photo_that_takes_too_much_memory_is_a_bad_file_among_others(folder, monkeypatch):
    raw_dir = folder({name: Image.fromarray(CLASS_IDS) for name in ("train/0", "train/1", "val/a")})
    large = Image.new("RGB", (12, 4))
    large.save(raw_dir / "images" / "train" / "1.png")
    convert = Image.Image.convert

    def fails_if_large(image, *args, **options):
        if image.size == large.size:
            raise MemoryError
        return convert(image, *args, **options)

    monkeypatch.setattr(Image.Image, "convert", fails_if_large)
    with pytest.raises(InputError, match=r"^[^;]*1\.png: needs more memory than there is; shrink the picture[^;]*$"):
        prepare(raw_dir)
