"""PASCAL VOC 2012: where its files are, palette labels, augmented labels."""

import numpy as np
import pytest
from PIL import Image

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import voc2012
from tfseg.errors import InputError
from tfseg.labels import voc_colors


@pytest.fixture
def voc(tmp_path, save):
    """voc(train, val, aug) writes VOCdevkit/VOC2012 with 1x3 images and the label 0, 15, 255 in palette mode."""

    def write(train=("a",), val=("b",), aug=()):
        root = tmp_path / "VOCdevkit" / "VOC2012"
        for stem in {*train, *val, *aug}:
            save(root / "JPEGImages" / f"{stem}.jpg", np.zeros([1, 3, 3], np.uint8))
        for stem in {*train, *val}:
            label = Image.fromarray(np.array([[0, 15, 255]], np.uint8), "P")
            label.putpalette([value for color in voc_colors(256) for value in color])
            save(root / "SegmentationClass" / f"{stem}.png", label)
        for stem in aug:
            save(root / "SegmentationClassAug" / f"{stem}.png", np.array([[0, 15, 15]], np.uint8))
        sets = root / "ImageSets" / "Segmentation"
        sets.mkdir(parents=True)
        (sets / "train.txt").write_text("\n".join(train) + "\n")
        (sets / "val.txt").write_text("\n".join(val) + "\n")
        return root

    return write


def stems(listing, split):
    return sorted(example.filename for example in listing.splits[split])


def test_palette_labels_give_class_ids_and_borders_are_ignored(voc, tmp_path):
    voc()
    manifest = opening.prepare("voc2012", tmp_path, tmp_path / "records")
    train = manifest.splits["train"]
    assert train.label_histogram[0] == train.label_histogram[15] == train.ignored_pixels == 1
    assert manifest.info.class_names[15] == "person" and manifest.info.colors[15] == (192, 128, 128)


def test_trainval_shares_the_records_of_train_and_val(voc, tmp_path):
    voc()
    splits = opening.prepare("voc2012", tmp_path, tmp_path / "records").splits
    assert splits["trainval"].num_examples == 2
    assert splits["trainval"].shards == splits["train"].shards + splits["val"].shards


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_folder_may_be_given_at_any_level(voc, level):
    root = voc()
    raw_dir = [root, *root.parents][level]
    assert stems(voc2012.list_examples(raw_dir, ConvertOptions()), "train") == ["a.jpg"]


def test_augmented_training_leaves_val_out(voc, tmp_path):
    voc(aug=("a", "b", "c"))
    assert stems(voc2012.list_examples(tmp_path, ConvertOptions()), "train_aug") == ["a.jpg", "c.jpg"]


def test_the_list_of_augmented_images_is_followed_when_there_is_one(voc, tmp_path):
    root = voc(aug=("a", "b", "c"))
    text = "/JPEGImages/c.jpg /SegmentationClassAug/c.png\n"
    (root / "ImageSets" / "Segmentation" / "trainaug.txt").write_text(text)
    assert stems(voc2012.list_examples(tmp_path, ConvertOptions()), "train_aug") == ["c.jpg"]


@pytest.fixture
def add_objects(voc, save):
    """add_objects(objects, classes) writes SegmentationObject/a.png and SegmentationClass/a.png of one row."""

    def write(objects, classes):
        root = voc(val=())
        save(root / "JPEGImages" / "a.jpg", np.zeros([1, len(classes), 3], np.uint8))
        for folder, values in (("SegmentationObject", objects), ("SegmentationClass", classes)):
            picture = Image.fromarray(np.array([values], np.uint8), "P")
            picture.putpalette([value for color in voc_colors(256) for value in color])
            save(root / folder / "a.png", picture)
        return root

    return write


def encoded(root):
    listing = voc2012.list_examples(root, ConvertOptions())
    (example,) = listing.splits["train"]
    return listing.encode(example)


def test_objects_become_instances_of_their_class(add_objects, panoptic_of):
    root = add_objects([0, 1, 1, 255, 2, 3], [0, 15, 15, 255, 15, 7])
    label, classes, instances = panoptic_of(encoded(root))
    assert label == classes == [[0, 15, 15, 255, 15, 7]]
    assert instances == [[0, 1, 1, 0, 2, 3]]


def test_an_object_has_the_class_of_most_of_its_labelled_pixels(add_objects, panoptic_of):
    # Object 1: 2 pixels of person, 1 of car, 3 of borders; object 2: only background; object 4: only a border.
    _, classes, instances = panoptic_of(
        encoded(add_objects([1, 1, 1, 1, 1, 1, 2, 4], [15, 15, 7, 255, 255, 255, 0, 255]))
    )
    assert classes == [[15, 15, 7, 255, 255, 255, 0, 255]]
    assert instances == [[1, 1, 0, 0, 0, 0, 0, 0]]


def test_objects_of_another_size_and_missing_ones_are_bad_files(add_objects, save):
    root = add_objects([0, 1], [0, 15])
    path = save(root / "SegmentationObject" / "a.png", np.zeros([1, 3], np.uint8))
    with pytest.raises(
        InputError, match=r"SegmentationObject/a\.png: objects of 3x1 pixels for a label of 2x1 \(width"
    ):
        encoded(root)
    path.unlink()
    assert voc2012.list_examples(root, ConvertOptions()).problems == [f"{path}: no such file"]


def test_augmented_labels_have_no_objects(add_objects, save):
    root = add_objects([0, 1], [0, 15])
    save(root / "SegmentationClassAug" / "a.png", np.array([[0, 15]], np.uint8))
    (example,) = voc2012.list_examples(root, ConvertOptions()).splits["train_aug"]
    assert example.instance_path is None


def test_a_missing_label_is_a_problem(voc, tmp_path):
    root = voc()
    (root / "SegmentationClass" / "a.png").unlink()
    listing = voc2012.list_examples(tmp_path, ConvertOptions())
    assert listing.problems == [f"{root / 'SegmentationClass' / 'a.png'}: no such file"]


def test_another_folder_names_the_download_page(tmp_path):
    with pytest.raises(InputError, match=r"host\.robots\.ox\.ac\.uk"):
        voc2012.list_examples(tmp_path, ConvertOptions())
