"""Keeps the time per image within a budget by choosing the number of iterations."""

import collections
import time

import numpy as np

from tfseg.formats.images import as_rgb
from tfseg.inference.budget_measurement import ROUNDS, SECONDS, NothingFits, check_budget, counted, measure
from tfseg.system import timing

LAST_IMAGES = 20  # the last images, which tell how fast the machine is now
MOST_SHORT = 2  # at most so many of them may be late or stop before the last iteration


class Budget:
    """Keeps the time per image within a budget, for images of any size.

    Each size is measured once, on the first image that has it. A machine's speed changes, so the last images are
    compared with the measurement, and the number of iterations is adapted. In a slow moment an image stops earlier, if
    another iteration would not end in time.

    Example:
      budget = Budget(Predictor.load("runs/photos"), budget_ms=80)
      class_maps = [budget.predict(path).class_ids for path in paths]
      print(budget.num_within, "of", budget.num_images, "images within 80 ms")

    Attributes:
      num_images: number of images that were predicted.
      num_within: number of them that stayed within the budget.
      num_stopped: number of them that stopped after fewer iterations than were chosen at that moment.
    """

    def __init__(self, predictor, budget_ms, say=print):
        """Prepares; measures nothing yet.

        Args:
          predictor: a `tfseg.inference.predictor.Predictor`.
          budget_ms: milliseconds from a decoded image to its class map.
          say: called with a line of text before and after a size is measured, and when the number of iterations
            changes.
        Raises:
          InputError: the budget is not above 0.
        """
        check_budget(budget_ms)
        self._predictor, self._budget_ms, self._say = predictor, budget_ms, say
        self._paces, self._refusals = {}, {}  # by size
        self.num_images = self.num_within = self.num_stopped = 0

    def iterations(self, image) -> int:
        """Returns the number of iterations that fit now.

        Args:
          image: an image as `Predictor.predict` takes it.
        Raises:
          InputError: it is not such an image.
          NothingFits: not even the fewest iterations fitted when its size was measured.
        """
        return self._pace(as_rgb(image)).iterations

    def predict(self, image, with_confidence=False):
        """Runs `Predictor.predict` with at most the iterations that fit now. Raises what `iterations` raises.

        The time of the confidence, which was not measured before, counts like that of a slow moment.
        """
        image = as_rgb(image)
        pace = self._pace(image)
        begin = time.perf_counter()
        latest_start = begin + (self._budget_ms - pace.ending_ms) / 1000
        wanted = {"with_confidence": True} if with_confidence else {}
        prediction = self._predictor.predict(image, pace.iterations, latest_start=latest_start, **wanted)
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
    """The number of iterations for images of one size, adapted to how long the last images took."""

    def __init__(self, choice):
        self.iterations, self._choice = choice.iterations, choice
        self._ratios, self._is_short = (collections.deque(maxlen=LAST_IMAGES) for _ in range(2))
        self._endings = collections.deque(choice.endings, maxlen=ROUNDS)
        self._reason = ""

    def __str__(self):
        return f"{counted(self.iterations)} from here on: {self._reason}"

    @property
    def ending_ms(self) -> float:
        """Milliseconds within which 95 % of the last images did their last iteration and the class map after it."""
        return timing.p95(self._endings) if self._endings else 0.0

    def note(self, milliseconds, iterations, ending) -> bool:
        """Notes how long an image took, and adapts the number of iterations.

        Args:
          milliseconds: time from the image to its class map.
          iterations: number of iterations that ran.
          ending: milliseconds from the start of the last iteration to the class map; None if that is not known.
        Returns:
          Whether the number of iterations changed.
        """
        budget_ms, median = self._choice.budget_ms, self._choice.median
        self._ratios.append(milliseconds / np.interp(iterations, sorted(median), sorted(median.values())))
        self._is_short.append(milliseconds > budget_ms or iterations < self.iterations)
        if ending is not None:
            self._endings.append(ending)
        elif self._choice.endings:
            # A single iteration does not tell how long a second one would take. The measured ending is noted instead,
            # so that slow moments do not count for ever.
            self._endings.append(timing.median(self._choice.endings))
        # The current p95 is counted in measured medians, because the measured p95 may be that of a noisier or quieter
        # moment.
        before, short, slow = self.iterations, sum(self._is_short), timing.p95(self._ratios)
        if short > MOST_SHORT:
            # If nothing fits any more, the fewest iterations run: a late answer is better than none.
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
