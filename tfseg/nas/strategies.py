"""What proposes the candidates of a search: the controller, or chance alone, to compare it with."""

import io
import zipfile
from pathlib import Path

import numpy as np

from tfseg.errors import InputError
from tfseg.models.cells.genotype import Genotype, random_genotype
from tfseg.nas.learning import Learner, LearningConfig
from tfseg.system.files import open_regular, write_atomically

STATE = "controller.npz"


class RandomStrategy:
    """Draws every number of a genotype uniformly.

    Args:
      num_layers: layers of a cell.
      seed: seed of the draws.
    """

    def __init__(self, num_layers: int, seed: int):
        self._num_layers, self._seed, self._count = num_layers, seed, 0

    def propose(self) -> Genotype:
        """Returns the next candidate; the same until `learn` is called."""
        return random_genotype(np.random.default_rng((self._seed, self._count)), self._num_layers)

    def learn(self, genotype: Genotype, reward: float):
        """Takes note of the candidate's reward."""
        del genotype, reward
        self._count += 1

    def resume(self, trials):
        """Goes on after candidates that have their rewards already: a list of `trial_log.Trial`."""
        self._count = len(trials)


class ControllerStrategy:
    """Samples a controller, which learns from the rewards. Its state is in a file after every candidate.

    Args:
      num_layers: layers of a cell.
      config: the LearningConfig.
      seed: the controller's seed.
      folder: folder of the file `STATE`.
    """

    def __init__(self, num_layers: int, config: LearningConfig, seed: int, folder):
        self.learner = Learner(num_layers, config, seed)
        self.path = Path(folder) / STATE

    def propose(self) -> Genotype:
        """Returns the next candidate; the same until `learn` is called."""
        return self.learner.sample()[0]

    def learn(self, genotype: Genotype, reward: float):
        """Lets the controller learn from the candidate that was proposed last, and writes its state."""
        self._learn(genotype, reward)
        buffer = io.BytesIO()
        np.savez(buffer, **self.learner.state())
        write_atomically(self.path, buffer.getvalue())

    def resume(self, trials):
        """Goes on after candidates that have their rewards already: a list of `trial_log.Trial`.

        A kill may come between a candidate's line in the log and the controller's state. What the state lacks is
        learned again.

        Raises:
          InputError: the file is damaged, or does not belong to these candidates.
        """
        self.load()
        if self.learner.num_samples > len(trials):
            raise InputError(
                f"{self.path}: has learned from {self.learner.num_samples} candidates, but the log has {len(trials)}; "
                "begin anew in another --workdir"
            )
        for trial in trials[self.learner.num_samples :]:
            if self.propose() != trial.cell:
                raise InputError(
                    f"{self.path}: proposes another candidate {trial.number} than the log has; begin anew in another "
                    "--workdir"
                )
            self._learn(trial.cell, trial.reward)

    def load(self):
        """Takes over the state in the file, if there is one. Raises InputError if it is damaged."""
        try:
            with open_regular(self.path) as file, np.load(file, allow_pickle=False) as arrays:
                state = dict(arrays)
        except FileNotFoundError:
            return
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path}: damaged ({error}); remove it, and it is made anew from the log") from None
        try:
            self.learner.restore(state)
        except InputError as error:
            raise InputError(f"{self.path}: {error}; remove it, and it is made anew from the log") from None

    def _learn(self, genotype, reward):
        proposed, log_prob = self.learner.sample()
        if proposed != genotype:
            raise ValueError(f"{genotype} was not proposed, but {proposed}")
        self.learner.learn(genotype, log_prob, reward)
