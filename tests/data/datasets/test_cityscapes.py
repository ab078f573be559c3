"""Cityscapes: 34 label ids become 19 train ids; fine and coarse labels."""

import io

import numpy as np
import pytest
from PIL import Image

from tfseg.data import opening
from tfseg.data.conversion import adaptation
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import cityscapes
from tfseg.errors import InputError

FRAME = "aachen_000003_000019"


@pytest.fixture
def write(tmp_path, save):
    """write(kind, folder) writes an image and its label with the ids 0 to 33."""

    def write_frame(kind, folder, frame=FRAME):
        save(tmp_path / "leftImg8bit" / folder / "aachen" / f"{frame}_leftImg8bit.png", np.zeros([1, 34, 3], np.uint8))
        label = tmp_path / kind / folder / "aachen" / f"{frame}_{kind}_labelIds.png"
        return save(label, np.arange(34, dtype=np.uint8)[np.newaxis])

    return write_frame


@pytest.fixture
def write_instances(write, save):
    """write_instances(ids, label_ids, kind, folder) writes an image, its label and its instance ids, of one row."""

    def write_frame(ids, label_ids=None, kind="gtFine", folder="val"):
        label = write(kind, folder)
        image = label.parents[3] / "leftImg8bit" / folder / "aachen" / f"{FRAME}_leftImg8bit.png"
        ids = np.array([ids], np.uint16)
        label_ids = np.where(ids >= 1000, ids // 1000, ids) if label_ids is None else np.array([label_ids])
        save(image, np.zeros([*label_ids.shape, 3], np.uint8))
        save(label, label_ids.astype(np.uint8))
        return save(label.with_name(label.name.replace("labelIds", "instanceIds")), ids)

    return write_frame


def encoded(raw_dir, split="val"):
    found = listing(raw_dir)
    (example,) = found.splits[split]
    return found.encode(example)


def listing(raw_dir):
    return cityscapes.list_examples(raw_dir, ConvertOptions())


def test_every_class_comes_from_one_label_id_and_the_others_are_ignored(write, tmp_path):
    write("gtFine", "train")
    train = opening.prepare("cityscapes", tmp_path, tmp_path / "records").splits["train"]
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


def test_instances_of_things_are_counted_from_one_and_all_else_is_none(write_instances, tmp_path):
    # Road, two persons, a group of persons, a car, bicycle number 299; a caravan and a trailer, both ignored.
    write_instances([7, 24000, 24017, 24, 26003, 33299, 29001, 30])
    panoptic = np.asarray(Image.open(io.BytesIO(encoded(tmp_path).panoptic_png))).astype(int)
    np.testing.assert_array_equal(panoptic[0, :, 0], [0, 11, 11, 11, 13, 18, 255, 255])
    np.testing.assert_array_equal(panoptic[0, :, 1] * 256 + panoptic[0, :, 2], [0, 1, 18, 0, 4, 300, 0, 0])


def test_without_instance_ids_and_for_coarse_labels_there_is_no_panoptic_map(write, write_instances, tmp_path):
    write("gtFine", "train")
    write_instances([7, 24000], kind="gtCoarse", folder="train_extra")
    assert encoded(tmp_path, "train").panoptic_png is None
    assert encoded(tmp_path, "train_coarse").panoptic_png is None


def test_records_have_the_panoptic_map_and_are_made_again_when_it_changes(write_instances, tmp_path):
    path = write_instances([7, 24000])
    first, _ = opening.open_dataset("cityscapes", str(tmp_path))
    assert opening.open_dataset("cityscapes", str(tmp_path))[0] == first
    write_instances([7, 24001, 24001])
    second, _ = opening.open_dataset("cityscapes", str(tmp_path))
    path.unlink()
    assert opening.open_dataset("cityscapes", str(tmp_path))[0] not in (first, second) and first != second


def test_instance_ids_that_do_not_fit_their_label_are_a_bad_file(write_instances, tmp_path):
    write_instances([7, 24000, 26001], label_ids=[7, 24, 27])
    with pytest.raises(InputError, match=r"_instanceIds\.png: 1 pixels have other classes than in .*_labelIds\.png$"):
        encoded(tmp_path)
    path = write_instances([7, 24000, 26001], label_ids=[7, 24])
    with pytest.raises(InputError, match=r"_instanceIds\.png: instance ids of 3x1 pixels for an image of 2x1 \(width"):
        encoded(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"_instanceIds\.png: is empty"):
        encoded(tmp_path)


@pytest.mark.parametrize("ending, car", [("_trainId.json", 13), (".json", 26)])
def test_the_official_panoptic_files_take_the_place_of_instance_ids(
    write_instances, save_segments, panoptic_of, tmp_path, ending, car
):
    # Road, two cars, a group of cars, the ego vehicle (void), in train ids or in label ids.
    write_instances([7, 26005, 26009, 26, 1])
    road = 0 if car == 13 else 7
    segments = [(7, road, 0), (26005, car, 0), (26009, car, 0), (26, car, 1)]
    name = f"{FRAME}_gtFine_panoptic.png"
    save_segments(
        tmp_path / "gtFine" / f"cityscapes_panoptic_val{ending}",
        [(road, "road", 0), (car, "car", 1)],
        {name: ([[7, 26005, 26009, 26, 0]], segments)},
    )
    label, classes, instances = panoptic_of(encoded(tmp_path))
    assert label == classes == [[0, 13, 13, 13, 255]]
    assert instances == [[0, 1, 2, 0, 0]]


@pytest.fixture
def write_panoptic(save, save_segments, tmp_path):
    """write_panoptic(segment_ids, segments, split, ending) writes an image, and only panoptic files as its label."""

    def write_frame(segment_ids, segments, split="val", ending="_trainId.json"):
        image = tmp_path / "leftImg8bit" / split / "aachen" / f"{FRAME}_leftImg8bit.png"
        save(image, np.zeros([1, len(segment_ids), 3], np.uint8))
        name = f"{FRAME}_gtFine_panoptic.png"
        path = tmp_path / "gtFine" / f"cityscapes_panoptic_{split}{ending}"
        save_segments(path, [(0, "road", 0)], {name: ([segment_ids], segments)})
        return path.with_suffix("") / name

    return write_frame


@pytest.mark.parametrize("ending, road, car", [("_trainId.json", 0, 13), (".json", 7, 26)])
def test_panoptic_files_without_any_other_labels_give_the_classes_too(
    write_panoptic, panoptic_of, tmp_path, ending, road, car
):
    # Road, two cars, a group of cars, void.
    segments = [(7, road, 0), (26005, car, 0), (26009, car, 0), (26, car, 1)]
    for split in ("train", "val"):
        write_panoptic([7, 26005, 26009, 26, 0], segments, split, ending)
    assert not list(tmp_path.rglob("*_labelIds.png"))
    splits = opening.prepare("cityscapes", tmp_path, tmp_path / "records").splits
    assert list(splits) == ["train", "val"] and splits["val"].num_examples == 1
    assert (splits["train"].label_histogram[0], splits["train"].label_histogram[13]) == (1, 3)
    label, classes, instances = panoptic_of(encoded(tmp_path))
    assert label == classes == [[0, 13, 13, 13, 255]]
    assert instances == [[0, 1, 2, 0, 0]]


def test_panoptic_files_alone_that_do_not_fit_are_named(write_panoptic, save, tmp_path):
    path = write_panoptic([7, 8], [(7, 0, 0), (8, 13, 0)])
    image = tmp_path / "leftImg8bit" / "val" / "aachen" / f"{FRAME}_leftImg8bit.png"
    save(image, np.zeros([1, 3, 3], np.uint8))
    with pytest.raises(InputError, match=rf"{FRAME}_gtFine_panoptic\.png: label of 2x1 pixels for an image of 3x1"):
        encoded(tmp_path)
    other = save(image.with_name("bonn_000000_000001_leftImg8bit.png"), np.zeros([1, 2, 3], np.uint8))
    assert listing(tmp_path).problems == [f"{other}: has no annotation in gtFine/cityscapes_panoptic_val*.json"]
    other.unlink()
    path.unlink()
    write_panoptic([7], [(7, 0, 0)], split="train")
    assert listing(tmp_path).problems == [f"{path}: no such file"]


def test_a_panoptic_file_must_have_the_image_its_classes_and_known_categories(write_instances, save_segments, tmp_path):
    write_instances([7, 26005])
    path = tmp_path / "gtFine" / "cityscapes_panoptic_val_trainId.json"
    name = f"{FRAME}_gtFine_panoptic.png"
    save_segments(path, [(0, "road", 0)], {name: ([[7, 7]], [(7, 0, 0)])})
    with pytest.raises(InputError, match=rf"{name}: 1 pixels have other classes than in .*_labelIds\.png$"):
        encoded(tmp_path)
    save_segments(path, [(0, "road", 0)], {name: ([[7, 8]], [(7, 19, 0)])})
    with pytest.raises(InputError, match=rf"{name}': segment 7 of image .* has the unknown category_id 19"):
        listing(tmp_path)


def test_an_image_without_annotation_is_a_problem(write_instances, write, save_segments, tmp_path):
    write_instances([7, 26005])
    write("gtFine", "val", frame="bonn_000000_000001")
    images = {f"{FRAME}_gtFine_panoptic.png": ([[7, 7]], [(7, 0, 0)])}
    save_segments(tmp_path / "gtFine" / "cityscapes_panoptic_val_trainId.json", [(0, "road", 0)], images)
    found = listing(tmp_path)
    assert len(found.splits["val"]) == 1
    (problem,) = found.problems
    assert problem.endswith(
        "bonn_000000_000001_leftImg8bit.png: has no annotation in gtFine/cityscapes_panoptic_val*.json"
    )


def test_more_instances_than_the_divisor_has_room_for_are_a_bad_file(write_instances, tmp_path):
    write_instances([26998])
    assert encoded(tmp_path).panoptic_png
    write_instances([26999])
    with pytest.raises(InputError, match=r"_instanceIds\.png: instance 1000 of a class does not fit the label divisor"):
        encoded(tmp_path)


def test_an_image_without_its_label_is_a_problem(write, tmp_path):
    write("gtFine", "train")
    write("gtFine", "train", frame="aachen_000003_000020").unlink()
    (problem,) = listing(tmp_path).problems
    assert "aachen_000003_000020_leftImg8bit.png: its label" in problem


def test_another_folder_names_the_download_page(tmp_path):
    with pytest.raises(InputError, match=r"cityscapes-dataset\.com/downloads"):
        listing(tmp_path)


def test_the_frame_before_is_in_the_record_if_the_sequences_are_there(write, save, tmp_path):
    write("gtFine", "val")
    folder = tmp_path / "leftImg8bit_sequence" / "val" / "aachen"
    for number, grey in ((17, 10), (18, 200), (20, 20)):
        save(folder / f"aachen_000003_{number:06}_leftImg8bit.png", np.full([1, 34, 3], grey, np.uint8))
    found = encoded(tmp_path)
    with Image.open(io.BytesIO(found.previous_jpeg)) as image:
        np.testing.assert_allclose(np.asarray(image), 200, atol=3)
    assert (found.sequence_id, found.frame_id) == ("aachen_000003", 19)
    small = adaptation.shrunk(found, 17)
    with Image.open(io.BytesIO(small.previous_jpeg)) as image:
        assert image.size == (17, 1)


def test_without_the_sequences_no_record_holds_a_frame_before(write, tmp_path):
    write("gtFine", "val")
    assert encoded(tmp_path).previous_jpeg is None


def test_a_frame_before_of_another_size_is_refused(write, save, tmp_path):
    write("gtFine", "val")
    folder = tmp_path / "leftImg8bit_sequence" / "val" / "aachen"
    save(folder / "aachen_000003_000018_leftImg8bit.png", np.zeros([1, 33, 3], np.uint8))
    with pytest.raises(InputError, match="33x1 pixels; the frame after it has 34x1"):
        encoded(tmp_path)
