"""Reads anybody's SavedModel: whether it may be run, and its signature for images, traced with static shapes."""

import contextlib
import dataclasses
import os
import re
import shutil
from pathlib import Path

import tensorflow as tf

from tfseg.errors import InputError, RunError, shortened
from tfseg.formats import export_manifest, trusted_files
from tfseg.system.files import check_regular, failure
from tfseg.system.temporary import TemporaryFolder

PROGRAM = "saved_model.pb"
ITERATIONS = "iterations"
# Signatures that are tried first: the one for tensors, then the one that servers call by default.
PREFERRED = ("segment_tensors", "serving_default")
WANTED = "one image, uint8 or float32 [batch, height, width, 3], and at most iterations, int32 [] or [batch]"
LONGEST = 100  # characters of a signature in a message


@dataclasses.dataclass(frozen=True)
class Program:
    """A SavedModel that was loaded.

    Attributes:
      path: the SavedModel's path.
      folder: where its files are; for a model that was not trusted blindly, a private copy, see `run_program`.
      loaded: TensorFlow's object, with the signatures.
      listed: its `export_manifest.Listed`; None if no manifest lists it or it is trusted blindly.
      kept: what has to live as long as `folder` is needed.
    """

    path: str
    folder: Path
    loaded: object
    listed: export_manifest.Listed | None = None
    kept: object = None


@dataclasses.dataclass(frozen=True)
class ImageSignature:
    """A signature that takes one image and at most a number of iterations.

    Attributes:
      path: the SavedModel's path.
      name: the signature's name.
      function: the signature as a function of keywords.
      image_name, image: the image's keyword and TensorSpec.
      iterations: the iterations' TensorSpec; None if the signature takes none.
      program: the Program, which keeps the variables alive.
    """

    path: str
    name: str
    function: object
    image_name: str
    image: tf.TensorSpec
    iterations: tf.TensorSpec | None
    program: Program


def run_program(path, trust=False, sha256=None) -> Program:
    """Loads a SavedModel if it may be run: loading alone runs code of its maker.

    No other function of tfseg loads a SavedModel. Without `trust`, its files are copied into a private folder first and
    loaded from there, so that what is loaded is what was compared, even if somebody exchanges the files meanwhile.

    Args:
      path: the folder with saved_model.pb.
      trust: whether the user vouches for whatever is in the folder.
      sha256: what the user says the folder's sha256 is; see `trusted_files.vouched`.
    Raises:
      InputError: nobody vouches for the SavedModel, or it is not the one that was meant: its sha256 is not `sha256`, or
        not that of the manifest above it. Or the folder is no SavedModel, or is damaged.
      RunError: there is no space for the copy.
    """
    if not (Path(path) / PROGRAM).is_file():
        raise InputError(f"{path}: not a SavedModel, which is a folder with {PROGRAM}")
    if trust and sha256 is None:
        return Program(str(path), Path(path), _loaded(path, path))
    entry = None if trust else export_manifest.check(path)
    vouched = trusted_files.vouched(path, sha256)
    if vouched is None:
        raise InputError(
            f"{path}: not made on this machine, and a SavedModel is a program that may do anything; --trust runs it, "
            f"or --sha256={export_manifest.sha256(path)} if its maker says so"
        )
    private = TemporaryFolder()
    folder = private.path / "model"
    _copy(path, folder)
    if export_manifest.sha256(folder) != vouched:
        raise InputError(f"{path}: changed while it was read; try again when nothing writes to it")
    return Program(str(path), folder, _loaded(folder, path), entry, private)


