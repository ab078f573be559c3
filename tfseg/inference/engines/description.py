"""tfseg.json: what every artifact made by tfseg says about itself."""

import dataclasses
import json
import math

from tfseg.errors import InputError, shortened
from tfseg.formats.export_manifest import DESCRIPTION, FORMAT
from tfseg.labels import DatasetInfo
from tfseg.postprocess.fusion_config import NETWORK_FIELDS, FusionConfig

PADDINGS = ("same", "symmetric")


@dataclasses.dataclass(frozen=True)
class Description:
    """An artifact's description of itself.

    Attributes:
      name: the model's name.
      info: what its class ids mean.
      is_recurrent: whether it can be iterated at all.
      iterations: default number of iterations. It is the only number for the kinds "segment", "resizable" and
        "panoptic".
      max_iterations: largest number of iterations.
      size: (height, width) of the network's input; None for any size.
      padding, stride: the canvas' padding and stride, see `layers.resize.upsample`.
      kind: "savedmodel", "segment", "resizable", "stream", "dynamic" or "panoptic".
      fusion: how the maps of a panoptic model become instances; None for other models.
    """

    name: str
    info: DatasetInfo
    is_recurrent: bool
    iterations: int
    max_iterations: int
    size: tuple[int, int] | None
    padding: str
    stride: int
    kind: str
    fusion: FusionConfig | None = None


def parse(content, path) -> Description:
    """Parses the content of a tfseg.json.

    Args:
      content: the bytes, or the parsed JSON types.
      path: the artifact's path, for messages.
    Raises:
      InputError: the content is damaged, or of another version.
    """
    try:
        values = json.loads(content) if isinstance(content, bytes) else content
        return _parsed(values, path)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = f"there is no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        reason = shortened(reason, 120)
        raise InputError(f"{path}: its {DESCRIPTION} is damaged ({reason}); export or download it again") from error


def noted_iterations(listed, described) -> int:
    """Returns the default number of iterations: the manifest's, from export.py --fit_latency, or the artifact's own.

    Args:
      listed: the artifact's `export_manifest.Listed`; None if no manifest lists it.
      described: the artifact's Description.
    """
    budget = listed.values.get("budget") if listed else None
    noted = budget.get("iterations") if isinstance(budget, dict) else None
    return noted if _is_count(noted) and noted <= described.max_iterations else described.iterations


def _parsed(values, path):
    if values["format"] != FORMAT:
        found = shortened(repr(values["format"]), 60)
        raise InputError(f"{path}: its format is {found}, this version reads {FORMAT!r}; update tfseg")
    size = values["size"]
    if size is not None and (len(size) != 2 or not all(_is_count(side) for side in size)):
        raise ValueError(f"size is {size!r}")
    for name in ("iterations", "max_iterations", "stride"):
        if not _is_count(values[name]):
            raise ValueError(f"{name} is {values[name]!r}")
    if values["iterations"] > values["max_iterations"]:
        raise ValueError(f"iterations is {values['iterations']}, max_iterations {values['max_iterations']}")
    if values["padding"] not in PADDINGS:
        raise ValueError(f"padding is {values['padding']!r}")
    if not isinstance(values["is_recurrent"], bool):
        raise ValueError(f"is_recurrent is {values['is_recurrent']!r}")
    return Description(
        str(values["name"]),
        DatasetInfo.from_dict(values["classes"]),
        values["is_recurrent"],
        values["iterations"],
        values["max_iterations"],
        size and tuple(size),
        values["padding"],
        values["stride"],
        str(values["kind"]),
        _fusion(values),
    )


def _fusion(values):
    if "fusion" not in values:
        return None
    fields = values["fusion"]
    numbers = {name: fields[name] for name in NETWORK_FIELDS if name != "graph"}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}")
    try:
        return FusionConfig.of_network(str(fields["graph"]), **numbers)
    except InputError as error:
        raise ValueError(str(error)) from error


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
