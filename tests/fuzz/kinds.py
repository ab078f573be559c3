"""THE table of the kinds of files that tfseg reads."""

from tests.fuzz import annotations, data_sets, exports, pictures, reports, runs

MODULES = (pictures, data_sets, annotations, runs, reports, exports)
KINDS = {kind.name: kind for module in MODULES for kind in module.KINDS}
