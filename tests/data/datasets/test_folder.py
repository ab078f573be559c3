"""People's own images and masks: layouts, pairing, splits, names, and common mistakes."""

import os

import numpy as np
import pytest
from PIL import Image

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import folder
from tfseg.errors import InputError


def listing(root, **options):
    return folder.list_examples(root, ConvertOptions(**options))


def names(examples):
    return sorted(example.filename for example in examples)


def prepare(root, **options):
    return opening.prepare("folder", root, root.with_name("records"), ConvertOptions(**options))


def test_a_folder_of_pairs_becomes_records(toy_folder):
    manifest = prepare(toy_folder())
    assert manifest.info.class_names == ("sky", "road")
    assert {split: records.num_examples for split, records in manifest.splits.items()} == {"train": 2, "val": 1}
    assert manifest.splits["train"].label_histogram == [24, 16]
    assert manifest.splits["train"].ignored_pixels == 8


@pytest.mark.parametrize("masks", ["labels", "annotations"])
def test_other_names_of_the_label_folder(toy_folder, masks):
    root = toy_folder()
    (root / "masks").rename(root / masks)
    assert len(listing(root).splits["train"]) == 2


def test_splits_may_be_folders_above_or_below(toy_folder, tmp_path):
    for split in ("train", "validation"):
        root = toy_folder([f"{split}_1"])
        (tmp_path / "above" / split).mkdir(parents=True)
        for kind in ("images", "masks"):
            (root / kind).rename(tmp_path / "above" / split / kind)
    expected = {"train": ["train/images/train_1.png"], "val": ["validation/images/validation_1.png"]}
    assert {split: names(examples) for split, examples in listing(tmp_path / "above").splits.items()} == expected
    for kind in ("images", "masks"):
        (tmp_path / "below" / kind).mkdir(parents=True)
        for split in ("train", "validation"):
            (tmp_path / "above" / split / kind).rename(tmp_path / "below" / kind / split)
    expected = {"train": ["images/train/train_1.png"], "val": ["images/validation/validation_1.png"]}
    assert {split: names(examples) for split, examples in listing(tmp_path / "below").splits.items()} == expected


def test_another_layout_is_explained(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError, match="no images/ beside masks/"):
        listing(tmp_path)


def test_labels_may_have_a_suffix(toy_folder):
    root = toy_folder(["a", "b_mask"])
    (root / "masks" / "a.png").rename(root / "masks" / "a_mask.png")
    found = listing(root)
    pairs = {example.filename: example.label_path for split in found.splits.values() for example in split}
    assert found.problems == []
    assert pairs["images/a.png"].endswith("a_mask.png") and pairs["images/b_mask.png"].endswith("b_mask.png")


def test_a_missing_label_and_a_duplicate_stem_are_listed_and_nothing_is_written(toy_folder, save, photo):
    root = toy_folder(["a", "b", "ç 1"])
    (root / "masks" / "ç 1.png").unlink()
    save(root / "images" / "b.jpg", photo)
    with pytest.raises(InputError) as caught:
        prepare(root)
    assert "b.jpg: b.png has the same stem" in str(caught.value)
    assert "ç 1.png: no label" in str(caught.value)
    assert sorted(path.name for path in root.parent.iterdir()) == ["toy"]


def test_labels_without_image_are_mentioned(toy_folder):
    root = toy_folder()
    (root / "images" / "b.png").unlink()
    (note, _) = listing(root).notes
    assert "1 labels" in note and "b.png" in note


def test_names_with_spaces_and_other_alphabets_are_converted(toy_folder):
    manifest = prepare(toy_folder(["Straße 1", "東京 (2)"]))
    assert sum(manifest.splits[split].num_examples for split in ("train", "val")) == 2


def test_the_split_hangs_on_seed_and_stem_alone(toy_folder):
    few = listing(toy_folder([f"{index:03d}" for index in range(50)]), seed=3)
    many = listing(toy_folder([f"{index:03d}" for index in range(100)]), seed=3)
    other = listing(toy_folder([]), seed=4)
    first_fifty = {name for name in names(many.splits["val"]) if name < "images/050"}
    assert first_fifty == set(names(few.splits["val"]))
    assert set(names(many.splits["val"])) != set(names(other.splits["val"]))
    assert 10 <= len(many.splits["val"]) <= 30
    assert len(many.splits["val"]) + len(many.splits["train"]) == 100


