"""Finds out which mask belongs to which image, by their names."""

import collections
import dataclasses
import os
from pathlib import Path

from tfseg.data.datasets.folder_layout import plain_name
from tfseg.errors import MAX_NAME, listed, shortened

LABEL_SUFFIXES = ("_mask", "_masks", "_label", "_labels")
NUM_SAMPLES = 20


@dataclasses.dataclass
class Pairing:
    """Which files belong together.

    Attributes:
      pairs: (image, label) in the order of the images.
      clashes: groups of files that have one name.
      images, labels: files that belong to none.
      notes: how names were understood, where they are not the same, one line each.
    """

    pairs: list[tuple[Path, Path]]
    clashes: list[list[Path]]
    images: list[Path]
    labels: list[Path]
    notes: list[str]


def paired(images: list[Path], labels: list[Path]) -> Pairing:
    """Pairs images with labels.

    `photo.jpg` belongs to `photo.png`, `photo.jpg.png`, `photo_mask.png` or `photo_label.png`. If no name fits in this
    way, one ending that all labels have is looked for, and one that all images have. Files that are left then are
    compared without regard to upper and lower case.
    """
    found = _by_name(images, labels, plain_name)
    if not found.pairs and found.images and found.labels:
        _pair_by_endings(found)
    if found.images and found.labels:
        rest = _by_name(found.images, found.labels, _small_name)
        if rest.pairs and not rest.clashes:
            image, label = rest.pairs[0]
            found.notes.append(
                f"note: {len(rest.pairs)} masks differ from their images in upper and lower case, e.g. "
                f"{listed([image.name, label.name])}"
            )
            found.pairs += rest.pairs
            found.images, found.labels = rest.images, rest.labels
    found.pairs.sort()
    whole = next((pair for pair in found.pairs if pair[0].name == pair[1].stem), None)
    if whole:
        found.notes.append(f"note: masks are named after whole file names: {listed(path.name for path in whole)}")
    return found


def _small_name(text):
    return plain_name(text).casefold()


def _by_name(images, labels, name_of):
    """Pairs by the same name, with the endings of `LABEL_SUFFIXES`; `name_of` makes names comparable."""
    found, used = Pairing([], [], [], [], []), set()
    exact, with_suffix = collections.defaultdict(list), collections.defaultdict(list)
    for label in labels:
        stem = name_of(label.stem)
        exact[stem].append(label)
        with_suffix[_without_suffix(stem)].append(label)
    by_stem = collections.defaultdict(list)
    for image in images:
        by_stem[name_of(image.stem)].append(image)
    for stem, candidates in by_stem.items():
        # A label with the full name comes first: an image may itself be named x_mask.
        fitting = exact.get(stem) or exact.get(name_of(candidates[0].name)) or with_suffix.get(stem, [])
        used |= set(fitting)
        clash = next((paths for paths in (candidates, fitting) if len(paths) > 1), None)
        if clash:
            found.clashes.append(clash)
        elif fitting:
            found.pairs.append((candidates[0], fitting[0]))
        else:
            found.images += candidates
    found.labels = [label for label in labels if label not in used]
    return found


def _without_suffix(stem):
    for suffix in LABEL_SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem


def _pair_by_endings(found):
    """Pairs what is left by the two endings, one of all images and one of all labels, that make most names equal."""
    for name_of in (plain_name, _small_name):
        image_stems, label_stems = ([name_of(path.stem) for path in paths] for paths in (found.images, found.labels))
        of_images, of_labels = _best_endings(image_stems, label_stems)
        if not of_images and not of_labels:
            continue
        images = _by_rest(found.images, image_stems, of_images)
        labels = _by_rest(found.labels, label_stems, of_labels)
        both = [rest for rest in images if rest in labels]
        if not both:
            continue
        found.clashes += [paths for rest in both for paths in (images[rest], labels[rest]) if len(paths) > 1]
        found.pairs = [(images[rest][0], labels[rest][0]) for rest in both]
        found.images = [path for rest, paths in images.items() if rest not in labels for path in paths]
        found.labels = [path for rest, paths in labels.items() if rest not in images for path in paths]
        names = listed([found.pairs[0][0].name, found.pairs[0][1].name])
        instead = f" in place of {shortened(of_images, MAX_NAME)}" if of_images else ""
        found.notes.append(f"note: all masks end in {shortened(of_labels, MAX_NAME)}{instead}, e.g. {names}")
        return


def _best_endings(image_stems, label_stems):
    """Returns (ending of all images, ending of all labels) that make most names equal; both may be empty."""
    image_endings, label_endings = _endings(image_stems), _endings(label_stems)
    rests = {ending: {stem.removesuffix(ending) for stem in image_stems} for ending in image_endings}
    samples = label_stems[:: max(1, len(label_stems) // NUM_SAMPLES)]

    def quality(endings):
        of_images, of_labels = endings
        num_equal = sum(stem.removesuffix(of_labels) in rests[of_images] for stem in samples)
        num_marks = sum(not ending[:1].isalnum() for ending in endings)
        return num_equal, num_marks, -len(of_images) - len(of_labels)

    # Two endings that both begin within a word would make many names equal by chance.
    possible = [
        (of_images, of_labels)
        for of_images, is_boundary in image_endings.items()
        for of_labels, is_other_boundary in label_endings.items()
        if not (of_images and of_labels) or (is_boundary and is_other_boundary)
    ]
    return max(possible, key=quality)


def _by_rest(paths, stems, ending):
    """Returns {stem without the ending: files}."""
    rests = collections.defaultdict(list)
    for path, stem in zip(paths, stems, strict=True):
        rests[stem.removesuffix(ending)].append(path)
    return dict(rests)


def _endings(stems):
    """Returns {ending that all stems have: whether it begins at a boundary of words in each of them}.

    The endings are the empty one, and those that have a letter, begin with no digit and leave a rest.
    """
    shared = os.path.commonprefix([stem[::-1] for stem in stems])[::-1]
    shortest = min(map(len, stems))
    endings = {"": True}
    for start in range(len(shared)):
        ending = shared[start:]
        if len(ending) < shortest and not ending[0].isdigit() and any(map(str.isalpha, ending)):
            before = {stem[-len(ending) - 1] for stem in stems}
            endings[ending] = not ending[0].isalnum() or all(
                not one.isalpha() or (one.islower() and ending[0].isupper()) for one in before
            )
    return endings
