"""People's own data with objects in pictures: numbers of objects in instances/, or a folder for each image.

- images/a.png and instances/a.png, where instances/ has 0 for no object and a number for each object, in 8 or 16 bits;
  divided into splits as `folder` has it. With masks/ beside them, those give the classes; without, all objects are of
  one class, or `ConvertOptions.instance_divisor` says how a number holds class and object.
- a/images/a.png and a/masks/*.png, one mask for each object, as in the Data Science Bowl of 2018; train/a/... or
  a/... alone.

Classes with objects are things, the others stuff.
"""

import dataclasses
import functools
from pathlib import Path

import cv2
import numpy as np

from tfseg.data.conversion.instance_files import InstanceRule, classes_of_instances, encode_instances
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.data.datasets.drawn_val import with_val
from tfseg.data.datasets.folder_layout import LABEL_FOLDERS, NAME, SPLIT_NAMES, find_layout, has_pairs, scanned
from tfseg.data.datasets.pairing import paired
from tfseg.errors import InputError, listed
from tfseg.formats.label_file import LabelRule, read_values
from tfseg.labels import DatasetInfo, default_colors
from tfseg.system.parallel import parallel_map

INSTANCE_FOLDERS = ("instances",)
ONE_CLASS = ("background", "object")
LABEL_DIVISOR = 1 << 16
MIN_AREAS, MAX_AREAS = 8, 1000


@dataclasses.dataclass(frozen=True)
class InstanceFiles:
    """Where the instances of a folder are.

    Attributes:
      root: the folder that holds everything.
      splits: {split: RawExamples}.
      problems, notes: see `Listing`.
      has_class_maps: whether `label_path` is a class map.
    """

    root: Path
    splits: dict[str, list[RawExample]]
    problems: list[str]
    notes: list[str]
    has_class_maps: bool = False


def find_instances(raw_dir: Path) -> InstanceFiles | None:
    """Finds images with instances in a folder; None if there are none. Raises InputError for an unclear layout."""
    if has_pairs(raw_dir, INSTANCE_FOLDERS):
        return _of_number_files(raw_dir)
    return _of_object_masks(raw_dir)


def list_instances(found: InstanceFiles, options: ConvertOptions, names: tuple[str, ...] | None) -> Listing:
    """Lists the images with instances.

    Args:
      found: what `find_instances` returned.
      options: the user's choices.
      names: class names in the order of their ids; None if there is no file of names.
    Raises:
      InputError: names or options do not fit.
    """
    if options.palette:
        raise InputError("--palette is for masks in colours; instances/ holds numbers")
    if found.has_class_maps and options.instance_divisor:
        raise InputError("--instance_divisor: the masks give the classes already; omit it, or move masks/ away")
    if options.value_map and not found.has_class_maps:
        raise InputError("--map is for masks of class ids; instances/ holds numbers of objects, see --instance_divisor")
    classes = LabelRule(len(names) if names else None, value_map=options.value_map) if found.has_class_maps else None
    rule = InstanceRule(options.instance_divisor, classes)
    has_one_class = classes is None and not rule.divisor
    if has_one_class:
        names = _names_of_one_class(found.root, names)
    splits, notes, has_drawn_val = with_val(found.splits, options)
    examples = [example for split in splits.values() for example in split]
    if has_one_class:
        thing_ids = frozenset([rule.thing_id])
    else:
        read = functools.partial(classes_of_instances, rule=rule, max_pixels=options.max_pixels)
        thing_ids = frozenset().union(*parallel_map(read, examples, options.num_workers, "classes of objects"))
    notes = [*found.notes, f"note: {len(examples)} images with instances", *notes]
    encode = functools.partial(encode_instances, rule=rule, max_pixels=options.max_pixels)
    info = functools.partial(_info, names=names, thing_ids=thing_ids)
    return Listing(info, encode, splits, problems=found.problems, notes=notes, has_drawn_val=has_drawn_val)


