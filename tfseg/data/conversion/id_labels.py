"""Labels of published data sets, whose files hold ids: pictures of colours in their place are told apart."""

import numpy as np

from tfseg.data.conversion.examples import encode_pair
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.image_file import opened
from tfseg.formats.label_file import LabelRule


def encode_ids(example: RawExample, rule: LabelRule, max_pixels: int, advice: str) -> EncodedExample:
    """Makes the record of an image and a file of ids. Raises InputError that names the file."""
    refuse_colors(example.label_path, max_pixels, advice)
    return encode_pair(example, rule, max_pixels)


def refuse_colors(path, max_pixels: int, advice: str):
    """Raises InputError if a label file holds colours instead of ids; `advice` says which files hold the ids."""
    if _has_colors(path, max_pixels):
        raise InputError(f"{path}: holds colours, not class ids; {advice}")


def refuse_sets_of_colors(splits: dict[str, list[RawExample]], max_pixels: int, advice: str):
    """Raises InputError once if the labels of a whole split are colours, instead of once for each file.

    The first, the middle and the last file stand for all; `refuse_colors` finds single ones.
    """
    for split, examples in splits.items():
        paths = [example.label_path for example in examples if example.annotation is None]
        samples = {paths[0], paths[len(paths) // 2], paths[-1]} if paths else set()
        if samples and all(_looks_colored(path, max_pixels) for path in samples):
            raise InputError(f"{paths[0]}: holds colours, not class ids, as all labels of {split} seem to; {advice}")


def _has_colors(path, max_pixels):
    with opened(path, max_pixels) as image:
        if image.format != "PNG" or image.mode not in ("RGB", "RGBA"):
            return False
        pixels = np.array(image)
        return bool((pixels[..., :3] != pixels[..., :1]).any())


def _looks_colored(path, max_pixels):
    try:
        return _has_colors(path, max_pixels)
    except InputError:
        return False
