"""Labels of published data sets, whose files hold ids: pictures of colours in their place are told apart."""

import numpy as np

from tfseg.data.conversion.examples import encode_pair
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.images import LabelRule, opened


def encode_ids(example: RawExample, rule: LabelRule, max_pixels: int, advice: str) -> EncodedExample:
    """Makes the record of an image and a file of ids. Raises InputError that names the file."""
    refuse_colors(example.label_path, max_pixels, advice)
    return encode_pair(example, rule, max_pixels)


def refuse_colors(path, max_pixels: int, advice: str):
    """Raises InputError if a label file holds colours instead of ids; `advice` says which files hold the ids."""
    with opened(path, max_pixels) as image:
        if image.format != "PNG" or image.mode not in ("RGB", "RGBA"):
            return
        pixels = np.array(image)
        if (pixels[..., :3] != pixels[..., :1]).any():
            raise InputError(f"{path}: holds colours, not class ids; {advice}")
