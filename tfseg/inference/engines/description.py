"""tfseg.json: what every artifact made by tfseg says about itself."""

import dataclasses
import typing

from tfseg.errors import InputError
from tfseg.formats.export_manifest import DESCRIPTION, FORMAT
from tfseg.labels import DatasetInfo
from tfseg.models.segmenter import CarryConfig
from tfseg.postprocess.fusion_config import LATER_FIELDS, NETWORK_FIELDS, FusionConfig
from tfseg.system.small_files import AtLeastOne, FieldError, Matches, Open, json_of, typed


@dataclasses.dataclass(frozen=True)
class Description:
    """An artifact's description of itself.

    Attributes:
      name: the model's name.
      info: what its class ids mean.
      is_recurrent: whether it can be iterated at all.
      iterations: default number of iterations. It is the only number for the kinds "segment", "class_map", "resizable"
        and "panoptic".
      max_iterations: largest number of iterations.
      size: (height, width) of the network's input; None for any size.
      padding, stride: the canvas' padding and stride, see `layers.resize.upsample`.
      kind: "savedmodel", "segment", "class_map", "resizable", "stream", "dynamic" or "panoptic".
      fusion: how the maps of a panoptic model become instances; None for other models.
      carry: how a video frame starts from the one before; None for a model that keeps no state.
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
    carry: CarryConfig | None = None


@dataclasses.dataclass(frozen=True)
class _File(Open):
    """The fields of the file; see `Description`."""

    format: str
    name: str
    classes: DatasetInfo
    is_recurrent: bool
    iterations: AtLeastOne
    max_iterations: AtLeastOne
    size: tuple[AtLeastOne, AtLeastOne] | None
    padding: typing.Annotated[str, Matches("same|symmetric", "same or symmetric")]
    stride: AtLeastOne
    kind: str
    fusion: dict[str, typing.Any] | None = None
    carry: CarryConfig | None = None


def parse(content, path) -> Description:
    """Parses the content of a tfseg.json.

    Args:
      content: the bytes, or the parsed JSON types.
      path: the artifact's path, for messages.
    Raises:
      InputError: the content is damaged, or of another version.
    """
    try:
        return _parsed(json_of(content) if isinstance(content, bytes) else content, path)
    except FieldError as error:
        raise InputError(f"{path}: its {DESCRIPTION} is damaged ({error}); export or download it again") from error


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
    if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
        version = str(values["format"])[:20]
        raise InputError(f"{path}: its format is {version!r}, this version reads {FORMAT!r}; update tfseg")
    file = typed(_File, values)
    if file.iterations > file.max_iterations:
        raise FieldError("iterations", f"is {file.iterations}, max_iterations {file.max_iterations}")
    return Description(
        file.name,
        file.classes,
        file.is_recurrent,
        file.iterations,
        file.max_iterations,
        file.size,
        file.padding,
        file.stride,
        file.kind,
        None if file.fusion is None else _fusion(file.fusion),
        file.carry,
    )


def _fusion(fields):
    for name in NETWORK_FIELDS:
        if name not in fields and name not in LATER_FIELDS:
            raise FieldError(f"fusion.{name}", "is missing")
    graph = typed(str, fields["graph"], "fusion.graph")
    numbers = {
        name: typed(float, fields[name], f"fusion.{name}")
        for name in NETWORK_FIELDS
        if name in fields and name != "graph"
    }
    try:
        return FusionConfig.of_network(graph, **numbers)
    except InputError as error:
        raise FieldError("", str(error)) from error


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