def test_two_images_are_one_for_train_and_one_for_val_and_one_image_is_both(toy_folder):
    two = listing(toy_folder(["a", "b"]))
    assert len(two.splits["train"]) == len(two.splits["val"]) == 1
    (toy_folder([]) / "images" / "b.png").unlink()
    one = listing(toy_folder(["a"]))
    assert names(one.splits["train"]) == names(one.splits["val"]) == ["images/a.png"]
    assert any("only one image" in note for note in one.notes)


def test_a_share_outside_0_to_1_is_refused(toy_folder):
    with pytest.raises(InputError, match="--val_share"):
        listing(toy_folder(), val_share=1.0)


def test_folds_divide_all_images_into_equal_parts_each_of_which_is_val_once(toy_folder):
    root = toy_folder([f"photo_{index}" for index in range(7)])
    parts = [listing(root, fold=f"{part}/3") for part in (1, 2, 3)]
    assert sorted(len(part.splits["val"]) for part in parts) == [2, 2, 3]
    every = names(parts[0].splits["train"] + parts[0].splits["val"])
    assert names([example for part in parts for example in part.splits["val"]]) == every
    for part in parts:
        assert names(part.splits["train"] + part.splits["val"]) == every
    assert any("fold 3/3: " in note for note in parts[2].notes)


def test_a_fold_divides_train_and_val_anew(toy_folder, tmp_path):
    for split in ("train", "val", "test"):
        root = toy_folder([f"{split}_1", f"{split}_2"])
        (tmp_path / "above" / split).mkdir(parents=True)
        for kind in ("images", "masks"):
            (root / kind).rename(tmp_path / "above" / split / kind)
    splits = listing(tmp_path / "above", fold="1/4").splits
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 3, "val": 1, "test": 2}
    assert names(splits["test"]) == ["test/images/test_1.png", "test/images/test_2.png"]


@pytest.mark.parametrize("fold", ["0/5", "6/5", "1/1", "2", "2/5/1", "two/5", "-1/5"])
def test_a_fold_that_is_none_is_one_line(toy_folder, fold):
    with pytest.raises(InputError, match=rf"^--fold={fold}: PART/PARTS is wanted"):
        listing(toy_folder(), fold=fold)


def test_there_are_at_least_as_many_images_as_parts(toy_folder):
    with pytest.raises(InputError, match="--fold=1/5: there are only 3 labelled images"):
        listing(toy_folder(), fold="1/5")


def test_records_have_their_splits_already(toy_folder):
    root = toy_folder(["a", "b", "c"])
    prepare(root, fold="1/3")
    with pytest.raises(InputError, match="--fold=1/3: .*records, whose splits stay as they are"):
        opening.open_split("folder", str(root.with_name("records")), "train", fold="1/3")
    first, second = (opening.open_split("folder", str(root), "val", fold=fold) for fold in ("1/3", "2/3"))
    assert first.num_examples == second.num_examples == 1
    assert first.data_dir != second.data_dir


def test_without_names_classes_are_made_up_to_the_largest_id_and_printed(toy_folder, save, capsys):
    root = toy_folder(names=None)
    save(root / "masks" / "a.png", np.full([4, 6], 3, np.uint8))
    manifest = prepare(root)
    assert manifest.info.class_names == ("class_0", "class_1", "class_2", "class_3")
    error = capsys.readouterr().err
    assert "class_0, class_1, class_2, class_3" in error
    assert "in no label: class_2" in error


def test_black_and_white_masks_need_a_map(toy_folder, save):
    root = toy_folder(names="background\nobject\n")
    for stem in "abc":
        save(root / "masks" / f"{stem}.png", np.array([[0] * 5 + [255]] * 4, np.uint8))
    with pytest.raises(InputError, match="--map 255:1"):
        prepare(root)
    splits = prepare(root, value_map={255: 1}).splits
    assert splits["train"].label_histogram == [40, 8]


