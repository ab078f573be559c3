"""From any data set to a folder of records, whole or not at all."""

import json
import os
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfseg.data import opening, tfrecord
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets.table import DATASETS
from tfseg.data.scenes import streets
from tfseg.errors import InputError, RunError
from tfseg.labels import MAX_CLASSES
from tfseg.system.files import locked


def prepare(root, **options):
    return opening.prepare("folder", root, root.with_name("records"), ConvertOptions(**options))


def beside(root):
    return sorted(path.name for path in root.parent.iterdir())


def break_images(root, stems):
    for stem in stems:
        (root / "images" / f"{stem}.png").write_bytes(b"")


@pytest.mark.parametrize("name", [name for name, dataset in DATASETS.items() if dataset.info])
def test_names_match_colours_and_ids_are_in_range(name):
    info = DATASETS[name].info
    assert info.name == name
    assert len(set(info.class_names)) == len(info.class_names) == len(info.colors) <= MAX_CLASSES
    assert len(set(info.colors)) == info.num_classes
    assert all(0 <= value <= 255 for color in info.colors for value in color)
    assert all(0 <= class_id < info.num_classes for class_id in info.thing_ids)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"--dataset=kitti: unknown; there are .*camvid, voc2012, .* and \d+ more"):
        opening.open_dataset("kitti", None)


def test_scenes_need_no_data_and_are_generated_once(monkeypatch, cache):
    monkeypatch.setattr(streets, "SPLIT_SIZES", {"train": 2, "val": 1})
    path, manifest = opening.open_dataset("scenes", None)
    assert os.path.dirname(path) == str(cache) and manifest.info == streets.INFO
    (file,) = tfrecord.split_files(manifest, path, "train")
    second = [tfrecord.parse_example(record) for record in tf.data.TFRecordDataset(file)][1]
    expected = streets.generate("train", 1)
    class_ids = tf.io.decode_png(second["image/segmentation/class/encoded"])[..., 0]
    panoptic = tf.cast(tf.io.decode_png(second["image/panoptic/encoded"]), tf.int32)
    np.testing.assert_array_equal(class_ids, expected.class_ids)
    np.testing.assert_array_equal(panoptic[..., 0], expected.class_ids)
    np.testing.assert_array_equal(panoptic[..., 1] * 256 + panoptic[..., 2], expected.instance_ids)
    assert second["video/sequence_id"].numpy().decode() == expected.sequence_id
    assert opening.open_dataset("scenes", None) == (path, manifest)


@pytest.mark.parametrize("name", ["scenes", "crowds"])
def test_generated_data_do_not_read_a_folder(tmp_path, name):
    with pytest.raises(InputError, match=f"{name} are generated"):
        opening.open_dataset(name, str(tmp_path))


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in ("scenes", "crowds", "folder")])
def test_missing_data_names_the_flag_and_the_download_page(name):
    dataset = DATASETS[name]
    url = dataset.info.url if dataset.info else dataset.url
    assert url.startswith("http")
    with pytest.raises(InputError) as caught:
        opening.open_dataset(name, None)
    assert f"--dataset={name} needs --data_dir" in str(caught.value) and url in str(caught.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        opening.open_dataset("camvid", str(tmp_path / "nowhere"))


def test_records_are_opened_as_they_are(toy_folder):
    root = toy_folder()
    manifest = prepare(root)
    assert opening.open_dataset("folder", str(root.with_name("records"))) == (
        str(root.with_name("records")),
        manifest,
    )


def test_records_of_another_data_set_are_refused(toy_folder):
    root = toy_folder()
    prepare(root)
    with pytest.raises(InputError, match=r"records of folder with 2 classes, not of this version's camvid"):
        opening.open_dataset("camvid", str(root.with_name("records")))


def test_raw_data_are_converted_once_and_again_after_a_change(toy_folder, cache, save, label):
    root = toy_folder()
    first, manifest = opening.open_dataset("folder", str(root))
    assert manifest.splits["train"].num_examples == 2 and os.path.dirname(first) == str(cache)
    times = os.stat(first).st_mtime_ns
    assert opening.open_dataset("folder", str(root))[0] == first and os.stat(first).st_mtime_ns == times
    toy_folder(["d"])
    second, manifest = opening.open_dataset("folder", str(root))
    assert second != first and sum(records.num_examples for records in manifest.splits.values()) == 4
    (root / "classes.txt").write_text("sky\nstreet\n")
    assert opening.open_dataset("folder", str(root))[0] not in (first, second)
    assert os.path.isdir(first)  # a run that still reads it goes on


def test_a_damaged_cache_is_made_again(toy_folder):
    root = toy_folder()
    path, _ = opening.open_dataset("folder", str(root))
    with open(os.path.join(path, "manifest.json"), "w") as file:
        file.write("{")
    path, manifest = opening.open_dataset("folder", str(root))
    tfrecord.check_split(manifest, path, "train", verify=True)


def test_an_archive_is_raw_data_too(toy_folder, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "toy"), "gztar", tmp_path, toy_folder().name)
    manifest = opening.prepare("folder", archive, tmp_path / "records")
    assert manifest.splits["train"].num_examples == 2
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        bad.writestr("../x.png", b"")
    with pytest.raises(InputError, match="leads out"):
        opening.open_dataset("folder", str(tmp_path / "bad.zip"))


