"""Label Studio's "Brush labels to PNG": a grey picture for each brush region, named after task, annotation and class.

task-40-annotation-70-by-1-tag-car-0.png is the first region of the class car in annotation 70 of task 40, where the tag
of the brushes is called "tag". Which photograph a task is, only the project's JSON or JSON-MIN says: it has to lie in
the folder of the masks or above. It also has the order in which regions lie above each other.
"""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations import documents, run_lengths
from tfseg.formats.annotations.label_studio import file_name_in
from tfseg.formats.annotations.photograph import AnnotatedObject, AnnotatedPhotograph, AnnotationFiles, AnnotationSet
from tfseg.formats.image_file import MAX_PIXELS, opened

ENDINGS = (".png",)
# An e-mail address has lost its hyphens; tags and classes may have some.
NAME = re.compile(r"task-(?P<task>\d+)-annotation-(?P<annotation>\d+)-by-[^-]*-(?P<region>.+-\d+)")
BRUSH, OTHER_SHAPES = "brushlabels", ("polygonlabels", "rectanglelabels", "ellipselabels")


def is_one(path: Path) -> bool:
    """Whether a file is named like the mask of a region."""
    return NAME.fullmatch(path.stem) is not None


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads the masks.

    Raises:
      InputError: there is no JSON that says which photographs the tasks are, or it cannot be used.
    """
    found, pictures = AnnotationSet(), {picture.name for picture in files.pictures}
    by_folder = {}
    for path in files.paths:
        by_folder.setdefault(path.parent, {}).setdefault(int(NAME.fullmatch(path.stem)["task"]), []).append(path)
    for folder, masks in by_folder.items():
        json_path, tasks = _tasks_near(folder, files.root)
        if any(documents.has_keys(json_path, (shape,)) for shape in OTHER_SHAPES):
            found.notes.append(f"warning: {json_path.name} has shapes that are in no mask; export JSON to read them")
        unknown = masks.keys() - tasks.keys()
        found.problems += [f"{masks[task][0]}: {json_path} has no task {task}; export both again" for task in unknown]
        for task, content in tasks.items():
            try:
                file_name = file_name_in(content.get("data", content), f"{json_path}: task {task}", pictures)
                found.photographs.append(_photograph(file_name, masks.get(task, []), _regions(content), json_path))
            except InputError as error:
                found.problems.append(str(error))
    found.class_names = sorted({each.class_name for photograph in found.photographs for each in photograph.objects})
    return found


def _tasks_near(folder, root):
    """Returns (JSON file, {number of a task: its content}) of the nearest folder with one that has tasks."""
    for above in (folder, *folder.parents):
        if not above.is_relative_to(root):
            break
        for path in sorted(above.glob("*.json")):
            content = documents.read_json(path)
            entries = content if isinstance(content, list) else []
            tasks = {one["id"]: one for one in entries if isinstance(one, dict) and type(one.get("id")) is int}
            if tasks:
                return path, tasks
    raise InputError(
        f"{folder}: masks of Label Studio's brushes do not say which photograph they are of; export the project as "
        "JSON, too, and put it beside them"
    )


def _regions(task):
    """Returns {what a file's name has for a region: its classes}, in the order of the regions."""
    annotations = [
        [(one.get("from_name"), one.get("value")) for one in _objects_in(each.get("result"))]
        for each in _objects_in(task.get("annotations"))
    ]  # of JSON
    annotations.append([(tag, one) for tag, several in task.items() for one in _objects_in(several)])  # of JSON-MIN
    regions = {}
    for annotation in annotations:
        counts = Counter()
        for tag, value in annotation:
            names = value.get(BRUSH) if isinstance(value, dict) else None
            if isinstance(names, list):
                text = re.sub(r"[/\\]", "-", "-".join(map(str, [tag, *names])))
                regions.setdefault(f"{text}-{counts[text]}", [str(name) for name in names])
                counts[text] += 1
    return regions


def _objects_in(values):
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _photograph(file_name, masks, regions, json_path):
    annotations = {NAME.fullmatch(mask.stem)["annotation"] for mask in masks}
    if len(annotations) > 1:
        raise InputError(
            f"{masks[0]}: {len(annotations)} annotations of one task, {listed(sorted(annotations))}; delete the masks "
            "of all but one"
        )
    objects, sizes = [], {}
    order = list(regions)
    for mask in sorted(
        masks, key=lambda mask: (order.index(region) if (region := _region(mask)) in order else -1, mask)
    ):
        is_inside = _read_mask(mask)
        sizes[is_inside.shape] = mask
        name = _class_of(mask, regions)
        objects.append(AnnotatedObject(name, (run_lengths.of_mask(is_inside),), f"{mask.name} ({shortened(name, 40)})"))
    if len(sizes) > 1:
        raise InputError(
            f"{listed(sizes.values(), ' and ')}: masks of one photograph in several sizes; export both again"
        )
    path = masks[0] if masks else json_path
    return AnnotatedPhotograph(file_name, str(path), next(iter(sizes), None), tuple(objects))


def _region(mask):
    return NAME.fullmatch(mask.stem)["region"]


def _class_of(mask, regions):
    names = regions.get(_region(mask)) or [_region(mask).rpartition("-")[0].partition("-")[2]]
    if len(names) > 1 or not names[0]:
        what = f"the classes {listed(names)}" if names[0] else "no class"
        raise InputError(f"{mask}: a region with {what}; give it one")
    return names[0]


def _read_mask(path):
    """Returns [height, width] bool: what a region covers at all."""
    with opened(path, MAX_PIXELS) as image:
        values = np.array(image)
    if values.ndim != 2:
        raise InputError(f"{path}: a mask with colours; export the masks again")
    return values > 0