def test_a_map_of_255_to_itself_says_that_it_means_ignored(toy_folder, save):
    root = toy_folder(["a", "b"], names="object\n")
    for stem in "ab":
        save(root / "masks" / f"{stem}.png", np.array([[0] * 5 + [255]] * 4, np.uint8))
    assert prepare(root, value_map={255: 255}).splits["train"].ignored_pixels == 4


def test_colour_coded_masks_need_a_palette(toy_folder, save, photo, tmp_path):
    root = toy_folder(["a", "b"], names=None)
    for stem in "ab":
        save(root / "masks" / f"{stem}.png", photo)
    with pytest.raises(InputError, match="--palette"):
        prepare(root)
    palette = tmp_path / "colours.txt"
    palette.write_text("left 255 0 0\nright 0 0 255\n")
    manifest = prepare(root, palette=str(palette))
    assert manifest.info.class_names == ("left", "right")
    assert manifest.info.colors == ((255, 0, 0), (0, 0, 255))
    assert manifest.splits["val"].label_histogram == [12, 12]


def test_names_and_palette_must_agree(toy_folder, tmp_path):
    palette = tmp_path / "colours.txt"
    palette.write_text("road 255 0 0\nsky 0 0 255\n")
    with pytest.raises(InputError, match="differ in classes or in their order"):
        listing(toy_folder(names="sky\nroad\n"), palette=str(palette))


def test_a_class_in_val_but_not_in_train_is_a_warning(toy_folder, save, capsys):
    root = toy_folder(["a", "b"])
    (example,) = listing(root).splits["val"]
    for path in (root / "masks").iterdir():
        save(path, np.full([4, 6], str(path) == example.label_path, np.uint8))
    prepare(root)
    assert "classes in val but not in train, which cannot be learned: road" in capsys.readouterr().err


def test_hidden_files_and_other_endings_are_no_images(toy_folder):
    root = toy_folder()
    (root / "images" / ".DS_Store").write_text("x")
    (root / "images" / "._a.png").write_text("x")
    (root / "images" / "readme.txt").write_text("x")
    assert listing(root).problems == []


def test_rotated_photos_are_counted(toy_folder, save, photo, capsys):
    root = toy_folder()
    tags = Image.Exif()
    tags[0x0112] = 6
    (root / "images" / "a.png").unlink()
    save(root / "images" / "a.jpg", photo, exif=tags)
    prepare(root)
    assert "1 images have an EXIF rotation" in capsys.readouterr().err


def test_more_than_255_names_are_refused(toy_folder):
    root = toy_folder(names="\n".join(f"class {index}" for index in range(256)))
    with pytest.raises(InputError, match=r"classes\.txt: 256 classes; 1 to 255 are possible"):
        prepare(root)


def test_a_map_may_not_join_an_unmapped_value_with_a_mapped_one(toy_folder, save):
    root = toy_folder(["a", "b"], names="red\nblue\n")
    save(root / "masks" / "a.png", np.array([[1] * 5 + [2]] * 4, np.uint8))
    save(root / "masks" / "b.png", np.array([[0] * 6] * 4, np.uint8))  # the two values are in different files
    with pytest.raises(InputError, match=r"b\.png: 0 is not in --map, and 1 becomes 0; give 0:255 or 0:0"):
        prepare(root, value_map={1: 0, 2: 1})
    counts = [split.label_histogram for split in prepare(root, value_map={0: 255, 1: 0, 2: 1}).splits.values()]
    assert np.sum(counts, 0).tolist() == [20, 4]


@pytest.mark.parametrize("value_map", [{0: 0, 1: 0, 2: 1}, {255: 255, 0: 1, 1: 0, 2: 1}])
def test_a_map_of_every_value_says_what_it_means(toy_folder, save, value_map):
    root = toy_folder(["a", "b"], names="red\nblue\n")
    for stem in "ab":
        save(root / "masks" / f"{stem}.png", np.array([[1, 2, 0, 0, 0, 255]] * 4, np.uint8))
    assert prepare(root, value_map=value_map).splits["train"].ignored_pixels == 4


