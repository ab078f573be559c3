"""Prints what a model costs: multiply-accumulates and FLOPs in three conventions, memory, and time on this machine.

python profile_flops.py --model=rnn --size=513x513 --iters=6
    Costs after 1 to 6 iterations. The model is built with random weights, which do not change the cost.
python profile_flops.py --config=model_zoo/voc2012/rnn_resnet101.py --size=513x513 --iters=1..6 --multi_scale
    Costs of six scales and their mirror images together.
python profile_flops.py --model=runs/camvid_rnn --size=360x480 --layers --output_dir=cost
    Costs of a run or model zoo folder, with every layer; the tables are also written to cost/ as Markdown, CSV and
    JSON.
python profile_flops.py --model=exports/camvid_rnn/serving/camvid_rnn --size=360x480 --iters=1..6
    Costs of an exported SavedModel, given by its folder; --size and --iters apply only if the SavedModel leaves them
    open. A SavedModel is a program: one that was not made on this machine needs --trust, or --sha256 as its maker gives
    it.
python profile_flops.py --model=exports/camvid_rnn/camvid_rnn_stream_fp16.tflite --threads=2 --layers
    Costs of every signature in a .tflite file. (--model=rnn is always the architecture; a folder of that name is
    ./rnn.)
python profile_flops.py --config=model_zoo/voc2012/rnn_resnet101.py --size=513x513 --recurrence
    Compares one iteration with its un-hoisted form and with its bare matrix products.
python profile_flops.py --model=shelfnet --dataset=voc2012 --size=512x512 --paths --output_dir=cost
    Costs of a shelf of maps, and the number of paths through it; a picture of them is written to cost/paths.png.
python profile_flops.py --model=model_zoo/camvid_rnn_mobilenet_v2 --size=360x480 --video --iters=1 --key_every=30
    Costs of the frames of a video, beside the paper's example.
python profile_flops.py --paper_tables
    Prints the published cost table beside our count.
"""

import dataclasses
import re
from pathlib import Path

from absl import flags

from tfseg.commands import entry, experiment_flags, model_flag
from tfseg.errors import InputError
from tfseg.system.progress import say

FLAGS = flags.FLAGS
NOT_FOR_MODELS = ("dataset", "backbone", "output_stride", "paper_tables")
NOT_FOR_RUNS = (*NOT_FOR_MODELS, "trust", "sha256")
NOT_FOR_EXPORTS = (*NOT_FOR_MODELS, "classes", "video", "key_iters", "key_every", "multi_scale", "recurrence", "paths")
prepare = experiment_flags.for_path_or_recipe(NOT_FOR_RUNS, NOT_FOR_EXPORTS)


