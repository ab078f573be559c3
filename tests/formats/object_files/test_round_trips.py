"""What is written is read back by other programs with the same classes, instances and pixels."""

import dataclasses
import json

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO
from scipy import ndimage
from skimage.measure import grid_points_in_poly

from tfseg.formats.annotations import annotation_formats
from tfseg.formats.annotations.photograph import AnnotationFiles
from tfseg.formats.annotations.rasterization import draw
from tfseg.formats.object_files.object_formats import FORMATS
from tfseg.formats.object_files.object_writer import ObjectFileOptions, PhotoObjects
from tfseg.labels import DatasetInfo, default_colors
from tfseg.postprocess.objects import find_objects

NAMES = ("lawn", "background", "cat", 'a "b": c')
INFO = DatasetInfo("toy", NAMES, default_colors(4), thing_ids=frozenset({2}))
SIZE = (45, 61)


def class_map(seed, smoothness=1.5):
    """Class ids with holes, islands, several parts and pixels that are not labelled."""
    noise = np.random.default_rng(seed).normal(size=[5, *SIZE])
    class_ids = ndimage.gaussian_filter(noise, (0, smoothness, smoothness)).argmax(axis=0)
    class_ids[10:24, 30:46] = 0  # a square with two holes, in one of them an island
    class_ids[12:20, 32:38] = 1
    class_ids[14:17, 34:36] = 0
    class_ids[12:20, 40:44] = 2
    return np.where(class_ids == 4, 255, class_ids).astype(np.uint8)


def parted_instance(class_ids):
    """Panoptic ids in which the pixels of class 2 are two instances that have parts all over the image."""
    columns = np.arange(SIZE[1]) // 20 % 2
    return class_ids.astype(np.int32) * 1000 + np.where(class_ids == 2, 1 + columns, 0)


class Thing:
    def __init__(self, panoptic_id, score):
        self.panoptic_id, self.class_id, self.score, self.keypoints = panoptic_id, 2, score, np.zeros([1, 2])


def photo(seed, folder, name="photo"):
    class_ids = class_map(seed)
    panoptic_ids = parted_instance(class_ids)
    things = [Thing(2001, 0.75), Thing(2002, 0.5)]
    confidence = np.full(SIZE, 0.25, np.float32)
    objects, _ = find_objects(class_ids, INFO, confidence, panoptic_ids, things)
    return PhotoObjects(name, folder / f"{name}.jpg", SIZE, objects)


def written(format_name, folder, photos, **options):
    """Writes photos as a command does; returns the writer."""
    writer = FORMATS[format_name](folder, INFO, ObjectFileOptions(**options))
    contents = {}
    for one in photos:
        contents |= dict(zip(writer.results(one.name), writer.add(one), strict=True))
    contents |= dict(zip(writer.shared, writer.close(), strict=True))
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return writer


def filled(corners):
    """The pixels whose centres are in a polygon of (x, y) corners, by scikit-image."""
    return grid_points_in_poly(SIZE, np.asarray(corners, float).reshape(-1, 2)[:, ::-1] - 0.5)


def read_coco(folder, stem="photo"):
    coco = COCO(folder / "predictions_coco.json")
    [image_id] = [key for key, image in coco.imgs.items() if image["file_name"] == f"{stem}.jpg"]
    annotations = coco.loadAnns(coco.getAnnIds(image_id))
    return [
        (coco.cats[one["category_id"]]["name"], coco.annToMask(one).astype(bool), one["score"]) for one in annotations
    ]


def read_labelme(folder, stem="photo"):
    content = json.loads((folder / f"{stem}.json").read_text())
    groups = {}
    for index, shape in enumerate(content["shapes"]):
        key = shape["group_id"] if shape["group_id"] is not None else f"alone {index}"
        groups.setdefault((key, shape["label"], shape["score"]), []).append(filled(shape["points"]))
    return [(label, np.any(masks, axis=0), score) for (_, label, score), masks in groups.items()]


