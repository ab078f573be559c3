"""Classes of a model scored on a data set that has them under other names."""

import dataclasses

import pytest
from PIL import Image

from tests.fake_network import INFO, FakeNetwork, blocks, inner_label
from tfseg.data import opening
from tfseg.errors import InputError
from tfseg.evaluation import matched_classes
from tfseg.evaluation.report import ReportOptions

# The model says green, green, blue; of the three one is grass, one sky, one grass.
IMAGE, LABEL = [[1, 1, 2]], [[0, 1, 0]]


@pytest.fixture
def match(tmp_path, monkeypatch):
    """match([("green", "grass")]) -> the table."""
    for folder in ("images/val", "masks/val", "images/train", "masks/train"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    for split in ("train", "val"):
        Image.fromarray(blocks(IMAGE)).save(tmp_path / "raw" / "images" / split / "a.png")
        Image.fromarray(inner_label(LABEL)).save(tmp_path / "raw" / "masks" / split / "a.png")
    (tmp_path / "raw" / "classes.txt").write_text("grass\nsky\n")
    opening.prepare("folder", tmp_path / "raw", tmp_path / "records")
    monkeypatch.setattr(matched_classes, "load_model", lambda *_: (None, INFO, FakeNetwork()))
    options = dataclasses.replace(ReportOptions(), data_dir=str(tmp_path / "records"), iterations=2)
    return lambda names: matched_classes.evaluate_matches("a run", "folder", options, names)


def test_names_are_matched_and_shares_are_percent(match):
    assert match([("green", "grass"), ("blue", "sky")]).splitlines() == [
        "| class | class of folder val |   IoU | recall | precision |",
        "|-------|--------------------:|------:|-------:|----------:|",
        "| green |               grass | 33.33 |  50.00 |     50.00 |",
        "| blue  |                 sky |  0.00 |   0.00 |      0.00 |",
    ]


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("cyan", "sky"), "--match: fake has no class 'cyan'; it has red, green, blue"),
        (("red", "sea"), "--match: .* has no class 'sea'; it has grass, sky"),
    ],
)
def test_a_class_that_is_not_there_is_an_error(match, pair, message):
    with pytest.raises(InputError, match=message):
        match([pair])