@pytest.mark.parametrize("texts", [["README.txt"], ["LICENSE", "docs.md", ".DS_Store", "__MACOSX/._toy", "more.txt"]])
def test_an_archive_with_texts_beside_its_folder_is_that_folder(toy_folder, tmp_path, texts):
    root = toy_folder()
    path = tmp_path / "toy.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in root.rglob("*.*"):
            archive.write(file, f"photos/{file.relative_to(root)}")
        for text in texts:
            archive.writestr(text, "x")
    manifest = opening.prepare("folder", path, tmp_path / "records")
    expected = opening.prepare("folder", root, tmp_path / "of_the_folder")
    assert manifest.info == expected.info
    assert {name: split.shards for name, split in manifest.splits.items()} == {
        name: split.shards for name, split in expected.splits.items()
    }


def test_texts_beside_the_folder_of_another_data_set_do_not_hide_it(tmp_path, save, photo, label):
    path = tmp_path / "camvid.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(save(tmp_path / "a.png", photo), "data/CamVid/train/a_1.png")
        archive.write(save(tmp_path / "l.png", np.minimum(label, 11)), "data/CamVid/trainannot/a_1.png")
        archive.writestr("data/README.md", "x")
        archive.writestr("LICENSE", "x")
    splits = opening.prepare("camvid", path, tmp_path / "records").splits
    assert splits["train"].num_examples == 1


def test_a_pipe_in_place_of_data_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.zip")
    with pytest.raises(InputError, match=r"x\.zip: neither a folder nor a regular file"):
        opening.open_dataset("folder", str(tmp_path / "x.zip"))


def test_images_of_all_splits_are_counted_once(toy_folder):
    split = opening.open_split("folder", str(toy_folder()), "val")
    assert (split.num_examples, split.num_examples_in_all, split.manifest.has_drawn_val) == (1, 3, True)


def test_an_existing_folder_is_not_overwritten_but_an_empty_one_is_filled(toy_folder, tmp_path):
    root = toy_folder()
    target = tmp_path / "records"
    target.mkdir()
    (target / "mine.txt").write_text("x")
    with pytest.raises(InputError, match=r"records: exists already"):
        prepare(root)
    (target / "mine.txt").unlink()
    prepare(root)
    assert (target / "manifest.json").exists()


def test_up_to_three_bad_files_are_in_the_message_and_nothing_is_written(toy_folder):
    root = toy_folder()
    break_images(root, "ab")
    with pytest.raises(InputError, match=r"a\.png: is empty.*; .*b\.png: is empty"):
        prepare(root)
    assert beside(root) == ["toy"]


