"""Instances in a picture: a tint for each, and a tag beside it that can be read on any ground."""

import functools
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfseg.painting.colors import from_lab, to_lab

# With multiples of these ratios, instances with neighbouring numbers differ much, in hue and in lightness.
HUE_STEP, LIGHTNESS_STEP = 0.6180339887, 0.7548776662
HUE_RANGE, LIGHTNESS_RANGE = 110, 26  # degrees, and units of CIELAB, around the colour of the class
LEAST_CHROMA, MOST_CHROMA = 45, 80
DARK, LIGHT = (20, 20, 20), (255, 255, 255)


def tints(color, count: int) -> np.ndarray:
    """Returns [count, 3] uint8 RGB: the colour of a class for instance 0, which means none, and tints for the others.

    A tint keeps to the side of the colour circle on which the class' colour is, and is never dark.
    """
    numbers = np.arange(count)
    lightness, green_red, blue_yellow = to_lab(color)
    hue = np.arctan2(blue_yellow, green_red) + np.radians(HUE_RANGE) * (numbers * HUE_STEP % 1 - 0.5)
    chroma = np.clip(np.hypot(green_red, blue_yellow), LEAST_CHROMA, MOST_CHROMA)
    lightness = np.clip(lightness, 55, 75) + LIGHTNESS_RANGE * (numbers * LIGHTNESS_STEP % 1 - 0.5)
    found = from_lab(np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1))
    found[:1] = color
    return found


def draw_tags(picture, tags, text_size: int):
    """Writes a line of text beside each instance, on a ground of its own; changes the picture.

    Tags keep clear of each other as far as there is space. Where there is none, those that come first lie on top.

    Args:
      picture: [height, width, 3] uint8 RGB.
      tags: list of (text, color (red, green, blue), box (left, top, right, bottom) of the instance).
      text_size: height of the letters in pixels.
    """
    drawn = [_tag(text, tuple(map(int, color)), text_size) for text, color, _ in tags]
    height, width = picture.shape[:2]
    places = []
    for (_, _, box), tag in zip(tags, drawn, strict=True):
        rows, columns = min(tag.shape[0], height), min(tag.shape[1], width)
        candidates = _candidates(box, rows, columns, (height, width))
        others = np.array(places, int).reshape(-1, 4)
        overlaps = [_overlap((x, y, x + columns, y + rows), others) for x, y in candidates]
        x, y = candidates[int(np.argmin(overlaps))]
        places.append((x, y, x + columns, y + rows))
    for (left, top, right, bottom), tag in reversed(list(zip(places, drawn, strict=True))):
        picture[top:bottom, left:right] = tag[: bottom - top, : right - left]


def _candidates(box, rows, columns, size):
    """Places (x, y) for a tag, the best first: above, inside at the top, below, beside, and over the instance."""
    left, top, right, bottom = box
    middle = (top + bottom - rows) // 2
    over = [(x, y) for y in range(top + rows, bottom - rows, rows) for x in (left, right - columns)]
    places = [(left, top - rows), (right - columns, top - rows), (left, top), (left, bottom), (left, bottom - rows)]
    places += [(right, middle), (left - columns, middle), *over, (left, top - 2 * rows), (left, bottom + rows)]
    height, width = size
    return [(int(np.clip(x, 0, width - columns)), int(np.clip(y, 0, height - rows))) for x, y in places]


def _overlap(place, others):
    """Pixels of a place (left, top, right, bottom) that [n, 4] others have, too."""
    begin, end = np.maximum(place[:2], others[:, :2]), np.minimum(place[2:], others[:, 2:])
    return np.prod(np.maximum(end - begin, 0), axis=1).sum()


def _tag(text, color, text_size):
    """A picture of a line of text: [rows, columns, 3] uint8."""
    font, rim = font_of(text_size), max(text_size // 8, 1)
    size = int(font.getlength(text)) + 4 * rim + 1, round(text_size * 1.3) + 2 * rim
    ink = DARK if to_lab(color)[0] > 55 else LIGHT
    tag = Image.new("RGB", size, color)
    draw = ImageDraw.Draw(tag)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=ink, width=max(rim // 2, 1))
    draw.text((size[0] / 2, size[1] / 2), text, fill=ink, font=font, anchor="mm")
    return np.asarray(tag)


@functools.cache
def font_of(size: int):
    """Returns the font of all pictures, with letters of the given height in pixels."""
    # This font comes with every installation of matplotlib, and has the letters of most languages; OpenCV's have ASCII.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
