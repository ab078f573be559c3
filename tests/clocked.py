"""A model whose time is arithmetic."""

import dataclasses


@dataclasses.dataclass
class Clocked:
    """A predictor on a clock of its own, which takes the place of time.perf_counter.

    The first iteration takes `first` milliseconds, every further one `each`, the class map after them `ending`.

    Attributes:
      calls: the iterations of every call.
      ran: those that ran.
      slow_calls: of them (from 1) each part takes ten times as long.
      slow_ends: of them the last iteration takes four times as long.
      factor: of all times.
      tells: stops at a time, and says when the last iteration began.
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
    """A `Clocked` whose clock everybody reads."""
    predictor = Clocked(*args, **options)
    monkeypatch.setattr("time.perf_counter", lambda: predictor.seconds)
    return predictor
