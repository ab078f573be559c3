"""Engines: what runs a model, a network or an exported one. `Predictor` uses all of them alike.

An engine has

- `path`: what messages call the model;
- `info`: DatasetInfo, what its class ids mean;
- `size`: (height, width) that every image is resized to, or None where images go in as they are;
- `is_recurrent`, `default_iterations`, `min_iterations`, and `max_iterations` or None where nothing limits them;
- `trained_iterations`: the most that training ran, or the export allows;
- `has_every_iteration`: whether it gives the class maps of the iterations before the last one;
- `answer(image, iterations, last_only)`: [height, width, 3] uint8 RGB -> the class maps after iteration 1, 2, ..., or
  after the last one only, as an `inference.refinement.Refinement` or as `Maps`, which is read alike;
- `answer_until(image, iterations, latest_start, tolerance)` -> (the class map after the last iteration that ran, how
  many ran, time.perf_counter() at which the last one began or None), as `Inference.refine_until` has it; or None where
  the iterations cannot be stopped;
- `panoptic(image)` -> `postprocess.fusion.PanopticPrediction`, or None where the model does not tell instances apart.
"""

import dataclasses

import numpy as np


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
