"""People's own data as annotation tools export them: photographs, and files that say what is drawn on them.

`tfseg.formats.annotations.annotation_formats` lists the formats. Classes are those of all splits together, joined by
name. What no object covers is the class "background", which is class 0.
"""

import functools
from collections import Counter
from pathlib import Path

from tfseg.data.conversion.drawn_labels import encode_drawn
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.data.datasets.annotated_classes import united_classes
from tfseg.data.datasets.drawn_val import with_val
from tfseg.data.datasets.folder_layout import SPLIT_NAMES, scanned
from tfseg.data.datasets.photograph_search import PictureIndex, split_named, split_of, split_of_annotations
from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations.annotation_formats import FORMATS, format_of
from tfseg.formats.annotations.photograph import AnnotationFiles


def find_annotations(raw_dir: Path, options: ConvertOptions):
    """Returns (AnnotationFormat, AnnotationFiles) of the only format of which there are files; None if there are none.

    Raises:
      InputError: files of several formats are there, one is too large to be read, or `options.annotations` is no file
        or folder with annotations.
    """
    root, tree = _root(scanned(raw_dir), raw_dir)
    pictures = sorted(picture for _, files in tree.values() for picture in files)
    candidates = _named(raw_dir, options.annotations) if options.annotations else _files_in(tree)
    paths = {}
    for path in candidates:
        found = format_of(path)
        if found:
            paths.setdefault(found, []).append(path)
    covered = {found.covers for found in paths}
    paths = {found: files for found, files in paths.items() if found.name not in covered}
    if len(paths) > 1:
        examples = [f"{files[0]} ({found.name})" for found, files in paths.items()]
        raise InputError(f"annotations in several formats: {listed(examples)}; name one of the files as --annotations")
    if not paths and options.annotations:
        names = listed((one.name for one in FORMATS), "; ")
        raise InputError(f"--annotations={options.annotations}: no annotations in a format that is read: {names}")
    return next(((found, AnnotationFiles(root, files, pictures)) for found, files in paths.items()), None)


def list_annotated(found, options: ConvertOptions, names: tuple[str, ...] | None) -> Listing:
    """Lists the annotated photographs.

    Args:
      found: what `find_annotations` returned.
      options: the user's choices.
      names: classes in the order of their ids, as a file of names gives them; None for the annotations' own order.
    Raises:
      InputError: the annotations as a whole cannot be used.
    """
    if options.palette or options.value_map:
        raise InputError("--palette and --map are for masks; annotations name the classes of their objects themselves")
    annotation_format, files = found
    content = annotation_format.read(files)
    examples, problems = _examples(files, content)
    problems = content.problems + problems
    if not examples and not problems:
        raise InputError(f"{files.paths[0]}: no photograph in it; annotate some, or name another as --annotations")
    photographs = [example.photograph for _, example in examples]
    classes = united_classes(content, photographs, names, options.uncovered == "ignored")
    splits, remarks = _splits(examples, options.uncovered != "ignored")
    splits, drawn, has_drawn_val = with_val(splits, options)
    notes = [
        f"note: annotations are read from {_shown(files)}: {annotation_format.name}",
        *content.notes,
        *classes.notes,
    ]
    notes += remarks + drawn + _unused(files, examples)
    encode = functools.partial(encode_drawn, classes=classes.drawn, max_pixels=options.max_pixels)
    return Listing(classes.info, encode, splits, problems=problems, notes=notes, has_drawn_val=has_drawn_val)


def _named(raw_dir, annotations):
    """Returns the files that --annotations names, as a path or as one below the raw folder."""
    paths = [Path(annotations), raw_dir / annotations]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise InputError(f"--annotations={annotations}: no such file or folder")
    return _files_in(scanned(path)) if path.is_dir() else [path]


def _root(tree, folder):
    """Returns (the folder that holds everything, the folders in it): an archive may hold a single folder."""
    while len(tree[folder][0]) == 1 and not tree[folder][1] and not _files_in([folder]):
        (inside,) = tree[folder][0]
        if inside.name.lower() in SPLIT_NAMES:
            break
        folder = inside
    return folder, {one: content for one, content in tree.items() if one.is_relative_to(folder)}


def _files_in(tree):
    endings = {ending for one in FORMATS for ending in one.endings}
    paths = [path for folder in tree for path in folder.iterdir() if path.suffix.lower() in endings]
    return sorted(path for path in paths if path.is_file() and not path.name.startswith("."))


def _examples(files, content):
    """Returns ([(split or None, RawExample)], problems)."""
    index = PictureIndex(files.root, files.pictures)
    examples, problems, missing, taken = [], [], [], {}
    for photograph in content.photographs:
        try:
            picture = photograph.picture or index.find(photograph)
        except InputError as error:
            missing.append(str(error))
            continue
        path = Path(photograph.annotation_path)
        split = photograph.split and split_named(photograph.split)
        split = split or split_of_annotations(path, files.root) or split_of(picture, files.root)
        if (split, picture) in taken:
            problems.append(
                f"{photograph.place}: {picture} is annotated in {taken[split, picture]}, too; delete one, or "
                "name one file as --annotations"
            )
            continue
        taken[split, picture] = photograph.annotation_path
        name = picture.relative_to(files.root).as_posix()
        objects_path = photograph.maps and photograph.maps.objects_path
        example = RawExample(
            str(picture), photograph.annotation_path, name, instance_path=objects_path, photograph=photograph
        )
        examples.append((split, example))
    if missing and not examples:
        raise InputError(shortened(f"none of the {len(missing)} annotated pictures is found; the first: {missing[0]}"))
    return examples, problems + missing


def _splits(examples, is_background):
    """Returns ({split: RawExamples}, notes)."""
    named = {split for split, _ in examples if split}
    without = [example for split, example in examples if not split]
    if named and without:
        raise InputError(
            f"{without[0].filename} is in no split, and others are in {listed(sorted(named))}; move it into a folder "
            "that is named like one, or put the split into the name of its annotation file"
        )
    splits, notes = {}, []
    empty = [example for _, example in examples if example.photograph.is_empty]
    for split, example in examples:
        if is_background or not example.photograph.is_empty:
            splits.setdefault(split or "train", []).append(example)
    if empty:
        what = "are background as a whole" if is_background else "are left out"
        notes.append(f"note: {len(empty)} photographs without objects {what}, e.g. {shortened(empty[0].filename, 60)}")
    names = Counter(example.filename for _, example in examples)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        notes.append(f"warning: {len(twice)} photographs are in several splits: {listed(twice)}")
    return {split: splits[split] for split in sorted(splits, key=_split_order)}, notes


def _split_order(split):
    order = ("train", "val", "test")
    return order.index(split) if split in order else len(order)


def _unused(files, examples):
    used = {example.image_path for _, example in examples}
    for maps in (example.photograph.maps for _, example in examples):
        used |= {maps.path, maps.objects_path} if maps else set()
    unused = [picture for picture in files.pictures if str(picture) not in used]
    if not unused:
        return []
    names = listed(picture.relative_to(files.root).as_posix() for picture in unused)
    return [shortened(f"note: {len(unused)} pictures without annotations are not used: {names}")]


def _shown(files):
    more = f" and {len(files.paths) - 1} more files" if len(files.paths) > 1 else ""
    return f"{files.paths[0]}{more}"
