"""Plans the files of an export: which kinds and precisions, and how many iterations each runs."""

import contextlib
import dataclasses
from pathlib import Path

from tfseg.errors import InputError
from tfseg.export.format_table import FORMATS, PANOPTIC, RECURRENT, STATEFUL, TFLITE_KINDS, WORDS
from tfseg.formats.export_manifest import FORMAT
from tfseg.runs.deeplab_file import load_model
from tfseg.system.small_files import AtLeastOne, read_json, typed

NETWORK_TEXTS = {
    RECURRENT: "recurrent models; this one runs once",
    STATEFUL: "models that keep a state; this one keeps none",
    PANOPTIC: "panoptic models; this one tells classes apart only",
}


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is exported, and from where.

    Attributes:
      formats: words of `--format`, keys of `format_table.WORDS`.
      kinds: kinds of .tflite files, from TFLITE_KINDS. Empty means "segment", "class_map" and, for a model that keeps a
        state, "stream"; for a panoptic model it means "panoptic".
      iterations: numbers of iterations; each gets its own "segment" and "class_map" file. Empty means the number
        trained.
      max_iterations: the most iterations that a file runs; None means the most that training ran.
      size: (height, width) of every image. If None, a SavedModel takes any size, and other files have the size of most
        images of the last evaluation, or else the crop size of training.
      name: the model's name; None means the run's name.
      output_dir: folder of the exports.
      version: version number of the SavedModel; servers take the highest.
      weights, output_stride: see `load_model`.
      data_dir, split: where the images of the check come from; None means those that the run's config names.
      calibration_images: number of images from the training split on which int8 measures ranges.
      check_images: number of images on which all files are compared with the model; 0 means no check.
      fit_latency: milliseconds per image on this machine: segment files get the iterations that fit, and for other
        files the manifest notes that number.
      threads: number of threads of the TFLite interpreter.
      overwrite: whether to replace files that are there.
    """

    formats: tuple[str, ...] = ("savedmodel", "tflite_fp16")
    kinds: tuple[str, ...] = ()
    iterations: tuple[int, ...] = ()
    max_iterations: int | None = None
    size: tuple[int, int] | None = None
    name: str | None = None
    output_dir: str = "exports"
    version: int = 1
    weights: str = "last"
    output_stride: int | None = None
    data_dir: str | None = None
    split: str | None = None
    calibration_images: int = 64
    check_images: int = 16
    fit_latency: float | None = None
    threads: int = 1
    overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class Planned:
    """A file to be made: its path relative to the export, its kind and precision, and how many iterations it runs."""

    path: str
    kind: str
    precision: str
    iterations: int


class Export:
    """A loaded model and the files that it is to be exported to.

    Args:
      model: the model's path, see `load_model`.
      options: an ExportOptions.
    Raises:
      InputError: there is no such model, or the options do not fit it.
    """

    def __init__(self, model, options: ExportOptions):
        self.options = options
        self.config, self.info, network = load_model(model, options.weights, options.output_stride)
        self.network = network.exported()
        self.is_panoptic = self.network.is_panoptic
        self.name = _checked_name(options.name) or Path(model).resolve().name
        self.size = options.size or _usual_size(model, self.config)
        if not self.network.is_recurrent and options.iterations not in ((), (1,)):
            raise InputError(f"--iters does not apply: {model} is not recurrent and runs once")
        self.iterations = options.iterations or (self.network.default_iterations,)
        self.max_iterations = _max_iterations(self.network, options)
        self.folder = Path(options.output_dir) / self.name
        self.planned = self._plan()

    def _plan(self):
        files = []
        for word in self.options.formats:
            kinds, precision = WORDS[word]
            for kind in self._kinds(kinds):
                self._check_fits(kind, precision)
                numbers = self.iterations if FORMATS[kind].has_number_in_name else (self.network.default_iterations,)
                files += [self.planned_as(kind, precision, number) for number in numbers]
        return files

    def _kinds(self, kinds):
        """The kinds that are wanted, among those that a word of `--format` can mean."""
        if kinds != TFLITE_KINDS:
            return kinds
        if self.options.kinds:
            return self.options.kinds
        if self.is_panoptic:
            return ("panoptic",)
        return ("segment", "class_map", *(("stream",) if self.network.keeps_state else ()))

    def _check_fits(self, kind, precision):
        wanted = FORMATS[kind]
        if precision not in wanted.precisions:
            others = "segment or stream" if self.network.keeps_state else "segment"
            raise InputError(f"--kinds={kind} has no {precision} form: take --kinds={others}")
        if not wanted.suits(self.network):
            raise InputError(f"--kinds={kind} is for {NETWORK_TEXTS[wanted.network]}")
        if self.options.fit_latency is not None and not wanted.has_engine:
            raise InputError(f"--fit_latency does not apply to {kind}: nothing here runs such files; give --iters")

    def planned_as(self, kind, precision, iterations) -> Planned:
        """The planned file of a kind, with the path that it gets."""
        number = f"_{iterations}" if FORMATS[kind].has_number_in_name else ""
        path = FORMATS[kind].path.format(
            name=self.name, kind=kind, number=number, precision=precision, version=self.options.version
        )
        return Planned(path, kind, precision, iterations)

    def renumbered(self, planned, iterations) -> Planned:
        """The same planned file with another fixed number of iterations."""
        return self.planned_as(planned.kind, planned.precision, iterations)

    def description(self, planned) -> dict:
        """The description that a file carries of itself, in JSON types."""
        made = FORMATS[planned.kind]
        has_any_size = self.options.size is None if made.has_open_size is None else made.has_open_size
        fusion = {"fusion": self.network.fusion_settings} if self.is_panoptic else {}
        carry = {"carry": dataclasses.asdict(self.network.carry)} if self.network.carry else {}
        return (
            fusion
            | carry
            | {
                "format": FORMAT,
                "name": self.name,
                "classes": self.info.to_dict(),
                "is_recurrent": self.network.is_recurrent,
                "iterations": planned.iterations,
                "max_iterations": planned.iterations if made.has_fixed_iterations else self.max_iterations,
                "size": None if has_any_size else list(self.size),
                "padding": self.network.padding,
                "stride": self.network.canvas_stride,
                "kind": planned.kind,
                "precision": planned.precision,
            }
        )

    def check_target(self):
        """Raises InputError if a file is there already and must not be replaced."""
        there = [planned.path for planned in self.planned if (self.folder / planned.path).exists()]
        if there and not self.options.overwrite:
            raise InputError(
                f"{self.folder / there[0]}: exists already; take another --name or --version, or --overwrite"
            )


def _checked_name(name):
    if name is not None and (not name.strip(".") or name != Path(name).name):
        raise InputError(f"--name={name}: the name of a folder in --output_dir, without slashes")
    return name


def _usual_size(model, config):
    """(height, width) of most images of the last evaluation, or else of the crops in training."""
    for report in ("report/metrics.json", "metrics.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return typed(
                tuple[AtLeastOne, AtLeastOne], read_json(Path(model) / report, 64 << 20)["protocol"]["cost_size"]
            )
    return tuple(config.data.crop_size)


def _max_iterations(network, options):
    if not network.is_recurrent:
        return 1
    if options.max_iterations is not None and options.max_iterations < network.default_iterations:
        raise InputError(
            f"--max_iters={options.max_iterations}: at least {network.default_iterations}, the model's own"
        )
    most = options.max_iterations or max(network.trained_iterations, *options.iterations, 1)
    if options.iterations and max(options.iterations) > most:
        raise InputError(f"--iters={max(options.iterations)} is more than --max_iters={most}")
    return most
