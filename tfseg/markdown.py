"""Markdown tables whose columns line up.

The package tabulate is not used for them: it drops the alignment of a table without rows, it silently drops titles if a
row is too short, and a `|` in a cell starts another column.
"""


def table(header, rows, is_number=None) -> str:
    """Returns a table.

    Args:
      header: the columns' titles.
      rows: lists of texts, one text for each column.
      is_number: whether each column is aligned to the right; None aligns all but the first to the right.
    Raises:
      ValueError: a row is not as long as the header.
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
