"""Drawn maps as text, which tests can show, and the reader of one format on files that a test has written."""

import numpy as np
import pytest

from tfseg.formats.annotations.photograph import AnnotationFiles
from tfseg.formats.annotations.rasterization import draw


@pytest.fixture
def drawn():
    """drawn(photograph, size) -> (rows of class ids, rows of instance ids), as text with a digit a pixel.

    Class ids are those of the sorted names from 1 on; what nothing covers is 0 and shown as a dot.
    """

    def draw_text(photograph, size=None):
        names = sorted({each.class_name for each in photograph.objects})
        class_ids = {name: class_id for class_id, name in enumerate(names, 1)}
        maps = draw(photograph, size or photograph.size, class_ids, set(class_ids.values()), 0)
        return tuple(["".join(map(str, row)).replace("0", ".") for row in values.tolist()] for values in maps)

    return draw_text


@pytest.fixture
def files_in(tmp_path):
    """files_in(pattern) -> AnnotationFiles of the test's folder: files that fit the pattern, and all pictures."""

    def find(*patterns):
        paths = sorted(path for pattern in patterns for path in tmp_path.rglob(pattern))
        pictures = sorted(path for ending in ("png", "jpg") for path in tmp_path.rglob(f"*.{ending}"))
        return AnnotationFiles(tmp_path, paths, pictures)

    return find


@pytest.fixture
def picture(tmp_path, save):
    """picture("images/a.png", size) writes a black picture of (height, width) and returns its path."""

    def write(name, size=(6, 8)):
        return save(tmp_path / name, np.zeros([*size, 3], np.uint8))

    return write
