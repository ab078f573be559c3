"""Objects in pictures: numbers in instances/, or one mask for each object; by hand on pictures of 4x6."""

import io

import numpy as np
import pytest
from PIL import Image

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import folder
from tfseg.errors import InputError

NUMBERS = np.array([[0, 7, 7, 0, 0, 0], [0, 7, 7, 0, 300, 300], [0, 0, 0, 0, 300, 300], [2, 2, 0, 0, 0, 0]])
CLASSES = np.array([[0, 1, 1, 0, 0, 0], [0, 1, 2, 0, 2, 2], [0, 0, 0, 0, 2, 2], [3, 3, 3, 3, 255, 255]])


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    Image.fromarray(values.astype(np.uint8 if values.ndim == 3 or values.max() < 256 else np.uint16)).save(path)


@pytest.fixture
def photos(tmp_path):
    """photos(split, ...) -> a folder of two images a split, with instances."""

    def write(*splits, classes=None):
        root = tmp_path / "photos"
        for split in splits or ("",):
            for name in "ab":
                image = np.full([4, 6, 3], 60 if name == "a" else 90)
                save(root / "images" / split / f"{split}{name}.png", image)
                save(root / "instances" / split / f"{split}{name}.png", NUMBERS)
                if classes is not None:
                    save(root / "masks" / split / f"{split}{name}.png", classes)
        return root

    return write


def listing(root, **options):
    return folder.list_examples(root, ConvertOptions(**options))


def maps_of(found, split="train"):
    """(class ids, instance ids) of the first record of a split, as its panoptic map has them."""
    record = found.encode(found.splits[split][0])
    class_ids, high, low = np.asarray(Image.open(io.BytesIO(record.panoptic_png))).astype(int).transpose(2, 0, 1)
    return class_ids, 256 * high + low


def info_of(found):
    counts = sum(found.encode(one).class_counts for split in found.splits.values() for one in split)
    return found.info(counts)[0]


def test_numbers_are_objects_of_one_class(photos):
    found = listing(photos("train", "val"))
    class_ids, instances = maps_of(found)
    np.testing.assert_array_equal(class_ids, NUMBERS > 0)
    expected = [[0, 2, 2, 0, 0, 0], [0, 2, 2, 0, 3, 3], [0, 0, 0, 0, 3, 3], [1, 1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(instances, expected)  # counted from 1, in the order of their numbers
    info = info_of(found)
    assert (info.class_names, info.thing_ids) == (("background", "object"), {1})
    assert {split: len(examples) for split, examples in found.splits.items()} == {"train": 2, "val": 2}


@pytest.mark.parametrize(
    ("text", "names"), [("nucleus", ("background", "nucleus")), ("ground\ncell", ("ground", "cell"))]
)
def test_a_file_of_names_names_the_class(photos, text, names):
    root = photos()
    (root / "classes.txt").write_text(text)
    assert info_of(listing(root)).class_names == names


def test_masks_beside_them_give_the_classes(photos):
    """Object 7 is mostly class 1: its pixel of class 2 belongs to no object. Class 3 has no object where 2 lies."""
    found = listing(photos(classes=CLASSES))
    class_ids, instances = maps_of(found)
    np.testing.assert_array_equal(class_ids, CLASSES)
    expected = [[0, 1, 1, 0, 0, 0], [0, 1, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0]]
    np.testing.assert_array_equal(instances, expected)
    info = info_of(found)
    assert (info.num_classes, info.thing_ids) == (4, {1, 2, 3})


def test_classes_without_objects_are_stuff(photos):
    root = photos(classes=np.where(NUMBERS == 2, 0, CLASSES))
    assert info_of(listing(root)).thing_ids == {1, 2}


def test_a_divisor_parts_class_and_object(tmp_path):
    numbers = np.where(NUMBERS > 0, 2000 + NUMBERS, 1)
    save(tmp_path / "images" / "a.png", np.full([4, 6, 3], 9))
    save(tmp_path / "instances" / "a.png", numbers)
    found = listing(tmp_path, instance_divisor=1000)
    class_ids, instances = maps_of(found)
    np.testing.assert_array_equal(class_ids, np.where(NUMBERS > 0, 2, 1))
    assert set(np.unique(instances)) == {0, 1, 2, 3} and info_of(found).thing_ids == {2}
    save(tmp_path / "instances" / "a.png", np.full([4, 6], 60_000))
    again = listing(tmp_path, instance_divisor=100)
    with pytest.raises(InputError, match=r"a\.png: 60000 would be class 600; .* --instance_divisor"):
        again.encode(again.splits["train"][0])


@pytest.mark.parametrize("split", ["", "train", "validation"])
def test_one_mask_for_each_object_in_a_folder_for_each_image(tmp_path, split):
    root = tmp_path / "bowl"
    for image in ("0a1f", "77c2"):
        save(root / split / image / "images" / f"{image}.png", np.full([4, 6, 3], 80))
        for number in (2, 7, 300):
            save(root / split / image / "masks" / f"{image}_{number:03}.png", 255 * (number == NUMBERS))
    found = listing(root)
    class_ids, instances = maps_of(found, "val" if split == "validation" else "train")
    np.testing.assert_array_equal(class_ids, NUMBERS > 0)
    assert [np.sum(instances == number) for number in (1, 2, 3)] == [2, 4, 4]


def test_later_masks_lie_above_earlier_ones_and_a_hidden_one_is_refused(tmp_path):
    left, middle = np.zeros([4, 6]), np.zeros([4, 6])
    left[:, :3], middle[:, 2:4] = 255, 255
    for image in ("a", "b"):
        save(tmp_path / image / "images" / "x.png", np.full([4, 6, 3], 80))
        for name, mask in {"1": left, "2": middle, "3": np.zeros([4, 6])}.items():
            save(tmp_path / image / "masks" / f"{name}.png", mask)
    found = listing(tmp_path)
    np.testing.assert_array_equal(maps_of(found)[1], [[1, 1, 2, 2, 0, 0]] * 4)
    for image in ("a", "b"):
        save(tmp_path / image / "masks" / "4.png", middle)
    with pytest.raises(InputError, match=r"2\.png: lies wholly below later masks of this folder; delete it"):
        found.encode(found.splits["train"][0])


def test_pairs_of_an_image_and_a_mask_stay_what_they_are(toy_folder):
    assert not listing(toy_folder()).encode(listing(toy_folder()).splits["train"][0]).panoptic_png


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"value_map": {1: 1}}, "--map is for masks of class ids"),
        ({"palette": "colours.txt"}, "colours.txt"),
    ],
)
def test_options_that_do_nothing_are_refused(photos, options, message):
    with pytest.raises(InputError, match=message):
        listing(photos(), **options)


