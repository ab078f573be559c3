"""The search for dynamic cells: propose, train for a short while, score, learn (arXiv:1904.02371, Sec. 5 and 6)."""

import dataclasses
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path

from tfseg.architectures import name_of
from tfseg.backbones import BackboneConfig
from tfseg.data.opening import open_split
from tfseg.errors import InputError, listed
from tfseg.models.cells.genotype import MAX_LAYERS
from tfseg.nas.candidate import CandidateConfig, Outcome, Task, evaluated
from tfseg.nas.early_stopping import EarlyStopping
from tfseg.nas.features import ClipConfig, divided
from tfseg.nas.learning import LearningConfig
from tfseg.nas.strategies import ControllerStrategy, RandomStrategy
from tfseg.nas.trial_log import FILE_NAME, Trial, TrialLog
from tfseg.runs.run_directory import load_run, locked, read_config, weights_file
from tfseg.system.files import file_sha256, write_atomically
from tfseg.system.progress import say
from tfseg.system.small_files import FieldError, check_seal, damage_named, read_json, sealed, typed

SETTINGS = "search.json"
CONTROLLER, RANDOM = "ppo", "random"
STRATEGIES = (CONTROLLER, RANDOM)


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """A search, but for how long it goes on.

    Attributes:
      num_layers: layers of a cell.
      clips, candidate, learning: see their classes.
      seed: seed of the division of the data, of what is proposed, and of the candidates' training.
    """

    num_layers: int = 5
    clips: ClipConfig = dataclasses.field(default_factory=ClipConfig)
    candidate: CandidateConfig = dataclasses.field(default_factory=CandidateConfig)
    learning: LearningConfig = dataclasses.field(default_factory=LearningConfig)
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.num_layers <= MAX_LAYERS:
            raise InputError(f"--layers={self.num_layers}: 1 to {MAX_LAYERS}")


PRESETS = {
    # The paper's on CamVid, with two GPU-days in mind: whole frames of 360x480, framed to 400x480.
    "paper": SearchConfig(clips=ClipConfig(frames=3, padded_side=400)),
    # The paper's on Cityscapes: the raw frame before each labelled one, frames of 512x1024, squares of 512x512.
    "paper_cityscapes": SearchConfig(
        num_layers=4,
        clips=ClipConfig(frames=2, frame_gap=1, long_side=1024, crop=512),
        candidate=CandidateConfig(epochs=10),
    ),
    # Half a minute to a minute a candidate on two CPU cores. So few samples need a faster controller.
    "mini": SearchConfig(
        clips=ClipConfig(frames=2, max_training=128, max_validation=32),
        candidate=CandidateConfig(epochs=3, batch_size=8),
        learning=LearningConfig(learning_rate=1e-3, entropy_weight=1e-4, minibatch_size=10),
    ),
}


@dataclasses.dataclass(frozen=True)
class Source:
    """What is searched on.

    Attributes:
      model: run directory or model zoo folder of a trained arch2.
      dataset, data_dir, split: of the videos.
      weights: sha256 of the model's weights.
      width: channels of the model's decoder.
      backbone: the model's backbone.
    """

    model: str
    dataset: str
    data_dir: str | None
    split: str
    weights: str
    width: int
    backbone: BackboneConfig


@dataclasses.dataclass(frozen=True)
class Settings:
    """What SETTINGS holds: a search may go on only with the same."""

    source: Source
    config: SearchConfig


def source_of(model, data_dir: str | None, split: str | None) -> Source:
    """Returns the Source of a trained arch2; None stands for the data and the training split of its own training.

    Raises:
      InputError: there is no such model, or it is another architecture.
    """
    config, _ = read_config(model)
    if name_of(config.model) != "arch2":
        raise InputError(f"{model}: a {name_of(config.model)}; cells are searched for a trained arch2")
    return Source(
        str(model),
        config.data.dataset,
        data_dir or config.data.data_dir,
        split or config.data.train_split,
        file_sha256(weights_file(model)),
        config.model.width,
        config.model.backbone,
    )