def test_many_bad_files_are_listed_in_a_file_and_the_first_twenty_printed(toy_folder, capsys):
    stems = [f"{index:02d}" for index in range(25)]
    root = toy_folder(stems)
    break_images(root, stems)
    with pytest.raises(InputError, match=r"^25 bad files, listed in .*records\.problems\.txt; the first: .*is empty"):
        prepare(root)
    assert len(root.with_name("records.problems.txt").read_text().splitlines()) == 25
    error = capsys.readouterr().err
    assert error.count("is empty") == 20 and "and 5 more" in error
    toy_folder(stems)
    prepare(root)
    assert beside(root) == ["records", "toy"]


def test_skip_bad_leaves_out_one_percent_and_lists_it(toy_folder, capsys):
    root = toy_folder([f"{index:03d}" for index in range(100)])
    break_images(root, ["007"])
    manifest = prepare(root, skip_bad=True, num_workers=1)
    assert sum(records.num_examples for records in manifest.splits.values()) == 99
    (line,) = (root.with_name("records") / "skipped.txt").read_text().splitlines()
    assert "007.png: is empty" in line and "1 bad files are left out" in capsys.readouterr().err


def test_skip_bad_fails_above_one_percent(toy_folder):
    root = toy_folder([f"{index:02d}" for index in range(99)])
    break_images(root, ["07"])
    with pytest.raises(InputError, match=r"1 of 99 files are bad; --skip_bad leaves out at most 1 %"):
        prepare(root, skip_bad=True, num_workers=1)


def test_a_missing_label_counts_as_bad_file_too(toy_folder):
    root = toy_folder([f"{index:03d}" for index in range(100)])
    (root / "masks" / "050.png").unlink()
    prepare(root, skip_bad=True, num_workers=1)
    assert "050.png: no label" in (root.with_name("records") / "skipped.txt").read_text()


def test_palette_and_map_are_for_folders_only(tmp_path):
    with pytest.raises(InputError, match="--palette, --map and --instance_divisor are for --dataset=folder"):
        opening.prepare("camvid", tmp_path, tmp_path / "records", ConvertOptions(value_map={255: 1}))


def test_max_pixels_reaches_the_reader(toy_folder):
    with pytest.raises(InputError, match="megapixels"):
        prepare(toy_folder(), max_pixels=23)


def test_a_failure_to_write_leaves_nothing(toy_folder, monkeypatch):
    root = toy_folder()

    def fail(*args, **kwargs):
        raise RunError("disk full")

    monkeypatch.setattr("tfseg.data.conversion.convert.write_manifest", fail)
    with pytest.raises(RunError, match="disk full"):
        prepare(root)
    assert beside(root) == ["toy"]


def test_what_a_killed_conversion_left_is_removed(toy_folder):
    root = toy_folder()
    rest = root.with_name(".records.partial")
    rest.mkdir()
    (rest / "train-00000-of-00009.tfrecord").write_bytes(b"half")
    prepare(root)
    assert beside(root) == ["records", "toy"]
    assert not (root.with_name("records") / "train-00000-of-00009.tfrecord").exists()


def test_two_processes_convert_one_after_the_other(toy_folder, capsys):
    root = toy_folder()
    lock = root.with_name(".records.lock")
    with locked(lock, pytest.fail):
        thread = threading.Thread(target=prepare, args=[root])
        thread.start()
        said = ""
        while "waiting" not in said:
            thread.join(0.05)
            assert thread.is_alive()
            said += capsys.readouterr().err
        assert beside(root) == [".records.lock", "toy"]
    thread.join()
    assert said == f"waiting for the process that holds {lock}\n"
    assert beside(root) == ["records", "toy"]


def test_the_manifest_holds_no_path_of_this_machine(toy_folder):
    root = toy_folder()
    prepare(root)
    values = json.loads((root.with_name("records") / "manifest.json").read_text())
    assert str(root.parent) not in json.dumps(values)
    assert np.sum(values["splits"]["train"]["label_histogram"]) == 40


def test_images_are_measured_and_a_damaged_shard_is_named(toy_folder):
    split = opening.open_split("folder", str(toy_folder()), "train")
    assert split.usual_size() == (4, 6)
    [shard] = map(Path, split.files)
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(InputError, match=f"{shard.name}.*damaged"):
        split.usual_size()
