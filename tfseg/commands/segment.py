"""Segments photos and videos with a trained model or an exported one.

python segment.py --model=runs/scenes_rnn photo.jpg
    Writes segmented/photo_classes.png (class ids) and segmented/photo_overlay.jpg (with a legend).
python segment.py --model=model_zoo/camvid_rnn_mobilenet_v2 --iters=3 --output_dir=out holiday/ photo.png
    Segments the photos in a folder and a single one, at half the usual iterations. The same command continues a job
    that was stopped.
python segment.py --model=model_zoo/camvid_rnn_mobilenet_v2 clip.mp4
    Segments a video: each frame starts from what the model made of the one before, and needs fewer iterations. Writes
    segmented/clip_overlay.mp4, clip_frames.csv with a line for every frame, and clip_frames.png, its plot.
python segment.py --model=model_zoo/camvid_rnn_mobilenet_v2 --video --rate=15 frames/
    Segments the numbered images of a folder as the frames of a video.
python segment.py --model=exports/street/street_stream_int8.tflite --camera=0 --show --budget_ms=40
    Segments what a camera sees, and shows it in a window; every frame runs as many iterations as fit into 40 ms.
python segment.py --model=runs/photos --output_format=labelme --output_dir=holiday holiday/
    Draws the objects it finds for a person to correct: one holiday/photo.json for each photo, which labelme opens
    with it. Objects are instances, or connected parts of a class. A file that is there already is never replaced
    without --overwrite, so corrections stay.
python segment.py --model=runs/photos --output_format=coco,yolo,png --min_area=200 holiday/
    Writes segmented/predictions_coco.json for all photos (polygons, masks where an object has holes, scores),
    segmented/labels/photo.txt with segmented/data.yaml, and the pictures, too.
python segment.py --model=runs/photos --output_format=coco --simplify_px=0 holiday/
    Keeps every corner, so that the polygons hold exactly the pixels of the class map; with --rle all are masks.
python segment.py --model=runs/scenes_rnn --budget_ms=80 photo.jpg
    Runs as many iterations as fit into 80 ms per image on this machine, measured for each image size; 95 of 100 images
    stay within the time.
python segment.py --model=runs/scenes_rnn --tolerance=0.01 photo.jpg
    Stops once an iteration has changed the class of at most 1 % of the canvas.
python segment.py --model=exports/scenes/scenes_stream_fp16.tflite --threads=2 photo.jpg
    Runs a .tflite file that export.py wrote. Images are resized to the file's size, and the result to theirs.
python segment.py --model=exports/scenes/serving/scenes photo.jpg
    Runs the highest version of a SavedModel that export.py wrote. A SavedModel is a program: one that was not made on
    this machine runs only with --trust, or with --sha256 as its maker gives it.
python segment.py --model=deeplab_v3.tflite --mean=127.5 --std=127.5 photo.jpg
    Runs a .tflite segmenter of another program, which takes one image and returns one map: logits, probabilities or
    class ids. --mean and --std, each one number or three, are needed if the file does not say how images are
    normalised. A file that was not made on this machine is first tried in another process.
python segment.py --model=my_keras_model --trust --mean=0 --std=1 photo.jpg
    Runs a SavedModel of another program, e.g. of Keras, which takes one image and returns logits or probabilities.
python segment.py --model=deeplabv3_mnv2_pascal/model.ckpt-30000.index photo.jpg
    Runs DeepLab on MobileNetV2 with a published weights file (a checkpoint, or an .npz with the same names), for the 21
    classes of PASCAL VOC.
python segment.py --model=runs/photos --runner=DirectRunner --inputs_from=list.txt --output_dir=out
    Segments the photos whose paths are the lines of list.txt on a runner of Apache Beam, on this machine or on many.
    The same command continues a job that was stopped; out/failed.txt lists what could not be used. See docs/beam.md.
"""

import functools
import math
import os

from absl import flags

from tfseg.commands import beam_flags
from tfseg.commands.model_source import ModelSource
from tfseg.errors import InputError

FLAGS = flags.FLAGS
OF_VIDEOS = ("rate", "max_frames", "key_iters", "key_every", "classes", "show")
OF_OBJECTS = {"simplify_px": ("coco", "labelme", "yolo"), "min_area": ("coco", "labelme", "yolo"), "rle": ("coco",)}
prepare = None


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string(
        "model",
        None,
        "Run directory, folder of the model zoo, DeepLab weights file, SavedModel folder, .tflite file, or folder of "
        "an export that holds one model.",
    )
    flags.DEFINE_enum("weights", "last", ["last", "best"], "Which weights of a run.")
    flags.DEFINE_integer("threads", 0, "Threads of one operation; 0 is one a core, of a .tflite file 1.", lower_bound=0)
    flags.DEFINE_boolean(
        "trust", False, "Run a SavedModel or .tflite file whoever made it. A SavedModel can do anything."
    )
    flags.DEFINE_string(
        "sha256", None, "Run the model file if this is its sha256; of a SavedModel folder the one in its manifest.json."
    )
    flags.DEFINE_list(
        "mean",
        None,
        "Of another program's model, which takes (image - mean) / std of 0 to 255, quantised if it takes 8 bits.",
    )
    flags.DEFINE_list("std", None, "See --mean.")
    flags.DEFINE_string(
        "inputs_from", None, "File with the path of a photo, folder or video in each line, beside those given as words."
    )
    flags.adopt_module_key_flags(beam_flags)
    _define_iterations()
    _define_results()
    _define_objects()
    _define_videos()


