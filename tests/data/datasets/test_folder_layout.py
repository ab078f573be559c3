"""Which folders of people's own data are read, and that no picture is left out without a word."""

import numpy as np
import pytest

from tfseg.data.datasets.folder_layout import find_layout
from tfseg.errors import MAX_MESSAGE, InputError

PAIR = ("images", "masks")
SPLITS = ("train/images", "train/masks", "val/images", "val/masks")


@pytest.fixture
def raw(tmp_path, save):
    """raw("images", "masks") -> a folder with the pictures a.png and b.png in each"""

    def write(*folders, stems=("a", "b")):
        for folder in folders:
            for stem in stems:
                save(tmp_path / "raw" / folder / f"{stem}.png", np.zeros([2, 2], np.uint8))
        return tmp_path / "raw"

    return write


def pairs_of(root):
    layout = find_layout(root)
    pairs = {
        split: tuple(folder.relative_to(root).as_posix() for folder in pair) for split, pair in layout.pairs.items()
    }
    return pairs, layout.notes


@pytest.mark.parametrize(
    "folders,unused",
    [
        (("images/train", "masks/train", "images/val", "masks/valid"), ("images/val", "masks/valid")),
        (("train/images", "train/masks", "val/images", "val/mask"), ("val/images", "val/mask")),
        (("images", "masks", "images/more", "masks/more"), ("images/more", "masks/more")),
        ((*SPLITS, "train/images/day2", "train/masks/day2"), ("train/images/day2", "train/masks/day2")),
        ((*PAIR, "val/images", "val/masks"), ("val/images", "val/masks")),
        ((*PAIR, "labels"), ("labels",)),
        ((*PAIR, "masks_of_others"), ("masks_of_others",)),
        (("train/images", "train/masks", "val/images"), ("val/images",)),
        (("images/train", "masks/train", "masks/val"), ("masks/val",)),
        ((*SPLITS, "test/images", "test/coloured"), ("test/images", "test/coloured")),
        ((*SPLITS, "train/images/a/b/c/d"), ("train/images/a/b/c/d",)),
    ],
)
def test_pictures_that_may_be_pairs_and_are_not_used_are_an_error_that_names_their_folders(raw, folders, unused):
    root = raw(*folders)
    with pytest.raises(InputError, match="not used: ") as caught:
        find_layout(root)
    named = str(caught.value).partition("not used: ")[2].partition(";")[0].split(", ")
    assert sorted(named) == sorted(f"{folder} (2)" for folder in unused)


@pytest.mark.parametrize("folder", ["test/images", "test", "unlabelled", "train_more/images"])
def test_images_without_masks_beside_whole_splits_are_a_note(raw, folder):
    pairs, notes = pairs_of(raw(*SPLITS, folder))
    assert set(pairs) == {"train", "val"}
    assert notes == [f"note: pictures without masks are not used: {folder} (2)"]


def test_many_folders_are_shortened_and_the_message_stays_short(raw):
    root = raw(*SPLITS, *(f"train/images/day {index:02d} of a long and rainy autumn" for index in range(30)))
    with pytest.raises(InputError, match="not used: train/images/day 00") as caught:
        find_layout(root)
    assert len(str(caught.value)) <= MAX_MESSAGE


@pytest.mark.parametrize("stray", [".ipynb_checkpoints", ".git", "__MACOSX", "__pycache__", "@eaDir"])
def test_stray_folders_are_not_looked_into(raw, stray):
    found = raw(*SPLITS, stray, f"train/images/{stray}", f"train/masks/{stray}", f"val/images/{stray}/deeper")
    assert pairs_of(found)[1] == []
    found = raw("images/train", "masks/train", f"images/{stray}", f"masks/{stray}")
    with pytest.raises(InputError, match="not used: train/images"):
        find_layout(found)  # the other layout, not the stray folders


