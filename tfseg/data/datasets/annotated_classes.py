"""Makes one list of classes of what annotation files call their classes: joined by name, never by number."""

import dataclasses
from collections import Counter
from collections.abc import Iterable

from tfseg.data.conversion.class_table import IGNORED_NAMES
from tfseg.data.conversion.drawn_labels import DrawnClasses
from tfseg.data.datasets.folder_layout import NAME
from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations.photograph import AnnotatedPhotograph, AnnotationSet
from tfseg.formats.annotations.rasterization import most_instances
from tfseg.labels import IGNORE_LABEL, LABEL_DIVISOR, MAX_CLASSES, DatasetInfo, default_colors

BACKGROUND = "background"
# In small letters. Fewer than `labels.BACKGROUND_NAMES`: an object called void is ignored.
UNCOVERED_NAMES = {BACKGROUND, "_background_", "__background__"}
DIVISORS = (LABEL_DIVISOR, 10_000, 1 << 16)  # the last is what a panoptic PNG has room for


@dataclasses.dataclass(frozen=True)
class UnitedClasses:
    """The classes of a set of annotations.

    Attributes:
      info: the classes as facts of the data set.
      drawn: the classes as they are drawn.
      notes: what the user should know of them, one line each.
    """

    info: DatasetInfo
    drawn: DrawnClasses
    notes: list[str]


def united_classes(
    content: AnnotationSet, photographs: list[AnnotatedPhotograph], names: Iterable[str] | None, is_ignored: bool
) -> UnitedClasses:
    """Returns the classes of all photographs together.

    Their order is that of `names`, else of the first file that declares them, then by the alphabet. The background is
    class 0, unless `names` puts it elsewhere. All classes but the background and declared stuff have instances.

    Args:
      content: what the annotation files declare.
      photographs: those whose objects count.
      names: classes in the order of their ids; None for the annotations' own order.
      is_ignored: whether pixels that no object covers are ignored; otherwise they are background.
    Raises:
      InputError: an object's class is not in `names`, there are too many classes, or more objects of a class on a
        photograph than can be told apart.
    """
    used = {each.class_name for photograph in photographs for each in photograph.objects}
    mapped = {name for photograph in photographs if photograph.maps for name in photograph.maps.names.values()}
    declared = dict.fromkeys([*content.class_names, *sorted(used)])
    ignored = [name for name in declared if name.lower() in IGNORED_NAMES]
    aliases = [name for name in declared if _is_background(name)]
    classes = [name for name in declared if name not in ignored and name not in aliases]
    # Masks leave nothing uncovered: a background that they do not name is not there.
    is_drawn = any(photograph.maps is None for photograph in photographs)
    shown = used if is_ignored else used | mapped
    has_background = (is_drawn and not is_ignored) or not shown.isdisjoint(aliases)
    ordered = _ordered(classes, aliases, names, has_background)
    class_ids = {name: class_id for class_id, name in enumerate(ordered)}
    background_id = next((class_ids[name] for name in ordered if _is_background(name)), IGNORE_LABEL)
    uncovered = IGNORE_LABEL if is_ignored else background_id
    things = frozenset(class_ids[name] for name in classes if name not in content.stuff)
    info = DatasetInfo(NAME, ordered, default_colors(len(ordered)), things, label_divisor=_label_divisor(photographs))
    class_ids |= dict.fromkeys(ignored, IGNORE_LABEL)
    class_ids |= {name: background_id if name in used else uncovered for name in aliases}
    notes = _notes(ordered, ignored, used | mapped, uncovered if is_drawn else None, names)
    return UnitedClasses(info, DrawnClasses(class_ids, things, uncovered), notes)


def _is_background(name):
    return name.lower() in UNCOVERED_NAMES


def _ordered(classes, aliases, names, has_background):
    """Returns the names of the classes in the order of their ids."""
    ordered = list(classes if names is None else names)
    unknown = [name for name in classes if name not in ordered]
    if unknown:
        raise InputError(
            f"the annotations have the class {listed(unknown)}, which is not in the file of names; add it there, or "
            "rename the objects"
        )
    if has_background and not any(map(_is_background, ordered)):
        ordered = [*(aliases[:1] or [BACKGROUND]), *ordered]
    if not 1 <= len(ordered) <= MAX_CLASSES:
        raise InputError(f"the annotations have {len(ordered)} classes; 1 to {MAX_CLASSES} are possible")
    return tuple(ordered)


def _label_divisor(photographs):
    """Returns the usual divisor, or a larger one if a photograph has more objects of one class."""
    most = max(map(most_instances, photographs), default=0)
    divisor = next((divisor for divisor in DIVISORS if most < divisor), None)
    if divisor is None:
        raise InputError(f"the annotations have {most} objects of a class on a photograph; {DIVISORS[-1] - 1} at most")
    return divisor


def _notes(ordered, ignored, used, uncovered, names):
    """Returns notes; `uncovered` is None if there are only masks."""
    order = "the annotations; a classes.txt sets another" if names is None else "the file of names"
    notes = [shortened(f"note: {len(ordered)} classes, in the order of {order}: {listed(ordered)}")]
    small = Counter(name.casefold() for name in ordered)
    alike = [name for name in ordered if small[name.casefold()] > 1]
    if alike:
        notes.append(f"warning: classes that differ only in upper and lower case are different ones: {listed(alike)}")
    if ignored:
        notes.append(f"note: objects of {listed(ignored)} are ignored")
    if uncovered is not None:
        meaning = "ignored" if uncovered == IGNORE_LABEL else f"class {uncovered}, {ordered[uncovered]}"
        other = "background" if uncovered == IGNORE_LABEL else "ignored"
        notes.append(f"note: pixels that no object covers are {meaning} (--uncovered={other} changes that)")
    unseen = [name for class_id, name in enumerate(ordered) if name not in used and class_id != uncovered]
    if unseen:
        notes.append(f"warning: classes of which there is no object: {listed(unseen)}")
    return notes
