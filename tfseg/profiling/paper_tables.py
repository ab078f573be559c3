"""Compares the cost table of the recurrent paper (McIntosh et al., Table 3, and its video example) with our counts.

The paper's figures are given here as printed. Our figures are counted on models built for this comparison. The
configurations behind the paper's figures were inferred from all of its figures together.
"""

import dataclasses

import numpy as np

from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.inference.views import views_of
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.pspnet import PSPNetConfig
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import flops

NUM_CLASSES, SIZE = 21, (513, 513)
VIDEO_SIZE, VIDEO_ITERATIONS = (180, 270), 2
GRID = 32  # inputs are padded to a multiple of this, plus 1
HEAD_SIZE = (60, 60)  # map size of PSPNet's 3x3 convolution, at every input
COLUMNS = {
    "system": "system",
    "iterations": "iterations",
    "input": "input",
    "paper_gmacs": "paper GMACs",
    "our_gmacs": "our GMACs",
    "rounds_to_it": "rounds to the paper's digits",
}


@dataclasses.dataclass(frozen=True)
class Published:
    """The printed figures of one model, in 10^9 multiply-accumulates.

    Attributes:
      system: name and output stride.
      model: config of the model behind the figures.
      single, multi: figures as printed, one per iteration: at one scale, and at six scales with their mirror images.
      video: figure for one frame of 180x270, or None.
    """

    system: str
    model: object
    single: tuple[str, ...]
    multi: tuple[str, ...]
    video: str | None = None


def published_table() -> list[Published]:
    """Returns the paper's table, with the models behind its figures."""
    return [
        Published(
            "RNN, stride 16",
            RNNConfig(BackboneConfig("resnet101_v1"), hoist=False),
            ("61.1", "67.7", "74.4", "81.0", "87.7", "94.3"),
            ("1040", "1160", "1269", "1380", "1500", "1610"),
            "15.4",
        ),
        # The paper has rates 12, 24 and 36 at both strides; our config gives rates for stride 16 and doubles them at 8.
        Published(
            "DeepLabV3, stride 16",
            DeepLabV3Config(BackboneConfig("resnet101_v1_beta"), (12, 24, 36)),
            ("85.6",),
            ("1540",),
            "25.7",
        ),
        Published(
            "DeepLabV3, stride 8",
            DeepLabV3Config(BackboneConfig("resnet101_v1_beta", output_stride=8), (6, 12, 18)),
            ("276",),
            ("4870",),
        ),
        Published(
            "PSPNet, stride 16", PSPNetConfig(BackboneConfig("resnet101_v1"), head_size=HEAD_SIZE), ("122",), ("1740",)
        ),
        Published(
            "PSPNet, stride 8",
            PSPNetConfig(BackboneConfig("resnet101_v1", output_stride=8), head_size=HEAD_SIZE),
            ("260",),
            ("4090",),
        ),
    ]


def compute(table, say=lambda line: None) -> list[dict]:
    """Returns rows {system, iterations, input, paper_gmacs (as printed), our_gmacs, rounds_to_it}.

    Our figures follow the paper's convention.

    Args:
      table: the result of `published_table`.
      say: called with one line of progress per model.
    """
    rows = []
    for published in table:
        say(f"counting {published.system}")
        network = architectures.build(published.model, NUM_CLASSES)
        count = len(published.single)
        for name, printed, views in (
            ("single scale", published.single, views_of()),
            ("multi-scale, flip", published.multi, views_of(multi_scale=True, flip=True)),
        ):
            sizes = [view.size(SIZE) for view in views]
            costs = {size: flops.published_gmacs(network, size, count) for size in set(sizes)}
            ours = np.sum([costs[size] for size in sizes], axis=0)
            rows += [
                _row(published.system, index if network.is_recurrent else None, f"513x513, {name}", *figures)
                for index, figures in enumerate(zip(printed, ours, strict=True), 1)
            ]
        if published.video:
            rows.append(_video_row(published, network))
    return rows


def video_rows(say=lambda line: None) -> list[dict]:
    """Returns the rows of the paper's video example alone: see `compute`."""
    rows = []
    for published in published_table():
        if published.video:
            say(f"counting {published.system}, the paper's video example")
            rows.append(_video_row(published, architectures.build(published.model, NUM_CLASSES)))
    return rows


def _video_row(published, network):
    iterations = VIDEO_ITERATIONS if network.is_recurrent else 1
    ours = flops.published_gmacs(network, padded_size(VIDEO_SIZE), iterations)[-1]
    shown = iterations if network.is_recurrent else None
    return _row(published.system, shown, "180x270, a video frame", published.video, ours)


def padded_size(size):
    """Returns (height, width), each the next multiple of 32 plus 1: at such sizes a strided grid meets both edges."""
    return tuple(-(-(side - 1) // GRID) * GRID + 1 for side in size)


def _row(system, iterations, image, printed, ours):
    return {
        "system": system,
        "iterations": iterations,
        "input": image,
        "paper_gmacs": printed,
        "our_gmacs": float(ours),
        "rounds_to_it": rounds_to(float(ours), printed),
    }


def rounds_to(value, printed) -> bool:
    """Whether a figure rounds to the printed digits, at least three: 1041 rounds to "1040", 61.055 to "61.1"."""
    if "." in printed:
        return f"{value:.{len(printed.partition('.')[2])}f}" == printed
    digits = max(len(printed.rstrip("0")), 3)
    return round(value, digits - len(printed)) == float(printed)
