"""Reads objects that lie in pictures: a map of numbers, one for each object, or one mask for each object."""

import dataclasses
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats import image_file
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.formats.label_file import LabelRule, read_stored_label, read_values
from tfseg.labels import IGNORE_LABEL

MAX_INSTANCES = (1 << 16) - 1  # what a panoptic PNG has room for


@dataclasses.dataclass(frozen=True)
class InstanceRule:
    """What the numbers in files of instances mean.

    Attributes:
      divisor: a number of divisor or more is class id * divisor + object, a smaller one is a class id without object;
        None: every number but 0 is an object of `thing_id`, unless there are class maps.
      classes: how class maps are read; None if there are none.
      thing_id: class of objects that nothing else gives a class.
    """

    divisor: int | None = None
    classes: LabelRule | None = None
    thing_id: int = 1


def encode_instances(example: RawExample, rule: InstanceRule, max_pixels: int = MAX_PIXELS) -> EncodedExample:
    """Makes the record of an image with its instances. Raises InputError that names the file."""
    return encode_labelled(example, lambda: read_instances(example, rule, max_pixels), max_pixels)


def read_instances(example: RawExample, rule: InstanceRule, max_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads the objects of an image.

    Args:
      example: its `instance_path` is a file of numbers, or a folder with a mask for each object; its `label_path` is
        the same, or the file of a class map.
      rule: what they mean.
      max_pixels: number of pixels above which files are refused.
    Returns:
      (class ids uint8, instance ids int32), each [height, width] as stored. In every class, objects count from 1. An
      object has the class of most of its pixels; those of another class belong to no object.
    Raises:
      InputError: a file cannot be used, a mask is hidden by others, or there are too many objects; it names the file.
    """
    path = Path(example.instance_path)
    numbers = _of_masks(path, max_pixels) if path.is_dir() else read_values(path, max_pixels)
    if rule.divisor is not None:
        class_ids = np.where(numbers >= rule.divisor, numbers // rule.divisor, numbers)
        if class_ids.max(initial=0) > IGNORE_LABEL:
            raise InputError(
                f"{path}: {numbers.max()} would be class {class_ids.max()}; class ids are 0 to 255, see "
                "--instance_divisor"
            )
        return class_ids.astype(np.uint8), _counted(numbers * (numbers >= rule.divisor), class_ids, path)
    if rule.classes is None:
        class_ids = np.where(numbers > 0, rule.thing_id, 0).astype(np.uint8)
        return class_ids, _counted(numbers, class_ids, path)
    class_ids = read_stored_label(example.label_path, rule.classes, max_pixels).class_ids
    if class_ids.shape != numbers.shape:
        raise InputError(
            f"{path}: {numbers.shape[1]}x{numbers.shape[0]} pixels, and {example.label_path} has "
            f"{class_ids.shape[1]}x{class_ids.shape[0]} (width x height)"
        )
    return class_ids, _counted(_of_one_class(numbers, class_ids), class_ids, path)


def classes_of_instances(example: RawExample, rule: InstanceRule, max_pixels: int) -> frozenset[int]:
    """Returns the class ids that have objects in an image; none for one that cannot be read."""
    try:
        class_ids, instances = read_instances(example, rule, max_pixels)
    except InputError:  # it is named when its record is made
        return frozenset()
    return frozenset(np.unique(class_ids[instances > 0]).tolist())


def _of_masks(folder, max_pixels):
    """Returns [height, width] int32 numbers of the masks in a folder. Those later in the order of names lie above."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in image_file.ENDINGS]
    paths = [path for path in paths if not path.name.startswith(".")]
    numbers, filled = None, []
    for number, path in enumerate(paths, 1):
        mask = read_values(path, max_pixels) > 0
        if numbers is None:
            numbers = np.zeros(mask.shape, np.int32)
        if mask.shape != numbers.shape:
            raise InputError(f"{path}: another size than the masks beside it; save all in the size of the image")
        numbers[mask] = number
        filled += [number] if mask.any() else []
    if hidden := sorted(set(filled) - set(np.unique(numbers).tolist())):
        raise InputError(f"{paths[hidden[0] - 1]}: lies wholly below later masks of this folder; delete it, or those")
    return numbers


def _of_one_class(numbers, class_ids):
    """Returns the numbers where the class is that of most pixels of the object, 0 elsewhere, in class 0 and 255."""
    found, inverse = np.unique(numbers, return_inverse=True)
    counts = np.zeros([len(found), 256], np.int64)
    np.add.at(counts, (inverse.ravel(), class_ids.ravel()), 1)
    main = counts.argmax(1)
    main[(found == 0) | (main == 0) | (main == IGNORE_LABEL)] = 256
    return np.where(main[inverse].reshape(numbers.shape) == class_ids, numbers, 0)


def _counted(numbers, class_ids, path):
    """Returns [height, width] int32 in which the objects of every class count from 1."""
    instances = np.zeros(numbers.shape, np.int32)
    for class_id in np.unique(class_ids[numbers > 0]):
        is_object = (numbers > 0) & (class_ids == class_id)
        found, inverse = np.unique(numbers[is_object], return_inverse=True)
        if len(found) > MAX_INSTANCES:
            raise InputError(f"{path}: {len(found)} objects; at most {MAX_INSTANCES} of a class")
        instances[is_object] = inverse + 1
    return instances
