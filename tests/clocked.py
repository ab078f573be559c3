"""A fake predictor whose running time is computed instead of measured."""

import dataclasses


@dataclasses.dataclass
class Clocked:
    """A predictor with its own clock, which replaces time.perf_counter.

    The first iteration takes `first` milliseconds, every further one `each`, and the class map after them `ending`.

    Attributes:
      fewest, most: fewest and most iterations it allows; None where nothing limits them.
      trained: number of iterations it was trained with, if `most` is None.
      tells: whether it can stop at a given time, and tells when the last iteration began.
      seconds: the clock's time.
      factor: factor on all times.
      calls: the number of iterations that each call asked for.
      ran: the number of iterations that each call ran.
      slow_calls: numbers of the calls, counted from 1, in which everything takes ten times as long.
      slow_ends: numbers of the calls, counted from 1, in which the last iteration takes four times as long.
    """

    first: float
    each: float
    fewest: int = 1
    most: int | None = None
    trained: int = 6
    ending: float = 0.0
    tells: bool = True

    def __post_init__(self):
        self.min_iterations, self.max_iterations = self.fewest, self.most
        self.trained_iterations = self.most or self.trained
        self.seconds, self.factor = 0.0, 1.0
        self.calls, self.ran, self.slow_calls, self.slow_ends = [], [], set(), set()

    def predict(self, image, count, latest_start):
        self.calls.append(count)
        self._pass(self.first)
        done, began = 1, None
        while done < count and (self.seconds <= latest_start or not self.tells):
            done, began = done + 1, self.seconds
            self._pass(self.each * (4 if done == count and len(self.calls) in self.slow_ends else 1))
        self._pass(self.ending)
        self.ran.append(done)
        return Answer(done, began if self.tells else None)

    def _pass(self, milliseconds):
        slower = 10 if len(self.calls) in self.slow_calls else 1
        self.seconds += self.factor * slower * milliseconds / 1000


@dataclasses.dataclass
class Answer:
    iterations: int
    began: float | None


def clocked(monkeypatch, *args, **options):
    """A `Clocked` whose clock all code reads as time.perf_counter."""
    predictor = Clocked(*args, **options)
    monkeypatch.setattr("time.perf_counter", lambda: predictor.seconds)
    return predictor