def test_several_names_need_a_rule(photos):
    root = photos()
    (root / "classes.txt").write_text("background\nnucleus\ndirt")
    with pytest.raises(InputError, match="3 classes, and instances/ that give objects no class; add masks/"):
        listing(root)


def test_a_divisor_without_instances_is_refused(toy_folder):
    with pytest.raises(InputError, match="--instance_divisor does nothing here"):
        listing(toy_folder(), instance_divisor=1000)


def test_an_image_without_instances_is_named(photos):
    root = photos()
    (root / "instances" / "b.png").unlink()
    assert listing(root).problems == [f"{root}/images/b.png: no instances instances/b.png"]


def test_records_are_those_of_a_panoptic_data_set(photos):
    root = photos("train", "val")
    manifest = opening.prepare("folder", root, root.with_name("records"), ConvertOptions())
    assert manifest.info.thing_ids == {1} and manifest.info.label_divisor == 1 << 16
    assert manifest.splits["train"].label_histogram[:2] == [2 * 14, 2 * 10]


def squares(count):
    """[24, 40] numbers from 1: squares of 3x3 in rows of eight, apart from each other."""
    numbers = np.zeros([24, 40], np.uint8)
    for index in range(count):
        row, column = divmod(index, 8)
        numbers[5 * row + 1 : 5 * row + 4, 5 * column + 1 : 5 * column + 4] = index + 1
    return numbers


def write_masks(root, masks):
    for index, mask in enumerate(masks):
        save(root / "images" / f"{index}.png", np.full([*mask.shape, 3], 50))
        save(root / "masks" / f"{index}.png", mask)


def test_masks_that_look_like_numbers_of_objects_are_refused_with_both_ways_on(tmp_path):
    write_masks(tmp_path, [squares(12), squares(9), squares(20)])
    message = r"masks/0\.png holds 12 areas numbered from 1, .* rename masks to instances; .* --map=1\.\.254:1 or "
    with pytest.raises(InputError, match=message):
        listing(tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(f"kind {number}" for number in range(21)))
    listing(tmp_path)
    (tmp_path / "classes.txt").unlink()
    assert info_of(listing(tmp_path, value_map=dict.fromkeys(range(1, 255), 1))).num_classes == 2
    (tmp_path / "masks").rename(tmp_path / "instances")
    assert info_of(listing(tmp_path)).thing_ids == {1}


@pytest.mark.parametrize(
    "masks",
    [
        [squares(12), squares(12)],  # the same classes everywhere
        [squares(5), squares(4)],  # few
        [np.where(squares(12) == 3, 2, squares(12)), squares(9)],  # an id in two places
        [2 * squares(12), squares(9)],  # not counted from 1
    ],
)
def test_masks_that_may_well_hold_classes_are_accepted(tmp_path, masks):
    write_masks(tmp_path, masks)
    assert listing(tmp_path).splits["train"]
