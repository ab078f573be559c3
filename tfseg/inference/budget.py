"""Keeps images within a time by the number of iterations."""

import collections
import time

import numpy as np

from tfseg.inference.budget_measurement import ROUNDS, SECONDS, NothingFits, check_budget, counted, measure
from tfseg.inference.predictor import as_rgb
from tfseg.system import timing

LAST_IMAGES = 20  # tell the machine's speed of now
MOST_SHORT = 2  # of them may be late, or stop before the last iteration


class Budget:
    """Keeps images of any sizes within a time.

    Each size is measured once, on the first image that has it. A machine does not keep its speed: the last images are
    compared with the measurement, and the number of iterations follows. An image in a slow moment stops earlier, where
    another iteration would not end in time.

    Attributes:
      num_images, num_within: that were predicted, and of them within the budget.
      num_stopped: after fewer iterations than the number of that moment.
    """

    def __init__(self, predictor, budget_ms, say=print):
        """Prepares; measures nothing yet.

        Args:
          predictor: a `tfseg.inference.predictor.Predictor`.
          budget_ms: milliseconds from a decoded image to its class map.
          say: takes a line of text, before and after a size is measured and about every change.
        Raises:
          InputError: a budget that is not above 0.
        """
        check_budget(budget_ms)
        self._predictor, self._budget_ms, self._say = predictor, budget_ms, say
        self._paces, self._refusals = {}, {}  # by size
        self.num_images = self.num_within = self.num_stopped = 0

    def iterations(self, image) -> int:
        """That fit now, for an image as of `Predictor.predict`.

        Raises:
          InputError: no image; NothingFits: not even the fewest did when its size was measured.
        """
        return self._pace(as_rgb(image)).iterations

    def predict(self, image):
        """`Predictor.predict` with at most the iterations that fit now. Errors as `iterations`."""
        image = as_rgb(image)
        pace = self._pace(image)
        begin = time.perf_counter()
        latest_start = begin + (self._budget_ms - pace.ending_ms) / 1000
        prediction = self._predictor.predict(image, pace.iterations, latest_start=latest_start)
        end = time.perf_counter()
        taken = 1000 * (end - begin)
        self.num_images += 1
        self.num_within += taken <= self._budget_ms
        self.num_stopped += prediction.iterations < pace.iterations
        ending = None if prediction.began is None else 1000 * (end - prediction.began)
        if pace.note(taken, prediction.iterations, ending):
            self._say(f"images of {image.shape[0]}x{image.shape[1]}: {pace}")
        return prediction

    def _pace(self, image):
        size = image.shape[:2]
        name = f"images of {size[0]}x{size[1]}"
        if size in self._refusals:
            raise self._refusals[size]
        if size not in self._paces:
            self._say(f"{name}: measuring, about {SECONDS:g} s at most")
            try:
                choice = measure(self._predictor, image, self._budget_ms)
            except NothingFits as error:
                self._refusals[size] = NothingFits(f"{name}: {error}")
                raise self._refusals[size] from None
            self._say(f"{name}: {choice}")
            self._paces[size] = _Pace(choice)
        return self._paces[size]


class _Pace:
    """The iterations of images of one size, by how long the last ones took."""

    def __init__(self, choice):
        self.iterations, self._choice = choice.iterations, choice
        self._ratios, self._is_short = (collections.deque(maxlen=LAST_IMAGES) for _ in range(2))
        self._endings = collections.deque(choice.endings, maxlen=ROUNDS)
        self._reason = ""

    def __str__(self):
        return f"{counted(self.iterations)} from here on: {self._reason}"

    @property
    def ending_ms(self) -> float:
        """Milliseconds that one more iteration, and the class map after it, stay within: 95 % of the last ones did."""
        return timing.p95(self._endings) if self._endings else 0.0

    def note(self, milliseconds, iterations, ending) -> bool:
        """Takes in how long an image took; whether the number of iterations changed.

        Args:
          milliseconds: from the image to its class map.
          iterations: that ran.
          ending: milliseconds from the beginning of the last of them to the class map, or None.
        """
        budget_ms, median = self._choice.budget_ms, self._choice.median
        self._ratios.append(milliseconds / np.interp(iterations, sorted(median), sorted(median.values())))
        self._is_short.append(milliseconds > budget_ms or iterations < self.iterations)
        if ending is not None:
            self._endings.append(ending)
        elif self._choice.endings:
            # One iteration tells nothing about a second one. What slow moments said must not hold for ever.
            self._endings.append(timing.median(self._choice.endings))
        # The p95 of now, in medians of the measurement: that of a noisier or quieter moment would be another.
        before, short, slow = self.iterations, sum(self._is_short), timing.p95(self._ratios)
        if short > MOST_SHORT:
            # Where nothing fits any more the fewest run: a late answer is better than none.
            fewer = [count for count in median if count < before and slow * median[count] <= budget_ms]
            self.iterations = max(fewer, default=min(median))
            self._reason = f"{short} of the last {len(self._is_short)} had no time for more within {budget_ms:g} ms"
        elif len(self._ratios) == LAST_IMAGES:
            more = [count for count in median if count > before and slow * median[count] <= budget_ms]
            self.iterations = max(more, default=before)
            self._reason = f"95 % of the last {LAST_IMAGES} took at most {slow:.2f} of the median that was measured"
        if self.iterations == before:
            return False
        self._ratios.clear()
        self._is_short.clear()
        return True
