"""Help texts that list the names of a table."""

from tfseg.data.datasets.table import DATASETS


def one_of(names) -> str:
    """Joins names to text such as `a, b or c`."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else str(last)


DATASET_HELP = f"{one_of(DATASETS)}; folder is your own images and masks."
