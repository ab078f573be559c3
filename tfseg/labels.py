"""What a data set's labels mean: all that data, metrics and pictures have in common."""

import dataclasses
import hashlib
import json
import re
from typing import ClassVar

import numpy as np

from tfseg.painting.colors import distinct_colors

IGNORE_LABEL = 255
LABEL_DIVISOR = 1000
MAX_CLASSES = 255
# What tools call the class of all that is nothing in particular, in lower case, without signs.
BACKGROUND_NAMES = {"background", "bg", "unlabeled", "unlabelled", "void", "none", "nothing"}
BACKGROUND_COLOR = (190, 190, 190)


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """Facts of one data set.

    Attributes:
      name: the data set's name in `--dataset`.
      class_names: name of each class id.
      colors: (red, green, blue), 0 to 255, of each class id.
      thing_ids: class ids that have instances; the others are stuff.
      ignore_label: id of pixels that are neither trained on nor counted; 255 everywhere.
      split_sizes: {split: number of examples} of the complete data set; a converter warns if it finds other numbers.
      label_divisor: factor in panoptic id = class id * label_divisor + instance id.
      url: page from which a user downloads the raw data.
      categories: name of the group of classes that each class id belongs to; empty if there are none.
      average_instance_sizes: {name of every thing: pixels of an average instance}, if the data set's benchmark fixes
        them for its instance-level IoU; if empty, the evaluated split's own sizes are used.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    thing_ids: frozenset[int] = frozenset()
    ignore_label: int = IGNORE_LABEL
    split_sizes: dict[str, int] = dataclasses.field(default_factory=dict)
    label_divisor: int = LABEL_DIVISOR
    url: str = ""
    categories: tuple[str, ...] = ()
    average_instance_sizes: dict[str, float] = dataclasses.field(default_factory=dict)

    max_classes: ClassVar[int | None] = MAX_CLASSES  # None: any number

    def __post_init__(self):
        if not 1 <= len(self.class_names) <= (self.max_classes or len(self.class_names)):
            raise ValueError(f"{self.name}: {len(self.class_names)} classes; 1 to {self.max_classes} are possible")
        if self.label_divisor < 1 or not 0 <= self.ignore_label <= IGNORE_LABEL:
            raise ValueError(f"{self.name}: label divisor {self.label_divisor} or ignored label {self.ignore_label}")
        if len(self.colors) != len(self.class_names):
            raise ValueError(f"{self.name}: {len(self.class_names)} class names but {len(self.colors)} colours")
        for color, name in zip(self.colors, self.class_names, strict=True):
            if not _is_color(color):
                raise ValueError(
                    f"{self.name}: colour {color!r} of class {name!r} is not three whole numbers from 0 to 255"
                )
        if not all(0 <= class_id < self.num_classes for class_id in self.thing_ids):
            raise ValueError(f"{self.name}: thing ids {sorted(self.thing_ids)} outside 0..{self.num_classes - 1}")
        if self.categories and len(self.categories) != self.num_classes:
            raise ValueError(f"{self.name}: {self.num_classes} classes but categories of {len(self.categories)}")
        things = {self.class_names[class_id] for class_id in self.thing_ids}
        if self.average_instance_sizes and set(self.average_instance_sizes) != things:
            raise ValueError(f"{self.name}: average instance sizes are not those of the things {sorted(things)}")

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def background_ids(self) -> frozenset[int]:
        """The class ids that mean nothing in particular, by their names: they hold no objects and are drawn clear."""
        return frozenset(class_id for class_id, name in enumerate(self.class_names) if is_background(name))

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories, each once, in the order of the classes."""
        return tuple(dict.fromkeys(self.categories))

    @property
    def category_ids(self) -> tuple[int, ...]:
        """Index in `category_names` of each class id; empty without categories."""
        return tuple(self.category_names.index(category) for category in self.categories)

    @property
    def thing_categories(self) -> tuple[str, ...]:
        """The names in `category_names` whose classes are all things."""
        with_stuff = {name for class_id, name in enumerate(self.categories) if class_id not in self.thing_ids}
        return tuple(name for name in self.category_names if name not in with_stuff)

    def to_dict(self) -> dict:
        """Returns plain JSON types; `from_dict` is the inverse."""
        return dataclasses.asdict(self) | {"thing_ids": sorted(self.thing_ids)}

    @classmethod
    def from_dict(cls, values: dict) -> "DatasetInfo":
        return cls(
            **values
            | {
                "class_names": tuple(values["class_names"]),
                "colors": tuple(tuple(color) for color in values["colors"]),
                "thing_ids": frozenset(values["thing_ids"]),
                "categories": tuple(values.get("categories", ())),
            }
        )

    def label_hash(self) -> str:
        """Returns a hash of names, ignore label and divisor, which changes if a class id means something else."""
        facts = [self.class_names, self.ignore_label, self.label_divisor]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _is_color(value):
    # Compares types exactly: True is an int, too, and NumPy's numbers cannot be stored as JSON.
    return (
        isinstance(value, tuple | list)
        and [type(one) for one in value] == [int] * 3
        and 0 <= min(value) <= max(value) <= 255
    )


def is_background(class_name: str) -> bool:
    """Whether a class means all that is nothing in particular, by its name: "background", "_background_", "BG", ...

    BACKGROUND_NAMES lists the names; capitals, and signs other than letters and digits, make no difference.
    """
    return re.sub(r"[\W_]", "", class_name).lower() in BACKGROUND_NAMES


def default_colors(num_classes: int, class_names=()) -> tuple[tuple[int, int, int], ...]:
    """Returns colours for classes that have none: easily told apart, neither dark nor pale, always the same.

    Args:
      num_classes: number of colours, 0 to MAX_CLASSES.
      class_names: the names, if there are any: a background becomes grey, BACKGROUND_COLOR, and uses up no colour.
    """
    names = [*class_names, *[""] * (num_classes - len(class_names))]
    colors = iter(distinct_colors(num_classes))
    return tuple(BACKGROUND_COLOR if is_background(name) else next(colors) for name in names)


def voc_colors(num_classes: int) -> tuple[tuple[int, int, int], ...]:
    """Returns the PASCAL VOC colour map: the bits of a class id go to the high bits of (red, green, blue) in turn."""
    colors = []
    for class_id in range(num_classes):
        color = [0, 0, 0]
        for bit in range(8):
            color[bit % 3] |= ((class_id >> bit) & 1) << (7 - bit // 3)
        colors.append(tuple(color))
    return tuple(colors)


def to_panoptic(class_ids: np.ndarray, instance_ids: np.ndarray, label_divisor: int) -> np.ndarray:
    """Returns class id * label_divisor + instance id, int32. Instance ids run from 0 to label_divisor - 1."""
    if instance_ids.max(initial=0) >= label_divisor:
        raise ValueError(f"instance id {instance_ids.max()} does not fit the label divisor {label_divisor}")
    return class_ids.astype(np.int32) * label_divisor + instance_ids.astype(np.int32)


def from_panoptic(panoptic_ids: np.ndarray, label_divisor: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits int32 panoptic ids into (class ids, instance ids)."""
    return panoptic_ids // label_divisor, panoptic_ids % label_divisor
