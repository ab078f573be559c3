"""The contract of a metric: how it counts, and which of its scores the report shows."""

import dataclasses
from typing import ClassVar

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics.instances import Instances


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """The label of one image, which all metrics read.

    Attributes:
      label: [height, width] class ids; pixels without a label have the ignore label.
      instances: the image's instances; None if they are not known.
    """

    label: np.ndarray
    instances: Instances | None = None


class Metric:
    """Counts image by image, for every iteration, and computes scores from the counts.

    For each image, `SegmentationSuite` calls `update_label` once, and then `update` once for each iteration. At the
    end it calls `result` for each iteration. The order of the images must not matter.

    The suite also counts a confusion matrix for each iteration and passes it to `result`. A metric that needs nothing
    else only defines `result`.

    Args:
      info: what the class ids mean.
      num_iterations: number of predictions for each image, one after each iteration.

    Attributes:
      columns: {title of a column in the report: key of a single score in `result`}.
      tables: {title of a table in the report: (key of a dict of scores by name in `result`, key of their mean)}.
    """

    columns: ClassVar[dict[str, str]] = {}
    tables: ClassVar[dict[str, tuple[str, str]]] = {}

    def __init__(self, info: DatasetInfo, num_iterations: int):
        self.info, self.num_iterations = info, num_iterations

    def update_label(self, image: LabelledImage):
        """Counts the label of one image."""

    def update(self, index: int, image: LabelledImage, prediction: np.ndarray):
        """Counts the prediction of one image after one iteration.

        Args:
          index: number of the iteration, from 0.
          image: the same object that `update_label` got.
          prediction: [height, width] class ids.
        """

    def merge(self, other: "Metric"):
        """Adds the counts of another metric.

        Args:
          other: a metric of the same class, labels and number of iterations.
        Raises:
          ValueError: the other metric has other labels or another number of iterations.
        """

    def result(self, index: int, confusion: np.ndarray) -> dict:
        """Computes the scores after one iteration.

        Args:
          index: number of the iteration, from 0.
          confusion: [num_classes, num_classes] confusion matrix of this iteration over all images; rows are labels.
        Returns:
          A dict of scores in JSON types. Scores are shares from 0 to 1, or None if undefined. The dict is empty if the
          data do not have what the metric needs.
        """
        raise NotImplementedError(f"{type(self).__name__} has no result")


def or_none(value) -> float | None:
    """Returns the number as JSON can hold it: None instead of NaN."""
    return None if np.isnan(value) else float(value)


def by_name(names, values) -> dict[str, float | None]:
    """Returns {name: value}, with None instead of NaN."""
    return {name: or_none(value) for name, value in zip(names, values, strict=True)}


def with_mean(key: str, names, values, shown=None) -> dict:
    """Returns scores by name and their mean.

    Args:
      key: name of the scores in the result.
      names: names of classes or categories.
      values: one score for each name; NaN if undefined.
      shown: names to keep; None keeps all.
    Returns:
      {key: {name: score or None}, mean_<key>: mean of the kept scores that are defined, or None if there are none}.
    """
    scores = {name: value for name, value in by_name(names, values).items() if shown is None or name in shown}
    defined = [value for value in scores.values() if value is not None]
    return {key: scores, f"mean_{key}": float(np.mean(defined)) if defined else None}