def load(path, trust=False, sha256=None) -> ImageSignature:
    """Returns the first fitting signature of a SavedModel: one of PREFERRED, or else the first of the others.

    Arguments are those of `run_program`.

    Raises:
      InputError: `run_program` refuses it, or it has no signature that takes what WANTED says.
      RunError: see `run_program`.
    """
    program = run_program(path, trust, sha256)
    try:
        signatures = {name: (function, _inputs(function)) for name, function in program.loaded.signatures.items()}
    except Exception as error:  # an object without signatures, or with strange ones
        raise InputError(f"{path}: its signatures cannot be read ({_first_line(error)}); export it again") from error
    names = sorted(signatures, key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))
    for name in names:
        function, inputs = signatures[name]
        images = [key for key, spec in inputs.items() if _is_image(spec)]
        others = [key for key in inputs if key not in images]
        if len(images) == 1 and all(_is_iterations(key, inputs[key]) for key in others):
            return ImageSignature(
                str(path), name, function, images[0], inputs[images[0]], inputs.get(ITERATIONS), program
            )
    has = [shortened(f"{name}({_described(inputs)})", LONGEST) for name, (_, inputs) in signatures.items()]
    more = f" and {len(has) - 1} more" if len(has) > 1 else ""
    raise InputError(f"{path}: its signatures are {has[0] if has else 'none'}{more}; one of them must take {WANTED}")


def _loaded(folder, path):
    _check_files(folder)
    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # on a damaged file, any part of TensorFlow's loader may fail
        raise InputError(f"{path}: not a complete SavedModel ({_first_line(error)}); export it again") from error


def _check_files(folder):
    """Raises InputError unless all files are regular ones: TensorFlow would wait at a pipe for ever."""
    for place, _, files in os.walk(folder):
        for path in (Path(place) / name for name in files):
            try:
                check_regular(path)
            except FileNotFoundError:  # a link that leads nowhere, which the loader can tell of
                continue
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({failure(error)})") from None


def _copy(path, folder):
    try:
        for name in export_manifest.files_of(path):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(path) / name, folder / name)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be copied into {folder.parent} ({error.strerror}); point TMPDIR to a folder with space"
        ) from error


def trace(signature, size, iterations) -> tf.types.experimental.ConcreteFunction:
    """Traces the signature as a function of one image of a static size, with the iterations as a constant.

    Args:
      signature: an ImageSignature.
      size: (height, width).
      iterations: number of iterations; None if the signature takes none.
    Raises:
      InputError: the model cannot take this size.
    """

    def run(image):
        arguments = {signature.image_name: image}
        if iterations is not None:
            value = [iterations] if signature.iterations.shape.rank else iterations
            arguments[ITERATIONS] = tf.constant(value, tf.int32)
        return signature.function(**arguments)

    with refusing(signature, size):
        return tf.function(run).get_concrete_function(tf.TensorSpec([1, *size, 3], signature.image.dtype))


@contextlib.contextmanager
def refusing(signature, size):
    """Turns exceptions of TensorFlow, while the signature is traced, counted or run, into an InputError."""
    try:
        yield
    except (ValueError, TypeError, tf.errors.OpError) as error:
        where = f"{signature.path}: {signature.name} at {size[0]}x{size[1]}"
        raise InputError(f"{where}: {_first_line(error)}") from error


def _inputs(function):
    return function.structured_input_signature[1]


def _is_image(spec):
    is_one = spec.shape.rank == 4 and spec.shape[0] in (None, 1) and spec.shape[3] == 3
    return is_one and spec.dtype in (tf.uint8, tf.float32)


def _is_iterations(name, spec):
    return name == ITERATIONS and spec.dtype == tf.int32 and spec.shape.is_compatible_with([1] * (spec.shape.rank or 0))


def _described(inputs):
    return ", ".join(f"{name}: {spec.dtype.name} {_shape(spec.shape)}" for name, spec in inputs.items())


def _shape(shape):
    if shape.rank is None:
        return "of any shape"
    return "[" + ", ".join("?" if side is None else str(side) for side in shape) + "]"


def _first_line(error):
    # Removes the names that TensorFlow gives to parts of its graphs.
    text = re.sub(r"\{\{.*?\}\}", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return shortened(lines[0], 120) if lines else type(error).__name__
