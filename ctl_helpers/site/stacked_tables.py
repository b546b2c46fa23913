"""Tables of texts whose rows stand as blocks of lines on narrow screens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def stacked_table(head: Sequence[str], rows: Iterable[Sequence[str]], flowing: bool = False) -> str:
    """A table in Markdown, whose cells say on a narrow screen what their column is.

    There each row is a block: its first cell as a heading, and a line for each other cell that
    has a text. The style sheet does that, so that it needs no script.

    Args:
        head: the columns' names.
        rows: cells in Markdown.
        flowing: whether the texts of a block share lines, which is shorter where they are short.
    """
    lines = [_row(head), _row([":--"] * len(head))]
    lines += [_row([first, *map(_labelled, head[1:], cells)]) for first, *cells in rows]
    # Markdown between tags wants empty lines around it.
    kind = "stacked-table flowing" if flowing else "stacked-table"
    return "\n".join([f'<div class="{kind}">', "", *lines, "", "</div>"])


def _labelled(column: str, cell: str) -> str:
    end = "" if column.endswith("?") else ":"
    return f'<span class="column-name">{column}{end} </span>{cell}' if cell else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
