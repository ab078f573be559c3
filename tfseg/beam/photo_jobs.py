"""Segments photos on a runner's workers: the same files as without Beam."""

import dataclasses
import os
from pathlib import Path

from tfseg.beam import launching
from tfseg.beam.launching import BeamRunner
from tfseg.commands import photos
from tfseg.commands.model_source import ModelSource
from tfseg.commands.photo_objects import ObjectFiles
from tfseg.commands.photos import Outcome, PhotoOptions
from tfseg.errors import InputError, shortened
from tfseg.system.files import locked, remove_unfinished, write_atomically
from tfseg.system.parallel import num_cores
from tfseg.system.progress import say

FAILED, LOCK, PLACE = "failed.txt", ".bulk.lock", "bulk"
MOST_PHOTOS, MOST_TASKS, LEAST_TASKS = 64, 20_000, 64
MOST_PRINTED = 20


@dataclasses.dataclass(frozen=True)
class Segmented:
    """What came of a task: its Outcome, and the counts of an ObjectFiles."""

    outcome: Outcome
    num_objects: int
    num_small: int
    has_scores: bool


@dataclasses.dataclass(frozen=True)
class PhotoJob:
    """Segments photos; a task is a list of `photos.Photo`. See `work_folder.Job`.

    Attributes:
      source: the model.
      options: how photos are segmented.
    """

    source: ModelSource
    options: PhotoOptions
    loads_model = True

    def load(self):
        return self.source.load()

    def work(self, task, loaded) -> Segmented:
        outcome = Outcome()
        objects = ObjectFiles(self.options.output_dir, loaded.info, self.options.objects, self.options.overwrite)
        for photo in task:
            photos.segment_photo(loaded, photo, self.options, objects, outcome)
        return Segmented(outcome, objects.num_objects, objects.num_small, objects.has_scores)


def segment_files(source: ModelSource, predictor, inputs, options: PhotoOptions, runner: BeamRunner) -> Outcome:
    """Segments photos on a runner's workers; see `photos.segment_files` for what is written, skipped and raised.

    What could not be used is listed in `output_dir`/failed.txt, a line each, in the order of the inputs; it is written
    at the end, and is not there if all could be used. All workers must see the photos, the model and `output_dir` under
    the same paths.

    Args:
      source: the model, which every worker process loads once.
      predictor: the same model, loaded; it says which files there will be.
      inputs, options: see `photos.segment_files`. Options have no budget, and no format that holds the objects of all
        photos in one file.
      runner: a BeamRunner that was checked.
    Raises:
      InputError: in the cases of `photos.segment_files`, or another job writes into this folder.
      RunError: a result cannot be written, or the pipeline failed.
    """
    photos.check_iterations(predictor, options)
    options = dataclasses.replace(options, output_dir=os.path.abspath(options.output_dir))
    folder, outcome = Path(options.output_dir), Outcome()
    objects, pending = photos.planned(predictor, inputs, options, outcome)
    with locked(folder / LOCK, lambda: _refuse(folder)):
        (folder / FAILED).unlink(missing_ok=True)
        runner = runner.with_workers(max(1, num_cores() // 2))
        job = PhotoJob(source, options)
        for part in launching.run(job, chunks(pending), folder / PLACE, runner, "segmenting"):
            outcome.num_done += part.outcome.num_done
            outcome.num_iterations += part.outcome.num_iterations
            outcome.problems += part.outcome.problems
            objects.num_objects += part.num_objects
            objects.num_small += part.num_small
            objects.has_scores &= part.has_scores
        remove_unfinished(folder)
        if objects and outcome.num_done:
            objects.finish()
            outcome.notes.append(objects.summary())
        if outcome.problems:
            write_atomically(folder / FAILED, os.fsencode("\n".join(outcome.problems) + "\n"))
    return outcome


def chunks(pending: list) -> list[list]:
    """Divides photos into tasks, many enough for all workers to have some to do until the end."""
    size = max(1, min(MOST_PHOTOS, len(pending) // LEAST_TASKS), len(pending) // MOST_TASKS)
    return [pending[start : start + size] for start in range(0, len(pending), size)]


def report_outcome(outcome: Outcome, output_dir):
    """Prints what was done. Raises InputError if some inputs could not be used."""
    counts = f"written {outcome.num_done}, skipped {outcome.num_skipped}, failed {len(outcome.problems)}"
    mean = outcome.num_iterations / max(outcome.num_done, 1)
    iterations = f"; {mean:.1f} iterations on average" if mean > 1 else ""
    print("\n".join([f"{counts} (photos, {output_dir}){iterations}", *outcome.notes]))
    if not outcome.problems:
        return
    for line in outcome.problems[:MOST_PRINTED]:
        say(shortened(line))
    if len(outcome.problems) > MOST_PRINTED:
        say(f"and {len(outcome.problems) - MOST_PRINTED} more")
    raise InputError(f"{len(outcome.problems)} of the inputs could not be used; {Path(output_dir) / FAILED} lists them")


def _refuse(folder):
    raise InputError(f"{folder}: another job writes into this folder; wait for it, or give another --output_dir")
