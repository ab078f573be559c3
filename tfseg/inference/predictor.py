"""Uses a trained model from Python."""

import dataclasses
import numbers
import operator

import numpy as np

from tfseg.errors import InputError
from tfseg.formats.images import as_rgb
from tfseg.inference.engines.loading import open_engine
from tfseg.inference.engines.network import NetworkEngine
from tfseg.inference.refinement import Stopped
from tfseg.inference.stream import Stream, StreamOptions
from tfseg.labels import DatasetInfo


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says about one image.

    Attributes:
      class_ids: [height, width] uint8, in the image's size; names and colours are in the predictor's `info`.
      iterations: number of refinements that ran; 1 for a feed-forward network.
      confidence: [height, width] float32 softmax probability of the class; None if it was not asked for.
      panoptic_ids: [height, width] int32, class id * info.label_divisor + instance. None if the model does not tell
        instances apart, or if the confidence was asked for.
      instances: list of `postprocess.fusion.Instance`, best first; None where `panoptic_ids` is None.
      began: time.perf_counter() at which the last refinement began. None if it was the only one, if neither
        `latest_start` nor `tolerance` was given, or if the model does not tell.
    """

    class_ids: np.ndarray
    iterations: int
    confidence: np.ndarray | None = None
    panoptic_ids: np.ndarray | None = None
    instances: list | None = None
    began: float | None = None


class Predictor:
    """Segments images of any size.

    A network, or a SavedModel for any size, gets images as they are, and large ones in overlapping tiles. For a file of
    a fixed size, images are resized to that size, and the file's logits are enlarged to the image's size.

    Attributes:
      engine: what runs the model, an `engines.engine.Engine`.
      info: DatasetInfo, which says what the class ids mean.
      size: (height, width) to which images are resized for a file or SavedModel of a fixed size; otherwise None.
      is_recurrent: whether the model refines its answer.
      is_panoptic: whether the model tells instances apart.
      default_iterations: number of refinements unless a call chooses another.
      trained_iterations: largest number of refinements that training ran or that the export allows. More do not improve
        the results.
      min_iterations, max_iterations: smallest and largest `iters`; max_iterations is None where nothing limits it.
      serve: bytes of an image file -> [height, width] uint8 class ids, as a server answers that loads this SavedModel;
        None for other models. TensorFlow raises InvalidArgumentError for a file that a server refuses.
    """

    def __init__(self, network, info: DatasetInfo):
        self._use(NetworkEngine(network, info))

    @classmethod
    def load(cls, path, weights="last", trust=False, threads=1, mean=None, std=None, *, sha256=None) -> "Predictor":
        """Loads a model from anything that holds one.

        Args:
          path: one of these: a run directory; a model zoo folder, or zoo:NAME of one that comes with tfseg; a DeepLab
            weights file; a SavedModel folder, or the folder of its versions, of which the highest is taken; a .tflite
            file; the folder of an export that holds one model. SavedModels and .tflite files may be made by tfseg or by
            another program.
          weights: which weights of a run directory, "last" or "best".
          trust: whether to run a model file whoever made it. A SavedModel is a program; it runs only if it was made on
            this machine, if `sha256` says what it is, or if it is trusted. A .tflite file is first tried in a separate
            process, except in the same three cases.
          threads: number of threads of the interpreter, for .tflite files.
          mean, std: how images from 0 to 255 are normalised for another program's model: it takes (image - mean) / std,
            quantised if it takes 8 bits. Each is a number or a sequence of three; None uses what a .tflite file's
            metadata says, or what the scale and zero point of 8 bits stand for.
          sha256: what the maker of a SavedModel or file says its sha256 is, 64 hex digits; the content is compared. Of
            a folder it is the one that the manifest.json of its export gives.
        Raises:
          InputError: `path` holds no model, or one that is damaged or not trusted, or whose sha256 is not `sha256` or
            the manifest's.
          RunError: there is no space to copy a SavedModel.
        """
        if (mean is None) != (std is None):
            raise InputError("--mean and --std go together: an image is normalised as (image - mean) / std")
        normalization = None if mean is None else tuple(np.atleast_1d(values) for values in (mean, std))
        predictor = cls.__new__(cls)
        predictor._use(open_engine(path, weights, trust, threads, normalization, sha256))
        return predictor

    def predict(self, image, iters=None, with_confidence=False, *, latest_start=None, tolerance=None) -> Prediction:
        """Predicts the class ids of one image.

        Example:
          predictor = Predictor.load("runs/photos")
          prediction = predictor.predict("photo.jpg", with_confidence=True)
          certain = np.where(prediction.confidence < 0.5, 255, prediction.class_ids)  # [height, width]; 255: not sure

        Args:
          image: [height, width, 3] uint8 RGB (not BGR, as OpenCV reads), or the path of an image file.
          iters: number of refinements, from 1; more cost more. None is the number the model was trained with or
            exported for.
          with_confidence: whether to return the probability of each pixel's class, too. The prediction then has no
            instances.
          latest_start: time.perf_counter() after which no refinement but the first begins, for an answer in time. It
            has no effect where a clock cannot stop the refinements: in tiles, and in a .tflite file that is not a
            stream.
          tolerance: share of the canvas' positions, 0 to 1. The refinements end after one that changed the class of at
            most this share. It has no effect in tiles.
        Returns:
          The prediction in the image's size.
        Raises:
          InputError: the image is of another kind, the file cannot be read, the model cannot run `iters` refinements,
            `tolerance` is not a share or the model cannot stop early.
          NoConfidence: an InputError: the confidence is asked of a file that gives class ids only.
        """
        iters = self.check_iters(iters)
        self.check_tolerance(tolerance)
        if self.is_panoptic and not with_confidence:
            found = self.engine.panoptic(as_rgb(image))
            class_ids = (found.panoptic_ids // self.info.label_divisor).astype(np.uint8)
            return Prediction(class_ids, iters, None, found.panoptic_ids, found.instances)
        limits = {"latest_start": latest_start, "tolerance": tolerance}
        limits = {name: limit for name, limit in limits.items() if limit is not None}
        if limits and self.engine.answer_until:
            run = self.engine.answer_until(as_rgb(image), iters, **limits)
        else:
            run = Stopped(self.engine.answer(as_rgb(image), iters, last_only=True), iters)
        answer = run.answer
        class_ids, confidence = answer.class_ids_and_confidence() if with_confidence else (answer.class_ids(), None)
        return Prediction(class_ids, run.iterations, confidence, began=run.began)

    def predict_iterations(self, image, iters=None) -> list[np.ndarray]:
        """Returns the [height, width] uint8 class ids after each iteration from 1 to `iters`.

        Arguments and errors are those of `predict`. It also raises InputError for a .tflite file of a fixed number of
        iterations above 1, which gives only the last map.
        """
        answer = self.engine.answer(as_rgb(image), self.check_iters(iters, every=True), last_only=False)
        return [answer.class_ids(index) for index in range(len(answer))]

    def stream(self, **options) -> Stream:
        """Begins a video: each frame starts from what the model made of the one before.

        Example:
          stream = tfseg.load("runs/photos").stream(iters=1)
          for frame in frames:  # each [height, width, 3] uint8 RGB
              class_ids = stream.next(frame).class_ids

        A model that keeps no state segments every frame by itself.

        Args:
          options: the attributes of `StreamOptions`.
        Raises:
          InputError: the model cannot run so many iterations, or a value is no such option's.
        """
        try:
            options = StreamOptions(**options)
        except TypeError:
            known = [field.name for field in dataclasses.fields(StreamOptions)]
            raise InputError(f"a stream's options are {', '.join(known)}, not {', '.join(options)}") from None
        for count in (options.iters, options.key_iters):
            self.check_iters(count)
        self.check_tolerance(options.tolerance)
        return Stream(self.engine, options)

    def check_tolerance(self, tolerance):
        """Raises InputError unless the tolerance is None, or a share from 0 to 1 and the model can stop early."""
        if tolerance is None:
            return
        if isinstance(tolerance, bool) or not (isinstance(tolerance, numbers.Real) and 0 <= tolerance <= 1):
            raise InputError(f"tolerance is {tolerance!r}; a share of the canvas that may still change, from 0 to 1")
        if not (self.is_recurrent and self.engine.answer_until):
            raise InputError(f"tolerance is {tolerance}; {self.engine.path} runs a fixed number of iterations")

    def check_iters(self, iters, every=False) -> int:
        """Returns the number of refinements that `iters` asks for.

        Args:
          iters: number of refinements; None is the model's default.
          every: whether the class maps after all iterations are needed, not only the last one.
        Raises:
          InputError: the model cannot run so many or so few, or it does not give the class maps that are needed.
        """
        if every and not self.engine.has_every_iteration:
            raise InputError(
                f"{self.engine.path}: only the class map after iteration {self.max_iterations} comes out of it; those "
                "of every iteration come out of a stream file: export.py --kinds=stream"
            )
        if iters is None:
            return self.default_iterations
        try:
            count = 0 if isinstance(iters, bool) else operator.index(iters)
        except TypeError:
            count = 0
        if count < 1:
            raise InputError(f"iters is {iters!r}; a whole number from 1")
        least, most = self.min_iterations, self.max_iterations
        if count > 1 and not self.is_recurrent:
            raise InputError(f"iters is {count}; this model is not recurrent and runs once")
        if least == most != count:
            raise InputError(f"iters is {count}; {self.engine.path} always runs {most}: omit it, or export another")
        if most is not None and count > most:
            raise InputError(f"iters is {count}; {self.engine.path} was exported for 1 to {most}")
        return count

    def _use(self, engine):
        self.engine, self.info, self.is_recurrent = engine, engine.info, engine.is_recurrent
        self.size = engine.size and tuple(engine.size)
        self.default_iterations, self.is_panoptic = engine.default_iterations, engine.panoptic is not None
        self.min_iterations, self.max_iterations = engine.min_iterations, engine.max_iterations
        self.trained_iterations, self.serve = engine.trained_iterations, engine.serve