@pytest.mark.parametrize(
    "values,value_map",
    [
        (range(200), {}),
        ([0, 38, 75, 113], {}),
        ([0, 255, 9, 39, 148], {255: 1}),
        ([0, 100], {}),
    ],
)
def test_many_or_sparse_ids_without_names_are_refused(toy_folder, save, photo, values, value_map):
    root = toy_folder(["a", "b"], names=None)
    for stem in "ab":
        save(root / "images" / f"{stem}.png", np.resize(photo, [1, len(values), 3]))
        save(root / "masks" / f"{stem}.png", np.array([values], np.uint8))
    with pytest.raises(InputError, match=r"no classes\.txt, and the masks have .* name the classes in") as caught:
        prepare(root, value_map=value_map)
    assert len(str(caught.value)) <= 300


def test_sparse_ids_are_accepted_where_names_or_a_map_explain_them(toy_folder, save):
    root = toy_folder(["a", "b"], names=None)
    for stem in "ab":
        save(root / "masks" / f"{stem}.png", np.array([[0] * 5 + [200]] * 4, np.uint8))
    assert prepare(root, value_map={0: 0, 200: 5}).info.num_classes == 6
    root.with_name("records").rename(root.with_name("first"))
    (root / "classes.txt").write_text("".join(f"c{index}\n" for index in range(201)))
    assert prepare(root).info.num_classes == 201


def test_ids_above_254_are_one_line_that_says_how_many_classes_are_possible(toy_folder, save):
    root = toy_folder(["a", "b"], names=None)
    save(root / "masks" / "a.png", np.full([4, 6], 300, np.uint16))
    with pytest.raises(InputError, match=r"a\.png: label value 300 .*; at most 255 classes are possible$"):
        prepare(root)


def test_a_palette_of_more_than_255_classes_is_refused(toy_folder, tmp_path):
    palette = tmp_path / "colours.txt"
    palette.write_text("\n".join(f"c{index} {index % 256} {index // 256} 0" for index in range(300)))
    with pytest.raises(InputError, match="300 classes; 1 to 255 are possible"):
        listing(toy_folder(names=None), palette=str(palette))


def test_names_that_do_not_belong_together_are_shown_from_each_side(toy_folder):
    root = toy_folder(["a", "b"])
    (root / "masks" / "a.png").rename(root / "masks" / "cat.png")
    (root / "masks" / "b.png").rename(root / "masks" / "dog.png")
    with pytest.raises(InputError, match=r"images and masks: no names belong together, e\.g\. a\.png and cat\.png"):
        listing(root)


def test_an_image_whose_label_is_that_of_another_tool_says_so(toy_folder):
    root = toy_folder()
    (root / "masks" / "b.png").unlink()
    (root / "masks" / "b.json").write_text('{"shapes": [], "imagePath": "b.png"}')
    (problem,) = listing(root).problems
    assert "b.png: masks/b.json is an annotation of labelme (JSON)" in problem


def test_a_link_to_nothing_is_a_bad_file_like_others(toy_folder):
    root = toy_folder([f"{index:03d}" for index in range(100)])
    for kind in ("images", "masks"):
        (root / kind / "050.png").unlink()
        (root / kind / "050.png").symlink_to(root / "nowhere.png")
    with pytest.raises(InputError, match=r"images/050\.png: no such file"):
        prepare(root, num_workers=1)
    assert prepare(root, skip_bad=True, num_workers=1).splits
    assert "050.png: no such file" in (root.with_name("records") / "skipped.txt").read_text()


def test_names_beside_a_single_folder_inside_are_read_and_must_agree(toy_folder, tmp_path):
    (tmp_path / "outer").mkdir()
    root = toy_folder(names=None).rename(tmp_path / "outer" / "photos").parent
    (root / "README.txt").write_text("x")
    (root / "classes.txt").write_text("sky\nroad\n")
    assert prepare(root).info.class_names == ("sky", "road")
    (root / "photos" / "classes.txt").write_text("road\nsky\n")
    with pytest.raises(InputError, match="differ in classes or in their order"):
        listing(root)


def test_a_pipe_in_place_of_names_is_refused_at_once(toy_folder):
    root = toy_folder(names=None)
    os.mkfifo(root / "classes.txt")
    with pytest.raises(InputError, match=r"classes\.txt: .*not a regular file"):
        listing(root)
