"""The scoring command: what it prints and writes, and how it says what is wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hanging import HANG_SECONDS
from tests.metrics.panoptic_maps import INFO, LABEL, PREDICTION, random_maps
from tfseg.commands import panoptic_scores
from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import read_annotations
from tfseg.formats.coco_panoptic.writer import PanopticWriter
from tfseg.metrics.panoptic_folders import score_folders

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(tmp_path):
    """A folder of labels and one of predictions: the image worked by hand."""
    for name, panoptic_ids in (("label", LABEL), ("prediction", PREDICTION)):
        with PanopticWriter(tmp_path / name / "scenes.json", INFO) as writer:
            writer.add("first", "first", panoptic_ids)
    return tmp_path / "label", tmp_path / "prediction"


def scored(folders, num_workers=1):
    labels = read_annotations(folders[0])
    return score_folders(labels, read_annotations(folders[1], labels), num_workers)


def edit(folder, change):
    """Changes the content of a folder's JSON file."""
    path = folder / "scenes.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "tfseg.commands.panoptic_scores", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


def test_the_command_prints_tables_and_writes_all_scores(folders, tmp_path):
    edit(
        folders[1],
        lambda content: content["annotations"].append({"image_id": 2, "file_name": "2", "segments_info": []}),
    )
    done = run(f"--gt={folders[0]}", f"--pred={folders[1]}/scenes.json", f"--output={tmp_path}/out/scores.json")
    assert done.returncode == 0
    tables = done.stdout.splitlines()
    assert tables[0] == "1 images"
    assert tables[2] == "| mean, % |    PQ |    SQ |     RQ | classes |    PC | PC normalized | classes |"
    assert tables[4] == "| All     | 82.13 | 82.13 | 100.00 |       3 | 82.13 |         82.13 |       3 |"
    assert "| cat      | 77.50 | 77.50 | 100.00 | 77.50 |         77.50 |  2 |  0 |  0 |" in tables
    assert "mean PQ is not mean SQ * mean RQ" in tables[-1]
    assert re.search(r"1 predictions are not scored: .*label/scenes\.json does not have .*; add their", done.stderr)
    written = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert written["panoptic_quality"]["all"]["pq"] == pytest.approx(0.821296, abs=1e-6)
    assert written["label"] == str(folders[0] / "scenes.json")


