"""Reads the categories of a JSON file as classes, and compares those of predictions with those of labels."""

import os
from collections import Counter
from typing import ClassVar

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.json_file import (
    COLOR,
    LINE,
    LIST,
    OBJECT,
    TRUTH,
    WHOLE_NUMBER,
    entries_of,
    shown,
    value_of,
)
from tfseg.labels import DatasetInfo, default_colors

AGREE = "write the predictions with the labels' categories"


class Categories(DatasetInfo):
    """The categories of a JSON file as classes. There may be more than a label map of 8 bits has room for."""

    max_classes: ClassVar[int | None] = None


def read_categories(content: dict, path) -> tuple[Categories, tuple[int, ...]]:
    """Returns (the categories as classes, in the file's order; category id of each class id).

    Args:
      content: the JSON file's content.
      path: the JSON file's path.
    Raises:
      InputError: there are no categories, or one is wrong; the message names the file and the value.
    """
    entries = entries_of(content, "categories", path)
    category_ids, names, colors, thing_ids = [], [], [], set()
    for class_id, entry in enumerate(entries):
        place = f"{path}: categories[{class_id}]"
        category_ids.append(value_of(entry, "id", WHOLE_NUMBER, place))
        names.append(value_of(entry, "name", LINE, place))
        color = value_of(entry, "color", COLOR, place, optional=True)
        colors.append(tuple(color) if color else None)
        if value_of(entry, "isthing", TRUTH, place):
            thing_ids.add(class_id)
    for what, values in (("id", category_ids), ("name", names)):
        value, count = Counter(values).most_common(1)[0]
        if count > 1:
            raise InputError(f"{path}: {count} categories have the {what} {shown(value)}; rename or delete one")
    colors = default_colors(len(names), names) if None in colors else tuple(colors)
    return Categories(os.path.basename(path), tuple(names), colors, frozenset(thing_ids)), tuple(category_ids)


def check_categories(content: dict, path, labels):
    """Checks that the categories of predictions, if the file has any, mean what those of the labels mean.

    The file may lack categories, and an entry may lack its name and isthing. Categories that the labels do not have are
    accepted as long as no segment is of one.

    Args:
      content: the content of the predictions' JSON file.
      path: that file's path.
      labels: `Annotations` of the labels.
    Raises:
      InputError: a category has another name or another isthing than in the labels, or a name of the labels has another
        id; the message names the first, and both files.
    """
    if "categories" not in content:
        return
    class_ids = {category_id: class_id for class_id, category_id in enumerate(labels.category_ids)}
    ids_by_name = dict(zip(labels.info.class_names, labels.category_ids, strict=True))
    for index, entry in enumerate(value_of(content, "categories", LIST, str(path))):
        place = f"{path}: categories[{index}]"
        if not OBJECT.accepts(entry):
            raise InputError(f"{place} is {shown(entry)}; it must be {OBJECT.name}")
        category_id = value_of(entry, "id", WHOLE_NUMBER, place)
        name = value_of(entry, "name", LINE, place, optional=True)
        is_thing = value_of(entry, "isthing", TRUTH, place, optional=True)
        place = f"{path}: category {shown(category_id)}"
        if category_id not in class_ids:
            if name in ids_by_name:
                raise InputError(
                    f"{place} is {shown(name)}, which has the id {shown(ids_by_name[name])} in {labels.path}; {AGREE}"
                )
            continue
        class_id = class_ids[category_id]
        if name not in (None, labels.info.class_names[class_id]):
            raise InputError(
                f"{place} is {shown(name)}, but {shown(labels.info.class_names[class_id])} in {labels.path}; {AGREE}"
            )
        if is_thing not in (None, class_id in labels.info.thing_ids):
            raise InputError(
                f"{place}, {shown(labels.info.class_names[class_id])}, has isthing {int(is_thing)}, but "
                f"{int(not is_thing)} in {labels.path}; {AGREE}"
            )
