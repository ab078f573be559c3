"""Draws scores, costs and what becomes of frames as charts. Every chart is [height, width, 3] uint8 RGB."""

import numpy as np
from matplotlib.figure import Figure

from tfseg import visualize
from tfseg.labels import DatasetInfo


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
    return visualize.drawn(figure)


def timeline(frames: list[dict]):
    """Plots what the frames of a video took over time; a dashed line marks a frame that started afresh.

    Args:
      frames: a dict for each frame, with "seconds", "iterations", "milliseconds", "changed_share" (may be None) and
        "reset" (empty if it did not start afresh).
    """
    figure = Figure(figsize=(10, 6), dpi=110, layout="constrained")
    axes = figure.subplots(3, 1, sharex=True)
    names = {"milliseconds": "ms", "iterations": "iterations", "changed_share": "changed pixels, %"}
    times = [frame["seconds"] for frame in frames]
    for axis, (key, title) in zip(axes, names.items(), strict=True):
        factor = 100 if key == "changed_share" else 1
        axis.plot(times, [np.nan if frame[key] is None else factor * frame[key] for frame in frames], linewidth=1.2)
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        if sum(bool(frame["reset"]) for frame in frames) <= len(frames) // 4:
            for frame in frames:
                if frame["reset"]:
                    axis.axvline(frame["seconds"], color="gray", linestyle="--", linewidth=0.8)
    axes[-1].set_xlabel("seconds of the video")
    return visualize.drawn(figure)


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
    return visualize.drawn(figure)


def by_iteration(scores: dict[str, list[float]], title: str):
    """Plots mIoU after every iteration: {name: [mIoU after iteration 1, 2, ..., 0 to 1]}."""
    figure = Figure(figsize=(7, 3.6), dpi=120, layout="constrained")
    axis = figure.subplots()
    for name, values in scores.items():
        axis.plot(range(1, len(values) + 1), [100 * value for value in values], "o-", label=name)
    visualize.by_number(figure, axis, "iteration", "mIoU, %", columns=3)
    figure.suptitle(title, fontsize=11)
    return visualize.drawn(figure)


def cumulative_spectra(frequency: list[float], cumulative: dict[str, dict[str, list[float]]]):
    """Plots the power of class maps up to each spatial frequency, a small chart for each class.

    Args:
      frequency: cycles a pixel.
      cumulative: {class: {name of a line: shares of the label's power, as many as frequencies}}.
    """
    columns = 4
    rows = -(-len(cumulative) // columns)
    figure = Figure(figsize=(11, 2.3 * rows + 0.6), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axis, (name, lines) in zip(axes.flat, cumulative.items(), strict=False):
        for label, values in lines.items():
            axis.semilogx(frequency, values, label=label, linewidth=1.5)
        axis.set_title(name, fontsize=9)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(cumulative) :]:
        axis.set_axis_off()
    figure.supxlabel("cycles per pixel", fontsize=9)
    figure.supylabel("power up to this frequency, share of the label's", fontsize=9)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return visualize.drawn(figure)


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
    return visualize.drawn(figure)