def read_settings(workdir) -> Settings | None:
    """Reads the settings of a search; None if there is none. Raises InputError if they are damaged."""
    path = Path(workdir) / SETTINGS
    with damage_named(path, "begin anew in another --workdir"):
        try:
            values = read_json(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not isinstance(values, dict):
            raise FieldError("", "not a group of fields")
        check_seal(values)
        return typed(Settings, {name: values[name] for name in ("source", "config") if name in values})


def search(source: Source, workdir, config: SearchConfig, strategies, budget: "Budget") -> dict[str, list[Trial]]:
    """Starts or continues a search.

    Several strategies take turns, so that at any time they have had the same number of candidates; all candidates are
    trained with the same seed on the same clips.

    Args:
      source: the model and the data.
      workdir: folder of the search; each strategy has a folder inside.
      config: the SearchConfig; that of the search which is continued.
      strategies: names of STRATEGIES.
      budget: when it ends.
    Returns:
      {strategy: all its Trials, those of earlier calls included}.
    Raises:
      InputError: the folder holds another search or is in use, or model or data are bad.
    """
    workdir = Path(workdir)
    config = dataclasses.replace(config, candidate=dataclasses.replace(config.candidate, seed=config.seed))
    with locked(workdir):
        settings = Settings(source, config)
        _refuse_other_settings(workdir, settings)
        runs = [_Run(name, workdir / name, config) for name in strategies]
        if all(len(run.log.trials) >= budget.candidates for run in runs):
            return {run.name: run.log.trials for run in runs}
        task = _task(source, config)
        values = json.loads(json.dumps(dataclasses.asdict(settings)))
        write_atomically(workdir / SETTINGS, json.dumps(sealed(values), indent=1).encode())
        watch = _Watch(budget, runs)
        while run := watch.next_run():
            trial = run.try_next(task)
            watch.note(trial.seconds)
            best = max(one.reward for one in run.log.trials)
            say(
                f"{run.name} {trial.number} of {budget.candidates}: reward {trial.reward:.4f} ({trial.outcome}), best "
                f"{best:.4f}, {trial.num_parameters} weights, {trial.seconds:.0f} s; {watch.left()}"
            )
            del trial
            gc.collect()  # graphs of the candidate, which refer to each other
    return {run.name: run.log.trials for run in runs}


@dataclasses.dataclass(frozen=True)
class Budget:
    """When a search ends.

    Attributes:
      candidates: number of candidates of each strategy, those of earlier calls included.
      minutes: no candidate begins in this call that would probably end later; None for no limit.
    """

    candidates: int
    minutes: float | None = None

    def __post_init__(self):
        if self.candidates < 1:
            raise InputError(f"--candidates={self.candidates}: at least 1")
        if self.minutes is not None and not 0 < self.minutes < float("inf"):
            raise InputError(f"--minutes={self.minutes}: a time above 0")


class _Watch:
    """Says whose turn it is, and how long the search will take."""

    def __init__(self, budget, runs):
        self._budget, self._runs, self._start, self._seconds = budget, runs, time.monotonic(), []

    def note(self, seconds):
        self._seconds.append(seconds)

    def next_run(self):
        """The run with the fewest candidates; None at the end."""
        run = min(self._runs, key=lambda one: len(one.log.trials))
        if len(run.log.trials) >= self._budget.candidates:
            return None
        if self._budget.minutes is not None and self._passed() + self._mean() > 60 * self._budget.minutes:
            return None
        return run

    def left(self):
        """How long it will go on, as text."""
        missing = sum(max(0, self._budget.candidates - len(run.log.trials)) for run in self._runs)
        seconds = missing * self._mean()
        if self._budget.minutes is not None:
            seconds = min(seconds, max(0.0, 60 * self._budget.minutes - self._passed()))
        return f"about {seconds / 60:.0f} min left"

    def _passed(self):
        return time.monotonic() - self._start

    def _mean(self):
        return sum(self._seconds) / len(self._seconds) if self._seconds else 0.0


class _Run:
    """One strategy with its log and its rule for stopping candidates, as earlier calls left them."""

    def __init__(self, name, folder, config):
        self.name, self.log = name, TrialLog(folder)
        self._strategy = strategy_of(name, config, folder)
        self._strategy.resume(self.log.trials)
        self._stopping = EarlyStopping(config.seed)
        for trial in self.log.trials:
            if trial.half_reward is not None:
                self._stopping.goes_on(trial.half_reward)

    def try_next(self, task) -> Trial:
        genotype, start = self._strategy.propose(), time.monotonic()
        outcome: Outcome = evaluated(genotype, task, self._stopping.goes_on)
        seconds = round(time.monotonic() - start, 2)
        values = dataclasses.asdict(outcome) | {"seconds": seconds, "genotype": str(genotype)}
        trial = Trial(number=len(self.log.trials) + 1, **values)
        self.log.append(trial)
        self._strategy.learn(genotype, trial.reward)
        return trial


def strategy_of(name: str, config: SearchConfig, folder) -> ControllerStrategy | RandomStrategy:
    """Returns the strategy of a name of STRATEGIES; `folder` is where the controller keeps its state."""
    makers: dict[str, Callable] = {
        CONTROLLER: lambda: ControllerStrategy(config.num_layers, config.learning, config.seed, folder),
        RANDOM: lambda: RandomStrategy(config.num_layers, config.seed),
    }
    return makers[name]()


def _task(source, config):
    _, info, network = load_run(source.model)
    split = open_split(source.dataset, source.data_dir, source.split, info)
    clips = divided(network, split, config.clips, config.seed)
    return Task(*clips, network.classifier.get_weights(), config.candidate)


def _refuse_other_settings(workdir, settings):
    """Raises InputError if the folder holds a search with other settings."""
    before = read_settings(workdir)
    if before is None:
        if any((workdir / name / FILE_NAME).exists() for name in STRATEGIES):
            raise InputError(f"{workdir}: has logs of a search, but no {SETTINGS}; begin anew in another --workdir")
        return
    # The same model and data may have moved.
    moved = dataclasses.replace(before.source, model=settings.source.model, data_dir=settings.source.data_dir)
    old, new = (_flat(dataclasses.asdict(one)) for one in (dataclasses.replace(before, source=moved), settings))
    differences = [f"{name}: {old[name]} -> {new[name]}" for name in new if old[name] != new[name]]
    if differences:
        raise InputError(
            f"{workdir}: holds a search with other settings ({listed(differences, '; ')}); take another --workdir, or "
            "the old values"
        )


def _flat(values, prefix=""):
    flat = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
