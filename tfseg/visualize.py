"""Draws pictures of labels and predictions. Every picture is [height, width, 3] uint8 RGB."""

import io

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image, ImageDraw

from tfseg.labels import DatasetInfo
from tfseg.painting import lines, marks
from tfseg.painting.marks import font_of
from tfseg.postprocess.places import boxes

IGNORE_COLOR = (224, 224, 192)
PAPER, INK = (255, 255, 255), (32, 32, 32)
CELL_WIDTH = 256
LEGIBLE_SIDE = 480  # pixels of the shorter side of a picture with names in it
INSTANCE_ALPHA = 0.45
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

    A background, which `info.background_ids` knows by its name, shows the bare image.

    Args:
      image: [height, width, 3] uint8 RGB.
      class_ids: [height, width] uint8; ignored pixels show the bare image, too.
      info: names and colours of the classes.
      alpha: opacity of the colours, 0 to 1.
      legend: whether to add names and shares of area below, which makes the picture higher, and wider if the names need
        it.
      panoptic_ids: [height, width] panoptic ids if instances are known; each has a tint and an outline of its own.
    """
    class_ids = np.asarray(class_ids)
    line = lines.width_for(class_ids.shape)
    is_clear = np.ones(256, bool)
    is_clear[: info.num_classes] = [class_id in info.background_ids for class_id in range(info.num_classes)]
    if panoptic_ids is not None:
        panoptic_ids = np.asarray(panoptic_ids)
        table = _tints(class_ids, panoptic_ids, info)
    painted = np.empty([*class_ids.shape, 3], np.uint8)
    for rows in _bands(class_ids.shape):
        if panoptic_ids is None:
            borders = lines.in_rows(lines.between, class_ids, rows, line)
            colors, is_thing = colorize(class_ids[rows], info), False
        else:
            borders = lines.in_rows(lines.around, panoptic_ids, rows, line)
            instances = panoptic_ids[rows] % info.label_divisor
            colors, is_thing = table[class_ids[rows], instances], instances > 0
        mixed = image[rows] * (1 - alpha) + colors * alpha  # [rows, width, 3] float64
        bare = is_clear[class_ids[rows]] & ~np.asarray(is_thing)
        mixed[bare] = image[rows][bare]
        mixed[borders] = PAPER
        own = borders & is_thing  # each instance has an outline of its own, inside of the white one around it
        mixed[own] = colors[own]
        painted[rows] = np.rint(mixed)
    if not legend:
        return painted
    return with_legend(painted, class_ids, info)


def instance_overlay(image, prediction, info: DatasetInfo, legend=True):
    """Paints the instances of a panoptic prediction over its image, with class and score beside each.

    A picture whose shorter side has fewer than LEGIBLE_SIDE pixels is enlarged by a whole factor, so that the names can
    be read, unless the longer side would have more than four times as many.

    Args:
      image: [height, width, 3] uint8 RGB.
      prediction: has `class_ids`, `panoptic_ids` [height, width] and `instances`, as a panoptic model's
        `inference.predictor.Prediction` has.
      info: names and colours of the classes.
      legend: as for `overlay`.
    """
    class_ids, panoptic_ids = np.asarray(prediction.class_ids), np.asarray(prediction.panoptic_ids)
    factor = min(-(-LEGIBLE_SIDE // min(class_ids.shape)), 4 * LEGIBLE_SIDE // max(class_ids.shape))
    if factor > 1:
        size = class_ids.shape[1] * factor, class_ids.shape[0] * factor
        image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        class_ids, panoptic_ids = (
            cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
            for ids in (class_ids.astype(np.uint8), panoptic_ids.astype(np.int32))
        )
    painted = overlay(image, class_ids, info, INSTANCE_ALPHA, False, panoptic_ids)
    ids = [one.panoptic_id for one in prediction.instances]
    places = boxes(panoptic_ids, ids)
    tags = []
    for one in prediction.instances:
        if one.panoptic_id in places:
            number = one.panoptic_id % info.label_divisor
            color = marks.tints(info.colors[one.class_id], number + 1)[number]
            score = f" {one.score:.2f}" if one.score else ""  # 0: the instance was not scored
            tags.append((f"{info.class_names[one.class_id]}{score}", color, places[one.panoptic_id]))
    marks.draw_tags(painted, tags, int(np.clip(min(class_ids.shape) / 42, 11, 60)))
    return with_legend(painted, class_ids, info) if legend else painted


def with_legend(painted, class_ids, info: DatasetInfo):
    """Adds names and shares of area of the classes of a map below a picture of it."""
    width = max(painted.shape[1], CELL_WIDTH)
    text_size = int(np.clip(width / 55, 13, 90))
    return stacked([painted, _legend([class_ids], info, width, text_size, with_shares=True, is_overlay=True)])


def _tints(class_ids, panoptic_ids, info):
    """Returns [256, most instances + 1, 3] uint8: the colour of (class, instance); instance 0 has that of the class."""
    count = 1 + max((panoptic_ids[rows] % info.label_divisor).max(initial=0) for rows in _bands(class_ids.shape))
    table = colorize(np.arange(256), info)[:, np.newaxis].repeat(count, axis=1)
    for class_id in set(np.unique(class_ids).tolist()) & set(range(info.num_classes)):
        table[class_id] = marks.tints(info.colors[class_id], count)
    return table


def _bands(shape):
    """Yields slices of rows that cover a map of the given shape, each of about BAND_PIXELS pixels."""
    step = max(BAND_PIXELS // max(shape[1], 1), 1)
    for top in range(0, shape[0], step):
        yield slice(top, min(top + step, shape[0]))


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
    pieces = [_side_by_side([_title(title) for title in titles])]
    for image, maps, label in rows:
        cells = (_cell(colorize(ids, info)) for ids in [*maps, *([label] if has_label else [])])
        pieces.append(_side_by_side([_cell(image), *cells]))
    if legend:
        shown = [ids for _, maps, label in rows for ids in [*maps, *([label] if has_label else [])]]
        pieces.append(_legend(shown, info, pieces[0].shape[1], text_size=18))
    return stacked(pieces)


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


def legend(info: DatasetInfo, width: int, is_overlay=False):
    """Draws colours and names of all classes, at least `width` pixels wide; the same for every frame of a video.

    `is_overlay` says that a background is left clear in the picture, so that its box is empty.
    """
    every, text_size = [np.arange(info.num_classes)[np.newaxis]], int(np.clip(width / 55, 11, 40))
    return _legend(every, info, width, text_size, is_overlay=is_overlay)


def panoptic_strips(rows, info: DatasetInfo):
    """Shows images, predicted and labelled instances side by side, with the names of the classes below.

    Args:
      rows: list of (image [height, width, 3] uint8, predicted panoptic ids [height, width], labelled panoptic ids
        [height, width]).
      info: names and colours of the classes.
    """
    pieces = [_side_by_side([_title(title) for title in ("image", "prediction", "label")])]
    for image, *maps in rows:
        cells = [image, *(overlay(image, ids // info.label_divisor, info, 0.75, False, ids) for ids in maps)]
        pieces.append(_side_by_side([_cell(picture) for picture in cells]))
    shown = [np.minimum(ids // info.label_divisor, 255) for _, *maps in rows for ids in maps]
    return stacked([*pieces, _legend(shown, info, pieces[0].shape[1], text_size=18)])


def _legend(maps, info, width, text_size, with_shares=False, is_overlay=False):
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
    # What an overlay leaves clear has an empty box.
    colors = [PAPER if is_overlay and i in info.background_ids else info.colors[i] for i in range(info.num_classes)]
    entries = [(colors[i], name) for i, name in zip(shown, names, strict=True)]
    if shares[info.num_classes :].sum() > LEGEND_SHARE:
        entries.append((IGNORE_COLOR, "not labelled"))
    font, line = font_of(text_size), int(text_size * 1.6)
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
    ImageDraw.Draw(picture).text((CELL_WIDTH / 2, 12), text, fill=INK, font=font_of(16), anchor="mm")
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
