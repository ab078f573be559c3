"""The whole search on toy videos, stopped and killed and continued; and that it is as good as chance at least."""

import dataclasses
import shutil

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.models.cells.genotype import random_genotype
from tfseg.nas import search as searches
from tfseg.nas import search_report
from tfseg.nas.candidate import CandidateConfig, Outcome
from tfseg.nas.features import ClipConfig
from tfseg.nas.learning import LearningConfig
from tfseg.nas.search import PRESETS, STRATEGIES, Budget, SearchConfig, search, source_of
from tfseg.nas.strategies import STATE, ControllerStrategy
from tfseg.nas.trial_log import FILE_NAME, TrialLog

CONFIG = SearchConfig(
    num_layers=2,
    clips=ClipConfig(frames=2, frame_gap=2),
    candidate=CandidateConfig(epochs=2, batch_size=8),
    learning=LearningConfig(learning_rate=1e-3, minibatch_size=10),
)


class Killed(BaseException):
    """Ends a search as a kill does: nothing in it expects it."""


@pytest.fixture(scope="module")
def source(run):
    return source_of(run, None, None)


@pytest.fixture
def scored(monkeypatch):
    """Lets candidates have rewards at once, which depend on their genotypes alone; returns the genotypes."""
    seen = []

    def outcome(genotype, task, goes_on):
        reward = float(np.mean(np.array(genotype.tokens) == 0))
        seen.append(genotype)
        goes_on(reward)
        return Outcome(reward, reward, 2, "finished", 10)

    monkeypatch.setattr(searches, "evaluated", outcome)
    monkeypatch.setattr(searches, "_task", lambda source, config: None)
    return seen


def trials_of(folder, name):
    """What is logged of a strategy but for times."""
    return [dataclasses.replace(trial, seconds=0.0) for trial in TrialLog(folder / name).trials]


def test_both_strategies_take_turns_and_leave_logs_pictures_and_a_report(source, tmp_path, capsys):
    """A real search of two candidates each, of one layer and one epoch."""
    config = dataclasses.replace(CONFIG, num_layers=1, candidate=dataclasses.replace(CONFIG.candidate, epochs=1))
    trials = search(source, tmp_path, config, STRATEGIES, Budget(2))
    lines = [line for line in capsys.readouterr().err.splitlines() if "min left" in line]
    assert [line.split(":")[0] for line in lines] == ["ppo 1 of 2", "random 1 of 2", "ppo 2 of 2", "random 2 of 2"]
    assert all(0 < trial.reward < 1 for name in STRATEGIES for trial in trials[name])
    text = search_report.write_report(tmp_path)
    assert text.count("\n| ppo ") == text.count("\n| random ") == 1
    assert 'config.model.genotype="' in text and f"--init_from={source.model}" in text
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"search.json", "report.md", "rewards.png", "best_cell.png"} <= names
    assert {"ppo/search.csv", "ppo/controller.npz", "random/search.csv"} <= names