def _define_iterations():
    flags.DEFINE_integer(
        "iters",
        None,
        "Iterations of a recurrent model; default is the number trained, or that of the export. Of a video: of the "
        "frames that start from the one before; default is what the model says, usually 2.",
    )
    flags.DEFINE_float(
        "budget_ms",
        None,
        "Instead of --iters: milliseconds from a decoded image to its class map. For photos the iterations that fit "
        "are measured, for each size in about 20 seconds, at most those of training or of the export; in videos every "
        "frame follows the clock.",
    )
    flags.DEFINE_float(
        "tolerance",
        None,
        "Stop once an iteration changed the class of at most this share of the canvas, 0 to 1. Not for a .tflite file "
        "of a fixed number of iterations; images above 2 megapixels run them all.",
    )


def _define_results():
    flags.DEFINE_string("output_dir", "segmented", "Folder of the results.")
    flags.DEFINE_boolean("strip", False, "Also write <name>_strip.png: the class map after every iteration.")
    flags.DEFINE_list(
        "output_format",
        ["png"],
        "What is written for photos, one or more of these: png, the class map and the overlay; coco, the objects of "
        "all photos as COCO's instances, in predictions_coco.json; labelme, a JSON file for each photo; yolo, "
        "labels/NAME.txt for each photo, and data.yaml. Objects are instances or connected parts of a class; a "
        "background has none.",
    )
    flags.DEFINE_boolean("overwrite", False, "Segment again what is in --output_dir already.")
    flags.DEFINE_integer("max_pixels", 100_000_000, "Larger images are refused.")


def _define_objects():
    flags.DEFINE_float(
        "simplify_px",
        1.0,
        "Of polygons: how far a left-out corner may be from the line in its place, in pixels. 0 keeps every corner, so "
        "that a polygon holds exactly the pixels of its object.",
    )
    flags.DEFINE_integer(
        "min_area", 50, "Of coco, labelme and yolo: smaller objects, in pixels, are left out.", lower_bound=1
    )
    flags.DEFINE_boolean("rle", False, "Of coco: every object is a mask (run-length encoded), not only one with holes.")


def _define_videos():
    flags.DEFINE_boolean("video", False, "Folders are videos: their images are frames, in the order of their numbers.")
    flags.DEFINE_float("rate", 25, "With --video: frames a second.", lower_bound=0.1, upper_bound=1000)
    flags.DEFINE_integer("camera", None, "Segment what this camera sees, until Ctrl-C; 0 is the first.", lower_bound=0)
    flags.DEFINE_integer("max_frames", None, "Frames of a video that are segmented, from its beginning.", 1)
    flags.DEFINE_integer(
        "key_iters", None, "Of a video: iterations of frames that start afresh; default is the number trained."
    )
    flags.DEFINE_integer(
        "key_every", 0, "Of a video: every so many frames one starts afresh; 0 is only at cuts and after losses.", 0
    )
    flags.DEFINE_boolean("classes", False, "Of a video: write the class map of every frame, too.")
    flags.DEFINE_boolean("show", False, "Of a video: show it in a window while it is segmented; q ends it.")


def main(argv):
    if FLAGS.model is None:
        raise InputError(
            "--model is missing: the run directory that train.py wrote, a folder of the model zoo, or an export"
        )
    from tfseg.commands import photo_inputs

    inputs = argv[1:] + (photo_inputs.paths_in(FLAGS.inputs_from) if FLAGS.inputs_from else [])
    if not inputs and FLAGS.camera is None:
        raise InputError(
            "which photos? Give files or folders: python segment.py --model=DIR photo.jpg folder/ clip.mp4"
        )
    if FLAGS.iters is not None and FLAGS.budget_ms is not None:
        raise InputError("--iters and --budget_ms are both given: the budget chooses the iterations; omit one")
    from tfseg.inference.budget_measurement import check_budget

    if FLAGS.budget_ms is not None:
        check_budget(FLAGS.budget_ms)
    mean, std = _numbers(FLAGS["mean"]), _numbers(FLAGS["std"])
    from tfseg.commands import photo_objects, videos

    formats = photo_objects.checked_formats(FLAGS.output_format)
    clips, files = videos.split(inputs, FLAGS.video)
    has_video = bool(clips) or FLAGS.camera is not None
    _check_flags(has_video, bool(files))
    _check_formats(formats, has_video)
    if beam_flags.RUNNER.value is not None:
        _check_bulk(formats, has_video)
    runner = beam_flags.checked_runner(os.path.join(FLAGS.output_dir, "beam.log"))
    if runner:
        # TensorFlow would take all of a GPU's memory for this process, and leave none for the workers.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    source = ModelSource(FLAGS.model, FLAGS.weights, FLAGS.trust, FLAGS.threads, mean, std, FLAGS.sha256)
    predictor = source.load()
    segment_photos = functools.partial(_segment_photos, source=source, runner=runner)
    problems = []
    for segment, inputs, is_given in ((_segment_videos, clips, has_video), (segment_photos, files, bool(files))):
        try:
            if is_given:
                segment(predictor, inputs)
        except InputError as error:  # a bad video does not stop the photos
            problems.append(error)
    if problems:
        raise InputError("; ".join(map(str, problems)))


