"""The contract of a metric: how it counts, and what the report shows of it."""

import dataclasses
from typing import ClassVar

import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.metrics.instances import Instances


@dataclasses.dataclass(frozen=True)
class LabelledImage:
    """The label of one image, which all metrics read.

    Attributes:
      label: [height, width] class ids or the ignore label.
      instances: its instances; None if they are not known.
    """

    label: np.ndarray
    instances: Instances | None = None


class Metric:
    """Counts image by image, for every iteration; the counts do not depend on the order of the images.

    The confusion matrices are counted once by the suite. A metric that needs nothing else only has a `result`.

    Args:
      info: what the class ids mean.
      num_iterations: predictions of each image.

    Attributes:
      columns: title of a column in the report -> key of a single score in `result`.
      tables: title of a table in the report -> (key of scores by name in `result`, key of their mean).
    """

    columns: ClassVar[dict[str, str]] = {}
    tables: ClassVar[dict[str, tuple[str, str]]] = {}

    def __init__(self, info: DatasetInfo, num_iterations: int):
        self.info, self.num_iterations = info, num_iterations

    def update_label(self, image: LabelledImage):
        """Counts a label, once for each image."""

    def update(self, index: int, image: LabelledImage, prediction: np.ndarray):
        """Counts the prediction of one image.

        Args:
          index: number of the iteration, from 0.
          image: the same that `update_label` got.
          prediction: [height, width] class ids.
        """

    def merge(self, other: "Metric"):
        """Adds the counts of another metric of the same kind, labels and iterations. Raises ValueError for others."""

    def result(self, index: int, confusion: np.ndarray) -> dict:
        """Scores after one iteration.

        Args:
          index: number of the iteration, from 0.
          confusion: [num_classes, num_classes] its confusion matrix over all images, rows are labels.
        Returns:
          JSON types, shares from 0 to 1; None where a score is undefined. Empty if the data do not have what it needs.
        """
        raise NotImplementedError(f"{type(self).__name__} has no result")


def or_none(value) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)


def by_name(names, values) -> dict[str, float | None]:
    """{name: value}, None for NaN."""
    return {name: or_none(value) for name, value in zip(names, values, strict=True)}


def with_mean(key: str, names, values, shown=None) -> dict:
    """Scores by name under `key`, and the mean of the defined ones under `mean_<key>`.

    Args:
      shown: names that are left in; None is all.
    """
    scores = {name: value for name, value in by_name(names, values).items() if shown is None or name in shown}
    defined = [value for value in scores.values() if value is not None]
    return {key: scores, f"mean_{key}": float(np.mean(defined)) if defined else None}
