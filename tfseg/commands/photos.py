"""Segments image files and writes a class map and a picture for each."""

import contextlib
import dataclasses
import typing
from collections import Counter
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from tfseg import visualize
from tfseg.commands import photo_pictures
from tfseg.commands.photo_inputs import output_names, photo_files
from tfseg.commands.photo_objects import ObjectFiles, ObjectOptions
from tfseg.commands.photo_pictures import STRIP
from tfseg.errors import InputError, NoConfidence
from tfseg.formats.image_file import MAX_PIXELS, MAX_SIDE, memory_named
from tfseg.formats.images import encode_png, read_image
from tfseg.inference.budget import Budget
from tfseg.postprocess.objects import needs_confidence
from tfseg.system.files import write_atomically
from tfseg.system.progress import say, with_progress


@dataclasses.dataclass(frozen=True)
class PhotoOptions:
    """How files are segmented and which results are written.

    Attributes:
      output_dir: folder of the results; it is made if missing.
      iters: number of iterations; None means the number the model was trained with.
      overwrite: whether to replace results that are there already.
      with_strip: whether to write a picture with the class map after every iteration, too.
      max_pixels: largest number of pixels; larger images are refused.
      budget_ms: milliseconds per image; as many iterations run as fit into them on this machine, in place of `iters`.
        See `Budget`.
      tolerance: iterations stop once one of them has changed at most this share of the canvas, 0 to 1; see
        `Predictor.predict`.
      with_pictures: whether class maps and overlays are written.
      objects: which objects are written, and how.
    """

    output_dir: str
    iters: int | None = None
    overwrite: bool = False
    with_strip: bool = False
    max_pixels: int = MAX_PIXELS
    budget_ms: float | None = None
    tolerance: float | None = None
    with_pictures: bool = True
    objects: ObjectOptions = dataclasses.field(default_factory=ObjectOptions)


class Photo(typing.NamedTuple):
    """A photo that is to be segmented.

    Attributes:
      file: its path.
      name: beginning of the names of its results.
      missing: results that are to be written.
    """

    file: Path
    name: str
    missing: list[Path]


@dataclasses.dataclass
class Outcome:
    """The outcome of `segment_files`.

    Attributes:
      num_done: number of files that were segmented.
      num_skipped: number of files whose results were there already.
      problems: one line for each input that could not be used.
      num_iterations: sum of the iterations over all segmented files.
      notes: lines about what was written.
    """

    num_done: int = 0
    num_skipped: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    num_iterations: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)


def segment_files(predictor, inputs, options: PhotoOptions) -> Outcome:
    """Segments image files of any size, turned upright as their EXIF data say.

    `<name>_classes.png` holds class ids, with a palette that shows them in colour. `<name>_overlay.jpg` shows the
    classes over the image, with a legend. A panoptic model also gets `<name>_panoptic.png`, whose colour is (class id,
    instance id // 256, instance id % 256), and `<name>_instances.json`, with class, score, area and keypoints (y, x) of
    every instance, best first. `<name>` is the input's name without its extension, or with it (`a_jpg`, `a_png`) if two
    inputs would get the same name. Objects are written in the formats that the options name, see
    `tfseg.formats.object_files`. Files whose results are there already are skipped, and so is each format whose files
    are there; but for a file that holds the objects of all photos, every photo is segmented. Each result appears only
    when it is whole. A bad file does not stop the others.

    Args:
      predictor: a `tfseg.inference.predictor.Predictor`.
      inputs: image files and folders; of a folder, the images directly in it are taken, not hidden ones and not those
        in subfolders.
      options: a PhotoOptions.
    Raises:
      InputError: two inputs would get the same results, a file of the objects of all photos is there already, the model
        does not allow this number of iterations or cannot stop when the canvas has settled, `output_dir` cannot be
        written, or the budget is not a time or is combined with `iters` or `tolerance`.
    """
    if options.budget_ms is not None and (options.iters, options.tolerance) != (None, None):
        raise InputError("a budget chooses the iterations: omit it, or their number and the tolerance")
    check_iterations(predictor, options)
    budget = None if options.budget_ms is None else Budget(predictor, options.budget_ms, tqdm.write)
    outcome = Outcome()
    objects, pending = planned(predictor, inputs, options, outcome)
    for photo in with_progress(iter(pending), len(pending), "segmenting") if pending else ():
        segment_photo(predictor, photo, options, objects, outcome, budget)
    if objects and outcome.num_done:
        objects.finish()
        outcome.notes.append(objects.summary())
    if budget and budget.num_images:
        stopped = f", {budget.num_stopped} of them stopped after fewer iterations" if budget.num_stopped else ""
        tqdm.write(f"{budget.num_within} of {budget.num_images} images within {options.budget_ms:g} ms{stopped}")
    return outcome


def report_outcome(outcome: Outcome, output_dir):
    """Prints what was done. Raises InputError if some inputs could not be used."""
    skipped = f", {outcome.num_skipped} were there already (--overwrite)" if outcome.num_skipped else ""
    mean = outcome.num_iterations / max(outcome.num_done, 1)
    iterations = f", {mean:.1f} iterations on average" if mean > 1 else ""
    print("\n".join([f"{outcome.num_done} images segmented into {output_dir}{iterations}{skipped}", *outcome.notes]))
    if not outcome.problems:
        return
    for line in outcome.problems:
        say(line)
    raise InputError(f"{len(outcome.problems)} of the inputs could not be used; they are listed above")


