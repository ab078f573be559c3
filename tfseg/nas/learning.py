"""How the controller learns from rewards: proximal policy optimisation (PPO) or REINFORCE."""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError
from tfseg.models.cells.genotype import Genotype
from tfseg.nas.controller import Controller

ALGORITHMS = ("ppo", "reinforce")
SAMPLE, ORDER = 0, 1  # what a draw is for, part of its seed


@dataclasses.dataclass(frozen=True)
class LearningConfig:
    """How the controller learns. The defaults are those of arXiv:1904.02371, Sec. 5, or of its authors' earlier code.

    Attributes:
      algorithm: "ppo" (Schulman et al. 2017, arXiv:1707.06347, Eq. 7) learns from the last samples after every new one;
        "reinforce" (Williams 1992) from the new one alone.
      learning_rate: of Adam.
      clip: the ratio of new to old probability is kept in [1 - clip, 1 + clip].
      entropy_weight: weight of the entropy, in nats, that is added to what is maximised.
      clip_norm: global gradient norm above which gradients are scaled down.
      baseline_decay: decay of the moving average of rewards, which begins with the first.
      buffer_size: number of last samples that PPO learns from.
      minibatch_size: samples an update; after every new sample each sample of the buffer is in one update.
      feed_tokens: see `Controller`.
    """

    algorithm: str = "ppo"
    learning_rate: float = 1e-4
    clip: float = 0.1
    entropy_weight: float = 0.0
    clip_norm: float = 2.0
    baseline_decay: float = 0.95
    buffer_size: int = 100
    minibatch_size: int = 1
    feed_tokens: bool = False

    def __post_init__(self):
        if self.algorithm not in ALGORITHMS:
            raise InputError(f"the controller's algorithm is one of {', '.join(ALGORITHMS)}, not {self.algorithm!r}")
        for name in ("learning_rate", "clip", "clip_norm", "buffer_size", "minibatch_size"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"the controller's {name} is {getattr(self, name)}; it must be above 0")


class Learner:
    """A controller, and what it remembers of its samples.

    Args:
      num_layers: layers of a cell.
      config: a LearningConfig.
      seed: seed of the controller's weights, of what it samples, and of the order in which it learns.
    Attributes:
      controller: the Controller.
      num_samples: number of samples it has learned from.
      baseline: moving average of their rewards; None before the first.
    """

    def __init__(self, num_layers: int, config: LearningConfig, seed: int = 0):
        self.config, self._seed = config, seed
        self.controller = Controller(num_layers, seed, config.feed_tokens)
        self._optimizer = keras.optimizers.Adam(config.learning_rate)
        self._optimizer.build(self.controller.trainable_variables)
        self.num_samples, self.baseline = 0, None
        self._tokens = np.zeros([config.buffer_size, len(self.controller.num_choices)], np.int32)
        self._log_probs, self._rewards = np.zeros([2, config.buffer_size], np.float64)
        self._update = tf.function(self._update_once, autograph=False)

    @property
    def num_remembered(self) -> int:
        """Number of samples in the buffer."""
        return min(self.num_samples, self.config.buffer_size)

    def sample(self) -> tuple[Genotype, float]:
        """Returns the next genotype and the logarithm of its probability; the same until `learn` is called."""
        return self.controller.sample((self._seed, self.num_samples, SAMPLE))

    def learn(self, genotype: Genotype, log_prob: float, reward: float):
        """Learns from a genotype that was sampled with this log-probability, and others that are remembered."""
        if self.baseline is None:
            self.baseline = reward
        else:
            self.baseline = self.config.baseline_decay * self.baseline + (1 - self.config.baseline_decay) * reward
        place = self.num_samples % self.config.buffer_size
        self._tokens[place], self._log_probs[place], self._rewards[place] = genotype.tokens, log_prob, reward
        self.num_samples += 1
        order = np.array([place])
        if self.config.algorithm == "ppo":
            random = np.random.default_rng((self._seed, self.num_samples, ORDER))
            order = random.permutation(self.num_remembered)
        size = self.config.minibatch_size if self.config.algorithm == "ppo" else 1
        for start in range(0, len(order), size):
            self._learn_from(order[start : start + size], size)

    def _learn_from(self, places, size):
        """Makes an update. Fewer samples than `size` are filled up with some of no weight, so that shapes stay."""
        weights = np.arange(size) < len(places)
        places = np.resize(places, size)
        values = (self._log_probs[places], self._rewards[places] - self.baseline, weights)
        self._update(tf.constant(self._tokens[places]), *(tf.constant(one, tf.float32) for one in values))

    def _update_once(self, tokens, old_log_probs, advantages, weights):
        variables = self.controller.trainable_variables
        with tf.GradientTape() as tape:
            log_probs, entropy = self.controller.score(tokens)
            if self.config.algorithm == "ppo":
                loss = ppo_loss(log_probs, old_log_probs, advantages, weights, self.config.clip)
            else:
                loss = reinforce_loss(log_probs, advantages, weights)
            loss -= self.config.entropy_weight * entropy
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), self.config.clip_norm)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))

    def state(self) -> dict[str, np.ndarray]:
        """Returns all that `restore` needs to go on as if nothing had happened."""
        state = {
            "num_samples": np.array(self.num_samples),
            "baseline": np.array(np.nan if self.baseline is None else self.baseline),
            "tokens": self._tokens.copy(),
            "log_probs": self._log_probs.copy(),
            "rewards": self._rewards.copy(),
        }
        return state | {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, state):
        """Takes over a state of `state`. Raises InputError if it is none of this kind of learner."""
        own = self.state()
        wrong = [name for name in own if name not in state or np.shape(state[name]) != own[name].shape]
        if wrong or len(state) != len(own):
            raise InputError(f"{len(wrong) or len(state) - len(own)} arrays do not fit this controller")
        self.num_samples = int(state["num_samples"])
        self.baseline = float(state["baseline"]) if self.num_samples else None
        self._tokens[:], self._log_probs[:], self._rewards[:] = (
            state[name] for name in ("tokens", "log_probs", "rewards")
        )
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def _variables(self):
        of_controller = {f"controller/{i}": one for i, one in enumerate(self.controller.trainable_variables)}
        return of_controller | {f"optimizer/{i}": one for i, one in enumerate(self._optimizer.variables)}


def ppo_loss(log_probs, old_log_probs, advantages, weights, clip):
    """The negative of PPO's clipped objective (arXiv:1707.06347, Eq. 7); all arguments but `clip` are [batch]."""
    ratio = tf.exp(log_probs - old_log_probs)
    gains = tf.minimum(ratio * advantages, tf.clip_by_value(ratio, 1 - clip, 1 + clip) * advantages)
    return -tf.reduce_sum(weights * gains) / tf.reduce_sum(weights)


def reinforce_loss(log_probs, advantages, weights):
    """The negative of what REINFORCE maximises: log-probabilities, weighed by their advantages; all are [batch]."""
    return -tf.reduce_sum(weights * log_probs * advantages) / tf.reduce_sum(weights)
