"""Which candidates are trained to the end: those that are not much worse half-way than those before them."""

import numpy as np

DECAY = 0.99
FIRST_AVERAGE = 0.01
FIRST_TOLERANCE = 0.9
# {number of candidates before: factor of the tolerance}
FACTORS = {100: 0.9, 200: 0.8, 300: 0.7, 400: 0.6}


class EarlyStopping:
    """The rule of the authors' earlier code (arXiv:1810.10804), which the search for dynamic cells follows.

    A moving average follows the half-way rewards, the new one included; it begins near 0, so nearly all pass at first.
    Above it a candidate goes on. Below it, a tolerance is drawn from U(0, `tolerance`), and it goes on if it is no more
    than this share below the average.

    Args:
      seed: seed of the draws; None draws nothing, but takes the mean of what would be drawn.
    Attributes:
      average: the moving average.
      tolerance: the largest share that may be drawn; it shrinks with the number of candidates.
    """

    def __init__(self, seed: int | None = 0):
        self._seed, self._count = seed, 0
        self.average, self.tolerance = FIRST_AVERAGE, FIRST_TOLERANCE

    def goes_on(self, reward: float) -> bool:
        """Says whether a candidate with this half-way reward is trained to the end. The next call is another one's."""
        self.tolerance *= FACTORS.get(self._count, 1.0)
        self.average = DECAY * self.average + (1 - DECAY) * reward
        share = 0.5 if self._seed is None else np.random.default_rng((self._seed, self._count)).random()
        self._count += 1
        return reward > self.average or reward > self.average * (1 - share * self.tolerance)
