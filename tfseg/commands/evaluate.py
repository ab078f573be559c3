"""Scores a trained model after every iteration, and writes a report with pictures.

python evaluate.py --model=runs/scenes_rnn --iters=10
    The last weights of a run on its validation split, after 1 to 10 iterations; the report is in
    runs/scenes_rnn/report.
python evaluate.py --model=runs/voc2012_rnn --multi_scale --flip --report_dir=runs/voc2012_rnn/multi_scale
    Averages the logits of six scales and their mirror images.
python evaluate.py --model=runs/cityscapes_rnn --long_side=1024 --window=768x768
    Windows of 768x768 pixels slide over images of 512x1024, by 2/3 of their size.
python evaluate.py --model=runs/camvid_rnn --iters=10 --compare=runs/camvid_deeplabv3,runs/camvid_deeplabv3@8
    Puts several models into one chart; they are evaluated on the same images and timed in turn. @8 is an output stride.
python evaluate.py --model=model_zoo/camvid_rnn_mobilenet_v2 --data_dir=CamVid --video \\
    --compare=model_zoo/camvid_deeplabv3_mobilenet_v2
    The frames of videos in their order: each from zero, each from the one before, and another model on each; mIoU,
    steadiness, GFLOPs and milliseconds a frame, in report/video.md.
python evaluate.py --model=deeplabv3_mnv2_pascal/model.ckpt-30000.index --dataset=camvid --data_dir=CamVid \\
    --match=car:car,person:pedestrian
    IoU, recall and precision of single classes on a data set whose classes differ from the model's.
"""

import itertools

from absl import flags

from tfseg.commands import entry, model_flag
from tfseg.errors import InputError

FLAGS = flags.FLAGS
VIEWS = ("output_stride", "multi_scale", "scales", "flip", "size", "long_side", "window", "stride", "fuse", "strategy")
# What each way of scoring reads besides --model, --split, --data_dir and --weights. The first is that of no other flag.
READ = {
    "report_dir": ("iters", *VIEWS, "compare", "panoptic_output"),
    "match": ("dataset", "iters", *VIEWS),
    "video": ("report_dir", "compare", "max_frames"),
    "analyse": ("iters", "report_dir"),
}
prepare = model_flag.with_model


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("model", None, "Run directory or folder of the model zoo; with --match also a weights file.")
    model_flag.define_alias()
    flags.DEFINE_string(
        "split",
        None,
        "Split to evaluate on; default is the run's validation split, or all of other data without splits.",
    )
    flags.DEFINE_string("data_dir", None, "Folder of the raw data or of records; default is the run's.")
    flags.DEFINE_string("dataset", None, "With --match: the data set.")
    flags.DEFINE_list("match", [], "Classes of the model and of --dataset that mean the same, MODEL:DATA,...")
    flags.DEFINE_integer("iters", None, "Iterations to score, from 1 to this; default is the number trained.")
    flags.DEFINE_enum("weights", "last", ["last", "best"], "Which weights of the run.")
    _define_views()
    _define_reports()


def _define_views():
    flags.DEFINE_integer(
        "output_stride", None, "8, 16 or 32 instead of the stride of training: finer costs more (deeplabv3, pspnet)."
    )
    flags.DEFINE_boolean("multi_scale", False, "Average the logits of scales 0.5, 0.75, 1, 1.25, 1.5, 1.75.")
    flags.DEFINE_boolean("flip", False, "Average with the mirror image, too.")
    flags.DEFINE_list("scales", [], "Average the logits of these scales, e.g. 0.75,1,1.25.")
    flags.DEFINE_integer("long_side", None, "Pixels of an image's longer side at scale 1; default is its own size.")
    flags.DEFINE_string("window", None, "HEIGHTxWIDTH of windows that slide over every view; default whole views.")
    flags.DEFINE_string("stride", None, "DOWNxACROSS from one window to the next; default 2/3 of --window.")
    flags.DEFINE_enum(
        "fuse",
        "logits",
        ["logits", "probabilities", "exp_logits"],
        "How views are fused: mean logits, mean probabilities, or a sum of exponentials.",
    )
    flags.DEFINE_string("size", None, "HEIGHTxWIDTH that images are resized to; default is their own size.")


