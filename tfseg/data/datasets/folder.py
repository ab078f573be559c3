"""People's own data: a folder of images and a folder of labels with the same names.

Layout: images/ and masks/ (or labels/, annotations/), which are divided into train and val; or one such pair per split,
as <split>/images and <split>/masks or as images/<split> and masks/<split>. All of it may be in one folder inside.
`photo.jpg` belongs to `photo.png`, `photo.jpg.png`, `photo_mask.png` or `photo_label.png`; see `pairing` for others.

Labels are images of class ids (grey or palette, 255 = ignored), or of colours that a palette file explains. A file
classes.txt or names.txt in the folder names the classes, one per line; without it they are class_0, class_1, ...

Objects in pictures, in instances/ or one mask each, are described in `instance_folder`. Where there is no folder of
masks, annotations of tools are looked for; see `annotated_folder`.
"""

import functools
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_pair
from tfseg.data.conversion.palette import read_names, read_palette
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.data.datasets.annotated_folder import find_annotations, list_annotated
from tfseg.data.datasets.drawn_val import check_share, with_val
from tfseg.data.datasets.folder_layout import NAME, find_layout, has_pairs
from tfseg.data.datasets.instance_folder import find_instances, list_instances, refuse_numbers_of_objects
from tfseg.data.datasets.pairing import paired
from tfseg.errors import MAX_NAME, InputError, listed, shortened
from tfseg.formats import image_file
from tfseg.formats.foreign_labels import foreign_label_of
from tfseg.formats.label_file import LabelRule
from tfseg.labels import IGNORE_LABEL, DatasetInfo, default_colors

NAMES_FILES = ("classes.txt", "names.txt")
# Without names, more ids than this, or ids of which fewer than half occur, are taken for grey levels.
MAX_UNNAMED = 64


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the pairs in `raw_dir`.

    Raises:
      InputError: another layout, pictures that are in no pair of folders, no names that belong together, or a bad file
        of names or palette.
    """
    check_share(options)
    instances = None if options.annotations else find_instances(raw_dir)
    if instances:
        return list_instances(instances, options, _names(raw_dir, instances.root, options)[0])
    if options.instance_divisor:
        raise InputError(f"--instance_divisor does nothing here: {raw_dir} has no instances/ beside images/")
    if options.annotations or not has_pairs(raw_dir):
        annotations = find_annotations(raw_dir, options)
        if annotations:
            return list_annotated(annotations, options, _names(raw_dir, annotations[1].root, options)[0])
    layout = find_layout(raw_dir)
    names, palette = _names(raw_dir, layout.root, options)
    splits, problems, notes = {}, [], list(layout.notes)
    for split, folders in layout.pairs.items():
        splits[split], bad, remarks = _pairs(raw_dir, layout, *folders)
        problems += bad
        notes += remarks
    splits = {split: examples for split, examples in splits.items() if examples}
    if not splits and not problems:
        raise InputError(f"{raw_dir}: no images ({', '.join(sorted(image_file.ENDINGS))})")
    if not (names or options.value_map):
        refuse_numbers_of_objects([one for split in splits.values() for one in split], options.max_pixels)
    splits, remarks, has_drawn_val = with_val(splits, options)
    notes += remarks
    rule = LabelRule(
        len(names) if names else None,
        value_map=options.value_map,
        palette=palette.class_ids if palette else None,
        refuses_two_meanings=True,
    )
    encode = functools.partial(encode_pair, rule=rule, max_pixels=options.max_pixels)
    info = functools.partial(_info, names=names, palette=palette, value_map=options.value_map, raw_dir=raw_dir)
    return Listing(info, encode, splits, problems=problems, notes=notes, has_drawn_val=has_drawn_val)


def _names(raw_dir, root, options):
    """Reads (class names or None, Palette or None) from the text files."""
    folders = dict.fromkeys((root, raw_dir))
    files = [folder / name for folder in folders for name in NAMES_FILES]
    found = {path: read_names(path) for path in files if path.exists() or path.is_symlink()}
    names = next(iter(found.values()), None)
    palette = read_palette(options.palette) if options.palette else None
    if palette:
        found[Path(options.palette)] = palette.class_names
    for path, others in found.items():
        if others != names and names is not None:
            raise InputError(
                f"{next(iter(found))} and {path} differ in classes or in their order; remove one of the two"
            )
    return names or (palette.class_names if palette else None), palette


def _pairs(raw_dir, layout, image_folder, label_folder):
    """Returns (RawExamples, problems, notes) of one split."""
    images, labels = (layout.pictures.get(folder, []) for folder in (image_folder, label_folder))
    found = paired(images, labels)
    if images and labels and not found.pairs and not found.clashes:
        names = [shortened(paths[0].name, MAX_NAME) for paths in (found.images, found.labels)]
        raise InputError(
            f"{image_folder} and {label_folder.relative_to(raw_dir)}: no names belong together, e.g. {names[0]} and "
            f"{names[1]}; give a mask the name of its image, as in a.jpg and a.png"
        )
    examples = [
        RawExample(str(image), str(label), image.relative_to(layout.root).as_posix()) for image, label in found.pairs
    ]
    problems = [
        f"{clash[0]}: {' and '.join(path.name for path in clash[1:3])} has the same stem" for clash in found.clashes
    ]
    unused = f"; {found.labels[0].name} there has no image" if found.labels else ""
    for image in found.images:
        foreign = foreign_label_of(image, (label_folder, image_folder))
        wanted = (label_folder / f"{image.stem}.png").relative_to(raw_dir)
        problems.append(f"{image}: {foreign.advice(raw_dir) if foreign else f'no label {wanted}{unused}'}")
    notes = list(found.notes)
    if found.labels:
        names = listed(path.name for path in found.labels)
        notes.append(f"note: {len(found.labels)} labels in {label_folder} have no image: {names}")
    return examples, problems, notes


def _info(counts, names, palette, value_map, raw_dir):
    """Returns (DatasetInfo, notes) from the numbers of pixels of every class id."""
    labelled = np.flatnonzero(counts[:IGNORE_LABEL])
    is_binary = list(labelled) in ([], [0]) and counts[IGNORE_LABEL] > 0
    if is_binary and palette is None and IGNORE_LABEL not in value_map:
        raise InputError(
            f"{raw_dir}: the labels hold only 0 and 255, and 255 means ignored; if 255 is a class, give --map 255:1; "
            "if not, --map 255:255"
        )
    notes = []
    if not names:
        _check_unnamed(raw_dir, labelled, value_map)
        names = tuple(f"class_{class_id}" for class_id in range(max(labelled, default=0) + 1))
        notes.append(f"note: no {NAMES_FILES[0]}; {len(names)} classes from the labels: {listed(names)}")
    unseen = [name for class_id, name in enumerate(names) if not counts[class_id]]
    if unseen:
        notes.append(f"warning: classes that are in no label: {listed(unseen)}")
    return DatasetInfo(NAME, names, palette.colors if palette else default_colors(len(names), names)), notes


def _check_unnamed(raw_dir, labelled, value_map):
    """Raises InputError if ids without names look like the grey levels of smoothed or scaled masks."""
    if set(labelled.tolist()) <= set(value_map.values()):
        return
    if len(labelled) > MAX_UNNAMED or 2 * len(labelled) < max(labelled, default=0) + 1:
        raise InputError(
            f"{raw_dir}: no {NAMES_FILES[0]}, and the masks have {len(labelled)} ids, {listed(labelled)}, which may be "
            f"grey levels; name the classes in {NAMES_FILES[0]}, or give every value with --map"
        )
