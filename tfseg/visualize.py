"""Draws pictures of labels and predictions. Every picture is [height, width, 3] uint8 RGB."""

import functools
import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageDraw, ImageFont

from tfseg.labels import DatasetInfo

IGNORE_COLOR = (224, 224, 192)
PAPER, INK = (255, 255, 255), (32, 32, 32)
CELL_WIDTH = 256
GAP = 6
# A class that covers a smaller share of a picture is not in its legend: nobody sees such specks.
LEGEND_SHARE = 1e-4
# Large pictures are painted in bands of about so many pixels: a pixel in floats takes eight times its space.
BAND_PIXELS = 1 << 20


def colorize(class_ids, info: DatasetInfo):
    """Paints class ids in their colours; ids that are not a class (ignored) are pale yellow."""
    table = np.array([IGNORE_COLOR] * 256, np.uint8)
    table[: info.num_classes] = info.colors
    return table[np.asarray(class_ids, np.uint8)]


def palette_png(class_ids, info: DatasetInfo) -> bytes:
    """Encodes [height, width] uint8 class ids as a PNG whose pixel values are the ids, shown in the class colours."""
    picture = Image.fromarray(np.asarray(class_ids, np.uint8), "P")
    picture.putpalette(colorize(np.arange(256), info).tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def overlay(image, class_ids, info: DatasetInfo, alpha=0.55, legend=True, panoptic_ids=None):
    """Paints class colours over an image, and outlines the segments.

    Args:
      image: [height, width, 3] uint8 RGB.
      class_ids: [height, width] uint8; ignored pixels show the bare image.
      info: names and colours of the classes.
      alpha: opacity of the colours, 0 to 1.
      legend: whether to add names and shares of area below, which makes the picture higher, and wider if the names need
        it.
      panoptic_ids: [height, width] panoptic ids if instances are known; each is outlined and has a shade of its own.
    """
    class_ids = np.asarray(class_ids)
    segments = class_ids if panoptic_ids is None else np.asarray(panoptic_ids)
    painted = np.empty([*class_ids.shape, 3], np.uint8)
    for rows in _bands(class_ids.shape):
        # A pixel's border depends on the row below it.
        borders = _borders(segments[rows.start : rows.stop + 1])[: rows.stop - rows.start]
        instances = None if panoptic_ids is None else segments[rows] % info.label_divisor
        painted[rows] = _mixed(image[rows], class_ids[rows], info, alpha, instances, borders)
    if not legend:
        return painted
    width = max(painted.shape[1], CELL_WIDTH)
    return stacked([painted, _legend([class_ids], info, width, int(np.clip(width / 55, 13, 90)), with_shares=True)])


def _bands(shape):
    """Yields slices of rows that cover a map of the given shape, each of about BAND_PIXELS pixels."""
    step = max(BAND_PIXELS // max(shape[1], 1), 1)
    for top in range(0, shape[0], step):
        yield slice(top, min(top + step, shape[0]))


def _mixed(image, class_ids, info, alpha, instance_ids, borders):
    """Mixes an image with the colours of its classes; `instance_ids` may be None."""
    colors = colorize(class_ids, info)
    if instance_ids is not None:
        colors = _shaded(colors, instance_ids)
    mixed = image * (1 - alpha) + colors * alpha  # [height, width, 3] float64
    mixed = np.where((class_ids < info.num_classes)[..., np.newaxis], mixed, image)
    mixed[borders] = PAPER
    return np.rint(mixed)


def _shaded(colors, instance_ids):
    """Makes colours darker or lighter by instance; instance 0 means none and keeps the colour."""
    # With multiples of the golden ratio, instances with neighbouring numbers have very different shades.
    shades = np.where(instance_ids > 0, 0.6 + 0.7 * (instance_ids * 0.6180339887 % 1), 1)
    return np.clip(colors * shades[..., np.newaxis], 0, 255)


def strip(image, maps, label, info: DatasetInfo):
    """Draws one row of `strips`; images of the same size give pictures of the same size."""
    return strips([(image, maps, label)], info, legend=False)


def strips(rows, info: DatasetInfo, legend=True, first=None):
    """Shows how predictions develop: image, class map after each iteration and label, side by side.

    Args:
      rows: list of (image [height, width, 3] uint8, list of class maps [height, width], label [height, width] or
        None). All rows have the same number of maps.
      info: names and colours of the classes.
      legend: whether to add the names of the classes below.
      first: title of the first map, if it is not that of iteration 1 but one before it.
    """
    num_maps, has_label = len(rows[0][1]), rows[0][2] is not None
    begin = 1 if first else 2
    numbers = [str(number) for number in range(begin, num_maps + begin - 1)]
    titles = [
        "image",
        first or ("iteration 1" if numbers else "prediction"),
        *numbers,
        *(["label"] if has_label else []),
    ]
    lines = [_side_by_side([_title(title) for title in titles])]
    for image, maps, label in rows:
        cells = (_cell(colorize(ids, info)) for ids in [*maps, *([label] if has_label else [])])
        lines.append(_side_by_side([_cell(image), *cells]))
    if legend:
        shown = [ids for _, maps, label in rows for ids in [*maps, *([label] if has_label else [])]]
        lines.append(_legend(shown, info, lines[0].shape[1], text_size=18))
    return stacked(lines)


def titled_row(pictures: dict):
    """Puts pictures side by side under their titles: {title: [height, width, 3] uint8}, all of one shape."""
    row = _side_by_side([_cell(picture) for picture in pictures.values()])
    return stacked([_side_by_side([_title(title) for title in pictures]), row])


def animation(pictures: list, rate: float) -> bytes:
    """Encodes pictures of one size as a GIF that runs for ever, at `rate` pictures a second."""
    first, *others = [Image.fromarray(picture).quantize(dither=Image.Dither.NONE) for picture in pictures]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)
    return file.getvalue()


def legend(info: DatasetInfo, width: int):
    """Draws colours and names of all classes, at least `width` pixels wide; the same for every frame of a video."""
    return _legend([np.arange(info.num_classes)[np.newaxis]], info, width, int(np.clip(width / 55, 11, 40)))


def panoptic_strips(rows, info: DatasetInfo):
    """Shows images, predicted and labelled instances side by side, with the names of the classes below.

    Args:
      rows: list of (image [height, width, 3] uint8, predicted panoptic ids [height, width], labelled panoptic ids
        [height, width]).
      info: names and colours of the classes.
    """
    lines = [_side_by_side([_title(title) for title in ("image", "prediction", "label")])]
    for image, *maps in rows:
        cells = [image, *(overlay(image, ids // info.label_divisor, info, 0.75, False, ids) for ids in maps)]
        lines.append(_side_by_side([_cell(picture) for picture in cells]))
    shown = [np.minimum(ids // info.label_divisor, 255) for _, *maps in rows for ids in maps]
    return stacked([*lines, _legend(shown, info, lines[0].shape[1], text_size=18)])


def _borders(class_ids):
    """Returns where a pixel's right or lower neighbour has another class or id."""
    borders = np.zeros(class_ids.shape, bool)
    borders[:, :-1] |= class_ids[:, :-1] != class_ids[:, 1:]
    borders[:-1] |= class_ids[:-1] != class_ids[1:]
    return borders


def _legend(maps, info, width, text_size, with_shares=False):
    """Draws colour and name of each class in the maps, in rows of at most `width` pixels but at least one class."""
    # np.bincount counts a copy of eight bytes a pixel.
    counts = sum(
        np.bincount(np.asarray(ids[rows], np.uint8).ravel(), minlength=256)
        for ids in map(np.asarray, maps)
        for rows in _bands(ids.shape)
    )
    shares = counts / max(counts.sum(), 1)
    shown = [class_id for class_id in range(info.num_classes) if shares[class_id] > LEGEND_SHARE]
    names = [info.class_names[i] + (_percent(shares[i]) if with_shares else "") for i in shown]
    entries = [(info.colors[i], name) for i, name in zip(shown, names, strict=True)]
    if shares[info.num_classes :].sum() > LEGEND_SHARE:
        entries.append((IGNORE_COLOR, "not labelled"))
    font, line = _font(text_size), int(text_size * 1.6)
    places, x, y, right = [], GAP, GAP, width
    for color, name in entries:
        length = line + int(font.getlength(name))
        if x > GAP and x + length > width:
            x, y = GAP, y + line
        places.append((x, y, color, name))
        right = max(right, x + length + GAP)
        x += length + text_size
    picture = Image.new("RGB", (right, y + line + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for x, y, color, name in places:
        draw.rectangle((x, y, x + text_size, y + text_size), fill=tuple(color), outline=INK)
        draw.text((x + int(text_size * 1.4), y + text_size / 2), name, fill=INK, font=font, anchor="lm")
    return np.asarray(picture)


def _percent(share):
    return f" {share:.0%}" if share >= 0.005 else " <1%"


def _cell(picture):
    height = max(round(CELL_WIDTH * picture.shape[0] / picture.shape[1]), 1)
    return np.asarray(Image.fromarray(picture).resize((CELL_WIDTH, height), Image.Resampling.LANCZOS))


def _title(text):
    picture = Image.new("RGB", (CELL_WIDTH, 24), PAPER)
    ImageDraw.Draw(picture).text((CELL_WIDTH / 2, 12), text, fill=INK, font=_font(16), anchor="mm")
    return np.asarray(picture)


def _side_by_side(pictures):
    gap = np.full([pictures[0].shape[0], GAP, 3], PAPER, np.uint8)
    return np.concatenate([part for picture in pictures for part in (picture, gap)][:-1], axis=1)


def stacked(pictures):
    """Puts pictures below each other, filled with white to the width of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    height = sum(picture.shape[0] + GAP for picture in pictures) - GAP
    stacked, top = np.full([height, width, 3], PAPER, np.uint8), 0
    for picture in pictures:
        stacked[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + GAP
    return stacked


def by_number(figure, axis, across, down, columns):
    """Finishes a chart over whole numbers: titles of its axes, a light grid, the legend below in so many columns."""
    axis.set_xlabel(across)
    axis.set_ylabel(down)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False)


def drawn(figure):
    """Returns a Matplotlib figure as a picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@functools.cache
def _font(size):
    # This font comes with every installation of matplotlib, and has the letters of most languages.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
