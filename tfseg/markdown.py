"""Markdown tables whose columns line up."""


def aligned(rows, is_number) -> list[str]:
    """Lines of a table.

    Args:
      rows: lists of texts, the header first.
      is_number: for each column whether it goes to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells):
        columns = zip(cells, widths, is_number, strict=True)
        return f"| {' | '.join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in columns)} |"

    return [line(row) for row in rows]
