"""Cityscapes: 34 label ids become 19 train ids; fine and coarse labels."""

import numpy as np
import pytest

from tfseg.data import cityscapes, datasets
from tfseg.data.raw import ConvertOptions
from tfseg.errors import InputError

FRAME = "aachen_000003_000019"


@pytest.fixture
def write(tmp_path, save):
    """write(kind, folder): an image and its label with the ids 0 to 33."""

    def write_frame(kind, folder, frame=FRAME):
        save(tmp_path / "leftImg8bit" / folder / "aachen" / f"{frame}_leftImg8bit.png", np.zeros([1, 34, 3], np.uint8))
        label = tmp_path / kind / folder / "aachen" / f"{frame}_{kind}_labelIds.png"
        return save(label, np.arange(34, dtype=np.uint8)[np.newaxis])

    return write_frame


def listing(raw_dir):
    return cityscapes.list_examples(raw_dir, ConvertOptions())


def test_every_class_comes_from_one_label_id_and_the_others_are_ignored(write, tmp_path):
    write("gtFine", "train")
    train = datasets.prepare("cityscapes", tmp_path, tmp_path / "records").splits["train"]
    assert train.label_histogram == [1] * 19
    assert train.ignored_pixels == 34 - 19


def test_known_ids_classes_and_colours():
    info = cityscapes.INFO
    pairs = {"road": (7, (128, 64, 128)), "person": (24, (220, 20, 60)), "bicycle": (33, (119, 11, 32))}
    for name, (label_id, color) in pairs.items():
        class_id = cityscapes.TRAIN_IDS[label_id]
        assert (info.class_names[class_id], info.colors[class_id]) == (name, color)
    assert {info.class_names[class_id] for class_id in info.thing_ids} == {
        *("person", "rider", "car", "truck"),
        *("bus", "train", "motorcycle", "bicycle"),
    }


def test_sequence_and_frame_come_from_the_name(write, tmp_path):
    write("gtFine", "val")
    (example,) = listing(tmp_path).splits["val"]
    assert (example.sequence_id, example.frame_id) == ("aachen_000003", 19)
    assert example.filename == f"leftImg8bit/val/aachen/{FRAME}_leftImg8bit.png"


def test_coarse_labels_of_extra_and_train_images_are_one_split(write, tmp_path):
    write("gtFine", "train")
    write("gtCoarse", "train")
    write("gtCoarse", "train_extra", frame="bonn_000000_000001")
    splits = listing(tmp_path).splits
    assert len(splits["train"]) == 1
    assert [example.filename.split("/")[1] for example in splits["train_coarse"]] == ["train_extra", "train"]


def test_an_image_without_its_label_is_a_problem(write, tmp_path):
    write("gtFine", "train")
    write("gtFine", "train", frame="aachen_000003_000020").unlink()
    (problem,) = listing(tmp_path).problems
    assert "aachen_000003_000020_leftImg8bit.png: its label" in problem


def test_another_folder_names_the_download_page(tmp_path):
    with pytest.raises(InputError, match=r"cityscapes-dataset\.com/downloads"):
        listing(tmp_path)