def test_chance_proposes_what_its_seed_says(source, tmp_path, scored):
    search(source, tmp_path, CONFIG, ["random"], Budget(3))
    assert scored == [random_genotype(np.random.default_rng((0, number)), 2) for number in range(3)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_in_parts_proposes_what_an_unbroken_one_does(source, tmp_path, scored, name):
    search(source, tmp_path / "whole", CONFIG, [name], Budget(5))
    for candidates in (2, 5):
        search(source, tmp_path / "parts", CONFIG, [name], Budget(candidates))
    assert trials_of(tmp_path / "parts", name) == trials_of(tmp_path / "whole", name)
    assert scored[:5] == scored[5:]


def test_a_kill_in_the_middle_of_a_candidate_loses_only_that_one(source, tmp_path, scored, monkeypatch):
    search(source, tmp_path / "whole", CONFIG, STRATEGIES, Budget(3))
    whole, outcome, left = list(scored), searches.evaluated, [4]

    def killed(*words):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return outcome(*words)

    monkeypatch.setattr(searches, "evaluated", killed)
    with pytest.raises(Killed):
        search(source, tmp_path / "killed", CONFIG, STRATEGIES, Budget(3))
    assert [len(trials_of(tmp_path / "killed", name)) for name in STRATEGIES] == [2, 2]
    monkeypatch.setattr(searches, "evaluated", outcome)
    search(source, tmp_path / "killed", CONFIG, STRATEGIES, Budget(3))
    assert scored[len(whole) :] == whole
    for name in STRATEGIES:
        assert trials_of(tmp_path / "killed", name) == trials_of(tmp_path / "whole", name)


@pytest.mark.slow
def test_a_kill_between_the_log_and_the_controllers_state_loses_nothing(source, tmp_path, scored, monkeypatch):
    search(source, tmp_path / "whole", CONFIG, ["ppo"], Budget(4))
    search(source, tmp_path / "killed", CONFIG, ["ppo"], Budget(1))

    def killed(self, genotype, reward):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(ControllerStrategy, "learn", killed)
        search(source, tmp_path / "killed", CONFIG, ["ppo"], Budget(4))
    assert len(trials_of(tmp_path / "killed", "ppo")) == 2
    search(source, tmp_path / "killed", CONFIG, ["ppo"], Budget(4))
    assert trials_of(tmp_path / "killed", "ppo") == trials_of(tmp_path / "whole", "ppo")
    one, other = (np.load(tmp_path / folder / "ppo" / STATE) for folder in ("killed", "whole"))
    assert all(np.array_equal(one[name], other[name]) for name in other)


@pytest.mark.slow
def test_a_lost_state_of_the_controller_is_made_anew_from_the_log(source, tmp_path, scored):
    search(source, tmp_path / "whole", CONFIG, ["ppo"], Budget(4))
    search(source, tmp_path / "lost", CONFIG, ["ppo"], Budget(3))
    (tmp_path / "lost" / "ppo" / STATE).unlink()
    search(source, tmp_path / "lost", CONFIG, ["ppo"], Budget(4))
    assert trials_of(tmp_path / "lost", "ppo") == trials_of(tmp_path / "whole", "ppo")


def test_damage_of_the_folder_is_one_line(source, tmp_path, scored):
    search(source, tmp_path / "good", CONFIG, ["ppo"], Budget(2))
    damages = {
        "controller.npz: damaged": lambda folder: (folder / "ppo" / STATE).write_bytes(b"PK"),
        "has learned from 2 candidates, but the log has 0": lambda folder: (folder / "ppo" / FILE_NAME).unlink(),
        "search.json: damaged": lambda folder: (folder / "search.json").write_text("{"),
        "has logs of a search, but no search.json": lambda folder: (folder / "search.json").unlink(),
    }
    for number, (message, damage) in enumerate(damages.items()):
        folder = shutil.copytree(tmp_path / "good", tmp_path / str(number))
        damage(folder)
        with pytest.raises(InputError, match=message):
            search(source, folder, CONFIG, ["ppo"], Budget(3))
    with pytest.raises(InputError, match="holds a search with other settings .config.num_layers: 2 -> 3"):
        search(source, tmp_path / "good", dataclasses.replace(CONFIG, num_layers=3), ["ppo"], Budget(3))


def test_data_that_cannot_be_searched_on_leave_nothing_behind(source, tmp_path):
    with pytest.raises(InputError, match="no split 'val'"):
        search(dataclasses.replace(source, split="val"), tmp_path / "new", CONFIG, ["random"], Budget(1))
    assert not (tmp_path / "new").exists()


def test_no_candidate_begins_that_would_end_too_late(source, tmp_path, scored, monkeypatch):
    """On a clock that the test moves, a candidate takes 40 s: two fit into two minutes, the third ends just in time."""
    clock, outcome = [0.0], searches.evaluated

    def timed(*words):
        clock[0] += 40
        return outcome(*words)

    monkeypatch.setattr(searches, "evaluated", timed)
    monkeypatch.setattr(searches.time, "monotonic", lambda: clock[0])
    assert len(search(source, tmp_path / "a", CONFIG, ["random"], Budget(9, minutes=2))["random"]) == 3
    assert len(search(source, tmp_path / "b", CONFIG, ["random"], Budget(9, minutes=1.9))["random"]) == 2


def test_the_best_cells_are_different_and_derived_with_their_commands(source, tmp_path, scored):
    trials = search(source, tmp_path, CONFIG, STRATEGIES, Budget(5))
    best = max((trial for series in trials.values() for trial in series), key=lambda trial: trial.reward)
    text = search_report.derive(tmp_path, 2, is_sampled=False)
    assert text.count("--config=model_zoo/camvid/arch2_video_mobilenet_v2.py \\\n") == 2
    assert f'--config.model.genotype="{best.genotype}"' in text.split("python train.py")[1]
    for line in best.cell.described():
        assert f"    {line}\n" in text
    sampled = search_report.derive(tmp_path, 2, is_sampled=True)
    assert sampled == search_report.derive(tmp_path, 2, is_sampled=True)
    assert sampled.count("sample ") == 2
    assert (tmp_path / "genotypes.json").read_text().count('"reward": null') == 2


def test_without_a_search_or_a_controller_there_is_nothing_to_derive(source, tmp_path, scored):
    with pytest.raises(InputError, match="no search that has a candidate"):
        search_report.derive(tmp_path, 1, is_sampled=False)
    search(source, tmp_path, CONFIG, ["random"], Budget(1))
    with pytest.raises(InputError, match="no controller was trained"):
        search_report.derive(tmp_path, 1, is_sampled=True)


def test_the_presets_have_the_papers_numbers_and_those_of_the_miniature():
    paper, mini, cityscapes = PRESETS["paper"], PRESETS["mini"], PRESETS["paper_cityscapes"]
    assert (cityscapes.num_layers, cityscapes.clips.frames, cityscapes.clips.frame_gap) == (4, 2, 1)
    assert (cityscapes.clips.long_side, cityscapes.clips.crop, cityscapes.candidate.epochs) == (1024, 512, 10)
    assert (paper.num_layers, paper.clips.frames, paper.candidate.epochs, paper.candidate.batch_size) == (5, 3, 20, 48)
    assert (paper.candidate.learning_rate, paper.candidate.clip_norm, paper.clips.padded_side) == (8e-3, 3.0, 400)
    learning = paper.learning
    assert (learning.algorithm, learning.learning_rate, learning.clip) == ("ppo", 1e-4, 0.1)
    assert (learning.minibatch_size, learning.buffer_size, learning.entropy_weight) == (1, 100, 0.0)
    assert (mini.clips.frames, mini.clips.max_training, mini.clips.max_validation) == (2, 128, 32)
    assert (mini.candidate.epochs, mini.candidate.middle, mini.candidate.batch_size) == (3, 2, 8)
    assert mini.learning.learning_rate == 1e-3


@pytest.mark.slow
def test_a_miniature_search_from_end_to_end(source, tmp_path):
    """Real candidates of both strategies: some learn the squares, and those of the controller as well as by chance."""
    trials = search(source, tmp_path, CONFIG, STRATEGIES, Budget(12))
    rewards = {name: [trial.reward for trial in series] for name, series in trials.items()}
    assert max(rewards["ppo"]) > 0.7
    assert np.mean(rewards["ppo"]) > np.mean(rewards["random"]) - 0.1
    assert all(trial.outcome in ("finished", "stopped") for series in trials.values() for trial in series)
