"""Finds how many iterations of an exported file fit into a given time on this machine."""

import functools

import numpy as np

from tfseg.export.making import make
from tfseg.inference.budget_measurement import measure, measure_runs
from tfseg.profiling import profile
from tfseg.system.temporary import TemporaryFolder


def fitted(export, planned, load, milliseconds, images=None):
    """Plans a file with a fixed number of iterations: the largest number that fits into the time.

    Args:
      export, planned, images: see `making.make`.
      load: (path of a file) -> its predictor.
      milliseconds: allowed time from a decoded image to its class map.
    Returns:
      (Planned, Choice): the file with that number, and how the number was found.
    Raises:
      InputError: not even one iteration fits.
    """
    image = _image(export.size)
    with TemporaryFolder() as folder:

        def prepare(count):
            candidate = export.renumbered(planned, count)
            make(export, candidate, folder, images)
            return functools.partial(load(folder / candidate.path).predict, image, count)

        choice = measure_runs(prepare, 1, export.max_iterations, milliseconds, is_costly=True)
    return export.renumbered(planned, choice.iterations), choice


def measured(export, predictor, milliseconds):
    """The `Choice` for a file whose caller sets the number of iterations. Raises InputError if not even one fits."""
    return measure(predictor, _image(export.size), milliseconds, export.max_iterations)


def note(export, choice, threads) -> dict:
    """The manifest's entry for a choice."""
    return choice.to_dict() | {"size": list(export.size), "threads": threads, "device": profile.processor()}


def _image(size):
    return np.random.default_rng(0).integers(0, 256, [*size, 3], dtype=np.uint8)
