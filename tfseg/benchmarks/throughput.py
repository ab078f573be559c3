"""Times ShelfNet beside networks that it is compared with, with random weights, on this machine.

python -m tfseg.benchmarks.throughput
    ShelfNet on ResNet-50 and -101, PSPNet on ResNet-50 at output stride 8 and light-weight ShelfNet on ResNet-18: one
    image of 512x512 from memory to logits of the same size, 21 classes, all in turn.
python -m tfseg.benchmarks.throughput --image_size=1024 --num_classes=19 --num_runs=10 --num_threads=1
"""

import dataclasses
import sys

import tensorflow as tf
from absl import flags

from tfseg import architectures, markdown
from tfseg.backbones import BackboneConfig
from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.layers.resize import upsample
from tfseg.models.light_shelfnet import LightShelfNetConfig
from tfseg.models.pspnet import PSPNetConfig
from tfseg.models.shelfnet import ShelfNetConfig
from tfseg.profiling import flops, profile
from tfseg.system import timing
from tfseg.system.progress import say

IMAGE_SIZE = flags.DEFINE_integer("image_size", 512, "Sides of the square image, pixels.", lower_bound=32)
NUM_CLASSES = flags.DEFINE_integer("num_classes", 21, "Number of classes.", lower_bound=2)
NUM_RUNS = flags.DEFINE_integer("num_runs", 20, "Timed runs of each network, in turn.", lower_bound=1)
NUM_THREADS = flags.DEFINE_integer("num_threads", 0, "Threads of one operation; 0 is one a core.", lower_bound=0)
LONGEST_SECONDS = 3600.0
# Images a second that the paper prints for 512x512 on a GTX 1080 Ti; it does not say on which backbone PSPNet ran.
PAPER_SPEEDS = {"ShelfNet, ResNet-50": 59, "ShelfNet, ResNet-101": 42, "PSPNet, ResNet-50, stride 8": 11}


def models() -> dict:
    """Returns {name: config}; the others are compared with the first one."""
    resnet50, resnet101 = (BackboneConfig(f"resnet{depth}_v1_5", output_stride=32) for depth in (50, 101))
    return {
        "ShelfNet, ResNet-50": ShelfNetConfig(resnet50),
        "ShelfNet, ResNet-101": ShelfNetConfig(resnet101),
        "PSPNet, ResNet-50, stride 8": PSPNetConfig(dataclasses.replace(resnet50, output_stride=8)),
        "light ShelfNet, ResNet-18": LightShelfNetConfig(BackboneConfig("resnet18", output_stride=32)),
    }


@dataclasses.dataclass(frozen=True)
class Timed:
    """The figures of one network: 10^9 multiply-accumulates, weights, and milliseconds of each run."""

    model: str
    gmacs: float
    parameters: int
    milliseconds: list[float]


def measure(configs, side, num_classes, num_runs) -> list[Timed]:
    """Runs all networks in turn.

    Args:
      configs: {name: config}.
      side: sides of the square image, pixels.
      num_classes: number of classes.
      num_runs: number of timed runs of each network; the first one, which warms up, is not counted.
    """
    calls, facts = {}, {}
    for name, config in configs.items():
        say(f"building {name}")
        network = architectures.build(config, num_classes)
        function = _to_logits(network, side)
        weights = sum(variable.shape.num_elements() for variable in network.trainable_variables)
        facts[name] = flops.gmacs(flops.count(function)), weights
        calls[name] = _call(function, side)
    taken = timing.interleaved(calls, num_runs, LONGEST_SECONDS)
    return [Timed(name, *facts[name], taken[name]) for name in configs]


def _to_logits(network, side):
    """Returns the concrete function from an image to logits of its size. Heads that serve training alone are off."""

    def run(image):
        canvas = network.refine(network.encode(image, training=False))["canvas"]
        return upsample(canvas, (side, side), network.canvas_stride, network.padding)

    return tf.function(run).get_concrete_function(tf.TensorSpec([1, side, side, 3], tf.float32))


def _call(function, side):
    image = tf.random.stateless_uniform([1, side, side, 3], [0, 0], 0, 255)
    return lambda: function(image)[0, 0, 0, 0].numpy()  # a device has done its work when a number comes back


def as_markdown(rows) -> str:
    """A Markdown table; ratios compare median times with that of the first network, and the paper's speeds likewise."""
    lines, first = [], timing.median(rows[0].milliseconds)
    for row in rows:
        median, printed = timing.median(row.milliseconds), PAPER_SPEEDS.get(row.model)
        paper = [str(printed), f"{PAPER_SPEEDS[rows[0].model] / printed:.2f}"] if printed else ["", ""]
        lines.append(
            [
                row.model,
                f"{row.gmacs:.2f}",
                f"{row.parameters:,}",
                f"{median:.1f}",
                f"{timing.p95(row.milliseconds):.1f}",
                f"{1000 / median:.2f}",
                f"{median / first:.2f}",
                *paper,
            ]
        )
    header = [
        "model",
        "GMACs",
        "parameters",
        "ms",
        "p95",
        "images/s",
        "ratio of times",
        "paper images/s",
        "paper ratio",
    ]
    return markdown.table(header, lines, [False] + [True] * 8)


def conditions(side, num_classes, num_runs) -> dict:
    """Returns what was measured and where; for the arguments see `measure`."""
    return {
        "image": f"1 x {side}x{side}, to logits of that size",
        "classes": num_classes,
        "precision": tf.keras.mixed_precision.global_policy().name,
        "heads for training": "off",
        "runs": f"{num_runs} of each in turn, after one that is not counted",
        **profile.device(),
        "paper": "512x512, float32, on a GTX 1080 Ti; it says nothing of heads and of PSPNet's backbone",
    }


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if NUM_THREADS.value:
        tf.config.threading.set_intra_op_parallelism_threads(NUM_THREADS.value)
    side = IMAGE_SIZE.value
    rows = measure(models(), side, NUM_CLASSES.value, NUM_RUNS.value)
    print(as_markdown(rows), end="\n\n")
    found = conditions(side, NUM_CLASSES.value, NUM_RUNS.value)
    print(*(f"{name}: {value}" for name, value in found.items()), sep="\n")


if __name__ == "__main__":
    sys.exit(entry.run(main))
