"""Times recurrent and feed-forward models with random weights as .tflite files on this machine.

python -m tfseg.benchmarks.tflite
    The recurrent model with 2 iterations beside DeepLabV3, both on MobileNetV2 at stride 16: 513x513, 21 classes, one
    thread.
"""

import dataclasses
import sys

import numpy as np
from absl import flags

from tfseg import architectures, markdown
from tfseg.backbones import BackboneConfig
from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.export import tflite
from tfseg.export.functions import NetworkFunctions
from tfseg.formats import tflite_file
from tfseg.inference.engines import tflite_interpreter, tflite_runtime
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import tflite_cost
from tfseg.system import timing
from tfseg.system.progress import say
from tfseg.system.temporary import TemporaryFolder

SIZE = flags.DEFINE_string("size", "513x513", "HEIGHTxWIDTH of the image.")
CLASSES = flags.DEFINE_integer("classes", 21, "Number of classes.", lower_bound=2)
ITERS = flags.DEFINE_integer("iters", 2, "Iterations of the recurrent models.", lower_bound=1)
PRECISIONS = flags.DEFINE_list("precisions", ["int8", "fp16", "fp32"], ", ".join(tflite.PRECISIONS))
ROUNDS = flags.DEFINE_integer("runs", 20, "Timed runs of each file, in turn.", lower_bound=1)
THREADS = flags.DEFINE_integer("threads", 1, "Of the interpreter.", lower_bound=1)
NUM_IMAGES = 4  # random images on which int8 measures ranges, which do not change its time


def models(iterations) -> dict:
    """{name: config}; the others are compared with the first one."""
    backbone = BackboneConfig("mobilenet_v2")
    return {
        "deeplabv3": DeepLabV3Config(backbone),
        "deeplabv3, mobile head": DeepLabV3Config(backbone, atrous_rates=()),
        f"rnn 512/256, {iterations} iterations": RNNConfig(backbone, iterations=iterations),
        f"rnn 128/64, {iterations} iterations": RNNConfig(backbone, iterations=iterations, widths=(128, 64)),
    }


@dataclasses.dataclass(frozen=True)
class Timed:
    """The figures of one file: precision and model, bytes, 10^9 FLOPs, and milliseconds of each run."""

    precision: str
    model: str
    num_bytes: int
    gflops: float
    milliseconds: list[float]


def measure(size, num_classes, iterations, precisions, rounds, threads, configs=None) -> list[Timed]:
    """Converts every model to every precision, and runs all files in turn.

    Args:
      size: (height, width) of the image, pixels.
      num_classes: number of classes.
      iterations: number of iterations of the recurrent models.
      precisions: precisions, from `tflite.PRECISIONS`.
      rounds: number of timed runs of each file.
      threads: number of threads of the interpreter.
      configs: {name: config}; None means `models(iterations)`.
    """
    images = np.random.default_rng(0).integers(0, 256, [NUM_IMAGES, *size, 3], dtype=np.uint8)
    calls, facts = {}, {}
    with TemporaryFolder() as folder:
        for name, config in (configs or models(iterations)).items():
            functions = NetworkFunctions(architectures.build(config, num_classes), size)
            signatures = functions.segment(iterations)
            for precision in precisions:
                say(f"converting {name} to {precision}")
                content = tflite.convert(functions.holder, signatures, precision, images)
                path = folder / f"{len(calls)}.tflite"
                path.write_bytes(content)
                macs = sum(operation.macs for operation in tflite_cost.operations(tflite_file.read(path)))
                facts[precision, name] = len(content), 2 * macs / 1e9
                calls[precision, name] = _call(path, threads)
        taken = timing.interleaved(calls, rounds, seconds=600)
    order = {precision: number for number, precision in enumerate(precisions)}
    return sorted((Timed(*key, *facts[key], taken[key]) for key in calls), key=lambda one: order[one.precision])


def _call(path, threads):
    program = tflite_runtime.load(path, threads, trust=True)
    [(signature, tensors)] = program.signatures.items()
    image = np.random.default_rng(1).integers(0, 256, tensors.inputs["image"].shape)
    return lambda: program.run(signature, {"image": image.astype(tensors.inputs["image"].dtype)})


def as_markdown(rows) -> str:
    """A Markdown table; each ratio compares a median time with that of the first model at the same precision."""
    lines, first = [], {}
    for row in rows:
        median = timing.median(row.milliseconds)
        first.setdefault(row.precision, median)
        lines.append(
            [
                row.precision,
                row.model,
                f"{row.num_bytes / 1e6:.2f}",
                f"{row.gflops:.2f}",
                f"{median:.1f}",
                f"{timing.p95(row.milliseconds):.1f}",
                f"{median / first[row.precision]:.2f}",
            ]
        )
    header = ["precision", "model", "MB", "GFLOPs", "ms", "p95", "ratio"]
    return markdown.table(header, lines, [False, False] + [True] * 5)


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    for precision in PRECISIONS.value:
        if precision not in tflite.PRECISIONS:
            raise InputError(f"--precisions={precision}: of {', '.join(tflite.PRECISIONS)}")
    size = entry.parse_size("size", SIZE.value)
    rows = measure(size, CLASSES.value, ITERS.value, PRECISIONS.value, ROUNDS.value, THREADS.value)
    print(as_markdown(rows), f"interpreter: {tflite_interpreter.runtime()}, {THREADS.value} threads", sep="\n\n")


if __name__ == "__main__":
    sys.exit(entry.run(main))
