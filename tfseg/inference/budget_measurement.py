"""Measures on this machine how many iterations fit into a given time, for one image."""

import dataclasses
import functools
import math
import time

from tfseg.errors import InputError
from tfseg.system import timing

ROUNDS = 60  # with fewer rounds, the 95th percentile is almost the slowest run
FEW_ROUNDS = 20
SECONDS = 20.0  # about how long a measurement takes at most
PROBES = 3
FAR_ABOVE = 10  # a run of more than this many times the budget need not be measured twice


@dataclasses.dataclass(frozen=True)
class Choice:
    """The largest number of iterations that stays within a budget.

    The times never fall as the number of iterations grows: if a larger number happened to be measured faster than a
    smaller one, it is given the smaller number's time.

    Attributes:
      iterations: the chosen number of iterations.
      budget_ms: milliseconds that 95 % of the images have to stay within.
      median, p95: {iterations: milliseconds} for all numbers of iterations that were measured.
      rounds: how often the chosen number was measured.
      most: the reason if nothing larger was tried; otherwise None.
      endings: milliseconds from the start of the last iteration to the class map, for all runs of more than one
        iteration; empty if the model does not tell when an iteration starts.
    """

    iterations: int
    budget_ms: float
    median: dict[int, float]
    p95: dict[int, float]
    rounds: int
    most: str | None = None
    endings: tuple[float, ...] = ()

    def __str__(self):
        text = (
            f"{counted(self.iterations)}: median {self.median[self.iterations]:.1f} ms, "
            f"p95 {self.p95[self.iterations]:.1f} of {self.budget_ms:g} ms"
        )
        larger = min((count for count in self.p95 if count > self.iterations), default=None)
        if larger is not None:
            text += f"; {larger} would take {self.p95[larger]:.1f} (p95)"
        elif self.most:
            text += f"; {self.most}"
        return text + (f"; {self.rounds} of {ROUNDS} rounds in time" if self.rounds < FEW_ROUNDS else "")

    def to_dict(self) -> dict:
        """Returns the choice and its times in milliseconds, in JSON types."""
        return {
            "milliseconds": self.budget_ms,
            "iterations": self.iterations,
            "median": self.median[self.iterations],
            "p95": self.p95[self.iterations],
            "rounds": self.rounds,
        }


def check_budget(budget_ms, name="budget_ms"):
    """Raises InputError for a budget that is not a finite number above 0; `name` is the budget's name in messages."""
    if not (math.isfinite(budget_ms) and budget_ms > 0):
        raise InputError(f"{name} is {budget_ms:g}; milliseconds above 0")


class NothingFits(InputError):
    """Not even the fewest iterations stay within the budget."""


def choose_iterations(milliseconds, budget_ms, max_iterations=None) -> Choice:
    """Chooses the largest number of iterations whose 95th percentile is within the budget.

    Args:
      milliseconds: {iterations: times of single runs in milliseconds}.
      budget_ms: the budget in milliseconds.
      max_iterations: largest number that can be run, for `Choice.most`.
    Raises:
      NothingFits: not even the smallest number stays within the budget.
    """
    median, p95 = {}, {}
    slowest_median = slowest_p95 = 0.0
    for count in sorted(milliseconds):
        median[count] = slowest_median = max(slowest_median, timing.median(milliseconds[count]))
        p95[count] = slowest_p95 = max(slowest_p95, timing.p95(milliseconds[count]))
    fitting = [count for count in p95 if p95[count] <= budget_ms]
    if not fitting:
        least = min(p95)
        raise NothingFits(
            f"{counted(least)}, the fewest, takes {median[least]:.1f} ms (median), {p95[least]:.1f} (p95), more than "
            f"the {budget_ms:g} ms of the budget; take a smaller image, a smaller model, an exported int8 file or more "
            "--threads"
        )
    rounds = len(milliseconds[max(fitting)])
    return Choice(
        max(fitting), budget_ms, median, p95, rounds, "more cannot be run" if max(fitting) == max_iterations else None
    )


def measure(predictor, image, budget_ms, max_iterations=None, seconds=SECONDS) -> Choice:
    """Measures a predictor on this machine and chooses the number of iterations.

    Args:
      predictor: a `tfseg.inference.predictor.Predictor`.
      image: [height, width, 3] uint8.
      budget_ms: milliseconds from the image to its class map.
      max_iterations: largest number that is tried. None is the predictor's `trained_iterations`, above which results
        do not get better.
      seconds: see `measure_runs`.
    Raises:
      InputError: the budget is not above 0.
      NothingFits: not even the fewest iterations stay within the budget.
    """
    least, is_limited = predictor.min_iterations, max_iterations or predictor.max_iterations
    most = max(max_iterations or predictor.trained_iterations, least)
    endings = []

    def predict(count):
        began = predictor.predict(image, count, latest_start=math.inf).began
        if began is not None:
            endings.append(1000 * (time.perf_counter() - began))

    choice = measure_runs(lambda count: functools.partial(predict, count), least, most, budget_ms, seconds)
    reason = choice.most if is_limited or not choice.most else "training ran no more, and more are not tried"
    return dataclasses.replace(choice, most=reason, endings=tuple(endings))