def _check_flags(has_video, has_photos):
    """Raises InputError for a flag that nothing among the inputs reads."""
    wanted = {} if has_video else dict.fromkeys(OF_VIDEOS, "videos; folders are videos with --video")
    wanted |= {} if has_photos else {"strip": "photos"}
    wanted |= {} if FLAGS.video else {"rate": "folders of frames, with --video"}
    for name, inputs in wanted.items():
        if FLAGS[name].present:
            raise InputError(f"--{name} does nothing here: it is for {inputs}")


def _check_formats(formats, has_video):
    """Raises InputError for formats that videos do not have, and for flags of formats that are not written."""
    if has_video and formats != ("png",):
        raise InputError(
            f"--output_format={','.join(formats)} is for photos, not for videos; save the frames as images and segment "
            "their folder"
        )
    for name, readers in OF_OBJECTS.items():
        if FLAGS[name].present and not set(readers) & set(formats):
            raise InputError(f"--{name} does nothing here: it is for --output_format={','.join(readers)}")
    if not 0 <= FLAGS.simplify_px < math.inf:
        raise InputError(f"--simplify_px={FLAGS.simplify_px:g}: pixels, from 0")


def _check_bulk(formats, has_video):
    """Raises InputError for what --runner cannot do."""
    if has_video:
        raise InputError("--runner is for photos: the frames of a video follow each other; omit it, or the videos")
    if FLAGS.budget_ms is not None:
        raise InputError("--budget_ms is measured on one machine; with --runner give --iters or --tolerance")
    if "coco" in formats:
        raise InputError(
            "--output_format=coco is one file for all photos, which no worker has; with --runner take labelme or yolo"
        )


def _segment_photos(predictor, files, source, runner):
    from tfseg.beam import photo_jobs
    from tfseg.commands import photo_objects, photos

    formats = photo_objects.checked_formats(FLAGS.output_format)
    objects = photo_objects.ObjectOptions(
        tuple(name for name in formats if name != photo_objects.PICTURES),
        min_area=FLAGS.min_area,
        simplify_px=FLAGS.simplify_px,
        is_rle=FLAGS.rle,
    )
    options = photos.PhotoOptions(
        FLAGS.output_dir,
        iters=FLAGS.iters,
        overwrite=FLAGS.overwrite,
        with_strip=FLAGS.strip,
        max_pixels=FLAGS.max_pixels,
        budget_ms=FLAGS.budget_ms,
        tolerance=FLAGS.tolerance,
        with_pictures=photo_objects.PICTURES in formats,
        objects=objects,
    )
    if runner:
        outcome = photo_jobs.segment_files(source, predictor, files, options, runner)
        photo_jobs.report_outcome(outcome, FLAGS.output_dir)
    else:
        photos.report_outcome(photos.segment_files(predictor, files, options), FLAGS.output_dir)


def _segment_videos(predictor, clips):
    from tfseg.commands import videos
    from tfseg.formats.video import Camera
    from tfseg.profiling import frame_cost

    stream = {
        "iters": FLAGS.iters,
        "key_iters": FLAGS.key_iters,
        "key_every": FLAGS.key_every,
        "tolerance": FLAGS.tolerance,
        "budget_ms": FLAGS.budget_ms,
    }
    options = videos.VideoOptions(
        FLAGS.output_dir, stream, FLAGS.overwrite, FLAGS.classes, FLAGS.show, FLAGS.max_pixels, FLAGS.max_frames
    )
    opened = [] if FLAGS.camera is None else [lambda: Camera(FLAGS.camera)]
    opened += [functools.partial(videos.opened, path, FLAGS.rate, FLAGS.max_pixels) for path in clips]
    names = ([] if FLAGS.camera is None else [f"camera{FLAGS.camera}"]) + videos.names_of(clips)
    videos.segment_videos(predictor, opened, names, options, functools.partial(frame_cost.of_engine, predictor.engine))


def _numbers(flag):
    """The numbers that a flag gives; None if it is not given."""
    if flag.value is None:
        return None
    try:
        numbers = [float(word) for word in flag.value]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise InputError(f"--{flag.name}={','.join(flag.value)}: one number, or three, for red, green and blue")
    return numbers
