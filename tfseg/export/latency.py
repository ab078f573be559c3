"""Iterations of exported files that fit into a time on this machine."""

import tempfile
from pathlib import Path

import numpy as np

from tfseg.export.making import make
from tfseg.inference.budget_measurement import ROUNDS, choose_iterations, measure
from tfseg.profiling import profile
from tfseg.system import timing


def fitted(export, planned, load, milliseconds, images=None):
    """A segment file with the largest number of iterations that fits, and the `Choice`.

    Files of neighbouring numbers are made and run in turn, until one fits and the next does not.

    Args:
      export, planned, images: as `making.make`.
      load: (path of a file) -> its predictor.
      milliseconds: from a decoded image to its class map.
    Returns:
      (Planned, Choice).
    Raises:
      InputError: not even one iteration fits.
    """
    image, calls = _image(export.size), {}
    with tempfile.TemporaryDirectory() as folder:

        def add(count):
            candidate = export.renumbered(planned, count)
            make(export, candidate, Path(folder), images)
            predictor = load(Path(folder) / candidate.path)
            calls[count] = lambda: predictor.predict(image, count)

        for count in range(1, min(export.max_iterations, 2) + 1):
            add(count)
        while True:
            choice = choose_iterations(timing.interleaved(calls, ROUNDS), milliseconds, export.max_iterations)
            further = _further(choice, calls, milliseconds, export.max_iterations)
            if not further:
                return export.renumbered(planned, choice.iterations), choice
            for count in further:
                add(count)


def _further(choice, measured, milliseconds, most):
    """Numbers of iterations to measure as well: about where the budget ends, if that is not between two neighbours."""
    count = choice.iterations
    if count == most or count + 1 in measured:
        return []
    slope = (choice.p95[count] - choice.p95[1]) / (count - 1) if count > 1 else 0
    guess = most if slope <= 0 else int(count + (milliseconds - choice.p95[count]) / slope)
    above = min((other for other in measured if other > count), default=most + 1)
    guess = max(min(guess, above - 1, most), count + 1)
    return [other for other in (guess, guess + 1) if other <= most and other not in measured]


def measured(export, predictor, milliseconds):
    """The `Choice` of a file that takes a number of iterations. Raises InputError if not even one fits."""
    return measure(predictor, _image(export.size), milliseconds, export.max_iterations)


def note(export, choice, threads) -> dict:
    """What the manifest keeps of a choice."""
    return choice.to_dict() | {"size": list(export.size), "threads": threads, "device": profile.processor()}


def _image(size):
    return np.random.default_rng(0).integers(0, 256, [*size, 3], dtype=np.uint8)
