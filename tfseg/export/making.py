"""Makes single files of a model and describes them for the manifest."""

from tfseg.export.format_table import FORMATS
from tfseg.export.plan import Export, Planned
from tfseg.formats import export_manifest


def make(export: Export, planned: Planned, folder, images=None):
    """Writes one file or SavedModel into a folder.

    Args:
      export: the export that the file belongs to.
      planned: which file is made.
      folder: folder that stands in for the export's own until all files are good.
      images: [count, height, width, 3] uint8 images on which ranges are measured; only int8 needs them.
    Raises:
      InputError: the conversion is not possible.
      RunError: the disk is full.
    """
    FORMATS[planned.kind].make(export, planned, folder / planned.path, images)


def entry(export: Export, planned: Planned, folder) -> dict:
    """The manifest's entry for a file: kind, size, sha256, operators, verdict on GPUs, GFLOPs of every signature."""
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