def read_yolo(folder, stem="photo"):
    names = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    found = []
    for line in (folder / "labels" / f"{stem}.txt").read_text().splitlines():
        index, *shares = line.split()
        corners = np.array(shares, float).reshape(-1, 2) * (SIZE[1], SIZE[0])
        found.append((names[int(index)], filled(corners.round(2)), None))
    return found


READERS = {"coco": read_coco, "labelme": read_labelme, "yolo": read_yolo}
every_format = pytest.mark.parametrize("format_name", FORMATS)


def whole(found, size=SIZE):
    """The mask of an object in its image."""
    mask = np.zeros(size, bool)
    height, width = found.ids.shape
    mask[found.top : found.top + height, found.left : found.left + width] = found.mask
    return mask


def test_every_format_has_a_reader_here():
    assert READERS.keys() == FORMATS.keys()


@every_format
@pytest.mark.parametrize("seed", range(3))
def test_classes_instances_scores_and_pixels_come_back_exactly(tmp_path, format_name, seed):
    one = photo(seed, tmp_path)
    written(format_name, tmp_path, [one], simplify_px=0)
    found = READERS[format_name](tmp_path)
    assert len(found) == len(one.objects) > 10
    for (name, mask, score), expected in zip(found, one.objects, strict=True):
        assert name == NAMES[expected.class_id] != "background"
        np.testing.assert_array_equal(mask, whole(expected))
        assert score == (None if format_name == "yolo" else expected.score)


@every_format
@pytest.mark.parametrize("simplify_px", [1.0, 2.0])
def test_simpler_outlines_change_only_pixels_near_them(tmp_path, format_name, simplify_px):
    one = photo(0, tmp_path)
    written(format_name, tmp_path, [one], simplify_px=simplify_px)
    for (name, mask, _), expected in zip(READERS[format_name](tmp_path), one.objects, strict=True):
        assert name == NAMES[expected.class_id]
        known = np.pad(whole(expected), 1)
        depth = np.maximum(ndimage.distance_transform_edt(known), ndimage.distance_transform_edt(~known))[1:-1, 1:-1]
        assert depth[mask != whole(expected)].max(initial=0) <= simplify_px + 1


@every_format
def test_several_photos_and_one_without_objects(tmp_path, format_name):
    photos = [photo(0, tmp_path, "a"), PhotoObjects("none", tmp_path / "none.jpg", SIZE, []), photo(1, tmp_path, "b")]
    written(format_name, tmp_path, photos)
    assert [len(READERS[format_name](tmp_path, one.name)) for one in photos] == [len(one.objects) for one in photos]
    assert READERS[format_name](tmp_path, "none") == []


def read_by_tfseg(format_name, folder):
    """[(class, mask)] of the photo as the readers of annotations give it, each object without those above it."""
    picture = folder / "images" / "photo.jpg"
    picture.parent.mkdir()
    Image.fromarray(np.zeros([*SIZE, 3], np.uint8)).save(picture)
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".jpg"]
    found = {path: annotation_formats.format_of(path) for path in paths}
    annotation_format = next(one for one in found.values() if one)
    paths = [path for path in paths if found[path] == annotation_format]
    content = annotation_format.read(AnnotationFiles(folder, paths, [picture]))
    assert content.problems == [] and set(content.class_names) <= set(NAMES)
    (photograph,) = content.photographs
    alone = [dataclasses.replace(photograph, objects=(each,)) for each in photograph.objects]
    class_ids = dict.fromkeys(content.class_names, 1)
    return [(one.objects[0].class_name, draw(one, SIZE, class_ids, set(), 0)[0] == 1) for one in alone]


@every_format
@pytest.mark.parametrize("simplify_px", [0, 1.0])
def test_the_readers_of_annotations_find_the_same_objects(tmp_path, format_name, simplify_px):
    one = photo(0, tmp_path)
    written(format_name, tmp_path, [one], simplify_px=simplify_px)
    found = read_by_tfseg(format_name, tmp_path)
    assert len(found) == len(one.objects)
    for (name, mask), expected in zip(found, one.objects, strict=True):
        assert name == NAMES[expected.class_id]
        known = np.pad(whole(expected), 1)
        depth = np.maximum(ndimage.distance_transform_edt(known), ndimage.distance_transform_edt(~known))[1:-1, 1:-1]
        assert depth[mask != whole(expected)].max(initial=0) <= (simplify_px + 1 if simplify_px else 0)