def _define_reports():
    flags.DEFINE_string("report_dir", None, "Folder of the report; default MODEL/report.")
    flags.DEFINE_list(
        "compare",
        [],
        "Runs evaluated and timed beside it, RUN or RUN@OUTPUT_STRIDE, or folders of reports; exports with --video.",
    )
    flags.DEFINE_string(
        "panoptic_output", None, "Folder for labels and instances of a panoptic model in COCO's panoptic format."
    )
    flags.DEFINE_enum(
        "analyse",
        None,
        ["wrong_seed", "true_seed", "spectra"],
        "What a recurrent model makes of its canvas: started with wrong classes, started with the label, or the power "
        "of its class maps by spatial frequency; a picture and its numbers in the report.",
    )
    flags.DEFINE_boolean("video", False, "Score the frames of videos in their order, see above.")
    flags.DEFINE_integer("max_frames", None, "With --video: score so many frames.", 1)
    flags.DEFINE_enum("strategy", "auto", ["auto", "one_device", "mirrored"], "Devices: see docs/training.md.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if not FLAGS.model:
        raise InputError("--model is missing: the run directory that train.py wrote, or a folder of the model zoo")
    if bool(FLAGS.match) != bool(FLAGS.dataset):
        raise InputError("--dataset and --match go together: the data set, and which of its classes the model has")
    mode = next((name for name in ("match", "video", "analyse") if FLAGS[name].value), "report_dir")
    for name in sorted({*READ, *itertools.chain(*READ.values())} - {mode, *READ[mode]}):
        if FLAGS[name].present:
            where = "without --video" if name == "max_frames" else f"beside --{mode}"
            raise InputError(f"--{name} does nothing {where}; omit it")
    {"match": _evaluate, "video": _evaluate_video, "analyse": _analyse, "report_dir": _evaluate}[mode]()


def _analyse():
    from tfseg.evaluation import canvas_analysis

    options = canvas_analysis.AnalysisOptions(FLAGS.split, FLAGS.data_dir, FLAGS.weights, FLAGS.report_dir, FLAGS.iters)
    print(canvas_analysis.as_text(canvas_analysis.analyse(FLAGS.model, FLAGS.analyse, options)))
    print(f"report: {_report_dir()}/{FLAGS.analyse}.png")


def _evaluate_video():
    from tfseg.evaluation import video_report
    from tfseg.profiling import frame_cost

    options = video_report.VideoReportOptions(
        FLAGS.split, FLAGS.data_dir, FLAGS.weights, FLAGS.report_dir, tuple(FLAGS.compare), FLAGS.max_frames
    )
    print(video_report.as_markdown(video_report.evaluate_video(FLAGS.model, options, frame_cost.of_engine)))
    print(f"\nreport: {_report_dir()}/video.md")


def _evaluate():
    options = _options()
    from tfseg.evaluation import matched_classes, report
    from tfseg.profiling import flops
    from tfseg.training.strategy import build_strategy

    with build_strategy(FLAGS.strategy).scope():
        if FLAGS.match:
            print(matched_classes.evaluate_matches(FLAGS.model, FLAGS.dataset, options, _matches(FLAGS.match)))
            return
        metrics = report.evaluate_run(FLAGS.model, options, flops.executed_gmacs)
    protocol = metrics["protocol"]
    print(f"{report.scored(metrics)} scored: {protocol['dataset']} {protocol['split']}\n")
    print(report.summary(metrics))
    if "comparison" in metrics:
        print(report.comparison(metrics["comparison"]), end="\n\n")
    for line in metrics["remarks"]:
        print(line)
    print(f"report: {_report_dir()}")


def _options():
    size, window, stride = (
        entry.parse_size(flag.name, flag.value) if flag.value else None
        for flag in (FLAGS["size"], FLAGS["window"], FLAGS["stride"])
    )
    if stride and not window:
        raise InputError(f"--stride={FLAGS.stride} does nothing without --window")
    from tfseg.evaluation.report_options import ReportOptions
    from tfseg.inference.views import Window

    return ReportOptions(
        split=FLAGS.split,
        data_dir=FLAGS.data_dir,
        iterations=FLAGS.iters,
        weights=FLAGS.weights,
        output_stride=FLAGS.output_stride,
        multi_scale=FLAGS.multi_scale,
        scales=_scales(FLAGS.scales),
        flip=FLAGS.flip,
        size=size,
        long_side=FLAGS.long_side,
        window=Window.of(window, stride) if window else None,
        fusion=FLAGS.fuse,
        report_dir=FLAGS.report_dir,
        panoptic_output=FLAGS.panoptic_output,
        compare=tuple(FLAGS.compare),
    )


def _report_dir():
    return FLAGS.report_dir or f"{FLAGS.model}/report"


def _scales(words):
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        raise InputError(f"--scales={','.join(words)}: numbers are wanted, e.g. 0.75,1,1.25") from None


def _matches(words):
    pairs = [tuple(word.split(":")) for word in words]
    if any(len(pair) != 2 or "" in pair for pair in pairs):
        raise InputError(f"--match={','.join(words)}: MODEL:DATA pairs of class names, e.g. car:car,person:pedestrian")
    return pairs
