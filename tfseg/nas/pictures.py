"""Pictures of a search: its rewards, and a cell as a graph. Every picture is [height, width, 3] uint8 RGB."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfseg import visualize
from tfseg.models.cells.genotype import AGGREGATIONS, INPUTS, OPERATIONS, Genotype, name_of
from tfseg.nas.candidate import FINISHED
from tfseg.nas.trial_log import Trial

COLOURS = ("#4477aa", "#ee6677")
INPUT, AGGREGATE, OUTPUT = "#e8f0f8", "white", "#fbeecb"


def rewards(trials: dict[str, list[Trial]]):
    """Plots the candidates' rewards, and for every strategy the best so far; hollow points were stopped or failed."""
    figure = Figure(figsize=(8, 4), dpi=120, layout="constrained")
    axis = figure.subplots()
    for (name, series), colour in zip(trials.items(), COLOURS, strict=False):
        values = np.array([trial.reward for trial in series])
        numbers = np.arange(1, len(values) + 1)
        faces = [colour if trial.outcome == FINISHED else "white" for trial in series]
        axis.scatter(numbers, values, s=22, c=faces, edgecolors=colour, zorder=3)
        axis.scatter([], [], s=22, c=colour, label=name)
        axis.step(numbers, np.maximum.accumulate(values), where="post", color=colour, label=f"{name}, best so far")
    visualize.by_number(figure, axis, "candidate", "reward", columns=4)
    return visualize.drawn(figure)


def cell(genotype: Genotype, title: str = ""):
    """Draws a cell: boxes are maps, arrows operations; an aggregate's box says how its two maps are combined.

    Of two arrows into a box, the one of the first map is solid and the other one dashed.
    """
    places, output = _places(genotype)
    height = max(len(genotype.inputs_read), 3)
    figure = Figure(figsize=(1.7 * (len(genotype.layers) + 2), 1.15 * height + 0.6), dpi=120, layout="constrained")
    axis = figure.subplots()
    axis.set_xlim(-0.6, len(genotype.layers) + 1.5)
    axis.set_ylim(-height / 2, height / 2)
    axis.axis("off")
    if title:
        figure.suptitle(title, fontsize=10)
    boxes = {place: _box(axis, genotype, place, output, *where) for place, where in places.items()}
    FigureCanvasAgg(figure).draw()  # gives the boxes their sizes, at which arrows begin and end
    for place, (first, second, one, other, _) in enumerate(genotype.layers, len(INPUTS)):
        bend = 0.3 if first == second else 0.12
        _arrow(axis, boxes[first], boxes[place], OPERATIONS[one], "solid", -bend)
        _arrow(axis, boxes[second], boxes[place], OPERATIONS[other], "dashed", bend)
    for source in genotype.loose:
        _arrow(axis, boxes[source], boxes[output], "", "solid", 0.1)
    return visualize.drawn(figure)


def _places(genotype):
    """Returns ({place: (x, y)}, the place of the output): inputs that are read below each other, then a column each.

    Every further box is as high as lets its arrows pass the fewest boxes closely, and then as near to the middle.
    """
    inputs, output = genotype.inputs_read, len(INPUTS) + len(genotype.layers)
    places = {place: (0, (len(inputs) - 1) / 2 - row) for row, place in enumerate(inputs)}
    sources = {place: layer[:2] for place, layer in enumerate(genotype.layers, len(INPUTS))} | {output: genotype.loose}
    for x, (place, read) in enumerate(sources.items(), 1):
        boxes = [where for one, where in places.items() if one >= len(INPUTS)]
        heights = [y for y in (0.0, 0.6, -0.6, 1.2, -1.2) if not boxes or abs(y - boxes[-1][1]) > 0.5]
        starts = [places[one] for one in read]
        places[place] = x, min(heights, key=lambda y, x=x, starts=starts, boxes=boxes: _passed(starts, (x, y), boxes))
    return places, output


def _passed(starts, end, boxes):
    """Returns how many boxes the straight lines from `starts` to `end` pass closely."""
    x, y = end
    heights = [
        (down + (y - down) * (column - across) / (x - across), height)
        for across, down in starts
        for column, height in boxes
        if across < column < x
    ]
    return sum(abs(line - height) < 0.5 for line, height in heights)


def _box(axis, genotype, place, output, x, y):
    text, colour = name_of(place), INPUT
    if place == output:
        text, colour = "dec", OUTPUT
    elif place >= len(INPUTS):
        text, colour = f"{place}: {AGGREGATIONS[genotype.layers[place - len(INPUTS)][-1]]}", AGGREGATE
    box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "black"}
    return axis.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=4)


def _arrow(axis, source, target, text, line, bend):
    style = {"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 1.2, "linestyle": line, "shrinkA": 0, "shrinkB": 0}
    style |= {"patchA": source.get_bbox_patch(), "patchB": target.get_bbox_patch()}
    style["connectionstyle"] = f"arc3,rad={bend}"
    (left, low), (right, high) = source.get_position(), target.get_position()
    axis.annotate("", (right, high), (left, low), arrowprops=style, zorder=2)
    if text:
        # Near the start, on the bent arrow, which lies beside the straight line by a part of its length in pixels.
        share = 0.35
        start, end = axis.transData.transform([(left, low), (right, high)])
        across = np.array([end[1] - start[1], start[0] - end[0]])
        middle = start + share * (end - start) + 2 * share * (1 - share) * bend * across
        x, y = axis.transData.inverted().transform(middle)
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axis.text(x, y, text, ha="center", va="center", fontsize=7, color=COLOURS[0], bbox=box, zorder=3)
