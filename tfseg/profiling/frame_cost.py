"""What a frame of a video costs: afresh, or from the state of the frame before."""

import dataclasses

from tfseg.errors import InputError
from tfseg.formats import tflite_file
from tfseg.inference.views import tiling_of
from tfseg.profiling import flops, frozen_graph, tflite_cost

STEPS, START, GATE = ("encode", "refine", "decode"), "start", "gate"


@dataclasses.dataclass(frozen=True)
class FrameCost:
    """Costs of the frames of one size, executed, in GFLOPs (2 per multiply-accumulate).

    Attributes:
      first: a frame that starts afresh and runs one iteration.
      seeded: a frame that starts from the one before and runs one iteration.
      iteration: every further iteration.
    """

    first: float
    seeded: float
    iteration: float

    def gflops(self, iterations: int, is_seeded: bool) -> float:
        """Returns the cost of a frame."""
        return (self.seeded if is_seeded else self.first) + (iterations - 1) * self.iteration


def of_engine(engine, size) -> FrameCost | None:
    """Counts what an engine runs for frames of a size; None for a model whose operations are not known.

    Args:
      engine: an `inference.engines.engine.Engine`.
      size: (height, width) of the frames, before the engine resizes them.
    """
    if engine.segmenter is not None:
        return of_segmenter(engine.segmenter, engine.size or size)
    if not (engine.path.endswith(".tflite") and engine.size):
        return None
    try:
        return of_tflite_file(engine.path)
    except InputError:  # an operator that cannot be counted does not keep the file from being run
        return None


def of_segmenter(segmenter, size) -> FrameCost:
    """Counts the frames of a network, or of a SavedModel as its engine shows it.

    Args:
      segmenter: a `models.segmenter.Segmenter`.
      size: (height, width) of the frames that it gets; large ones go through it in tiles.
    """
    tiling = tiling_of(size)
    size, count = tiling.tile, len(tiling.corners)
    first = count * _counted(segmenter, size, 1, False)
    if not segmenter.state_spec():
        return FrameCost(first, first, 0.0)
    further = count * _counted(segmenter, size, 2, False) - first if segmenter.is_recurrent else 0.0
    # Frames that are cut into tiles always start afresh.
    return FrameCost(first, first if count > 1 else _counted(segmenter, size, 1, True), further)


def of_tflite_file(path) -> FrameCost:
    """Counts the frames of a .tflite file of a fixed size. Raises InputError if an operator cannot be counted."""
    model = tflite_file.read(path)
    signatures = tflite_file.signatures(model)

    def gflops(name, iterations=None):
        return 2 * sum(one.macs for one in tflite_cost.operations(model, iterations, signatures[name])) / 1e9

    if set(STEPS) <= set(signatures):
        encode, refine, decode = map(gflops, STEPS)
        gate = gflops(GATE) if GATE in signatures else 0.0
        seeded = encode + gate + refine + decode
        if START in signatures:
            return FrameCost(encode + gflops(START) + decode, seeded, 0.0)
        return FrameCost(encode + refine + decode, seeded, refine)
    [name] = signatures
    if not tflite_cost.has_loop(model, signatures[name]):
        return FrameCost(gflops(name), gflops(name), 0.0)
    first = gflops(name, 1)
    return FrameCost(first, first, gflops(name, 2) - first)


def _counted(segmenter, size, iterations, from_zeros):
    traced = flops.trace(segmenter, size, iterations, from_zeros)
    return 2 * flops.gmacs(flops.count(frozen_graph.freeze(traced)))