def measure_runs(prepare, least, most, budget_ms, seconds=SECONDS, is_costly=False) -> Choice:
    """THE strategy to find how many iterations fit, for anything that can run a given number of iterations.

    It measures the numbers of iterations near the point where the budget ends. It runs them in turn, so that a slow
    moment of the machine affects all of them, for ROUNDS rounds after a first one that is not counted. Numbers far
    above the budget are not run.

    Args:
      prepare: number of iterations -> callable without arguments that runs them on one image; it is called once for
        each number.
      least, most: smallest and largest number of iterations that are tried.
      budget_ms: milliseconds that 95 % of the calls have to stay within.
      seconds: about how long the measurement takes at most, unless single runs take that long; slow calls get fewer
        rounds.
      is_costly: whether to prepare as few numbers as possible, because preparing one costs more than running it.
    Raises:
      InputError: the budget is not above 0.
      NothingFits: not even the fewest iterations stay within the budget.
    """
    check_budget(budget_ms)
    prepared = functools.cache(prepare)
    taken = _times(lambda count: prepared(count)(), least, most, budget_ms, seconds, 2 if is_costly else most)
    return choose_iterations(taken, budget_ms, most)


def _times(run, least, most, budget_ms, seconds, most_in_turn):
    """Returns {iterations: milliseconds of single runs} for neighbouring numbers near where the budget ends."""
    run(least)  # traces and allocates
    start = time.perf_counter()

    def fastest_of(count):
        probes = PROBES if time.perf_counter() < start + seconds / 4 else 1
        return _fastest(lambda: run(count), budget_ms, probes)

    def left():
        # A group needs some rounds even if the groups measured before it turned out not to fit.
        return max(start + seconds - time.perf_counter(), seconds / 4)

    def in_turn(counts):
        return timing.interleaved({count: functools.partial(run, count) for count in counts}, ROUNDS, left())

    highest, fastest = _first_above(fastest_of, least, most, budget_ms)
    if fastest[least] > FAR_ABOVE * budget_ms:
        return {least: [fastest[least]]}
    waiting, taken = list(range(least, highest + 1)), {}
    while waiting:
        group = _affordable(waiting, fastest, left())[-most_in_turn:]
        waiting = waiting[: -len(group)]
        taken |= in_turn(group)
        if timing.p95(taken[group[0]]) <= budget_ms:
            break
    taken.setdefault(least, [fastest[least]])  # used when the machine is so slow that nothing else fits
    # In a slow moment, a number can seem to be above the budget although it is not.
    while timing.p95(taken[highest]) <= budget_ms and highest < most:
        highest += 1
        taken |= in_turn((highest - 1, highest))
    return taken


def _first_above(fastest_of, least, most, budget_ms):
    """Returns (smallest number whose fastest run is above the budget, or `most`; {iterations: fastest run})."""
    fastest, fitting, above = {}, least - 1, least
    while True:
        fastest[above] = fastest_of(above)
        if fastest[above] > budget_ms or above == most:
            break
        fitting, above = above, min(2 * above, most)
    if fastest[above] <= budget_ms:
        return above, fastest
    while above - fitting > 1:
        middle = (fitting + above) // 2
        fastest[middle] = fastest_of(middle)
        fitting, above = (middle, above) if fastest[middle] <= budget_ms else (fitting, middle)
    return above, fastest


def _fastest(call, budget_ms, probes):
    """Returns the milliseconds of the fastest of `probes` runs; stops at one within the budget or far above it."""
    fastest = math.inf
    for _ in range(probes):
        begin = time.perf_counter()
        call()
        fastest = min(fastest, 1000 * (time.perf_counter() - begin))
        if fastest <= budget_ms or fastest > FAR_ABOVE * budget_ms:
            break
    return fastest


def _affordable(waiting, fastest, seconds):
    """Returns the largest of the ascending numbers `waiting`, at least two, whose ROUNDS rounds fit into `seconds`."""
    above = {count: next(fastest[other] for other in sorted(fastest) if other >= count) for count in waiting}
    total, group = 0.0, []
    for count in reversed(waiting):
        total += above[count] * (ROUNDS + 1) / 1000
        if len(group) >= 2 and total > seconds:
            break
        group.insert(0, count)
    return group


def counted(iterations) -> str:
    """Returns the number with its noun, e.g. "2 iterations"."""
    return f"{iterations} iteration{'s' if iterations > 1 else ''}"
