"""Tables of texts whose rows stand as blocks of lines on narrow screens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def stacked_table(head: Sequence[str], rows: Iterable[Sequence[str]], flowing: bool = False) -> str:
    """A table in Markdown whose rows are blocks on a narrow screen.

    A block has the first cell as a heading, and a line for each other cell that has a text. The
    style sheet does that, and ``tables.js`` says in each cell what its column is.

    Args:
        head: the columns' names.
        rows: cells in Markdown.
        flowing: whether the texts of a block share lines, which is shorter where they are short.
    """
    lines = [_row(head), _row([":--"] * len(head))]
    lines += map(_row, rows)
    # Markdown between tags wants empty lines around it.
    kind = "stacked-table flowing" if flowing else "stacked-table"
    return "\n".join([f'<div class="{kind}">', "", *lines, "", "</div>"])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
