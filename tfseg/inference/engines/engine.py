"""The contract of an engine. An engine runs a model, however it is stored; `Predictor` uses all engines alike."""

import dataclasses
import typing
from collections.abc import Callable

import numpy as np

from tfseg.errors import NoConfidence
from tfseg.inference.refinement import Refinement, Stopped
from tfseg.labels import DatasetInfo
from tfseg.models.segmenter import CarryConfig, Segmenter


@dataclasses.dataclass(frozen=True)
class Maps:
    """Class maps that a program made, in the image's size. They are read in the same way as a `Refinement`.

    Attributes:
      maps: one pair for every kept iteration: [height, width] uint8 class ids and [height, width] float32 softmax
        probability of the class.
    """

    maps: list[tuple[np.ndarray, np.ndarray]]

    def __len__(self):
        return len(self.maps)

    def class_ids(self, index=-1) -> np.ndarray:
        """Returns [height, width] uint8 class ids after kept iteration `index` (0 is the first)."""
        return self.maps[index][0]

    def class_ids_and_confidence(self, index=-1) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `class_ids` does, and the softmax probability of the class, [height, width] float32."""
        return self.maps[index]


@dataclasses.dataclass(frozen=True)
class ClassIds(Maps):
    """Class ids of a file that gives nothing else; see `Maps`.

    Attributes:
      path: the file's path, for messages.
    """

    path: str = ""

    def class_ids_and_confidence(self, index=-1):
        raise NoConfidence(f"{self.path}: gives class ids without probabilities, so there is no confidence; omit it")


@typing.runtime_checkable
class Engine(typing.Protocol):
    """Runs a network, a SavedModel or a file on single images.

    Attributes:
      path: the model's name in messages.
      info: what its class ids mean.
      size: (height, width) to which every image is resized; None if images are not resized.
      is_recurrent: whether the model can be iterated at all.
      default_iterations: number of iterations if the caller does not choose one.
      min_iterations: smallest number of iterations.
      max_iterations: largest number of iterations; None where nothing limits it.
      trained_iterations: largest number of iterations that training ran or that the export allows.
      has_every_iteration: whether the engine gives the class maps of the iterations before the last one.
      answer_until: (image, iterations, latest_start, tolerance, *, start) -> Stopped, as `Inference.refine_until`; None
        where the iterations cannot be stopped.
      encode: image -> its features, which `answer_until` then takes as `features`: the part of a frame that does not
        need to know from which state it starts; None where the two cannot be separated.
      carry: how the next frame of a video starts from the state in which one ended; None where `answer_until` takes no
        start.
      state_channels: {name: number of channels} of the state that `answer_until` returns; empty where it returns none.
      panoptic: image -> `postprocess.fusion.PanopticPrediction`; None if the model does not tell instances apart.
      serve: bytes of an image file -> [height, width] uint8 class ids after the default number of iterations, as a
        server that loads the model answers; None where no server does.
      segmenter: the model as functions that can be traced, e.g. to count them; None for a .tflite file.
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
    encode: Callable | None
    carry: CarryConfig | None
    state_channels: dict[str, int]
    panoptic: Callable | None
    serve: Callable | None
    segmenter: Segmenter | None

    def answer(self, image: np.ndarray, iterations: int, last_only: bool) -> Refinement | Maps:
        """Computes the class maps of one image.

        Args:
          image: [height, width, 3] uint8 RGB.
          iterations: number of iterations to run.
          last_only: whether to keep only the class map after the last iteration.
        Returns:
          The class maps after iteration 1, 2, ..., or only after the last one.
        """
