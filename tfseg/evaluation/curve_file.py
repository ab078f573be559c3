"""curve.csv, the curve of accuracy against cost in a report."""

import dataclasses
from pathlib import Path

from tfseg.errors import InputError
from tfseg.system.small_files import AtLeastOne, FieldError, NotNegative, Rate, damage_named, read_csv


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """A line of curve.csv: what the iterations so far cost for one image, and the mean IoU that they reach."""

    iteration: AtLeastOne
    gmacs: NotNegative
    gflops: NotNegative
    milliseconds: NotNegative
    miou: Rate


CURVE_COLUMNS = tuple(field.name for field in dataclasses.fields(CurvePoint))


def read_curve(folder) -> list[dict]:
    """The points of a report's curve.csv, in `folder` or in its `report`. Raises InputError if there are none."""
    paths = [Path(folder) / "curve.csv", Path(folder) / "report" / "curve.csv"]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise InputError(f"{folder}: no curve.csv to compare with; evaluate it first")
    with damage_named(path, "evaluate that model again"):
        points = [dataclasses.asdict(point) for point in read_csv(path, CurvePoint)]
        if not points:
            raise FieldError("", "it has no points")
    return points
