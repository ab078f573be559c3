"""The objects of photos, written in the formats of annotation tools."""

import dataclasses
import difflib
from pathlib import Path

from tfseg.errors import InputError, listed
from tfseg.formats.object_files.object_formats import FORMATS
from tfseg.formats.object_files.object_writer import ObjectFileOptions, PhotoObjects
from tfseg.labels import DatasetInfo
from tfseg.postprocess.objects import find_objects
from tfseg.system.files import write_atomically

PICTURES = "png"


@dataclasses.dataclass(frozen=True)
class ObjectOptions:
    """Which objects are written, and how.

    Attributes:
      formats: names in `FORMATS`.
      min_area: pixels of the smallest object that is written.
      simplify_px, is_rle: see `ObjectFileOptions`.
    """

    formats: tuple[str, ...] = ()
    min_area: int = 50
    simplify_px: float = 1.0
    is_rle: bool = False


def checked_formats(words) -> tuple[str, ...]:
    """Returns the formats that --output_format names, each once. Raises InputError for one that does not exist."""
    known = [PICTURES, *FORMATS]
    formats = tuple(dict.fromkeys(word.strip().lower() for word in words))
    for name in formats:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"--output_format={','.join(words)}: {name!r} is none of {', '.join(known)}{meant}")
    if not formats:
        raise InputError(f"--output_format is empty; one or more of {', '.join(known)}")
    return formats


class ObjectFiles:
    """The files of all formats that a call writes.

    Args:
      folder: folder of the results.
      info: what the class ids mean.
      options: an ObjectOptions.
      overwrite: whether files that are there already are replaced.

    Attributes:
      needs_every_photo: whether a file holds the objects of all photos, so that none may be passed over.
      has_scores: whether the model gives probabilities; the caller sets it to False once it is known not to.
      num_objects, num_small: how many were added, and how many were too small.

    Raises:
      InputError: a file of all photos is there already and holds something else.
    """

    def __init__(self, folder, info: DatasetInfo, options: ObjectOptions, overwrite: bool):
        self._info, self._options, self._overwrite = info, options, overwrite
        file_options = ObjectFileOptions(options.simplify_px, options.is_rle)
        self._writers = {name: FORMATS[name](folder, info, file_options) for name in options.formats}
        self.needs_every_photo = any(writer.is_whole_call for writer in self._writers.values())
        self.has_scores = True
        self.num_objects = self.num_small = 0
        for writer in self._writers.values():
            # What is the same for any photos is there from the call before.
            expected = [None] * len(writer.shared) if writer.is_whole_call else writer.close()
            for path, content in zip(writer.shared, expected, strict=True):
                if path.exists() and not overwrite and (content is None or path.read_bytes() != content):
                    raise InputError(f"{path}: is there already; --overwrite replaces it, or give another --output_dir")

    def __bool__(self):
        return bool(self._writers)

    @property
    def shared(self) -> list[Path]:
        """Files that stand for all photos."""
        return [path for writer in self._writers.values() for path in writer.shared]

    def results(self, name: str) -> list[list[Path]]:
        """Returns the files of one photo, a list for each format."""
        return [writer.results(name) for writer in self._writers.values()]

    def add(self, name, path, prediction, confidence) -> dict[Path, bytes]:
        """Takes the objects of a photo.

        Args:
          name: beginning of the names of its results.
          path: its file.
          prediction: a `tfseg.inference.predictor.Prediction`.
          confidence: [height, width] probability of each pixel's class; None if it is not known or not needed.
        Returns:
          {file: content} of the photo.
        """
        class_ids = prediction.class_ids
        objects, num_small = find_objects(
            class_ids,
            self._info,
            confidence,
            prediction.panoptic_ids,
            prediction.instances or (),
            self._options.min_area,
        )
        photo = PhotoObjects(name, Path(path), class_ids.shape, objects)
        self.num_objects += len(objects)
        self.num_small += num_small
        contents = {}
        for writer in self._writers.values():
            contents |= dict(zip(writer.results(name), writer.add(photo), strict=True))
        return contents

    def finish(self):
        """Writes the files that stand for all photos. Raises RunError."""
        for writer in self._writers.values():
            for path, content in zip(writer.shared, writer.close(), strict=True):
                if self._overwrite or not path.exists():
                    write_atomically(path, content)

    def summary(self) -> str:
        """A line that says what was written."""
        least = self._options.min_area
        small = f"; {self.num_small} of fewer than {least} pixels are left out (--min_area)" if self.num_small else ""
        scores = "" if self.has_scores else ", without scores, because the model gives no probabilities"
        return f"{self.num_objects} objects written as {listed(self._options.formats)}{scores}{small}"
