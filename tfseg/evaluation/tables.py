"""Writes the scores of a report as Markdown tables and CSV."""

import csv
import io

from tfseg.markdown import table
from tfseg.metrics import suite


def summary(metrics: dict) -> str:
    """Markdown tables: scores and cost after every iteration, and IoU per class after some iterations.

    The metrics in `suite.METRICS` define the columns and tables; those without any score are omitted.

    Args:
      metrics: content of metrics.json.
    """
    entries = metrics["iterations"]
    columns = {title: key for title, key in _columns().items() if _is_known(entries, key)}
    rows = []
    for entry in entries:
        scores = [percent(entry[key]) for key in columns.values()]
        rows.append([str(entry["iteration"]), *scores, f"{entry['gflops']:.2f}", f"{entry['milliseconds']:.1f}"])
    tables = [table(["iteration", *columns, "GFLOPs", "ms"], rows)]
    for title, (key, mean_key) in _tables().items():
        if _is_known(entries, mean_key):
            tables.append(_iou_table(metrics, title, key, mean_key))
    if "panoptic" in metrics:
        tables += _panoptic_tables(metrics["panoptic"])
    return "\n\n".join(tables) + "\n"


def _panoptic_tables(scores):
    """Tables of panoptic quality: for groups, compared with what the class maps alone score, and for every class."""
    kinds = {
        "instances from the network": scores["quality"],
        "connected components of its classes": scores["components"],
        "one segment a class": scores["one_segment"],
    }
    rows = []
    for title, result in kinds.items():
        groups = [result[group] for group in ("all", "things", "stuff")]
        rows.append([title, *(percent(group["pq"]) for group in groups)])
        rows[-1] += [percent(groups[0][key]) for key in ("sq", "rq")]
    tables = [table(["panoptic quality, %", "PQ", "PQ things", "PQ stuff", "SQ", "RQ"], rows)]
    covering, classes = scores["covering"], scores["quality"]["classes"]
    rows = []
    for name, one in classes.items():
        shares = [one["pq"], one["sq"], one["rq"], covering["classes"][name]["pc"]]
        rows.append([name, *("" if share is None else percent(share) for share in shares)])
    means = [percent(scores["quality"]["all"][key]) for key in ("pq", "sq", "rq")] + [percent(covering["all"]["pc"])]
    tables.append(table(["class", "PQ", "SQ", "RQ", "PC"], [*rows, ["mean", *means]]))
    return [
        *tables,
        "Mean PQ is not mean SQ times mean RQ. PC is Parsing Covering. The fusion of the maps takes "
        f"{scores['milliseconds_fusion']:.1f} ms an image (median), beside the time above.",
    ]


def _columns():
    """{title of a column: key of a score} for all metrics."""
    return {title: key for metric in suite.METRICS for title, key in metric.columns.items()}


def _tables():
    """{title of a table: (key of the scores, key of their mean)} for all metrics."""
    return {title: keys for metric in suite.METRICS for title, keys in metric.tables.items()}


def _is_known(entries, key):
    return any(entry.get(key) is not None for entry in entries)


def _iou_table(metrics, title, key, mean_key):
    """A table of IoU by name after the first iteration, the trained number, the best and the last iteration."""
    entries, best = metrics["iterations"], metrics["best_iteration"]
    numbers = sorted({1, min(metrics["trained_iterations"], len(entries)), best, len(entries)})
    header = [title, *(f"iteration {number}" + (" (best)" if number == best else "") for number in numbers)]
    shown = [entries[number - 1] for number in numbers]
    rows = [[name, *(percent(entry[key][name]) for entry in shown)] for name in entries[0][key]]
    return table(header, [*rows, ["mean", *(percent(entry[mean_key]) for entry in shown)]])


def comparison(curves: dict[str, list[dict]]) -> str:
    """A Markdown table of several models; each row is one point of a model's curve, in the order given."""
    rows = [
        [
            name,
            str(point["iteration"]),
            percent(point["miou"]),
            f"{point['gflops']:.2f}",
            f"{point['milliseconds']:.1f}",
        ]
        for name, points in curves.items()
        for point in points
    ]
    return table(["model", "iteration", "mIoU", "GFLOPs", "ms"], rows)


def comparison_csv(curves: dict[str, list[dict]]) -> str:
    """The table of `comparison` as CSV at full precision, with the keys of the points as columns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["model", *next(iter(curves.values()))[0]], lineterminator="\n")
    writer.writeheader()
    for name, points in curves.items():
        writer.writerows({"model": name} | point for point in points)
    return text.getvalue()


def percent(share) -> str:
    """A share from 0 to 1 as a percentage with two decimals; "-" for None."""
    return "-" if share is None else f"{100 * share:.2f}"
