"""Markdown tables whose columns line up.

Not by the package tabulate: its columns are two wider than their titles, it drops the alignment of a table without rows
and the titles that a short row leaves over, and a `|` in a cell starts another column.
"""


def table(header, rows, is_number=None) -> str:
    """A table.

    Args:
      header: the columns' titles.
      rows: lists of texts, one for each column.
      is_number: for each column whether it goes to the right; None: all but the first do.
    Raises:
      ValueError: a row that is not as long as the header.
    """
    is_number = is_number or [False] + [True] * (len(header) - 1)
    lines = [[cell.replace("|", r"\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells):
        columns = zip(cells, widths, is_number, strict=True)
        return f"| {' | '.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns)} |"

    rule = ("-" * (width + 2 - right) + ":" * right for width, right in zip(widths, is_number, strict=True))
    first, *others = map(line, lines)
    return "\n".join([first, f"|{'|'.join(rule)}|", *others])
