"""Draws pictures of labels, predictions and scores. Every picture is [height, width, 3] uint8 RGB."""

import functools
import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
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
    return _stack([painted, _legend([class_ids], info, width, int(np.clip(width / 55, 13, 90)), with_shares=True)])


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


def strips(rows, info: DatasetInfo, legend=True):
    """Shows how predictions develop: image, class map after each iteration and label, side by side.

    Args:
      rows: list of (image [height, width, 3] uint8, list of class maps [height, width], label [height, width] or
        None). All rows have the same number of maps.
      info: names and colours of the classes.
      legend: whether to add the names of the classes below.
    """
    num_maps, has_label = len(rows[0][1]), rows[0][2] is not None
    numbers = [str(number) for number in range(2, num_maps + 1)]
    titles = ["image", "iteration 1" if numbers else "prediction", *numbers, *(["label"] if has_label else [])]
    lines = [_side_by_side([_title(title) for title in titles])]
    for image, maps, label in rows:
        cells = (_cell(colorize(ids, info)) for ids in [*maps, *([label] if has_label else [])])
        lines.append(_side_by_side([_cell(image), *cells]))
    if legend:
        shown = [ids for _, maps, label in rows for ids in [*maps, *([label] if has_label else [])]]
        lines.append(_legend(shown, info, lines[0].shape[1], text_size=18))
    return _stack(lines)


def curve(curves: dict[str, list[dict]]):
    """Plots accuracy against cost: mIoU over GFLOPs and over milliseconds, one point per iteration.

    Args:
      curves: {name: points}; a point has "iteration", "gflops", "milliseconds" (may be None) and "miou" (0 to 1).
    """
    figure = Figure(figsize=(10, 4.2), dpi=130, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, key, name in zip(axes, ("gflops", "milliseconds"), ("GFLOPs per image", "ms per image"), strict=True):
        for label, points in curves.items():
            points = [point for point in points if point[key] is not None]
            costs, scores = [point[key] for point in points], [100 * point["miou"] for point in points]
            axis.plot(costs, scores, "o-", markersize=5, linewidth=1.8, label=label)
            for cost, score, point in zip(costs, scores, points, strict=True):
                axis.annotate(str(point["iteration"]), (cost, score), (6, -11), textcoords="offset points")
        axis.set_xlabel(name)
        axis.margins(0.1, 0.12)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("mIoU, %")
    # Beside the axes: inside, it would hide points of one data set or another.
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle("Accuracy against cost; numbers count iterations", fontsize=11)
    return _drawn(figure)


def shelf(graph: dict[str, frozenset[str]], ways: dict[str, int]):
    """Draws a shelf of maps: levels from top to bottom, columns from left to right, an arrow for each edge.

    Args:
      graph: {node: the nodes whose maps it reads}; a node is called by its level's letter and its column, e.g. B2.
      ways: {node: number of ways that lead to it}, written below its name.
    """
    places = {node: (int(node[1:]), -ord(node[0])) for node in graph}
    columns, rows = (sorted({place[axis] for place in places.values()}) for axis in (0, 1))
    figure = Figure(figsize=(1.3 * len(columns) + 0.8, 1.1 * len(rows) + 0.8), dpi=130, layout="constrained")
    axis = figure.subplots()
    style = {"arrowstyle": "-|>", "color": "#4477aa", "linewidth": 1.4, "shrinkA": 15, "shrinkB": 15}
    for node, sources in graph.items():
        for source in sources:
            axis.annotate("", places[node], places[source], arrowprops=style)
    for node, (column, row) in places.items():
        box = {"boxstyle": "circle,pad=0.3", "facecolor": "white", "edgecolor": "black"}
        axis.text(column, row, f"{node}\n{ways[node]}", ha="center", va="center", fontsize=9, bbox=box)
    axis.set_xlim(columns[0] - 0.5, columns[-1] + 0.5)
    axis.set_ylim(rows[0] - 0.5, rows[-1] + 0.5)
    axis.axis("off")
    first, last = min(graph), max(graph, key=lambda node: (-ord(node[0]), int(node[1:])))
    figure.suptitle(f"{ways[last]} paths from {first} to {last}; numbers count the ways to a map", fontsize=10)
    return _drawn(figure)


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
    return _stack([*lines, _legend(shown, info, lines[0].shape[1], text_size=18)])


def confusion(matrix, info: DatasetInfo):
    """Draws a confusion matrix in per cent of each label's pixels; rows are labels, columns predictions."""
    matrix = np.asarray(matrix, float)
    totals = matrix.sum(1, keepdims=True)
    shares = 100 * np.divide(matrix, totals, out=np.zeros_like(matrix), where=totals > 0)
    side = 2.5 + 0.42 * info.num_classes
    figure = Figure(figsize=(side + 0.6, side), dpi=110, layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(picture, ax=axis, shrink=0.7, label="% of the label's pixels")
    axis.set_xticks(range(info.num_classes), info.class_names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(info.num_classes), info.class_names)
    axis.set_xlabel("prediction")
    axis.set_ylabel("label")
    for row, column in zip(*np.nonzero(shares >= 0.5), strict=True):
        color = "white" if shares[row, column] > 55 else "black"
        axis.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=8, color=color)
    return _drawn(figure)


def _drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


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


def _stack(pictures):
    """Puts pictures below each other, filled with white to the width of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    height = sum(picture.shape[0] + GAP for picture in pictures) - GAP
    stacked, top = np.full([height, width, 3], PAPER, np.uint8), 0
    for picture in pictures:
        stacked[top : top + picture.shape[0], : picture.shape[1]] = picture
        top += picture.shape[0] + GAP
    return stacked


@functools.cache
def _font(size):
    # This font comes with every installation of matplotlib, and has the letters of most languages.
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
