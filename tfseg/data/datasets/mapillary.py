"""Mapillary Vistas (Neuhold et al. 2017): street scenes of all continents, about 9 megapixels each.

Layout: the archive of v1.2 has config.json and, in training/ and validation/, images/*.jpg, labels/*.png,
instances/*.png and panoptic/*.png with panoptic/panoptic_2018.json. The archive of v2.0 has config_v1.2.json and
config_v2.0.json; in training/ and validation/ it has images/*.jpg and, inside v1.2/ and v2.0/, those label folders
(panoptic/panoptic_2020.json in v2.0). `mapillary` is v1.2 from either archive, `mapillary_v2` is v2.0.

Names, colours and things come from the config file, because they are licensed with the data. Classes that it does not
evaluate are ignored; the others keep their order. In each split only one label folder is read, the first that exists:
panoptic (segments), instances (16 bit: 256 * label + number of the instance), labels (no instances).
"""

import functools
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.id_labels import encode_ids, refuse_sets_of_colors
from tfseg.data.conversion.panoptic_labels import (
    annotated_labels,
    annotations_by_stem,
    missing_files,
    numbered_instances,
)
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule, read_values
from tfseg.labels import IGNORE_LABEL, DatasetInfo
from tfseg.system.small_files import read_json

URL = "https://www.mapillary.com/dataset/vistas"
FOLDERS = {"train": "training", "val": "validation"}
SPLIT_SIZES = {"train": 18000, "val": 2000}
INSTANCES_PER_LABEL = 256
ID_ADVICE = f"take labels/ as it is in the archive of {URL}"


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists images in `raw_dir` with their v1.2 labels. Raises InputError if there are none, or for a bad config."""
    return _listing(raw_dir, "mapillary", "v1.2", options)


def list_v2_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists images in `raw_dir` with their v2.0 labels. Raises InputError if there are none, or for a bad config."""
    return _listing(raw_dir, "mapillary_v2", "v2.0", options)


def _listing(raw_dir, name, version, options):
    configs = [raw_dir / f"config_{version}.json", *([raw_dir / "config.json"] if version == "v1.2" else [])]
    config = next((path for path in configs if path.is_file()), None)
    if config is None:
        raise InputError(
            f"{raw_dir}: no Mapillary Vistas {version} here ({' or '.join(path.name for path in configs)}, "
            f"training/images, validation/images); get it from {URL}"
        )
    labels, class_ids = read_config(config)
    info = _evaluated(labels, class_ids, name)
    splits, problems = {}, []
    for split, folder in FOLDERS.items():
        images = sorted((raw_dir / folder / "images").glob("*.jpg"))
        nested = raw_dir / folder / version
        examples, bad = _examples(raw_dir, images, nested if nested.is_dir() else raw_dir / folder, labels)
        splits |= {split: examples} if examples else {}
        problems += bad
    if not splits and not problems:
        raise InputError(f"{raw_dir}: no images in training/images or validation/images")
    refuse_sets_of_colors(splits, options.max_pixels, ID_ADVICE)
    encode = functools.partial(
        encode_example, labels=labels, class_ids=class_ids, thing_ids=info.thing_ids, max_pixels=options.max_pixels
    )
    return Listing(info, encode, splits, problems=problems)


def read_config(path: Path) -> tuple[DatasetInfo, np.ndarray]:
    """Reads the labels of a config file.

    Returns:
      (all labels in their order, [256] uint8 class id of each label id; the ignore label if it is not evaluated).
    Raises:
      InputError: the file is not a config; the message names it.
    """
    try:
        entries = read_json(path)["labels"]
        names = tuple(str(entry["name"]) for entry in entries)
        colors = tuple(tuple(entry["color"]) for entry in entries)
        thing_ids = frozenset(index for index, entry in enumerate(entries) if entry["instances"])
        is_evaluated = np.array([bool(entry["evaluate"]) for entry in entries])
        labels = DatasetInfo(path.name, names, colors, thing_ids)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise InputError(
            f"{path}: not a config of Mapillary Vistas ({reason}); its labels have name, color, instances, evaluate"
        ) from None
    if not is_evaluated.any():
        raise InputError(f"{path}: no label is evaluated, so there is nothing to learn")
    class_ids = np.full(256, IGNORE_LABEL, np.uint8)
    class_ids[: len(names)][is_evaluated] = np.arange(is_evaluated.sum())
    return labels, class_ids


def _evaluated(labels, class_ids, name):
    label_ids = np.flatnonzero(class_ids != IGNORE_LABEL)
    return DatasetInfo(
        name,
        tuple(labels.class_names[label_id] for label_id in label_ids),
        tuple(labels.colors[label_id] for label_id in label_ids),
        thing_ids=frozenset(int(class_ids[label_id]) for label_id in labels.thing_ids if label_id in label_ids),
        split_sizes=SPLIT_SIZES,
        url=URL,
    )


def _examples(raw_dir, images, folder, labels):
    """Returns (RawExamples, problems) of one split whose label folders are in `folder`."""
    annotations, json_path = None, next(iter(sorted((folder / "panoptic").glob("panoptic_*.json"))), None)
    if json_path:
        # Category ids in these files number the labels from 1.
        annotations = annotations_by_stem(json_path, range(1, labels.num_classes + 1))
    has_instances = (folder / "instances").is_dir()
    examples, problems = [], []
    for image in images:
        annotation = annotations.get(image.stem) if json_path else None
        if json_path and annotation is None:
            problems.append(f"{image}: has no annotation in {json_path}")
            continue
        label = str(folder / ("instances" if has_instances else "labels") / f"{image.stem}.png")
        example = RawExample(
            str(image),
            annotation.path if annotation else label,
            filename=image.relative_to(raw_dir).as_posix(),
            instance_path=label if has_instances and not annotation else None,
            annotation=annotation,
        )
        missing = missing_files(example)
        problems += missing
        examples += [example] if not missing else []
    return examples, problems


def encode_example(example: RawExample, labels: DatasetInfo, class_ids, thing_ids, max_pixels: int) -> EncodedExample:
    """Returns the record of an image and its labels. Raises InputError that names the file.

    Args:
      example: the image's files.
      labels, class_ids: the result of `read_config`.
      thing_ids: class ids that have instances.
      max_pixels: number of pixels above which images are refused.
    """
    if example.annotation is None and example.instance_path is None:
        rule = LabelRule(labels.num_classes, dict(enumerate(class_ids[: labels.num_classes].tolist())))
        return encode_ids(example, rule, max_pixels, ID_ADVICE)

    def read_labels():
        label_ids, instance_ids = _read_segments(example, labels, max_pixels)
        classes = class_ids[label_ids]
        return classes, np.where(np.isin(classes, list(thing_ids)), instance_ids, 0)

    return encode_labelled(example, read_labels, max_pixels)


def _read_segments(example, labels, max_pixels):
    """Reads (label ids, instance ids), each [height, width]; instance ids of stuff have no meaning."""
    if example.annotation:
        return annotated_labels(example.annotation, labels)
    values = read_values(example.instance_path, max_pixels)
    label_ids, instance_ids = numbered_instances(values, 0, INSTANCES_PER_LABEL)
    if label_ids.max() >= labels.num_classes:
        raise InputError(
            f"{example.instance_path}: label {label_ids.max()}, but {labels.name} has {labels.num_classes} labels"
        )
    return label_ids, instance_ids
