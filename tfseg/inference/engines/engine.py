"""The contract of an engine: what runs a model, whatever it is stored as. `Predictor` uses all of them alike."""

import dataclasses
import typing
from collections.abc import Callable

import numpy as np

from tfseg.inference.refinement import Refinement, Stopped
from tfseg.labels import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Maps:
    """Class maps that a program made, in the image's size; read as a `Refinement` is.

    Attributes:
      maps: for every kept iteration [height, width] uint8 class ids and their float32 softmax probability.
    """

    maps: list[tuple[np.ndarray, np.ndarray]]

    def __len__(self):
        return len(self.maps)

    def class_ids(self, index=-1) -> np.ndarray:
        """[height, width] uint8 after kept iteration `index` (0 is the first)."""
        return self.maps[index][0]

    def class_ids_and_confidence(self, index=-1) -> tuple[np.ndarray, np.ndarray]:
        """As `class_ids`, and the softmax probability of the class, [height, width] float32."""
        return self.maps[index]


@typing.runtime_checkable
class Engine(typing.Protocol):
    """Runs a network, a SavedModel or a file on single images.

    Attributes:
      path: what messages call the model.
      info: what its class ids mean.
      size: (height, width) that every image is resized to; None where images go in as they are.
      is_recurrent: whether it can be iterated at all.
      default_iterations, min_iterations: iterations if a caller does not say how many, and the fewest.
      max_iterations: the most iterations; None where nothing limits them.
      trained_iterations: the most that training ran, or that the export allows.
      has_every_iteration: whether it gives the class maps of the iterations before the last one.
      answer_until: (image, iterations, latest_start, tolerance) -> Stopped, as `Inference.refine_until`; None where the
        iterations cannot be stopped.
      panoptic: image -> `postprocess.fusion.PanopticPrediction`; None where it does not tell instances apart.
    """

    path: str
    info: DatasetInfo
    size: tuple[int, int] | None
    is_recurrent: bool
    default_iterations: int
    min_iterations: int
    max_iterations: int | None
    trained_iterations: int
    has_every_iteration: bool
    answer_until: Callable[..., Stopped] | None
    panoptic: Callable | None

    def answer(self, image: np.ndarray, iterations: int, last_only: bool) -> Refinement | Maps:
        """The class maps of one image.

        Args:
          image: [height, width, 3] uint8 RGB.
          iterations: how many run.
          last_only: keep the class map after the last iteration only.
        Returns:
          The class maps after iteration 1, 2, ..., or after the last one only.
        """
