"""What a search found: scores beside chance, pictures, the best cells, and the commands that train them."""

import dataclasses
import json
import shlex
from pathlib import Path

import numpy as np

from tfseg.errors import InputError
from tfseg.formats.images import encode_png
from tfseg.markdown import table
from tfseg.models.cells.genotype import Genotype
from tfseg.nas import pictures
from tfseg.nas.candidate import FAILED, FINISHED, STOPPED
from tfseg.nas.search import CONTROLLER, STRATEGIES, Settings, Source, read_settings, strategy_of
from tfseg.nas.trial_log import Trial, TrialLog
from tfseg.system.files import write_atomically

REPORT, CHART, CELL, GENOTYPES = "report.md", "rewards.png", "best_cell.png", "genotypes.json"
RECIPE = "model_zoo/{}/arch2_video_mobilenet_v2.py"
WITH_RECIPE = ("camvid", "scenes")
DERIVED = 2  # marks the samples that are drawn at the end, part of their seeds


@dataclasses.dataclass(frozen=True)
class Found:
    """A cell that a search found.

    Attributes:
      genotype: its Genotype.
      reward: its reward; None if it was sampled and never trained.
      origin: where it comes from, for people.
    """

    genotype: Genotype
    reward: float | None
    origin: str


def read_search(workdir) -> tuple[Settings, dict[str, list[Trial]]]:
    """Reads (settings, {strategy: its candidates}) of a search. Raises InputError if there is none."""
    settings = read_settings(workdir)
    logs = {name: TrialLog(Path(workdir) / name).trials for name in STRATEGIES}
    trials = {name: series for name, series in logs.items() if series}
    if settings is None or not trials:
        raise InputError(f"{workdir}: no search that has a candidate; give the --workdir of one")
    return settings, trials


def write_report(workdir) -> str:
    """Writes the report of a search, with pictures of its rewards and its best cell; returns its text as Markdown."""
    settings, trials = read_search(workdir)
    [best] = best_cells(trials, 1)
    text = "\n".join(
        [
            summary(trials),
            "",
            *lines_of(best),
            "",
            "Train it:",
            "",
            "```",
            command(settings.source, best.genotype),
            "```",
        ]
    )
    folder = Path(workdir)
    write_atomically(folder / REPORT, f"{text}\n".encode())
    write_atomically(folder / CHART, encode_png(pictures.rewards(trials)))
    title = f"{best.origin}, reward {best.reward:.4f}"
    write_atomically(folder / CELL, encode_png(pictures.cell(best.genotype, title)))
    return text


def summary(trials: dict[str, list[Trial]]) -> str:
    """Returns a table of the strategies' best rewards, and of their means in each quarter of the candidates."""
    rows = []
    for name, series in trials.items():
        rewards = np.array([trial.reward for trial in series])
        quarters = [f"{part.mean():.4f}" if part.size else "" for part in np.array_split(rewards, 4)]
        outcomes = [trial.outcome for trial in series]
        ends = [outcomes.count(outcome) for outcome in (STOPPED, FAILED)]
        hours = sum(trial.seconds for trial in series) / 3600
        numbers = [len(series), f"{rewards.max():.4f}", f"{rewards.mean():.4f}", *quarters, *ends, f"{hours:.2f}"]
        rows.append([name, *map(str, numbers)])
    columns = ["strategy", "candidates", "best", "mean", *(f"quarter {number}" for number in range(1, 5))]
    return table([*columns, "stopped", "failed", "hours"], rows)


def best_cells(trials: dict[str, list[Trial]], count: int) -> list[Found]:
    """Returns the best different cells, best first: of those trained to the end, if there are any."""
    ranked = sorted(
        ((trial, name) for name, series in trials.items() for trial in series),
        key=lambda one: (one[0].outcome != FINISHED, -one[0].reward),
    )
    found = {}
    for trial, name in ranked:
        found.setdefault(trial.cell, Found(trial.cell, trial.reward, f"candidate {trial.number} of {name}"))
    return list(found.values())[:count]


def sampled_cells(workdir, settings: Settings, count: int) -> list[Found]:
    """Samples different cells from the trained controller. Raises InputError if there is none."""
    strategy = strategy_of(CONTROLLER, settings.config, Path(workdir) / CONTROLLER)
    if not strategy.path.exists():
        raise InputError(f"{workdir}: no controller was trained; search with --strategy={CONTROLLER}, or take the best")
    strategy.load()
    found, number = {}, 0
    while len(found) < count:
        genotype, log_prob = strategy.learner.controller.sample((settings.config.seed, number, DERIVED))
        number += 1
        found.setdefault(genotype, Found(genotype, None, f"sample {number}, log-probability {log_prob:.1f}"))
    return list(found.values())


def derive(workdir, count: int, is_sampled: bool) -> str:
    """Chooses cells of a finished search, and writes them to GENOTYPES.

    Args:
      workdir: folder of the search.
      count: number of cells, at least 1; fewer if the search had fewer.
      is_sampled: whether they are sampled from the trained controller; otherwise the best are taken.
    Returns:
      Text for people: every cell, and the command that trains it.
    """
    if count < 1:
        raise InputError(f"--count={count}: at least 1")
    settings, trials = read_search(workdir)
    cells = sampled_cells(workdir, settings, count) if is_sampled else best_cells(trials, count)
    values = [{"genotype": str(one.genotype), "reward": one.reward, "origin": one.origin} for one in cells]
    write_atomically(Path(workdir) / GENOTYPES, json.dumps(values, indent=1).encode())
    return "\n\n".join("\n".join([*lines_of(one), command(settings.source, one.genotype)]) for one in cells)


def lines_of(found: Found) -> list[str]:
    """Returns lines about a cell: its origin, its numbers, and what it computes."""
    reward = "" if found.reward is None else f", reward {found.reward:.4f}"
    title = f"{found.origin}{reward}: {found.genotype}"
    return [title, "", *(f"    {line}" for line in found.genotype.described()), ""]


def command(source: Source, genotype: Genotype) -> str:
    """Returns the command line that trains arch2_video with a cell, from the arch2 for which it was found."""
    recipe = RECIPE.format(source.dataset if source.dataset in WITH_RECIPE else WITH_RECIPE[0])
    words = [f"--config={recipe}", f'--config.model.genotype="{genotype}"']
    options = {"init_from": source.model, "workdir": f"runs/{source.dataset}_cell"}
    if source.dataset not in WITH_RECIPE:
        options["dataset"] = source.dataset
    if source.data_dir:
        options["data_dir"] = source.data_dir
    if source.backbone.name != "mobilenet_v2":
        options["backbone"] = source.backbone.name
    options |= {
        "config.model.width": source.width,
        "config.model.backbone.width_multiplier": source.backbone.width_multiplier,
    }
    words += [f"--{name}={shlex.quote(str(value))}" for name, value in options.items()]
    return " \\\n    ".join(["python train.py", *words])
