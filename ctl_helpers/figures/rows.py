"""Named rows, and dots in them whose bars are intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from plotly.graph_objects import Figure

from ctl_helpers.figures.drawing import marks, significant

Interval = tuple[float, float]

_LONGEST = 20  # characters of a name in one line
_MOST = 12  # rows that are high enough for two lines


def name_rows(figure: Figure, names: Sequence[str], **place: int) -> None:
    """Name the rows at 0, 1, … from the top down, of all panels or of one column or row of them.

    Long names of few rows take two lines, which leaves room for the panel on a narrow screen.
    """
    letters = _LONGEST if len(names) <= _MOST else max(map(len, names))
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[
            name if "<br>" in name else "<br>".join(textwrap.wrap(name, letters)) for name in names
        ],
        range=[len(names) - 0.5, -0.5],
        zeroline=False,
        showgrid=False,
        **place,
    )


def row_marks(hover: str, symbol: str, *, size: int = 9) -> dict[str, object]:
    """How dots in rows look, and their bars."""
    bars = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3}
    return {**marks(hover, symbol, size=size, mode="markers"), "error_x": bars}


def interval_bars(
    values: Iterable[float],
    intervals: Iterable[Interval | None],
    *,
    digits: int = 4,
    scale: Callable[[float], float] = float,
) -> dict[str, list[float]]:
    """Dots' places and their intervals as bars, of length 0 where there is none.

    Args:
        scale: from the values to the axis; it rises.
    """
    places, over, under = [], [], []
    for value, interval in zip(values, intervals, strict=True):
        low, high = interval or (value, value)
        places.append(scale(value))
        over.append(max(scale(high) - scale(value), 0))
        under.append(max(scale(value) - scale(low), 0))
    return {
        "x": significant(places, digits),
        "error_x.array": significant(over, digits),
        "error_x.arrayminus": significant(under, digits),
    }
