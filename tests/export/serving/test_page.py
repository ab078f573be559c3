"""The examples in serve.md, run as they stand there, but for the ports and the time they wait for an answer."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from tests.hanging import HANG_SECONDS

EXIF_ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def blocks(serving_folder, served):
    """[(language, code)] with the addresses of the double."""
    page = (serving_folder / "serve.md").read_text()
    _, grpc_address, rest_address = served
    page = page.replace("localhost:8500", grpc_address).replace("localhost:8501", rest_address)
    page = page.replace("timeout=60", f"timeout={HANG_SECONDS}")
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def photo(images, tmp_path, monkeypatch):
    """photo.jpg in the working folder, stored lying on its side; returns what a viewer shows."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # to be turned clockwise by a quarter
    smooth = Image.fromarray(images[0]).resize((3, 2)).resize((64, 48), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    monkeypatch.chdir(tmp_path)
    with Image.open("photo.jpg") as stored:
        return np.rot90(np.array(stored), -1)


def run_python(blocks):
    names = {}
    for code in (code for language, code in blocks if language == "python"):
        exec(compile(code, "serve.md", "exec"), names)
        yield code, names


def test_python_examples_give_the_mask_of_the_upright_photo(blocks, photo, expected, tmp_path, capsys):
    num_masks, num_loops = 0, 0
    for code, names in run_python(blocks):
        np.testing.assert_array_equal(np.array(Image.open("upright.png")), photo)
        if '"mask.png"' in code:
            np.testing.assert_array_equal(np.array(Image.open("mask.png")), expected(photo, 3))
            np.testing.assert_array_equal(names["answer"]["mask"][0], expected(photo, 5))
            (tmp_path / "mask.png").unlink()
            num_masks += 1
        elif '"refine"' in code:
            np.testing.assert_array_equal(names["mask"][0], expected(photo, names["iteration"]))
            num_loops += 1
    assert (num_masks, num_loops) == (2, 2)  # each over gRPC and over REST
    printed = capsys.readouterr().out
    pixels = np.bincount(expected(photo, 3).ravel(), minlength=3)
    assert printed.startswith(f"red {pixels[0]}\ngreen {pixels[1]}\nblue {pixels[2]}\n[1 5]\n(1, 64, 48)")
    assert printed.count("iterations\n") == 2


def test_curl_examples_are_answered(blocks, photo):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl here")
    Image.fromarray(photo).save("upright.png")
    commands = [code for language, code in blocks if language == "sh" and "curl" in code]
    answers = [
        subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS).stdout
        for code in commands
    ]
    assert len(answers) == 2
    assert answers[0].startswith('{"outputs": ') and answers[1].startswith('{"predictions": ')
    assert all('"mask_png_bytes"' in answer for answer in answers)