def test_coco_has_sizes_areas_boxes_and_categories_from_1(tmp_path):
    one = photo(0, tmp_path)
    written("coco", tmp_path, [one])
    content = json.loads((tmp_path / "predictions_coco.json").read_text())
    assert content["images"] == [{"id": 1, "file_name": "photo.jpg", "height": 45, "width": 61}]
    assert content["categories"] == [
        {"id": 1, "name": "lawn"},
        {"id": 2, "name": "cat"},
        {"id": 3, "name": NAMES[3]},
    ]
    for annotation, found in zip(content["annotations"], one.objects, strict=True):
        rows, columns = np.nonzero(whole(found))
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (annotation["area"], annotation["iscrowd"]) == (len(rows), 0)
    ids = [annotation["id"] for annotation in content["annotations"]]
    assert ids == list(range(1, len(ids) + 1))


def test_coco_has_polygons_except_of_objects_with_holes_or_if_told_so(tmp_path):
    one = photo(0, tmp_path)
    has_holes = [any(part.holes for part in found.outlines(0)) for found in one.objects]
    assert True in has_holes and False in has_holes
    for is_rle in (False, True):
        written("coco", tmp_path, [one], is_rle=is_rle)
        content = json.loads((tmp_path / "predictions_coco.json").read_text())
        are_masks = [isinstance(annotation["segmentation"], dict) for annotation in content["annotations"]]
        assert are_masks == ([True] * len(has_holes) if is_rle else has_holes)
    assert [mask.sum() for _, mask, _ in read_coco(tmp_path)] == [found.area for found in one.objects]


def test_a_model_without_probabilities_gives_objects_without_scores(tmp_path):
    objects, _ = find_objects(class_map(0), INFO)
    one = PhotoObjects("photo", tmp_path / "photo.jpg", SIZE, objects)
    for format_name in FORMATS:
        written(format_name, tmp_path, [one])
    content = json.loads((tmp_path / "predictions_coco.json").read_text())
    assert not any("score" in annotation for annotation in content["annotations"])
    assert not any("score" in shape for shape in json.loads((tmp_path / "photo.json").read_text())["shapes"])


def test_labelme_finds_the_photo_from_where_its_file_is(tmp_path):
    one = photo(0, tmp_path / "photos")
    written("labelme", tmp_path / "out", [one])
    content = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert content["imagePath"] == "../photos/photo.jpg"
    assert (content["imageHeight"], content["imageWidth"], content["imageData"]) == (45, 61, None)
    assert content["version"] and content["flags"] == {}
    for shape in content["shapes"]:
        assert shape["shape_type"] == "polygon" and len(shape["points"]) >= 3
        assert shape.keys() >= {"label", "points", "group_id", "flags"}


def test_a_file_name_that_is_no_text_is_written(tmp_path):
    one = PhotoObjects("a", tmp_path / "b\udcff.jpg", SIZE, [])
    for format_name in FORMATS:
        written(format_name, tmp_path, [one])
    assert json.loads((tmp_path / "a.json").read_text())["imagePath"] == "b\udcff.jpg"


def test_yolo_shares_are_exact_enough_in_the_widest_image(tmp_path):
    mask = np.zeros([2, 65_500], bool)
    mask[0, 12_345:65_431] = True
    found, _ = find_objects(np.where(mask, 2, 1).astype(np.uint8), INFO)
    written("yolo", tmp_path, [PhotoObjects("photo", tmp_path / "photo.jpg", mask.shape, found)], simplify_px=0)
    shares = np.array((tmp_path / "labels" / "photo.txt").read_text().split()[1:], float).reshape(-1, 2)
    columns = shares[:, 0] * mask.shape[1]
    assert sorted(set(columns.round().tolist())) == [12_345, 65_431]
    assert np.abs(columns - columns.round()).max() < 0.1
