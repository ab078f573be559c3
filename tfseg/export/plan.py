"""What is exported of a model: which files, of which kind and precision, after how many iterations."""

import contextlib
import dataclasses
import json
from pathlib import Path

from tfseg.errors import InputError
from tfseg.export.tflite import PRECISIONS
from tfseg.formats.export_manifest import FORMAT
from tfseg.runs.deeplab_file import load_model

FORMATS = {"savedmodel": "fp32", "tflite": "fp32"} | {f"tflite_{p}": p for p in PRECISIONS[1:]} | {"onnx": "fp32"}
TFLITE_KINDS = ("segment", "stream", "dynamic", "resizable", "panoptic")
FIXED = ("segment", "resizable", "onnx", "panoptic")  # in their number of iterations


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What is exported, and from where.

    Attributes:
      formats: keys of FORMATS.
      kinds: of .tflite files, of TFLITE_KINDS: "segment" has a fixed number of iterations, "stream" takes and returns
        the state, "dynamic" takes the number of iterations,
        "resizable" is a "segment" for images of any size, "panoptic" gives the maps that instances are made of. Empty:
        the first, of a recurrent model also the second, of a panoptic one the last.
      iterations: one "segment" file each; empty is the number trained.
      max_iterations: the most that a file runs; None is the most that training ran.
      size: (height, width) of every image; None: a SavedModel takes any, other files have that of most images of the
        last evaluation, or else of training.
      name: of the model; None is the run's.
      output_dir: folder of the exports.
      version: of the SavedModel; servers take the highest.
      weights, output_stride: as `load_model`.
      data_dir, split: images of the check; None are those that the run knows.
      calibration_images: images of the training split on which int8 measures ranges.
      check_images: how many images all files are compared on; 0 is no check.
      fit_latency: milliseconds an image on this machine: segment files get the iterations that fit, the manifest notes
        them for the others.
      threads: of the TFLite interpreter.
      overwrite: replace files that are there.
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
    """A file to be made: where (relative to the export), of which kind and precision, after how many iterations."""

    path: str
    kind: str
    precision: str
    iterations: int


class Export:
    """A model on its way into files.

    Args:
      model: path, see `load_model`.
      options: an ExportOptions.
    Raises:
      InputError: no such model, or options that do not fit it.
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
        for name in self.options.formats:
            if name == "savedmodel":
                path = f"serving/{self.name}/{self.options.version}"
                files.append(Planned(path, "savedmodel", "fp32", self.network.default_iterations))
            elif name == "onnx":
                if self.options.fit_latency is not None:
                    raise InputError("--fit_latency does not apply to onnx: nothing here runs such files; give --iters")
                files += [Planned(f"{self.name}_segment_{n}.onnx", "onnx", "fp32", n) for n in self.iterations]
            else:
                files += self._plan_tflite(FORMATS[name])
        return files

    def _plan_tflite(self, precision):
        for kind in self.options.kinds or self._usual_kinds():
            if kind in ("dynamic", "resizable", "panoptic") and precision == "int8":
                others = "segment or stream" if self.network.is_recurrent else "segment"
                raise InputError(f"--kinds={kind} has no int8 form: take --kinds={others}")
            if kind == "panoptic":
                if not self.is_panoptic:
                    raise InputError("--kinds=panoptic is for panoptic models; this one tells classes apart only")
                yield Planned(f"{self.name}_{kind}_{precision}.tflite", kind, precision, 1)
            elif kind in FIXED:
                for n in self.iterations:
                    yield self.renumbered(Planned("", kind, precision, n), n)
            elif not self.network.is_recurrent:
                raise InputError(f"--kinds={kind} is for recurrent models; this one runs once")
            else:
                path = f"{self.name}_{kind}_{precision}.tflite"
                yield Planned(path, kind, precision, self.network.default_iterations)

    def _usual_kinds(self):
        if self.is_panoptic:
            return ("panoptic",)
        return ("segment", "stream") if self.network.is_recurrent else ("segment",)

    def renumbered(self, planned, iterations) -> Planned:
        """A segment file, or another of a fixed number of iterations, with another number."""
        path = f"{self.name}_{planned.kind}_{iterations}_{planned.precision}.tflite"
        return dataclasses.replace(planned, path=path, iterations=iterations)

    def description(self, planned) -> dict:
        """What every file says about itself."""
        has_any_size = planned.kind == "resizable" or (planned.kind == "savedmodel" and self.options.size is None)
        fusion = {"fusion": self.network.fusion_settings} if self.is_panoptic else {}
        return fusion | {
            "format": FORMAT,
            "name": self.name,
            "classes": self.info.to_dict(),
            "is_recurrent": self.network.is_recurrent,
            "iterations": planned.iterations,
            "max_iterations": planned.iterations if planned.kind in FIXED else self.max_iterations,
            "size": None if has_any_size else list(self.size),
            "padding": self.network.padding,
            "stride": self.network.canvas_stride,
            "kind": planned.kind,
            "precision": planned.precision,
        }

    def check_target(self):
        """Raises InputError where a file is there already and is not to be replaced."""
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
    """(height, width) of most images of the last evaluation, or else of training."""
    for report in ("report/metrics.json", "metrics.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            return tuple(json.loads((Path(model) / report).read_text())["protocol"]["cost_size"])
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