def refuse_numbers_of_objects(examples: list[RawExample], max_pixels: int):
    """Raises InputError if masks look like numbers of objects: many, counted from 1 in every mask, each one area.

    The first, the middle and the last mask stand for all. Masks with the same largest number everywhere may hold
    classes.
    """
    samples = list(dict.fromkeys([examples[0], examples[len(examples) // 2], examples[-1]])) if examples else []
    try:
        counts = [_count_of_areas(read_values(one.label_path, max_pixels)) for one in samples]
    except InputError:  # it is named when its record is made
        return
    if all(counts) and max(counts, default=0) >= MIN_AREAS and (len(counts) == 1 or len(set(counts)) > 1):
        path = Path(samples[0].label_path)
        raise InputError(
            f"{path} holds {counts[0]} areas numbered from 1, as if they were objects; if so, rename "
            f"{path.parent.name} to instances; if they are classes, give --map=1..254:1 or classes.txt with their names"
        )


def _count_of_areas(values):
    """Returns the largest value if the values count connected areas from 1, else 0."""
    largest = int(values.max(initial=0))
    if len(np.unique(values[values > 0])) != largest or largest > MAX_AREAS:
        return 0
    areas = [cv2.connectedComponents((values == number).astype(np.uint8))[0] - 1 for number in range(1, largest + 1)]
    return largest if set(areas) == {1} else 0


def _of_number_files(raw_dir):
    layout = find_layout(raw_dir, INSTANCE_FOLDERS, beside=LABEL_FOLDERS)
    masks = find_layout(raw_dir, beside=INSTANCE_FOLDERS).pairs if has_pairs(raw_dir) else {}
    if masks and masks.keys() != layout.pairs.keys():
        raise InputError(f"{raw_dir}: splits with masks are {listed(masks)}, with instances {listed(layout.pairs)}")
    splits, problems, notes = {}, [], list(layout.notes)
    for split, (images, instances) in layout.pairs.items():
        found = paired(layout.pictures.get(images, []), layout.pictures.get(instances, []))
        problems += [f"{image}: no instances {instances.name}/{image.stem}.png" for image in found.images]
        problems += [f"{clash[0]}: {clash[1].name} and {clash[2].name} have the same stem" for clash in found.clashes]
        notes += found.notes
        notes += [f"note: {len(found.labels)} files in {instances} have no image"] if found.labels else []
        label_of = {}
        if split in masks:
            of_masks = paired([image for image, _ in found.pairs], layout.pictures.get(masks[split][1], []))
            problems += [f"{image}: has instances, but no mask in {masks[split][1]}" for image in of_masks.images]
            label_of = dict(of_masks.pairs)
        splits[split] = [
            RawExample(
                str(image),
                str(label_of.get(image, path)),
                image.relative_to(layout.root).as_posix(),
                instance_path=str(path),
            )
            for image, path in found.pairs
            if image in label_of or split not in masks
        ]
    if not any(splits.values()) and not problems:
        raise InputError(f"{raw_dir}: no images with instances")
    return InstanceFiles(
        layout.root, {split: one for split, one in splits.items() if one}, problems, notes, bool(masks)
    )


def _of_object_masks(raw_dir):
    """Finds folders that hold images/ with one picture, and masks/ with pictures of other names."""
    tree, splits, single = scanned(raw_dir), {}, 0
    for folder, (inside, _) in tree.items():
        by_name = {one.name.lower(): one for one in inside}
        images, masks = (by_name.get(name) for name in ("images", "masks"))
        if images is None or masks is None or not tree[masks][1]:
            continue
        pictures, names = tree[images][1], {path.stem for path in tree[masks][1]}
        if len(pictures) != 1 or pictures[0].stem in names or folder.name.lower() in SPLIT_NAMES:
            return None
        single += len(names) == 1
        split = SPLIT_NAMES.get(folder.parent.name.lower(), "train") if folder.parent != raw_dir else "train"
        name = pictures[0].relative_to(raw_dir).as_posix()
        splits.setdefault(split, []).append(RawExample(str(pictures[0]), str(masks), name, instance_path=str(masks)))
    count = sum(map(len, splits.values()))
    # One image with one mask is a pair of `folder`, not an image with one object.
    if not splits or single == count == 1:
        return None
    return InstanceFiles(raw_dir, splits, [], [])


def _names_of_one_class(root, names):
    if names is None:
        return ONE_CLASS
    if len(names) == 1:
        return (ONE_CLASS[0], *names)
    if len(names) == 2:
        return names
    raise InputError(
        f"{root}: {len(names)} classes, and instances/ that give objects no class; add masks/ of class ids, or say "
        "--instance_divisor=N if a number is class * N + object"
    )


def _info(counts, names, thing_ids):
    """Returns (DatasetInfo, notes) from the numbers of pixels of every class id."""
    notes = []
    if names is None:
        largest = max((class_id for class_id in range(255) if counts[class_id]), default=0)
        names = tuple(f"class_{class_id}" for class_id in range(largest + 1))
        notes.append(f"note: no classes.txt; {len(names)} classes from the labels: {listed(names)}")
    wrong = [class_id for class_id in range(len(names), 255) if counts[class_id]]
    if wrong:
        raise InputError(f"class {wrong[0]} in the labels, and {len(names)} names; the ids are 0 to {len(names) - 1}")
    things = [names[class_id] for class_id in sorted(thing_ids)]
    notes.append(f"note: classes with objects: {listed(things) or 'none'}")
    colors = default_colors(len(names), names)
    return DatasetInfo(NAME, names, colors, thing_ids=thing_ids, label_divisor=LABEL_DIVISOR), notes
