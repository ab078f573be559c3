"""Files of colours in place of ids, in data sets that have colours of their own."""

import numpy as np
import pytest

from tfseg.data import opening
from tfseg.errors import InputError

FRAMES = [f"aachen_000000_{index:06d}" for index in range(5)]


@pytest.fixture
def cityscapes(tmp_path, save):
    """cityscapes(num_colored) writes five frames, of which the first have colours in place of ids."""

    def write(num_colored):
        for index, frame in enumerate(FRAMES):
            save(tmp_path / "raw/leftImg8bit/train/aachen" / f"{frame}_leftImg8bit.png", np.zeros([2, 3, 3], np.uint8))
            label = np.full([2, 3, 3], (128, 64, 128)) if index < num_colored else np.full([2, 3], 7)
            save(tmp_path / "raw/gtFine/train/aachen" / f"{frame}_gtFine_labelIds.png", label.astype(np.uint8))
        return tmp_path / "raw"

    return write


@pytest.mark.parametrize("num_colored,times", [(5, 1), (1, 1)])
def test_colours_in_place_of_ids_say_once_what_is_needed(cityscapes, capsys, num_colored, times):
    with pytest.raises(InputError, match=r"_labelIds\.png: holds colours, not class ids") as caught:
        opening.open_dataset("cityscapes", str(cityscapes(num_colored)))
    assert "--palette" not in str(caught.value) and "*_labelIds.png of https://" in str(caught.value)
    assert str(caught.value).count("colours, not class ids") == times and len(str(caught.value)) <= 300
    assert "holds" not in capsys.readouterr().err


def test_ids_stored_in_three_equal_channels_are_ids(cityscapes, save):
    root = cityscapes(0)
    for path in root.rglob("*_labelIds.png"):
        save(path, np.full([2, 3, 3], 7, np.uint8))
    assert opening.open_dataset("cityscapes", str(root))[1].splits["train"].label_histogram[0] == 30


def test_camvid_says_where_its_ids_are(tmp_path, save, photo):
    save(tmp_path / "raw/train/a_1.png", photo)
    save(tmp_path / "raw/trainannot/a_1.png", photo)
    with pytest.raises(InputError, match=r"a_1\.png: holds colours, not class ids, as all labels of .*; take"):
        opening.open_dataset("camvid", str(tmp_path / "raw"))
