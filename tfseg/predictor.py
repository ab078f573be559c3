"""A trained model for use from Python."""

import dataclasses
import operator
import os

import numpy as np

from tfseg.data.images import read_image
from tfseg.errors import InputError
from tfseg.inference.runner import Inference
from tfseg.labels import DatasetInfo
from tfseg.training.deeplab_file import load_model


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says about one image.

    Attributes:
      class_ids: [height, width] uint8, in the image's size; names and colours are in the predictor's `info`.
      iterations: refinements that were run; 1 for a feed-forward network.
      confidence: [height, width] float32 softmax probability of the class, or None if not asked for.
    """

    class_ids: np.ndarray
    iterations: int
    confidence: np.ndarray | None = None


class Predictor:
    """Segments images of any size; large ones in overlapping tiles.

    Attributes:
      info: DatasetInfo, what the class ids mean.
      default_iterations: refinements unless a call says otherwise.
    """

    def __init__(self, network, info: DatasetInfo):
        self.info, self.default_iterations = info, network.default_iterations
        self._network, self._inference = network, Inference(network)

    @classmethod
    def load(cls, path, weights="last") -> "Predictor":
        """The model of a run directory (its "last" or "best" weights), a model zoo folder or a DeepLab weights file.

        Raises:
          InputError: none of these, see `load_model`.
        """
        _, info, network = load_model(path, weights)
        return cls(network, info)

    def predict(self, image, iters=None, with_confidence=False) -> Prediction:
        """Class ids of one image.

        Args:
          image: [height, width, 3] uint8 RGB (not BGR, as OpenCV reads), or the path of an image file.
          iters: refinements, from 1; more cost more. None is what the model was trained with.
          with_confidence: also return the probability of each pixel's class.
        Raises:
          InputError: another kind of image, an unreadable file, or `iters` the model does not have.
        """
        iters = self.check_iters(iters)
        [answer] = self._inference.refine([_rgb(image)], iters, last_only=True)
        if with_confidence:
            class_ids, confidence = answer.class_ids_and_confidence()
            return Prediction(class_ids, iters, confidence)
        return Prediction(answer.class_ids(), iters)

    def predict_iterations(self, image, iters=None) -> list[np.ndarray]:
        """Class ids after iteration 1, 2, ..., `iters`; arguments and errors as `predict`."""
        [answer] = self._inference.refine([_rgb(image)], self.check_iters(iters))
        return [answer.class_ids(index) for index in range(len(answer))]

    def check_iters(self, iters) -> int:
        """The number of refinements that `iters` asks for. Raises InputError if the model cannot run them."""
        if iters is None:
            return self.default_iterations
        try:
            count = 0 if isinstance(iters, bool) else operator.index(iters)
        except TypeError:
            count = 0
        if count < 1:
            raise InputError(f"iters is {iters!r}; a whole number from 1")
        if count > 1 and not self._network.is_recurrent:
            raise InputError(f"iters is {count}; this model is not recurrent and runs once")
        return count


def _rgb(image):
    """[height, width, 3] uint8 from what a caller gave. Raises InputError that says what to change."""
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    image = np.asarray(image)
    wanted = "predict takes one [height, width, 3] uint8 RGB image"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 1):
        raise InputError(f"{wanted}; a grey one of shape {image.shape} has to be repeated: np.repeat(..., 3, axis=-1)")
    if image.ndim == 4:
        raise InputError(f"{wanted}; call it once for each image of a batch of shape {image.shape}")
    if image.ndim != 3 or image.shape[-1] != 3 or image.size == 0:
        raise InputError(f"{wanted}, not shape {image.shape}")
    if image.dtype != np.uint8:
        raise InputError(f"{wanted}, values 0 to 255, not {image.dtype}: convert it, scaled as it needs")
    return image
