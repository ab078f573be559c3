"""PASCAL-Context: numbered PNGs and the published .mat files give the same classes, with and without background."""

import numpy as np
import pytest
from scipy import io

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import pascal_context
from tfseg.errors import InputError

# Background, aeroplane, bag, wood; category 1 is one of the 400 that are no class.
PNG_IDS = np.array([[0, 1, 2, 59]], np.uint8)
CATEGORIES = np.array([[1, 2, 9, 458]], np.uint16)


@pytest.fixture
def context(tmp_path, save):
    """context(kind of labels, lists) writes VOC2010 with the images a (train) and b (val), and returns the root."""

    def write(kind="png", lists="SegmentationContext"):
        root = tmp_path / "VOCdevkit" / "VOC2010"
        for split, stem in (("train", "a"), ("val", "b")):
            save(root / "JPEGImages" / f"{stem}.jpg", np.zeros([1, 4, 3], np.uint8))
            path = root / "ImageSets" / lists / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{stem}\n")
            if kind == "png":
                save(root / "SegmentationClassContext" / f"{stem}.png", PNG_IDS)
            else:
                (tmp_path / "trainval").mkdir(exist_ok=True)
                io.savemat(tmp_path / "trainval" / f"{stem}.mat", {"LabelMap": CATEGORIES}, do_compression=True)
        return tmp_path

    return write


def counts(root, name):
    """(pixels of each class, ignored pixels) of the training split."""
    manifest = opening.prepare(name, root, root / f"records_{name}")
    assert set(manifest.splits) == {"train", "val"}
    train = manifest.splits["train"]
    return dict(zip(manifest.info.class_names, train.label_histogram, strict=True)), train.ignored_pixels


def test_the_59_classes_are_in_the_order_of_the_alphabet_and_of_their_categories():
    names = pascal_context.INFO.class_names
    assert len(names) == 59 and list(names) == sorted(names)
    assert list(pascal_context.CATEGORIES.values()) == sorted(pascal_context.CATEGORIES.values())
    assert pascal_context.INFO_60.class_names == ("background", *names)


@pytest.mark.parametrize("kind", ["png", "mat"])
@pytest.mark.parametrize("lists", ["SegmentationContext", "Main"])
def test_background_is_ignored_unless_it_is_the_first_of_60_classes(context, kind, lists):
    root = context(kind, lists)
    found, ignored = counts(root, "pascal_context")
    assert {name: count for name, count in found.items() if count} == {"aeroplane": 1, "bag": 1, "wood": 1}
    assert ignored == 1
    found, ignored = counts(root, "pascal_context_60")
    assert {name for name, count in found.items() if count} == {"background", "aeroplane", "bag", "wood"}
    assert ignored == 0


def test_a_category_that_does_not_exist_is_named(context):
    root = context("mat")
    io.savemat(root / "trainval" / "a.mat", {"LabelMap": CATEGORIES + 2})
    with pytest.raises(InputError, match=r"a.mat: category 460; they are 1 to 459"):
        counts(root, "pascal_context")


def test_a_png_with_more_than_59_is_named(context, save):
    root = context()
    save(root / "VOCdevkit" / "VOC2010" / "SegmentationClassContext" / "b.png", PNG_IDS + 1)
    with pytest.raises(InputError, match=r"b.png: label value 60 \(1 pixels\)"):
        counts(root, "pascal_context")


def test_a_missing_label_is_a_problem_and_a_missing_list_an_error(context):
    root = context()
    label = root / "VOCdevkit" / "VOC2010" / "SegmentationClassContext" / "a.png"
    label.unlink()
    found = pascal_context.list_examples(root, ConvertOptions())
    assert found.problems == [f"{label}: no such file"] and set(found.splits) == {"val"}
    (root / "VOCdevkit" / "VOC2010" / "ImageSets" / "SegmentationContext" / "val.txt").unlink()
    with pytest.raises(InputError, match="no such list of the images of val"):
        pascal_context.list_examples(root, ConvertOptions())


def test_another_folder_is_refused_with_the_download_page(tmp_path):
    with pytest.raises(InputError, match="no PASCAL-Context here .*roozbeh/pascal-context"):
        pascal_context.list_examples(tmp_path, ConvertOptions())
