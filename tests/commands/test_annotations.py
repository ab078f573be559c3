"""Exports of annotation tools as a user gives them: records and a table, or one line and exit code 2."""

import functools
import json

import numpy as np
import pytest
from PIL import Image

SQUARE = [[1, 1], [5, 1], [5, 5], [1, 5]]


@pytest.fixture
def run(command, tmp_path):
    """run("check_data.py", ...) -> the finished process, run in a scratch folder."""
    return functools.partial(command.completed, folder=tmp_path)


@pytest.fixture
def photographs(tmp_path):
    """photographs(folder) writes a.jpg, b.jpg and c.jpg of 8x8 pixels into a folder of the export, and returns it."""

    def write(*folders):
        for folder in folders:
            (tmp_path / "export" / folder).mkdir(parents=True)
            for stem in "abc":
                Image.fromarray(np.full([8, 8, 3], 99, np.uint8)).save(tmp_path / "export" / folder / f"{stem}.jpg")
        return tmp_path / "export"

    return write


def coco(names, categories=("car",)):
    return {
        "images": [{"id": i, "file_name": name, "height": 8, "width": 8} for i, name in enumerate(names)],
        "categories": [{"id": 10 + i, "name": name} for i, name in enumerate(categories)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 10, "iscrowd": 0, "segmentation": [np.ravel(SQUARE).tolist()]}
            for i in range(len(names))
        ],
    }


def as_coco(photographs):
    root = photographs("train", "valid")
    for split in ("train", "valid"):
        (root / split / "_annotations.coco.json").write_text(json.dumps(coco(["a.jpg", "b.jpg", "c.jpg"])))
    return root


def as_labelme(photographs):
    root = photographs("train", "val")
    for split in ("train", "val"):
        for stem in "abc":
            shape = {"label": "car", "points": SQUARE, "shape_type": "polygon", "group_id": None}
            content = {"imagePath": f"{stem}.jpg", "imageHeight": 8, "imageWidth": 8, "shapes": [shape]}
            (root / split / f"{stem}.json").write_text(json.dumps(content))
    return root


