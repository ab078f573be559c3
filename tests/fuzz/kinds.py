"""THE table of the kinds of files that tfseg reads."""

from tests.fuzz import data_sets, exports, pictures, reports, runs

MODULES = (pictures, data_sets, runs, reports, exports)
KINDS = {kind.name: kind for module in MODULES for kind in module.KINDS}