def test_a_stray_folder_beside_the_splits_is_no_split(raw):
    folders = [f"{kind}/{split}" for kind in PAIR for split in ("train", "val", ".ipynb_checkpoints")]
    assert pairs_of(raw(*folders)) == (
        {split: (f"images/{split}", f"masks/{split}") for split in ("train", "val")},
        [],
    )


@pytest.mark.parametrize("inside", ["photos", "photos/2024", "Train or not"])
def test_a_single_folder_inside_is_the_folder_itself(raw, inside):
    root = raw(f"{inside}/images", f"{inside}/masks")
    (root / "README.txt").write_text("x")
    (root / "docs").mkdir()
    layout = find_layout(root)
    assert layout.root == root / inside
    assert pairs_of(root)[0] == {"train": (f"{inside}/images", f"{inside}/masks")}


def test_the_splits_of_a_folder_inside_are_found_too(raw):
    assert set(pairs_of(raw(*(f"photos/{folder}" for folder in SPLITS)))[0]) == {"train", "val"}


def test_two_folders_of_pairs_stay_two_splits_and_a_known_split_stays_one(raw, tmp_path):
    folds = ("one/images", "one/masks", "two/images", "two/masks")
    assert set(pairs_of(raw(*folds))[0]) == {"one", "two"}
    for folder in ("one", "two"):
        (tmp_path / "raw" / folder).rename(tmp_path / folder)
    assert set(pairs_of(raw("Testing/images", "Testing/masks"))[0]) == {"test"}


def test_upper_case_makes_no_other_folder(raw):
    assert pairs_of(raw("Images/Train", "Masks/train", "Images/Val", "Masks/VAL"))[0] == {
        "train": ("Images/Train", "Masks/train"),
        "val": ("Images/Val", "Masks/VAL"),
    }


def test_two_folders_for_one_split_are_refused(raw):
    root = raw("val/images", "val/masks", "valid/images", "valid/masks", "train/images", "train/masks")
    with pytest.raises(InputError, match=r"val/images and .*valid/images are both the split val"):
        find_layout(root)


def test_links_that_lead_back_are_followed_once(raw):
    root = raw(*SPLITS)
    (root / "train" / "images" / "back").symlink_to(root)
    assert set(pairs_of(root)[0]) == {"train", "val"}


def test_two_splits_may_be_links_to_one_folder(raw, tmp_path):
    root = raw("train/images", "train/masks")
    (root / "val").mkdir()
    for kind in PAIR:
        (root / "val" / kind).symlink_to(root / "train" / kind)
    assert set(pairs_of(root)[0]) == {"train", "val"}


@pytest.mark.parametrize(
    "name,content,kind",
    [
        ("annotations/a.xml", "<annotation><object/></annotation>", "an annotation of PASCAL VOC"),
        ("masks/a.npy", "x", "a NumPy array"),
        ("images/a.json", '{"regions": []}', "a JSON file"),
    ],
)
def test_labels_of_other_tools_are_named_with_what_to_do(raw, name, content, kind):
    root = raw("images")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name} is {kind}.*convert them to PNGs of class ids") as caught:
        find_layout(root)
    assert len(str(caught.value)) <= MAX_MESSAGE


@pytest.mark.parametrize(
    "name,content,kind",
    [
        ("labels/a.txt", "0 0.5 0.5 0.25 0.25\n", "a label of YOLO"),
        ("labels/a.json", '{"version": "5", "shapes": [], "imagePath": "a.png"}', "an annotation of labelme"),
        ("labels/x.json", '{"images": [], "annotations": [], "categories": []}', "a file of COCO annotations"),
    ],
)
def test_annotations_that_can_be_read_in_place_of_masks_are_named_with_the_flag_that_does(raw, name, content, kind):
    root = raw("images")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name} is {kind}.*--annotations=DIR reads it in place of masks") as caught:
        find_layout(root)
    assert len(str(caught.value)) <= MAX_MESSAGE