def as_yolo(photographs):
    root = photographs("train/images", "valid/images")
    (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['car']\n")
    for split in ("train", "valid"):
        (root / split / "labels").mkdir()
        for stem in "abc":
            text = " ".join(f"{value / 8}" for value in np.ravel(SQUARE))
            (root / split / "labels" / f"{stem}.txt").write_text(f"0 {text}\n")
    return root


def as_cvat(photographs):
    root = photographs("images/Train", "images/Validation")
    points = ";".join(f"{x},{y}" for x, y in SQUARE)
    images = "".join(
        f'<image name="{split}/{stem}.jpg" subset="{split}" width="8" height="8">'
        f'<polygon label="car" points="{points}" z_order="0"/></image>'
        for split in ("Train", "Validation")
        for stem in "abc"
    )
    labels = "<meta><project><labels><label><name>car</name></label></labels></project></meta>"
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{labels}{images}</annotations>")
    return root


def as_label_studio(photographs):
    root = photographs("train", "val")
    for split in ("train", "val"):
        value = {"points": (np.array(SQUARE) * 12.5).tolist(), "polygonlabels": ["car"]}
        result = {"id": "r", "type": "polygonlabels", "original_width": 8, "original_height": 8, "value": value}
        tasks = [
            {"data": {"image": f"/data/upload/2/0a1b2c3d-{stem}.jpg"}, "annotations": [{"result": [result]}]}
            for stem in "abc"
        ]
        (root / split / "project-1-at-2024.json").write_text(json.dumps(tasks))
    return root


def class_map():
    class_ids = np.zeros([8, 8], np.uint8)
    class_ids[1:5, 1:5] = 1
    return class_ids


def as_cvat_masks(photographs):
    root = photographs("JPEGImages/train", "JPEGImages/val")
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:9,99,200::\n")
    for kind, color in (("SegmentationClass", (9, 99, 200)), ("SegmentationObject", (128, 0, 0))):
        for split in ("train", "val"):
            (root / kind / split).mkdir(parents=True)
            for stem in "abc":
                pixels = np.array([(0, 0, 0), color], np.uint8)[class_map()]
                Image.fromarray(pixels).save(root / kind / split / f"{stem}.png")
    return root


def as_roboflow_masks(photographs):
    root = photographs("train", "valid")
    for split in ("train", "valid"):
        (root / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, car\n")
        for stem in "abc":
            Image.fromarray(class_map()).save(root / split / f"{stem}_mask.png")
    return root


EXPORTS = [as_coco, as_labelme, as_yolo, as_cvat, as_label_studio, as_cvat_masks, as_roboflow_masks]


@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_is_prepared_and_checked_without_a_flag(run, photographs, tmp_path, export):
    root = export(photographs)
    prepared = run("prepare_data.py", "--dataset=folder", f"--raw_dir={root}", "--data_dir=records")
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stdout.splitlines()[:2] == ["train: 3 images in 1 shards", "val: 3 images in 1 shards"]
    assert "note: annotations are read from" in prepared.stderr
    checked = run("check_data.py", "records")
    assert checked.returncode == 0, checked.stderr
    assert "| background      |  0 |    75.000 |      3 |" in checked.stdout.splitlines()
    assert "| car             |  1 |    25.000 |      3 |" in checked.stdout.splitlines()
    raw = run("check_data.py", str(root), "--dataset=folder")
    assert raw.returncode == 0 and "| car             |  1 |    25.000 |      3 |" in raw.stdout.splitlines()


def cut(path):
    path.write_text(path.read_text()[:-20])


def with_two_points(path):
    path.write_text(path.read_text().replace("[1, 1, 5, 1, 5, 5, 1, 5]", "[1, 1, 5, 1]"))


def with_nan(path):
    path.write_text(path.read_text().replace("[1, 1, 5, 1, 5, 5, 1, 5]", "[NaN, 1, 5, 1, 5, 5, 1, 5]"))


def with_an_rle_of_another_size(path):
    path.write_text(path.read_text().replace("[[1, 1, 5, 1, 5, 5, 1, 5]]", '{"size": [4, 16], "counts": [0, 64]}'))


def with_a_category_twice(path):
    path.write_text(json.dumps(coco(["a.jpg", "b.jpg", "c.jpg"], ("car", "car"))))


def with_an_unknown_class(path):
    path.write_text(path.read_text().replace('"category_id": 10', '"category_id": 11'))


def with_another_size(path):
    path.write_text(path.read_text().replace('"height": 8', '"height": 16'))


def with_a_missing_picture(path):
    path.write_text(path.read_text().replace("c.jpg", "d.jpg"))


def of_two_gigabytes(path):
    with path.open("r+b") as file:
        file.truncate(2 << 30)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (cut, "damaged JSON"),
        (with_two_points, "annotation 0 (car): a polygon has 2 points"),
        (with_nan, "annotation 0 (car): a coordinate is not a finite number"),
        (with_an_rle_of_another_size, "annotation 0 (car): an RLE of size [4, 16] in an image of [8, 8]"),
        (with_a_category_twice, "two categories have the name 'car'"),
        (with_an_unknown_class, "annotation 0: category_id 11 is the id of no category"),
        (with_another_size, "a.jpg: annotated as 8x16"),
        (with_a_missing_picture, "d.jpg: no such picture"),
        (of_two_gigabytes, "2.1 GB, and annotations are read up to 1.1 GB"),
    ],
)
def test_bad_annotations_are_exit_2_and_name_file_and_object(run, photographs, tmp_path, damage, reason):
    root = as_coco(photographs)
    damage(root / "train" / "_annotations.coco.json")
    done = run("prepare_data.py", "--dataset=folder", f"--raw_dir={root}", "--data_dir=records")
    assert done.returncode == 2 and done.stdout == ""
    assert "_annotations.coco.json" in done.stderr and "Traceback" not in done.stderr
    said = done.stderr
    report = tmp_path / "records.problems.txt"
    if report.exists():
        said += report.read_text()
    assert reason in said
    assert not (tmp_path / "records").exists()


def test_flags_of_annotations_are_for_folders(run, photographs):
    root = as_coco(photographs)
    done = run("check_data.py", str(root), "--dataset=camvid", "--annotations=x.json")
    assert done.returncode == 2 and "--annotations and --uncovered are for --dataset=folder" in done.stderr
