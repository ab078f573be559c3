"""Folders of annotation tools: which are read, what classes they have, and which picture an annotation means."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import folder
from tfseg.errors import MAX_MESSAGE, InputError

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]
LEFT = [[0, 0, 4, 0, 4, 6, 0, 6]]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


@pytest.fixture
def picture(root, save):
    """picture("train/a.png", size, orientation) writes a picture of (height, width) as stored."""

    def write(*names, size=(6, 8), orientation=None):
        exif = Image.Exif()
        if orientation:
            exif[0x0112] = orientation
        for name in names:
            save(root / name, np.zeros([*size, 3], np.uint8), exif=exif)

    return write


@pytest.fixture
def coco(root):
    """coco(path, {file name: [(class, segmentation, other parts)]}, {id: class}, size) writes a file of instances."""

    def write(path, objects, categories, size=(6, 8)):
        numbers = {name: number for number, name in categories.items()}
        images = [{"id": number, "file_name": name} for number, name in enumerate(objects, 1)]
        annotations = [
            {"id": 1, "image_id": number, "category_id": numbers[name], "segmentation": segmentation} | dict(*others)
            for number, each in enumerate(objects.values(), 1)
            for name, segmentation, *others in each
        ]
        sides = {"height": size[0], "width": size[1]} if size else {}
        content = {
            "images": [image | sides for image in images],
            "categories": [{"id": number, "name": name} for number, name in categories.items()],
            "annotations": annotations,
        }
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content))

    return write


def listing(root, **options):
    return folder.list_examples(root, ConvertOptions(**options))


def prepare(root, **options):
    return opening.prepare("folder", root, root.with_name("records"), ConvertOptions(num_workers=1, **options))


def names(found):
    return {split: sorted(each.filename for each in examples) for split, examples in found.splits.items()}


def classes_of(found, split="train", index=0):
    """Rows of class ids of an example, as text."""
    encoded = found.encode(found.splits[split][index])
    return ["".join(map(str, row)) for row in np.asarray(Image.open(io.BytesIO(encoded.label_png))).tolist()]


def test_files_of_train_and_val_that_number_classes_differently_have_one_list_of_classes(root, picture, coco):
    picture("train/a.png", "valid/a.png")
    coco("train/_annotations.coco.json", {"a.png": [("car", SQUARE)]}, {1: "car", 2: "dog"})
    coco("valid/_annotations.coco.json", {"a.png": [("car", LEFT), ("dog", SQUARE)]}, {7: "dog", 3: "cat", 4: "car"})
    found = listing(root)
    assert found.info.class_names == ("background", "car", "dog", "cat") and found.info.thing_ids == {1, 2, 3}
    assert names(found) == {"train": ["train/a.png"], "val": ["valid/a.png"]}
    assert classes_of(found, "train") == ["0" * 8, *["01110000"] * 3, "0" * 8, "0" * 8]
    assert classes_of(found, "val") == ["11110000", *["12220000"] * 3, "11110000", "11110000"]


def test_records_hold_instances_and_are_made_without_a_flag(root, picture, coco, capsys, panoptic_of):
    picture("images/train2017/a.png", "images/val2017/a.png")
    objects = [("car", SQUARE), ("car", [[5, 0, 8, 0, 8, 2, 5, 2]])]
    coco("annotations/instances_train2017.json", {"a.png": objects}, {3: "car"})
    coco("annotations/instances_val2017.json", {"a.png": [("car", LEFT, {"iscrowd": 1})]}, {3: "car"})
    manifest = prepare(root)
    assert manifest.splits["train"].label_histogram == [33, 15] and not manifest.has_drawn_val
    assert manifest.info.thing_ids == {1}
    error = capsys.readouterr().err
    assert "COCO instances (JSON)" in error and "pixels that no object covers are class 0, background" in error
    found = listing(root)
    _, classes, instances = panoptic_of(found.encode(found.splits["train"][0]))
    assert classes[1] == [0, 1, 1, 1, 0, 1, 1, 1] and instances[1] == [0, 1, 1, 1, 0, 2, 2, 2]
    _, classes, instances = panoptic_of(found.encode(found.splits["val"][0]))
    assert classes[1] == [1, 1, 1, 1, 0, 0, 0, 0] and instances[1] == [0] * 8


def test_crowds_are_ignored_on_request(root, picture, coco):
    picture("a.png", "b.png")
    coco("x.json", {n: [("car", LEFT, {"iscrowd": 1}), ("car", SQUARE)] for n in ("a.png", "b.png")}, {3: "car"})
    assert prepare(root, crowd_as_ignore=True).splits["train"].label_histogram == [24, 9]


def test_without_splits_val_is_drawn_from_the_photographs(root, picture, coco):
    stems = [f"{index}.png" for index in range(10)]
    picture(*(f"images/{name}" for name in stems))
    coco("annotations/instances_default.json", {name: [("car", SQUARE)] for name in stems}, {1: "car"})
    found = listing(root)
    assert found.has_drawn_val and len(found.splits["train"]) + len(found.splits["val"]) == 10


@pytest.mark.parametrize(
    "file_name", ["a.png", "C:\\Users\\me\\photos\\a.png", "/home/me/a.png", "images/a.png", "./a.png", "A.PNG"]
)
def test_a_path_of_another_machine_means_the_picture_of_that_name(root, picture, coco, file_name):
    picture("images/a.png", "images/b.png")
    coco("x.json", {file_name: [("car", SQUARE)]}, {1: "car"})
    assert names(listing(root))["train"] == ["images/a.png"]


def test_a_name_in_two_folders_is_told_apart_by_the_annotated_folder_or_is_a_bad_file(root, picture, coco):
    picture("day1/a.png", "day2/a.png")
    coco("x.json", {"D:\\photos\\day2\\a.png": [("car", SQUARE)], "day1/a.png": []}, {1: "car"})
    found = listing(root)
    by_name = {each.filename: len(each.photograph.objects) for each in found.splits["train"] + found.splits["val"]}
    assert by_name == {"day1/a.png": 0, "day2/a.png": 1}
    coco("x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    with pytest.raises(InputError, match=r"x\.json: a\.png: may be day1/a\.png or day2/a\.png"):
        listing(root)


def test_one_picture_that_is_annotated_twice_is_a_bad_file(root, picture, coco):
    picture("a.png")
    coco("x.json", {"day1/a.png": [("car", SQUARE)], "day2/a.png": []}, {1: "car"})
    (problem,) = listing(root).problems
    assert "x.json: day2/a.png: " in problem and "is annotated in" in problem


def test_pictures_that_are_missing_are_bad_files_and_one_line_if_all_are(root, picture, coco):
    picture("a.png")
    coco("x.json", {"a.png": [("car", SQUARE)], "gone.png": []}, {1: "car"})
    (problem,) = listing(root).problems
    assert f"x.json: gone.png: no such picture in {root}" in problem
    (root / "a.png").unlink()
    with pytest.raises(InputError, match=r"none of the 2 annotated pictures is found; the first: .*a\.png: no such"):
        listing(root)


def test_photographs_without_objects_are_background_or_left_out(root, picture, coco):
    picture("train/a.png", "train/b.png", "val/a.png")
    coco("train/x.json", {"a.png": [("car", SQUARE)], "b.png": []}, {1: "car"})
    coco("val/x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    found = listing(root)
    assert classes_of(found, "train", 1) == ["0" * 8] * 6
    assert any(
        "1 photographs without objects are background as a whole, e.g. train/b.png" in note for note in found.notes
    )
    found = listing(root, uncovered="ignored")
    assert found.info.class_names == ("car",) and names(found)["train"] == ["train/a.png"]
    assert np.asarray(Image.open(io.BytesIO(found.encode(found.splits["train"][0]).label_png)))[0, 0] == 255
    assert any("1 photographs without objects are left out" in note for note in found.notes)


def test_pictures_that_no_annotation_names_are_a_note(root, picture, coco):
    picture("a.png", "b.png")
    coco("x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    assert "note: 1 pictures without annotations are not used: b.png" in listing(root).notes


def test_objects_of_a_class_to_be_ignored_are_ignored(root, picture, coco):
    picture("a.png")
    coco("x.json", {"a.png": [("car", LEFT), ("__ignore__", SQUARE)]}, {1: "__ignore__", 2: "car"})
    found = listing(root)
    assert found.info.class_names == ("background", "car")
    encoded = found.encode(found.splits["train"][0])
    assert encoded.class_counts[[0, 1, 255]].tolist() == [24, 15, 9]


def test_a_file_of_names_sets_the_order_and_must_have_all_classes(root, picture, coco):
    picture("a.png")
    coco("x.json", {"a.png": [("car", SQUARE)]}, {1: "car", 2: "dog"})
    (root / "classes.txt").write_text("dog\ncar\ncow\n")
    assert listing(root).info.class_names == ("background", "dog", "car", "cow")
    (root / "classes.txt").write_text("dog\ncar\nbackground\n")
    found = listing(root)
    assert found.info.class_names == ("dog", "car", "background") and found.info.thing_ids == {0, 1}
    assert classes_of(found)[1] == "21112222"
    (root / "classes.txt").write_text("dog\n")
    with pytest.raises(InputError, match="the annotations have the class car, which is not in the file of names"):
        listing(root)


def test_more_objects_of_a_class_than_usual_make_the_divisor_larger(root, picture, coco):
    picture("a.png", size=(40, 40))
    dots = [("car", [[x, y, x + 1, y, x + 1, y + 1, x, y + 1]]) for x in range(40) for y in range(40)]
    coco("x.json", {"a.png": dots}, {1: "car"}, size=(40, 40))
    found = listing(root)
    assert found.info.label_divisor == 10_000
    assert prepare(root).splits["train"].label_histogram == [0, 1600]


@pytest.mark.parametrize(
    "orientation, annotated, corner",
    [
        (6, (8, 6), "top left"),  # what viewers show: the outline is there as it is
        (6, None, "top left"),
        (6, (6, 8), "top right"),  # the stored pixels: the outline turns with them, to the right
        (3, (6, 8), "top left"),  # both have this size: what viewers show
        (1, (6, 8), "top left"),
    ],
)
def test_objects_lie_on_what_viewers_show_unless_their_size_says_otherwise(
    root, picture, coco, orientation, annotated, corner
):
    picture("a.png", size=(6, 8), orientation=orientation)
    coco("x.json", {"a.png": [("car", [[0, 0, 2, 0, 2, 2, 0, 2]])]}, {1: "car"}, size=annotated)
    encoded = listing(root)
    encoded = encoded.encode(encoded.splits["train"][0])
    label = np.asarray(Image.open(io.BytesIO(encoded.label_png)))
    assert label.shape == ((8, 6) if orientation == 6 else (6, 8))
    rows, columns = np.nonzero(label)
    assert rows.max() == 1 and (columns.max() == 1 if corner == "top left" else columns.min() == label.shape[1] - 2)


def test_the_user_may_say_that_objects_lie_on_stored_pixels(root, picture, coco):
    picture("a.png", orientation=3)
    coco("x.json", {"a.png": [("car", [[0, 0, 2, 0, 2, 2, 0, 2]])]}, {1: "car"})
    manifest = prepare(root, mask_orientation="stored")
    assert manifest.splits["train"].label_histogram == [44, 4]
    (example,) = opening.open_split("folder", str(root.with_name("records")), "train").examples().as_numpy_iterator()
    assert np.argwhere(example["label"][0]).min(0).tolist() == [4, 6]


def test_another_size_than_the_pictures_is_a_bad_file(root, picture, coco):
    picture("a.png", size=(12, 16))
    coco("x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    with pytest.raises(InputError, match=r"x\.json: a\.png: annotated as 8x6, and .*a\.png has 16x12 pixels") as caught:
        prepare(root)
    assert len(str(caught.value)) <= MAX_MESSAGE
    assert not root.with_name("records").exists()


def test_bad_objects_stop_a_conversion_or_are_skipped_like_other_bad_files(root, picture, coco):
    stems = [f"{index:03d}.png" for index in range(120)]
    picture(*stems)
    objects = {name: [("car", SQUARE)] for name in stems} | {"007.png": [("car", [[1, 1, 4, 4]])]}
    coco("x.json", objects, {1: "car"})
    with pytest.raises(InputError, match=r"x\.json: 007\.png: annotation 1 \(car\): a polygon has 2 points"):
        prepare(root)
    assert not root.with_name("records").exists()
    assert sum(split.num_examples for split in prepare(root, skip_bad=True).splits.values()) == 119
    assert "007.png" in (root.with_name("records") / "skipped.txt").read_text()


def test_annotations_are_named_where_they_are_not_beside_the_pictures(root, picture, coco, tmp_path):
    picture("photos/a.png")
    coco("../elsewhere/x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    with pytest.raises(InputError, match="no images/ beside masks/"):
        listing(root)
    assert names(listing(root, annotations=str(tmp_path / "elsewhere")))["train"] == ["a.png"]
    assert listing(root, annotations=str(tmp_path / "elsewhere" / "x.json")).info.class_names == ("background", "car")


def test_one_of_several_files_is_named_also_below_the_folder_and_beside_masks(root, picture, coco, save):
    picture("images/a.png")
    save(root / "masks" / "a.png", np.zeros([6, 8], np.uint8))
    coco("more/x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    assert listing(root).splits["train"][0].photograph is None
    assert listing(root, annotations="more/x.json").splits["train"][0].photograph


def test_what_annotations_names_must_be_there_and_be_annotations(root, picture):
    picture("a.png")
    (root / "notes.json").write_text("{}")
    with pytest.raises(InputError, match=r"--annotations=gone\.json: no such file or folder"):
        listing(root, annotations="gone.json")
    with pytest.raises(InputError, match=r"--annotations=notes\.json: no annotations in a format that is read: COCO"):
        listing(root, annotations="notes.json")


def test_masks_of_brushes_are_passed_over_where_the_json_that_holds_them_is_there(root, picture, save):
    picture("a.png")
    save(root / "task-4-annotation-7-by-1-tag-car-0.png", np.zeros([6, 8], np.uint8))
    value = {"points": [[0, 0], [50, 0], [50, 100], [0, 100]], "polygonlabels": ["car"]}
    result = {"id": "r", "type": "polygonlabels", "original_width": 8, "original_height": 6, "value": value}
    task = {"id": 4, "data": {"image": "/data/upload/1a2b3c4d-a.png"}, "annotations": [{"result": [result]}]}
    (root / "project.json").write_text(json.dumps([task]))
    found = listing(root)
    assert "Label Studio (JSON)" in found.notes[0] and classes_of(found) == ["11110000"] * 6


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("task-4-annotation-7-by-1-tag-car-0.npy", "", "a brush of Label Studio as a NumPy array, which is not read"),
        ("result.json", '[{"id": 4, "image": "a.png", "annotator": 1, "annotation_id": 7}]', "Label Studio's JSON-MIN"),
    ],
)
def test_exports_of_label_studio_that_are_not_read_say_what_to_export(root, picture, name, content, said):
    picture("a.png")
    (root / name).write_text(content)
    with pytest.raises(InputError, match=f"{said}.*; export JSON"):
        listing(root)


def test_flags_of_masks_are_refused(root, picture, coco):
    picture("a.png")
    coco("x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    with pytest.raises(InputError, match="--palette and --map are for masks"):
        listing(root, value_map={255: 1})


def test_a_changed_outline_makes_other_records(root, picture, coco):
    picture("a.png")
    coco("x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    first, _ = opening.open_dataset("folder", str(root))
    assert opening.open_dataset("folder", str(root))[0] == first
    coco("x.json", {"a.png": [("car", LEFT)]}, {1: "car"})
    assert opening.open_dataset("folder", str(root))[0] != first


def test_an_archive_with_a_folder_inside_is_read_as_the_folder_itself(root, picture, coco, tmp_path):
    picture("export/train/a.png", "export/valid/a.png")
    for split in ("train", "valid"):
        coco(f"export/{split}/x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    (root / "export" / "classes.txt").write_text("dog\ncar\n")
    archive = shutil.make_archive(str(tmp_path / "export"), "zip", root)
    manifest = opening.prepare("folder", archive, tmp_path / "records", ConvertOptions(num_workers=1))
    assert manifest.info.class_names == ("background", "dog", "car") and set(manifest.splits) == {"train", "val"}


def test_splits_of_some_photographs_only_are_refused(root, picture, coco):
    picture("train/a.png", "more/b.png")
    coco("train/x.json", {"a.png": [("car", SQUARE)]}, {1: "car"})
    coco("more/x.json", {"b.png": [("car", SQUARE)]}, {1: "car"})
    with pytest.raises(InputError, match=r"more/b\.png is in no split, and others are in train"):
        listing(root)
