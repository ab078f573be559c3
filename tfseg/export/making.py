"""Makes single files of a model, and says what is in them."""

from tfseg.export.format_table import FORMATS
from tfseg.export.plan import Export, Planned
from tfseg.formats import export_manifest


def make(export: Export, planned: Planned, folder, images=None):
    """Writes one file or SavedModel into a folder.

    Args:
      folder: stands in for the export's own folder until all files are good.
      images: for int8: [count, height, width, 3] uint8, on which ranges are measured.
    Raises:
      InputError: a conversion that is not possible. RunError: no space.
    """
    FORMATS[planned.kind].make(export, planned, folder / planned.path, images)


def entry(export: Export, planned: Planned, folder) -> dict:
    """What the manifest says of a file: kind, size, sha256, operators, verdict on GPUs, GFLOPs of every signature."""
    path, made = folder / planned.path, FORMATS[planned.kind]
    facts = {
        "kind": planned.kind,
        "precision": planned.precision,
        "iterations": planned.iterations,
        "size": export.description(planned)["size"],
        "bytes": _num_bytes(path),
        "sha256": export_manifest.sha256(path),
        **made.facts(path),
    }
    if made.cost is not None:
        facts["gflops"] = [
            {"signature": cost.signature, "iterations": cost.iterations, "gflops": cost.executed_gflops}
            for cost in made.cost(export, path)
        ]
    return facts


def _num_bytes(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
