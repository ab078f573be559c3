"""What a report evaluates, and how."""

import dataclasses
import math

from tfseg.errors import InputError, listed
from tfseg.inference.views import FUSIONS, Window, views_of


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """What is evaluated, and how.

    Attributes:
      split: name of the split; None means the run's validation split, or see `open_scored_split` for other data.
      data_dir: folder of the data; None means the run's.
      iterations: the model is scored after 1, 2, ..., this many iterations; None means the number it was trained with.
      weights: "last" or "best" of a run directory.
      output_stride: output stride of the backbone, if it differs from training; None means that of training.
      multi_scale, scales, flip: views of each image, see `views_of`.
      size, long_side: what scale 1 is: (height, width), or pixels of the longer side; None for both is the image's own
        size.
      window: the windows that slide over every view; None for whole views.
      fusion: how the views become one answer, one of `views.FUSIONS`.
      report_dir: folder of the report; None means `report` in the run directory.
      panoptic_output: folder for labels and instances in COCO's panoptic format; None writes none.
      compare: models that are drawn into the same chart. A run directory or model zoo folder, RUN or RUN@OUTPUT_STRIDE,
        is evaluated on the same images in the same views, and timed in turn with this model. A folder that holds only a
        report contributes the report's curve.
    """

    split: str | None = None
    data_dir: str | None = None
    iterations: int | None = None
    weights: str = "last"
    output_stride: int | None = None
    multi_scale: bool = False
    scales: tuple[float, ...] = ()
    flip: bool = False
    size: tuple[int, int] | None = None
    long_side: int | None = None
    window: Window | None = None
    fusion: str = "logits"
    report_dir: str | None = None
    panoptic_output: str | None = None
    compare: tuple[str, ...] = ()

    def __post_init__(self):
        """Raises InputError for options that exclude each other or would do nothing."""
        if self.multi_scale and self.scales:
            raise InputError("--scales and --multi_scale, which means six scales of its own: give one of them")
        if not all(0 < scale < math.inf for scale in self.scales) or len(set(self.scales)) < len(self.scales):
            raise InputError(f"--scales={listed(self.scales)}: different numbers above 0 are wanted")
        if self.size and self.long_side is not None:
            raise InputError("--size and --long_side both say how images are resized: give one of them")
        if self.long_side is not None and self.long_side < 1:
            raise InputError(f"--long_side={self.long_side}: at least 1 pixel")
        if self.fusion not in FUSIONS:
            raise InputError(f"--fuse={self.fusion}: unknown; one of {listed(FUSIONS)}")
        num_summed = len({view.scale for view in self.views}) if self.fusion == "exp_logits" else len(self.views)
        if self.fusion != "logits" and num_summed == 1:
            needed = "several scales" if self.fusion == "exp_logits" else "several scales or --flip"
            raise InputError(f"--fuse={self.fusion} does nothing without {needed}")

    @property
    def views(self):
        return views_of(
            self.multi_scale,
            self.flip,
            self.size,
            scales=self.scales,
            long_side=self.long_side,
            window=self.window,
        )

    def iterations_of(self, network) -> int:
        """How many iterations are scored. Raises InputError if fewer than 1 are asked for."""
        if self.iterations is not None and self.iterations < 1:
            raise InputError(f"{self.iterations} iterations: at least 1")
        return network.default_iterations if self.iterations is None else self.iterations