def define_flags():
    """Defines the flags of the command."""
    experiment_flags.define_short_flags(["dataset", "backbone", "output_stride"])
    flags.adopt_module_key_flags(experiment_flags)
    FLAGS["model"].help += " Or the path of a trained model: run directory, folder of the model zoo, or export."
    model_flag.define_alias()
    flags.DEFINE_string("size", None, "HEIGHTxWIDTH of the image; default is the recipe's crop.")
    flags.DEFINE_string("iters", None, "1..6, or 6 for the same; default is to the number trained.")
    flags.DEFINE_integer("classes", None, "Number of classes; default is the data set's.")
    flags.DEFINE_boolean("multi_scale", False, "Six scales with their mirror images, as in evaluation.")
    flags.DEFINE_boolean(
        "video", False, "Instead, the frames of a video: afresh and, with --iters iterations, from the frame before."
    )
    flags.DEFINE_integer("key_iters", None, "With --video: iterations of a frame that starts afresh.", 1)
    flags.DEFINE_integer("key_every", 0, "With --video: one of so many frames starts afresh; 0: the first.", 0)
    flags.DEFINE_integer("rounds", 20, "Timed runs of each row, interleaved; 0 is none.", lower_bound=0)
    flags.DEFINE_integer("threads", 0, "Threads of one operation; 0 is one a core, of a .tflite file 1.", lower_bound=0)
    flags.DEFINE_boolean("layers", False, "Also list every layer.")
    flags.DEFINE_boolean("trust", False, "Run a SavedModel whoever made it. It can do anything.")
    flags.DEFINE_string(
        "sha256", None, "Run the model file if this is its sha256; of a SavedModel folder the one in its manifest.json."
    )
    flags.DEFINE_boolean("paths", False, "Also count the paths of a shelf of maps (shelfnet, light_shelfnet).")
    flags.DEFINE_boolean("recurrence", False, "Instead, one iteration beside its bare matrix products.")
    flags.DEFINE_boolean("paper_tables", False, "Print the published cost table beside our count.")
    flags.DEFINE_string("output_dir", None, "Folder for the tables as Markdown, CSV and JSON.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    from tfseg.profiling import paper_tables

    model = FLAGS.model
    if FLAGS.paper_tables:
        rows = paper_tables.compute(paper_tables.published_table(), say)
        _show("paper_tables", rows, paper_tables.COLUMNS, {})
    elif experiment_flags.is_path(model) and not experiment_flags.is_run(model):
        _profile_file(_artifact(model))
    else:
        _profile()


def _artifact(path):
    """The .tflite file or SavedModel folder at `path`, or the one that a folder of exports or versions holds."""
    from tfseg.inference.engines.loading import found

    if not Path(path).exists():
        raise InputError(f"--model={path}: no such file or folder")
    is_saved_model = (Path(path) / "saved_model.pb").exists()
    return path if is_saved_model or Path(path).is_file() else str(found(path))


def _profile_file(path):
    is_tflite = Path(path).is_file()
    if is_tflite and not path.endswith(".tflite"):
        raise InputError(f"--model={path}: neither a run directory, nor the folder of a SavedModel, nor a .tflite file")
    if is_tflite and FLAGS.trust:
        raise InputError(f"--trust does not apply to --model={path}: a .tflite file runs in a separate process anyway")
    if is_tflite and FLAGS.size:
        raise InputError(f"--size={FLAGS.size} does not apply to --model={path}: a .tflite file has its own")
    size = entry.parse_size("size", FLAGS.size) if FLAGS.size else None
    iterations = _iterations(FLAGS.iters, None) if FLAGS.iters else None
    import tensorflow as tf

    from tfseg.formats import saved_model, trusted_files
    from tfseg.inference.engines import tflite_interpreter
    from tfseg.profiling import exported_cost, profile

    if is_tflite:
        if FLAGS.sha256:
            trusted_files.vouched(path, FLAGS.sha256)
        threads = FLAGS.threads or 1
        costs = exported_cost.profile_tflite(path, iterations, FLAGS.rounds, threads)
        layers = exported_cost.tflite_layers(path, iterations) if FLAGS.layers else []
        context = {
            "device": profile.processor(),
            "threads": threads if FLAGS.threads else f"{threads}, the default for a .tflite file",
            "interpreter": tflite_interpreter.runtime(),
        }
    else:
        if FLAGS.threads:
            tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
        signature = saved_model.load(path, FLAGS.trust, FLAGS.sha256)
        costs = exported_cost.profile_saved_model(signature, size, iterations, FLAGS.rounds)
        layers = exported_cost.saved_model_layers(signature, size, iterations) if FLAGS.layers else []
        context = profile.device()
    context = {"model": path} | context
    _show("cost", [dataclasses.asdict(cost) for cost in costs], exported_cost.COLUMNS, context)
    if layers:
        _show("layers", layers, None, context)
    _explain(context, exported_cost.LEGEND)


def _profile():
    import tensorflow as tf

    from tfseg.inference.views import views_of
    from tfseg.profiling import profile

    config, num_classes = _model_and_classes()
    size = entry.parse_size("size", FLAGS.size) if FLAGS.size else tuple(config.data.crop_size)
    for flag in ("key_iters", "key_every"):
        if FLAGS[flag].present and not FLAGS.video:
            raise InputError(f"--{flag} does nothing without --video")
    if FLAGS.threads:
        tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    context = {"size": f"{size[0]}x{size[1]}", "classes": num_classes} | profile.device()
    if FLAGS.recurrence:
        _refuse_beside_recurrence()
        _show("recurrence", profile.recurrence(config.model, num_classes, size, FLAGS.rounds), None, context)
        return
    if FLAGS.video:
        _profile_video(config.model, num_classes, size, context)
        return
    iterations = _iterations(FLAGS.iters, config.model.iterations)
    views = views_of(multi_scale=FLAGS.multi_scale, flip=FLAGS.multi_scale)
    costs = profile.profile(config.model, num_classes, size, iterations, views, FLAGS.rounds)
    context["views"] = len(views)
    _show("cost", [dataclasses.asdict(cost) for cost in costs], profile.COLUMNS, context)
    if FLAGS.layers:
        _show("layers", profile.layers(config.model, num_classes, size, iterations[-1]), None, context)
    if FLAGS.paths:
        _count_paths(config.model, num_classes)
    _explain(context, profile.LEGEND)


def _profile_video(model_config, num_classes, size, context):
    from tfseg.profiling import paper_tables, profile, video_cost

    for flag in ("layers", "multi_scale", "paths"):
        if FLAGS[flag].value:
            raise InputError(f"--video counts the frames of a video: omit --{flag}")
    if FLAGS.iters and not FLAGS.iters.isdigit():
        raise InputError(
            f"--iters={FLAGS.iters}: with --video one number, that of a frame that starts from the one before"
        )
    usual = model_config.carry.iterations if model_config.carry else 1
    key_iterations = FLAGS.key_iters or model_config.iterations
    seeded = _iterations(FLAGS.iters, min(usual, key_iterations))[-1]
    policy = video_cost.Policy(seeded, key_iterations, FLAGS.key_every)
    rows = video_cost.video_cost(model_config, num_classes, size, policy, FLAGS.rounds)
    _show("video", rows, video_cost.COLUMNS, context)
    print(profile.as_markdown(paper_tables.video_rows(say), paper_tables.COLUMNS), end="\n\n")
    _explain(context, (*profile.CONVENTIONS, *video_cost.LEGEND))


def _count_paths(model_config, num_classes):
    from PIL import Image

    from tfseg import architectures
    from tfseg.evaluation import charts
    from tfseg.profiling import paths

    graph = paths.shelf_graph(architectures.build(model_config, num_classes))
    print(f"paths: {paths.count_paths(graph)} from {next(iter(graph))} to {paths.last_node(graph)}")
    if FLAGS.output_dir:
        picture = Path(FLAGS.output_dir) / "paths.png"
        Image.fromarray(charts.shelf(graph, paths.ways(graph))).save(picture)
        print(f"picture: {picture}")


def _refuse_beside_recurrence():
    for flag in ("iters", "layers", "multi_scale", "video", "paths"):
        if FLAGS[flag].present:
            raise InputError(f"--recurrence measures a single iteration: omit --{flag}")
    if not FLAGS.rounds:
        raise InputError("--recurrence --rounds=0: it measures times, so at least 1")


def _model_and_classes():
    from tfseg.data.datasets.table import DATASETS, check_name
    from tfseg.runs.run_directory import read_config

    if FLAGS.classes is not None and FLAGS.classes < 2:
        raise InputError(f"--classes={FLAGS.classes}: at least 2")
    if experiment_flags.is_run(FLAGS.model):
        config, info = read_config(FLAGS.model)
    else:
        config = experiment_flags.experiment_config()
        check_name(config.data.dataset)
        info = DATASETS[config.data.dataset].info
    if FLAGS.classes is None and info is None:
        raise InputError(f"--classes is missing: {config.data.dataset} has no number of classes of its own")
    return config, FLAGS.classes or info.num_classes


def _iterations(text, trained):
    match = re.fullmatch(r"(?:([1-9]\d*)\.\.)?([1-9]\d*)", text or str(trained))
    if not match or int(match[1] or 1) > int(match[2]):
        raise InputError(f"--iters={text}: a number from 1, or a range, e.g. 1..6")
    return range(int(match[1] or 1), int(match[2]) + 1)


def _show(name, rows, columns, context):
    from tfseg.profiling import profile

    print(profile.as_markdown(rows, columns), end="\n\n")
    if FLAGS.output_dir:
        profile.write(FLAGS.output_dir, name, rows, columns, context)


def _explain(context, legend):
    for name, value in context.items():
        print(f"{name}: {value}")
    print(*legend, sep="\n")