def check_iterations(predictor, options):
    """Raises InputError if the model cannot run the iterations that the options ask for, or stop as they say."""
    predictor.check_iters(options.iters, options.with_strip)
    predictor.check_tolerance(options.tolerance)


def planned(predictor, inputs, options, outcome) -> tuple[ObjectFiles, list[Photo]]:
    """Finds out what there is to do, and makes the folder of the results.

    Args:
      predictor, inputs, options: see `segment_files`, which says what is raised.
      outcome: an Outcome, to which problems with inputs and the number of skipped photos are added.
    Returns:
      (files of the objects of all photos, photos to segment).
    """
    _make_folder(options.output_dir)
    objects = ObjectFiles(options.output_dir, predictor.info, options.objects, options.overwrite)
    files = photo_files(inputs, outcome.problems)
    pending = _pending(files, _groups(files, predictor, options, objects), options, objects)
    outcome.num_skipped = len(files) - len(pending)
    return objects, pending


def segment_photo(predictor, photo, options, objects, outcome, budget=None):
    """Segments one photo, writes its results, and adds to the outcome what came of it.

    Args:
      predictor, options: see `segment_files`.
      photo: a Photo.
      objects: an ObjectFiles.
      outcome: an Outcome.
      budget: a Budget that chooses the iterations; None if the options do.
    Raises:
      RunError: a result cannot be written.
    """
    try:
        with memory_named(photo.file), _allocation_named(photo.file):
            prediction, contents = _segment(predictor, photo, options, budget, objects)
    except InputError as error:
        outcome.problems.append(str(error))
        return
    for path in photo.missing:
        write_atomically(path, contents[path])
    outcome.num_done += 1
    outcome.num_iterations += prediction.iterations


def _groups(files, predictor, options, objects):
    """{name of a photo's results: lists of files, each of one format}, in the order of the photos."""
    suffixes = photo_pictures.suffixes(predictor.is_panoptic) if options.with_pictures else []
    suffixes = [*suffixes, *([STRIP] if options.with_strip else [])]
    names = output_names(files)
    groups = {
        name: [[Path(options.output_dir) / f"{name}{suffix}" for suffix in suffixes], *objects.results(name)]
        for name in names
    }
    counts = Counter([*objects.shared, *(path for lists in groups.values() for paths in lists for path in paths)])
    for path, count in counts.items():
        if count > 1:
            raise InputError(f"{path}: would be the result of two things; rename a photo, or ask for fewer formats")
    return groups


def _pending(files, groups, options, objects):
    """The photos with something to do."""
    pending = []
    for file, (name, lists) in zip(files, groups.items(), strict=True):
        missing = [paths for paths in lists if options.overwrite or not all(path.exists() for path in paths)]
        if any(missing) or objects.needs_every_photo:
            pending.append(Photo(file, name, [path for paths in missing for path in paths]))
    return pending


def _segment(predictor, photo, options, budget, objects):
    """Returns the prediction for a photo, and the contents {path: bytes} of its results."""
    (file, name, _), info, folder = photo, predictor.info, Path(options.output_dir)
    image = read_image(file, options.max_pixels)
    height, width = image.shape[:2]
    if options.with_strip and height * visualize.CELL_WIDTH > MAX_SIDE * width:
        raise InputError(f"{file}: {width}x{height} is too long and narrow for --strip; omit it")
    prediction, contents = _predicted(predictor, image, options, budget, objects), {}
    if options.with_pictures:
        found = photo_pictures.pictures(image, prediction, info, MAX_SIDE)
        contents = {folder / f"{name}{suffix}": picture for suffix, picture in found.items()}
    if options.with_strip:
        maps = predictor.predict_iterations(image, prediction.iterations)
        contents[folder / f"{name}{STRIP}"] = encode_png(visualize.strips([(image, maps, None)], info))
    if objects:
        contents |= objects.add(name, file, prediction, _confidence(predictor, image, prediction, options, objects))
    return prediction, contents


def _predicted(predictor, image, options, budget, objects):
    """The prediction, with the confidence if objects need it and the model can give both at once."""
    wanted = {"with_confidence": True} if objects and objects.has_scores and not predictor.is_panoptic else {}
    try:
        if budget:
            return budget.predict(image, **wanted)
        return predictor.predict(image, options.iters, tolerance=options.tolerance, **wanted)
    except NoConfidence:
        objects.has_scores = False
        return _predicted(predictor, image, options, budget, objects)


def _confidence(predictor, image, prediction, options, objects):
    """The probability of each pixel's class. A panoptic model runs once more, if not all objects have own scores."""
    has_others = predictor.is_panoptic and needs_confidence(prediction.class_ids, predictor.info, prediction.instances)
    if has_others and objects.has_scores:
        return predictor.predict(image, options.iters, with_confidence=True).confidence
    return prediction.confidence


@contextlib.contextmanager
def _allocation_named(file):
    """Turns TensorFlow's lack of memory, on any device, into an InputError that names the file."""
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise InputError(f"{file}: the prediction needs more memory than there is; shrink the photo") from None


def _make_folder(path):
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --output_dir") from None
