"""Exports a trained model: SavedModel for TensorFlow Serving, TFLite for phones, ONNX; checked against the model.

python export.py --model=runs/demo
    Writes a SavedModel and two .tflite files with float16 weights into exports/demo/: one runs the iterations of
    training, the other is run step by step. Every file is compared with the model on held-out images.
python export.py --model=model_zoo/camvid_rnn_mobilenet_v2 --data_dir=CamVid --format=tflite_int8 --iters=1,3,6
    Writes 8-bit files that run 1, 3 and 6 iterations, calibrated on training images.
python export.py --model=runs/demo --format=tflite --kinds=dynamic
    Writes a .tflite file that takes the number of iterations with every image, and may stop earlier.
python export.py --model=runs/demo --format=savedmodel --size=128x192 --version=2
    Writes the next version for a server, for images of one size; images of other sizes are resized.
python export.py --model=runs/demo --format=tflite_int8 --fit_latency=40
    Writes a file that runs as many iterations as this machine manages within 40 ms.
python export.py --model=runs/demo --check_only
    Compares the files in exports/demo with the model once more. A SavedModel that was not made on this machine is run
    only with --trust.

The sha256 of what is exported is noted in ~/.local/share/tfseg ($XDG_DATA_HOME/tfseg, or $TFSEG_HOME). So segment.py
runs these files without --trust, wherever they lie on this machine.
"""

from absl import flags

from tfseg.commands import entry, model_flag
from tfseg.errors import InputError, RunError, shortened
from tfseg.system.progress import say

FLAGS = flags.FLAGS
prepare = model_flag.with_model


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("model", None, "Run directory, folder of the model zoo, or DeepLab weights file.")
    model_flag.define_alias()
    flags.DEFINE_list(
        "format", ["savedmodel", "tflite_fp16"], "savedmodel, tflite, tflite_fp16, tflite_dynamic, tflite_int8, onnx."
    )
    flags.DEFINE_list(
        "kinds",
        [],
        "Of .tflite files: segment (fixed iterations, one call), stream (encode, refine, decode: the caller keeps the "
        "state), dynamic (iterations with every call), resizable (a segment of any image size, on CPUs), class_map (a "
        "segment that ends in class ids, on CPUs), panoptic (the maps that instances are made of); default: segment "
        "and class_map, of a model that keeps a state also stream, of a panoptic one panoptic.",
    )
    flags.DEFINE_list("iters", [], "Iterations of segment and class_map files, e.g. 1,3,6; default: as trained.")
    flags.DEFINE_integer("max_iters", None, "The most that a file runs; default is the most of training.")
    flags.DEFINE_string(
        "size",
        None,
        "HEIGHTxWIDTH of every image; default: a SavedModel takes any size, others that of most images evaluated.",
    )
    flags.DEFINE_string("name", None, "Name of the model; default is that of --model.")
    flags.DEFINE_string("output_dir", "exports", "Folder of the exports.")
    flags.DEFINE_integer("version", 1, "Of the SavedModel; servers take the highest.", lower_bound=1)
    flags.DEFINE_enum("weights", "last", ["last", "best"], "Which weights of a run.")
    flags.DEFINE_integer("output_stride", None, "8, 16 or 32 instead of the stride of training.")
    flags.DEFINE_string("data_dir", None, "Raw data or records for int8 and the check; default is the run's.")
    flags.DEFINE_string("split", None, "Split of the check; default is the run's validation split.")
    flags.DEFINE_integer(
        "calibration_images", 64, "Training images on which int8 measures the range of values.", lower_bound=1
    )
    flags.DEFINE_integer(
        "check_images", 16, "Images on which every file is compared with the model; 0 is no comparison.", lower_bound=0
    )
    flags.DEFINE_boolean("check_only", False, "Only compare what has been exported.")
    flags.DEFINE_boolean("trust", False, "With --check_only: run a SavedModel whoever made it. It can do anything.")
    flags.DEFINE_float(
        "fit_latency", None, "Milliseconds an image: measure this machine and note the iterations that fit."
    )
    flags.DEFINE_integer("threads", 1, "Of the TFLite interpreter.", lower_bound=1)
    flags.DEFINE_boolean("overwrite", False, "Replace files that are there.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if not FLAGS.model:
        raise InputError("--model is missing: the run directory that train.py wrote, or a folder of the model zoo")
    if FLAGS.check_only and not FLAGS.check_images:
        raise InputError("--check_only --check_images=0: nothing is left to do")
    if FLAGS.check_only and FLAGS.fit_latency is not None:
        raise InputError("--check_only changes nothing: omit --fit_latency")
    if FLAGS.trust and not FLAGS.check_only:
        raise InputError("--trust is for --check_only: what is exported now is trusted anyway")
    options = _options()
    from tfseg.export import comparison, exporting
    from tfseg.inference.predictor import Predictor

    def load(path):
        # Without --check_only these files were written a moment ago.
        return Predictor.load(path, trust=FLAGS.trust or not FLAGS.check_only, threads=FLAGS.threads)

    if FLAGS.check_only:
        rows = exporting.check_export(FLAGS.model, options, load)
    else:
        rows = exporting.export_model(FLAGS.model, options, load, say)
    if rows:
        print(comparison.as_markdown(rows))
    bad = sum(not row.is_good for row in rows)
    if bad:
        left = "" if FLAGS.check_only else "; nothing was exported (--check_images=0 exports without comparing)"
        raise RunError(f"{bad} of {len(rows)} comparisons are not good enough{left}")
    if not FLAGS.check_only:
        print(f"exported: {exporting.folder_of(FLAGS.model, options)}")


def _options():
    from tfseg.export.format_table import FORMATS, TFLITE_KINDS, WORDS
    from tfseg.export.plan import ExportOptions
    from tfseg.inference.budget_measurement import check_budget

    _check_words("format", FLAGS.format, {word: word for word in WORDS})
    if FLAGS.kinds:
        _check_words("kinds", FLAGS.kinds, {kind: f"{kind} ({FORMATS[kind].text})" for kind in TFLITE_KINDS})
    if FLAGS.fit_latency is not None and FLAGS.iters:
        raise InputError("--iters and --fit_latency exclude each other: the time says how many iterations there are")
    if FLAGS.fit_latency is not None:
        check_budget(FLAGS.fit_latency, "--fit_latency")
    return ExportOptions(
        formats=tuple(FLAGS.format),
        kinds=tuple(FLAGS.kinds),
        iterations=tuple(sorted({_count(word) for word in FLAGS.iters})),
        max_iterations=FLAGS.max_iters,
        size=entry.parse_size("size", FLAGS.size) if FLAGS.size else None,
        name=FLAGS.name,
        output_dir=FLAGS.output_dir,
        version=FLAGS.version,
        weights=FLAGS.weights,
        output_stride=FLAGS.output_stride,
        data_dir=FLAGS.data_dir,
        split=FLAGS.split,
        calibration_images=FLAGS.calibration_images,
        check_images=FLAGS.check_images,
        fit_latency=FLAGS.fit_latency,
        threads=FLAGS.threads,
        overwrite=FLAGS.overwrite,
    )


def _check_words(flag, words, known):
    """Raises InputError, which lists the texts of all known words, for a word that is not one of them."""
    for word in words or [""]:
        if word not in known:
            raise InputError(f"--{flag}={shortened(','.join(words), 40)}: one or more of {', '.join(known.values())}")


def _count(word):
    if not word.isdecimal() or not 1 <= int(word) <= 1000:
        raise InputError(f"--iters={word}: numbers from 1, e.g. 1,3,6")
    return int(word)
