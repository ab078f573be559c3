"""Which images are scored: those of the run's validation split, or all of data that nobody divided."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tfseg.data import opening
from tfseg.evaluation.scored_images import open_scored_split, scored


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pairs(tmp_path):
    """pairs("name", num_images) -> a folder of images and masks without splits."""

    def write(name, num_images=10, folder=""):
        for kind, pixels in (("images", np.zeros([4, 4, 3], np.uint8)), ("masks", np.eye(4, dtype=np.uint8))):
            (tmp_path / name / kind / folder).mkdir(parents=True)
            for index in range(num_images):
                Image.fromarray(pixels).save(tmp_path / name / kind / folder / f"{name}{index}.png")
        (tmp_path / name / "classes.txt").write_text("a\nb\n")
        return str(tmp_path / name)

    return write


def opened(data_dir, own_dir, split=None):
    found = open_scored_split("folder", data_dir, own_dir, split, "val", None)
    return found.name, found.num_examples, found.num_examples_in_all


def test_another_folder_without_splits_is_scored_whole(pairs):
    own, other = pairs("own"), pairs("other")
    name, num, num_in_all = opened(other, own)
    assert (name, num, num_in_all) == ("all", 10, 10)
    whole = open_scored_split("folder", other, own, None, "val", None)
    assert sum(1 for _ in whole.examples()) == 10
    assert opened(other, None)[:2] == ("all", 10)
    assert opened(other, "/nowhere")[:2] == ("all", 10)


def test_of_the_runs_own_data_only_the_validation_split_is_scored(pairs, tmp_path):
    own = pairs("own")
    num_val = opened(None, own)[1]
    assert 0 < num_val < 10
    assert opened(own, own) == opened(f"{own}/../own/", own) == opened(None, own) == ("val", num_val, 10)
    opening.prepare("folder", own, tmp_path / "records")
    records = str(tmp_path / "records")
    assert opened(records, own) == opened(own, records) == opened(None, records) == ("val", num_val, 10)
    shutil.copytree(records, tmp_path / "copy")
    assert opened(str(tmp_path / "copy"), records) == ("val", num_val, 10)


def test_a_named_split_is_that_split(pairs):
    own, other = pairs("own"), pairs("other")
    assert opened(other, own, "val")[0] == "val" and opened(other, own, "train")[0] == "train"


def test_other_data_with_splits_are_scored_on_val(pairs, tmp_path):
    own = pairs("own")
    for split, num in (("train", 4), ("val", 3)):
        pairs(split, num)
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / split).rename(tmp_path / "other" / split)
    (tmp_path / "other" / "classes.txt").write_text("a\nb\n")
    assert opened(str(tmp_path / "other"), own) == ("val", 3, 7)


def test_a_single_image_is_one_of_one(pairs):
    assert opened(pairs("single", 1), None) == ("val", 1, 1)


def test_the_words_of_the_report():
    assert scored({"num_images": 2, "num_images_in_all": 10}) == "2 of 10 images"
