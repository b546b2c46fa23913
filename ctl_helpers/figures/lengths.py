"""What figures on the distribution of length coefficients share."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import GREY, Figure, significant


def in_view(histograms: pd.DataFrame) -> tuple[pd.DataFrame, tuple[float, float]]:
    """The bins to draw, and the axis's ends: around where more than 1% of samples are, and 1.

    What lies outside the axis only makes a page heavy; a bin at its edge needs a neighbour.
    """
    filled = histograms[histograms["share"] > 0.01]
    left, right = min(filled["low"].min(), 1), max(filled["high"].max(), 1)
    room = 0.04 * (right - left)  # for the mark at 1, if all lengths are on one side of it
    left, right = left - room, right + room
    margin = 1.5 * (histograms["high"] - histograms["low"]).max()
    inside = (histograms["low"] > left - margin) & (histograms["high"] < right + margin)
    return histograms[inside], (left, right)


def step_line(
    bins: Mapping[str, pd.DataFrame], name: str, colour: str, row: int, column: int
) -> Line:
    """A line in steps, a bin a step, with the bins of each choice; its group is its name."""
    first = next(iter(bins.values()))
    data = {choice: {"y": part["share"].round(3).tolist()} for choice, part in bins.items()}
    look = {
        "x": significant((first["low"] + first["high"]) / 2),
        "mode": "lines",
        "line_shape": "hvh",
        "line_width": 1.8,
        "hovertemplate": f"coef %{{x}}: %{{y:.1%}} of samples<extra>{name}</extra>",
    }
    return Line(name, colour, data, row, column, name, look)


def length_axes(figure: Figure, ends: tuple[float, float], rows: int) -> Figure:
    """Axes of a figure with ``rows`` histograms below one another, with a mark at equal length."""
    figure.add_vline(x=1, line_dash="dot", line_color=GREY)
    figure.update_yaxes(tickformat=".0%", nticks=4, rangemode="tozero")
    figure.update_xaxes(range=list(ends))
    return figure.update_xaxes(title_text="coef", row=rows)
