"""Pictures of a search: its rewards, and a cell as a graph. Every picture is [height, width, 3] uint8 RGB."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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
        axis.scatter(numbers, values, s=22, c=faces, edgecolors=colour, label=name, zorder=3)
        axis.step(numbers, np.maximum.accumulate(values), where="post", color=colour, label=f"{name}, best so far")
    axis.set_xlabel("candidate")
    axis.set_ylabel("reward")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return _drawn(figure)


def cell(genotype: Genotype, title: str = ""):
    """Draws a cell: boxes are maps, arrows operations; an aggregate's box says how its two maps are combined.

    Of two arrows into a box, the one of the first map is solid and the other one dashed.
    """
    output = len(INPUTS) + len(genotype.layers)
    columns = _columns(genotype, output)
    places = _places(columns)
    height = max(sum(column == one for column in columns.values()) for one in columns.values())
    figure = Figure(figsize=(2.1 * (max(columns.values()) + 1), 1.3 * height + 1.2), dpi=120, layout="constrained")
    axis = figure.subplots()
    for place, (first, second, one, other, _) in enumerate(genotype.layers, len(INPUTS)):
        bends = (-0.18, 0.18) if first == second else (-0.08, 0.08)
        pairs = ((first, one, "solid"), (second, other, "dashed"))
        for (source, operation, line), bend in zip(pairs, bends, strict=True):
            _arrow(axis, places[source], places[place], OPERATIONS[operation], line, bend)
    for source in genotype.loose:
        _arrow(axis, places[source], places[output], "", "solid", 0.0)
    for place, (x, y) in places.items():
        text, colour = name_of(place), INPUT
        if place == output:
            text, colour = "dec", OUTPUT
        elif place >= len(INPUTS):
            text, colour = f"{place}: {AGGREGATIONS[genotype.layers[place - len(INPUTS)][-1]]}", AGGREGATE
        box = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "black"}
        axis.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=4)
    axis.set_xlim(-0.6, max(columns.values()) + 0.6)
    axis.set_ylim(-height / 2 - 0.2, height / 2 + 0.2)
    axis.axis("off")
    if title:
        figure.suptitle(title, fontsize=10)
    return _drawn(figure)


def _columns(genotype, output):
    """Returns {place: column}: inputs that are read are in column 0, an aggregate is right of all that it reads."""
    columns = dict.fromkeys(genotype.inputs_read, 0)
    for place, (first, second, *_) in enumerate(genotype.layers, len(INPUTS)):
        columns[place] = 1 + max(columns[first], columns[second])
    columns[output] = 1 + max(columns.values())
    return columns


def _places(columns):
    places = {}
    for column in set(columns.values()):
        inside = [place for place, one in columns.items() if one == column]
        for row, place in enumerate(inside):
            # Columns are shifted a little against each other, so that arrows do not pass behind boxes.
            places[place] = (column, (len(inside) - 1) / 2 - row + 0.16 * (-1) ** column)
    return places


def _arrow(axis, start, end, text, line, bend):
    style = {"arrowstyle": "-|>", "color": COLOURS[0], "linewidth": 1.2, "linestyle": line, "shrinkA": 28}
    style |= {"shrinkB": 28, "connectionstyle": f"arc3,rad={bend}"}
    axis.annotate("", end, start, arrowprops=style, zorder=2)
    if text:
        (left, low), (right, high) = start, end
        # The middle of the bent arrow; each arrow has its text a little nearer to its start, where arrows are apart.
        x = left + 0.42 * (right - left) + bend * (high - low) / 2
        y = low + 0.42 * (high - low) - bend * (right - left) / 2
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axis.text(x, y, text, ha="center", va="center", fontsize=7, color=COLOURS[0], bbox=box, zorder=3)


def _drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
