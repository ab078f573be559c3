"""THE table of the kinds of files that tfseg reads."""

from tests.fuzz import data_sets, exports, pictures, runs

KINDS = {kind.name: kind for kind in (*pictures.KINDS, *data_sets.KINDS, *runs.KINDS, *exports.KINDS)}
