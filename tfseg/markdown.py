"""Formats Markdown tables with aligned columns."""


def table(header, rows, is_number) -> str:
    """Returns a whole table.

    Args:
      header: titles of the columns.
      rows: lists of texts.
      is_number: whether each column is aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * (width - right) + ":" * right for width, right in zip(widths, is_number, strict=True)]
    return "\n".join(aligned([header, rule, *rows], is_number))


def aligned(rows, is_number) -> list[str]:
    """Returns the lines of a table.

    Args:
      rows: lists of texts, the header first.
      is_number: whether each column is aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells):
        columns = zip(cells, widths, is_number, strict=True)
        return f"| {' | '.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns)} |"

    return [line(row) for row in rows]
