"""Searches a dynamic cell for videos: what a controller proposes is trained for a short while and scored.

python search.py --model=runs/camvid_arch2 --data_dir=CamVid --workdir=runs/search --minutes=50
    The miniature search, for two CPU cores: half a minute to a minute a candidate, and what chance finds beside it.
python search.py --model=runs/camvid_arch2 --data_dir=CamVid --workdir=runs/search --preset=paper --strategy=ppo
    As in the paper; meant for a GPU. --preset=paper_cityscapes is its search on Cityscapes.
python search.py --workdir=runs/search --derive=best --count=2
    The two best cells of a search, with the commands that train them; --derive=sampled asks the trained controller.

The same command continues a search that was stopped or killed: it loses the candidate in progress at most.
"""

import dataclasses

from absl import flags

from tfseg.commands.program import as_example
from tfseg.errors import InputError

FLAGS = flags.FLAGS
# {flag: (part of the SearchConfig, its field)}; the help says what the presets have.
FIELDS = {
    "layers": ("", "num_layers"),
    "frames": ("clips", "frames"),
    "frame_gap": ("clips", "frame_gap"),
    "division": ("clips", "division"),
    "store": ("clips", "precision"),
    "epochs": ("candidate", "epochs"),
    "batch_size": ("candidate", "batch_size"),
    "algorithm": ("learning", "algorithm"),
    "controller_rate": ("learning", "learning_rate"),
    "entropy_weight": ("learning", "entropy_weight"),
    "feed_tokens": ("learning", "feed_tokens"),
}
prepare = None


def define_flags():
    """Defines the flags of the command."""
    flags.DEFINE_string("model", None, "Run directory or model zoo folder of a trained arch2; it is not changed.")
    flags.DEFINE_string("data_dir", None, "Folder of the raw data or of records; default is the run's.")
    flags.DEFINE_string("split", None, "Split of videos to search on; default is the run's training split.")
    flags.DEFINE_string("workdir", "runs/search", "Folder of the search.")
    flags.DEFINE_enum(
        "preset", "mini", ["mini", "paper", "paper_cityscapes"], "Sizes of the search: see docs/search.md."
    )
    flags.DEFINE_enum(
        "strategy",
        "both",
        ["ppo", "random", "both"],
        "What proposes candidates: the controller, chance, or both in turn.",
    )
    flags.DEFINE_integer("candidates", 60, "Candidates of each strategy, those of earlier calls included.")
    flags.DEFINE_float("minutes", None, "End this call before a candidate that would take longer than this.")
    flags.DEFINE_integer("seed", 0, "Of the clips, of what is proposed, and of the candidates' training.", 0)
    flags.DEFINE_enum("derive", None, ["best", "sampled"], "Search no further, but show cells of a search.")
    flags.DEFINE_integer("count", 2, "With --derive: number of cells.")
    flags.DEFINE_integer("layers", None, "Layers of a cell; 5, or 4 (paper_cityscapes).")
    flags.DEFINE_integer("frames", None, "Frames of a clip; 2, or 3 (paper).")
    flags.DEFINE_integer(
        "frame_gap", None, "Largest difference of the numbers of two frames in a row; 31, or 1 (paper_cityscapes)."
    )
    flags.DEFINE_enum("division", None, ["blocks", "random"], "How a tenth of the clips is held out; blocks.")
    flags.DEFINE_enum("store", None, ["float16", "float32"], "Precision of the maps in memory; float16.")
    flags.DEFINE_integer("epochs", None, "Epochs of a candidate; 3 (mini), 20 (paper) or 10 (paper_cityscapes).")
    flags.DEFINE_integer("batch_size", None, "Clips an update; 8 (mini) or 48.")
    flags.DEFINE_enum("algorithm", None, ["ppo", "reinforce"], "How the controller learns; ppo.")
    flags.DEFINE_float("controller_rate", None, "Learning rate of the controller; 1e-3 (mini) or 1e-4.")
    flags.DEFINE_float("entropy_weight", None, "Weight of the controller's entropy; 1e-4 (mini) or 0.")
    flags.DEFINE_boolean("feed_tokens", None, "Whether the controller reads its choices; no.")


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    from tfseg.nas import search_report

    if FLAGS.derive:
        print(as_example(search_report.derive(FLAGS.workdir, FLAGS.count, FLAGS.derive == "sampled")))
        return
    if FLAGS["count"].present:
        raise InputError("--count does nothing without --derive; omit it")
    if not FLAGS.model:
        raise InputError("--model is missing: the run directory of a trained arch2, which finds the features")
    from tfseg.nas.search import STRATEGIES, Budget, search, source_of

    config, budget = _config(), Budget(FLAGS.candidates, FLAGS.minutes)
    source = source_of(FLAGS.model, FLAGS.data_dir, FLAGS.split)
    search(source, FLAGS.workdir, config, STRATEGIES if FLAGS.strategy == "both" else (FLAGS.strategy,), budget)
    print(as_example(search_report.write_report(FLAGS.workdir)))
    print(f"\nreport: {FLAGS.workdir}/{search_report.REPORT}")


def _config():
    from tfseg.nas.search import PRESETS

    config = dataclasses.replace(PRESETS[FLAGS.preset], seed=FLAGS.seed)
    for flag, (part, field) in FIELDS.items():
        value = FLAGS[flag].value
        if value is not None:
            changed = {field: value}
            if part:
                changed = {part: dataclasses.replace(getattr(config, part), **changed)}
            config = dataclasses.replace(config, **changed)
    return config
