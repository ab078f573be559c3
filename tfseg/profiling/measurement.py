"""Measures time and memory of calls, and their speed relative to a matrix product on the same machine."""

from tfseg.system import resident_memory, timing

MATRIX_SIDE = 1024
MATRIX_PRODUCT = "matrix product"


def measure(calls, product, rounds):
    """Times calls in turn with a product of two matrices.

    Args:
      calls: {key: callable without arguments that returns when its work is done}.
      product: callable that multiplies two matrices of MATRIX_SIDE x MATRIX_SIDE float32.
      rounds: number of timing rounds, at least 1.
    Returns:
      {key: milliseconds of each run}, with the product's under MATRIX_PRODUCT, and {key: `resident_growth` of the first
      run}.
    """
    grown = {key: resident_growth(call) for key, call in calls.items()}
    return timed(calls, product, rounds), grown


def timed(calls, product, rounds) -> dict:
    """Returns the milliseconds of calls and of a product of two matrices in turn; see `measure`."""
    return timing.interleaved(calls | {MATRIX_PRODUCT: product}, rounds)


def speeds(taken, grown, gmacs) -> dict:
    """Returns {key: the measured fields of `profile.Cost`}.

    Args:
      taken, grown: the result of `measure`.
      gmacs: {key: 10^9 multiply-accumulates of a run}.
    """
    reachable = 2 * MATRIX_SIDE**3 / 1e6 / timing.median(taken[MATRIX_PRODUCT])
    measured = {}
    for key in gmacs:
        speed = 2 * gmacs[key] * 1e3 / timing.median(taken[key])
        measured[key] = {
            "resident_mib": grown[key],
            "milliseconds": timing.median(taken[key]),
            "milliseconds_p95": timing.p95(taken[key]),
            "gflops_per_second": speed,
            "share_of_matrix_product": speed / reachable,
        }
    return measured


def resident_growth(call) -> float | None:
    """Returns by how many 2^20 bytes the process' peak memory exceeds, during a call, its memory before; or None."""
    grown = resident_memory.growth_in(call)
    return None if grown is None else grown / 2**20