def test_an_error_is_one_line_and_exit_code_2(folders):
    (folders[1] / "scenes" / "first.png").unlink()
    done = run(f"--gt={folders[0]}", f"--pred={folders[1]}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "first.png: no such file" in done.stderr and "Traceback" not in done.stderr
    done = run(f"--gt={folders[0]}")
    assert done.returncode == 2 and done.stderr.startswith("error: --pred is missing: a JSON file")


def refused(output, *words):
    """What the command says to this --output; it must not have scored, nor changed a file."""
    done = run(*words, f"--output={output}")
    assert (done.returncode, done.stdout) == (2, "") and "score:" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_an_output_that_would_overwrite_what_is_scored_is_refused_before_scoring(folders, tmp_path):
    words = [f"--gt={folders[0]}", f"--pred={folders[1]}/scenes.json"]
    (tmp_path / "link.json").symlink_to(folders[1] / "scenes.json")
    before = [path.read_bytes() for path in sorted(tmp_path.rglob("*.json"))]
    assert "scenes.json: the file of --gt, which scores would" in refused(folders[0] / "scenes.json", *words)
    assert "link.json: the file of --pred, which scores would" in refused(tmp_path / "link.json", *words)
    assert [path.read_bytes() for path in sorted(tmp_path.rglob("*.json"))] == before


def test_an_output_that_no_file_can_become_is_refused(folders, tmp_path):
    inputs = {"gt": str(folders[0] / "scenes.json"), "pred": str(folders[1] / "scenes.json")}
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path, message in (
        (tmp_path, r": a folder; name a file in it, e\.g\. .*/scores\.json"),
        (folders[0] / "scenes.json" / "new" / "x.json", r": .*scenes\.json is no folder; name a file in a folder"),
        (tmp_path / "dangling" / "x.json", r": .*dangling is no folder"),
    ):
        with pytest.raises(InputError, match=f"--output={path}{message}"):
            panoptic_scores.check_output(str(path), inputs)
    for path in (tmp_path / "new" / "folder" / "x.json", folders[0] / "other.json", folders[1] / "scenes" / "x.json"):
        panoptic_scores.check_output(str(path), inputs)
    assert "a folder; name a file" in refused(tmp_path, f"--gt={folders[0]}", f"--pred={folders[1]}")


def test_predictions_of_other_images_are_one_line(folders):
    other_image(folders[1])
    done = run(f"--gt={folders[0]}", f"--pred={folders[1]}")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.endswith("predict these images too, or score with the labels of your images")


@pytest.mark.parametrize("label_id, other_id, kinds", [(0, "0", ("numbers", "text")), ("7", 7, ("text", "numbers"))])
def test_image_ids_that_differ_only_in_type_are_said_to(folders, label_id, other_id, kinds):
    for folder, image_id in zip(folders, (label_id, other_id), strict=True):
        edit(folder, lambda content, image_id=image_id: content["annotations"][0].update(image_id=image_id))
    message = rf"it has {other_id!r}: write image ids as {kinds[0]}, as in the labels, not as {kinds[1]}"
    with pytest.raises(InputError, match=f"no annotation of image {label_id!r}, .*; {message}"):
        scored(folders)


def test_a_class_that_is_not_counted_has_dashes(folders):
    only_wall = np.zeros([4, 6], int)
    for folder in folders:
        with PanopticWriter(folder / "scenes.json", INFO) as writer:
            writer.add("first", "first", only_wall)
    lines = panoptic_scores.summary(scored(folders)).splitlines()
    assert "| cat      |      - |      - |      - |      - |             - |  0 |  0 |  0 |" in lines
    assert lines[5] == "| Things  |   0.00 |   0.00 |   0.00 |       0 |   0.00 |          0.00 |       0 |"


def test_several_processes_score_as_one_does(tmp_path):
    generator = np.random.default_rng(0)
    labels = PanopticWriter(tmp_path / "label" / "scenes.json", INFO, has_crowds=True)
    predictions = PanopticWriter(tmp_path / "prediction" / "scenes.json", INFO)
    with labels, predictions:
        for index in range(33):
            for writer, panoptic_ids in zip((labels, predictions), random_maps(generator), strict=True):
                writer.add(index, str(index), panoptic_ids)
    folders = tmp_path / "label", tmp_path / "prediction"
    scores = scored(folders, num_workers=2)
    assert scores == scored(folders) and scores["num_images"] == 33
    (tmp_path / "prediction" / "scenes" / "20.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"20\.png: cannot be read"):
        scored(folders, num_workers=2)


def other_size(folder):
    Image.new("RGB", (3, 4)).save(folder / "scenes" / "first.png")


def unknown_in_png(folder):
    pixels = np.asarray(Image.open(folder / "scenes" / "first.png")).copy()
    pixels[0, :2] = [[7, 0, 0], [8, 1, 0]]
    Image.fromarray(pixels).save(folder / "scenes" / "first.png")


def missing_in_png(folder):
    entry = {"id": 99, "category_id": 1}
    edit(folder, lambda content: content["annotations"][0]["segments_info"].append(entry))


def other_image(folder):
    edit(folder, lambda content: content["annotations"][0].update(image_id="second"))


def other_area(folder):
    edit(folder, lambda content: content["annotations"][0]["segments_info"][0].update(area=1))


def test_areas_in_the_file_of_labels_are_those_of_its_pngs(folders):
    other_area(folders[0])
    message = r"label/scenes\.json: image 'first': segment 1000 has the area 1, but \d+ pixels in .*label/.*first\.png"
    with pytest.raises(InputError, match=message):
        scored(folders)


def test_areas_and_crowds_in_the_file_of_predictions_are_not_used(folders):
    expected = scored(folders)
    other_area(folders[1])
    edit(folders[1], lambda content: content["annotations"][0]["segments_info"][1].update(iscrowd=1))
    assert scored(folders) == expected


def test_labels_without_areas_or_with_areas_of_any_number_type_are_scored_alike(folders):
    expected = scored(folders)
    for change in (lambda area: {"area": float(area)}, lambda area: {}):
        segments = json.loads((folders[0] / "scenes.json").read_text())["annotations"][0]["segments_info"]
        changed = [segment | change(segment["area"]) for segment in segments]
        edit(folders[0], lambda content, changed=changed: content["annotations"][0].update(segments_info=changed))
        assert scored(folders) == expected


def test_categories_of_predictions_that_contradict_the_labels_are_one_line(folders):
    def swap(content):
        first, second, *_ = content["categories"]
        first["name"], second["name"] = second["name"], first["name"]

    edit(folders[1], swap)
    done = run(f"--gt={folders[0]}", f"--pred={folders[1]}")
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert "prediction/scenes.json: category 0 is 'cat', but 'wall' in " in line and "label/scenes.json" in line


def test_a_pipe_in_place_of_a_png_does_not_stop_the_command(folders):
    (folders[1] / "scenes" / "first.png").unlink()
    os.mkfifo(folders[1] / "scenes" / "first.png")
    with pytest.raises(InputError, match=r"scenes\.json: image 'first': the file_name is 'first\.png', a folder, pipe"):
        scored(folders, num_workers=2)


WRONG = {
    other_size: r"first\.png: 3x4 pixels, but .*label/scenes/first\.png has 6x4 \(width x height\)",
    unknown_in_png: r"first\.png: segment ids 7, 264 not in the segments_info of image 'first' in .*/scenes\.json; add",
    missing_in_png: r"tion/scenes\.json and .*first\.png: segment id 99 not in the PNG, but in .* 'first'; delete the",
    other_image: r"prediction/scenes\.json: no annotation of image 'first', which .* has \(1 of 1 images\); predict",
}


@pytest.mark.parametrize("spoil", WRONG)
def test_predictions_that_do_not_fit_are_named(folders, spoil):
    spoil(folders[1])
    with pytest.raises(InputError, match=WRONG[spoil]):
        scored(folders)


def test_labels_are_checked_like_predictions(folders):
    unknown_in_png(folders[0])
    with pytest.raises(InputError, match=r"label/scenes/first\.png: segment ids 7, 264 not in"):
        scored(folders)
