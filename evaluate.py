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

MODEL = flags.DEFINE_string(
    "model", None, "Run directory or folder of the model zoo; with --match also a weights file."
)
model_flag.define_alias()
SPLIT = flags.DEFINE_string(
    "split",
    None,
    "Split to evaluate on; default is the run's validation split, or all of other data without splits.",
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the raw data or of records; default is the run's.")
DATASET = flags.DEFINE_string("dataset", None, "With --match: the data set.")
MATCH = flags.DEFINE_list("match", [], "Classes of the model and of --dataset that mean the same, MODEL:DATA,...")
ITERS = flags.DEFINE_integer("iters", None, "Iterations to score, from 1 to this; default is the number trained.")
WEIGHTS = flags.DEFINE_enum("weights", "last", ["last", "best"], "Which weights of the run.")
OUTPUT_STRIDE = flags.DEFINE_integer(
    "output_stride", None, "8, 16 or 32 instead of the stride of training: finer costs more (deeplabv3, pspnet)."
)
MULTI_SCALE = flags.DEFINE_boolean("multi_scale", False, "Average the logits of scales 0.5, 0.75, 1, 1.25, 1.5, 1.75.")
FLIP = flags.DEFINE_boolean("flip", False, "Average with the mirror image, too.")
SCALES = flags.DEFINE_list("scales", [], "Average the logits of these scales, e.g. 0.75,1,1.25.")
LONG_SIDE = flags.DEFINE_integer(
    "long_side", None, "Pixels of an image's longer side at scale 1; default is its own size."
)
WINDOW = flags.DEFINE_string("window", None, "HEIGHTxWIDTH of windows that slide over every view; default whole views.")
STRIDE = flags.DEFINE_string("stride", None, "DOWNxACROSS from one window to the next; default 2/3 of --window.")
FUSE = flags.DEFINE_enum(
    "fuse",
    "logits",
    ["logits", "probabilities", "exp_logits"],
    "How views are fused: mean logits, mean probabilities, or a sum of exponentials.",
)
SIZE = flags.DEFINE_string("size", None, "HEIGHTxWIDTH that images are resized to; default is their own size.")
REPORT_DIR = flags.DEFINE_string("report_dir", None, "Folder of the report; default MODEL/report.")
COMPARE = flags.DEFINE_list(
    "compare",
    [],
    "Runs evaluated and timed beside it, RUN or RUN@OUTPUT_STRIDE, or folders of reports; exports with --video.",
)
PANOPTIC_OUTPUT = flags.DEFINE_string(
    "panoptic_output", None, "Folder for labels and instances of a panoptic model in COCO's panoptic format."
)
ANALYSE = flags.DEFINE_enum(
    "analyse",
    None,
    ["wrong_seed", "true_seed", "spectra"],
    "What a recurrent model makes of its canvas: started with wrong classes, started with the label, or the power of "
    "its class maps by spatial frequency; a picture and its numbers in the report.",
)
VIDEO = flags.DEFINE_boolean("video", False, "Score the frames of videos in their order, see above.")
MAX_FRAMES = flags.DEFINE_integer("max_frames", None, "With --video: score so many frames.", 1)
STRATEGY = flags.DEFINE_enum("strategy", "auto", ["auto", "one_device", "mirrored"], "Devices: see docs/training.md.")


VIEWS = ("output_stride", "multi_scale", "scales", "flip", "size", "long_side", "window", "stride", "fuse", "strategy")
# What each way of scoring reads besides --model, --split, --data_dir and --weights. The first is that of no other flag.
READ = {
    "report_dir": ("iters", *VIEWS, "compare", "panoptic_output"),
    "match": ("dataset", "iters", *VIEWS),
    "video": ("report_dir", "compare", "max_frames"),
    "analyse": ("iters", "report_dir"),
}


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if not MODEL.value:
        raise InputError("--model is missing: the run directory that train.py wrote, or a folder of the model zoo")
    if bool(MATCH.value) != bool(DATASET.value):
        raise InputError("--dataset and --match go together: the data set, and which of its classes the model has")
    mode = next((name for name in ("match", "video", "analyse") if flags.FLAGS[name].value), "report_dir")
    for name in sorted({*READ, *itertools.chain(*READ.values())} - {mode, *READ[mode]}):
        if flags.FLAGS[name].present:
            where = "without --video" if name == "max_frames" else f"beside --{mode}"
            raise InputError(f"--{name} does nothing {where}; omit it")
    {"match": _evaluate, "video": _evaluate_video, "analyse": _analyse, "report_dir": _evaluate}[mode]()


def _analyse():
    from tfseg.evaluation import canvas_analysis

    options = canvas_analysis.AnalysisOptions(SPLIT.value, DATA_DIR.value, WEIGHTS.value, REPORT_DIR.value, ITERS.value)
    print(canvas_analysis.as_text(canvas_analysis.analyse(MODEL.value, ANALYSE.value, options)))
    print(f"report: {_report_dir()}/{ANALYSE.value}.png")


def _evaluate_video():
    from tfseg.evaluation import video_report
    from tfseg.profiling import frame_cost

    options = video_report.VideoReportOptions(
        SPLIT.value, DATA_DIR.value, WEIGHTS.value, REPORT_DIR.value, tuple(COMPARE.value), MAX_FRAMES.value
    )
    print(video_report.as_markdown(video_report.evaluate_video(MODEL.value, options, frame_cost.of_engine)))
    print(f"\nreport: {_report_dir()}/video.md")


def _evaluate():
    options = _options()
    from tfseg.evaluation import matched_classes, report
    from tfseg.profiling import flops
    from tfseg.training.strategy import build_strategy

    with build_strategy(STRATEGY.value).scope():
        if MATCH.value:
            print(matched_classes.evaluate_matches(MODEL.value, DATASET.value, options, _matches(MATCH.value)))
            return
        metrics = report.evaluate_run(MODEL.value, options, flops.executed_gmacs)
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
        entry.parse_size(flag.name, flag.value) if flag.value else None for flag in (SIZE, WINDOW, STRIDE)
    )
    if stride and not window:
        raise InputError(f"--stride={STRIDE.value} does nothing without --window")
    from tfseg.evaluation.report_options import ReportOptions
    from tfseg.inference.views import Window

    return ReportOptions(
        split=SPLIT.value,
        data_dir=DATA_DIR.value,
        iterations=ITERS.value,
        weights=WEIGHTS.value,
        output_stride=OUTPUT_STRIDE.value,
        multi_scale=MULTI_SCALE.value,
        scales=_scales(SCALES.value),
        flip=FLIP.value,
        size=size,
        long_side=LONG_SIDE.value,
        window=Window.of(window, stride) if window else None,
        fusion=FUSE.value,
        report_dir=REPORT_DIR.value,
        panoptic_output=PANOPTIC_OUTPUT.value,
        compare=tuple(COMPARE.value),
    )


def _report_dir():
    return REPORT_DIR.value or f"{MODEL.value}/report"


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


if __name__ == "__main__":
    entry.run(main, model_flag.with_model)
