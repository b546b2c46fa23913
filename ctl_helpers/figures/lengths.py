"""What figures on the distribution of length coefficients share."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import GREY, Figure, significant

BESIDE_ONE = 0.15
"""Room on the emptier side of 1, as a share of how far lengths reach on the other."""

MOST_ROWS = 12
"""Layers below one another in a figure that is to show all of them."""


def in_view(histograms: pd.DataFrame) -> tuple[pd.DataFrame, tuple[float, float]]:
    """The bins to draw, and the axis's ends: around where more than 1% of samples are, and 1.

    Both sides of 1 have room, so that the mark there does not stand on the panel's edge.

    What lies outside the axis only makes a page heavy; a bin at its edge needs a neighbour.
    """
    filled = histograms[histograms["share"] > 0.01]
    low, high = float(filled["low"].min()), float(filled["high"].max())
    room = BESIDE_ONE * max(high - 1, 1 - low)
    edge = 0.02 * (high - low)
    left, right = min(low, 1 - room) - edge, max(high, 1 + room) + edge
    margin = 1.5 * (histograms["high"] - histograms["low"]).max()
    inside = (histograms["low"] > left - margin) & (histograms["high"] < right + margin)
    return histograms[inside], (left, right)


def last_layers(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows of each setting's last layers, called by their place where settings differ."""
    layers = {
        setting: list(rows["layer"].unique())[-count:]
        for setting, rows in table.groupby("setting", sort=False)
    }
    alike = len(set(map(tuple, layers.values()))) == 1
    # Of settings of other layers a row is in every panel.
    count = count if alike else min(map(len, layers.values()))
    places = ["last", *(f"last but {n}" for n in range(1, count))][::-1]
    names = {
        (setting, layer): layer if alike else place
        for setting, last in layers.items()
        for layer, place in zip(last[-count:], places[-len(last) :], strict=True)
    }
    keys = list(zip(table["setting"], table["layer"], strict=True))
    table = table[[key in names for key in keys]]
    return table.assign(layer=[names[key] for key in keys if key in names])


def row_spacing(rows: int) -> float:
    """Between so many histograms below one another, as a share of the height."""
    return min(0.06, 0.24 / rows)


def step_line(
    bins: Mapping[str, pd.DataFrame], name: str, colour: str, row: int, column: int
) -> Line:
    """A line in steps, a bin a step, with the bins of each choice; its group is its name."""
    first = next(iter(bins.values()))
    data = {choice: {"y": significant(part["share"].round(3))} for choice, part in bins.items()}
    look = {
        "x": significant((first["low"] + first["high"]) / 2),
        "mode": "lines",
        "line_shape": "hvh",
        "line_width": 1.8,
        "hovertemplate": f"coef %{{x}}: %{{y:.1%}} of samples<extra>{name}</extra>",
    }
    return Line(name, colour, data, row, column, name, look)


def piled(histograms: pd.DataFrame) -> bool:
    """Whether the outermost bins, which also count what lies beyond, have samples to be seen."""
    outer = (histograms["low"] == histograms["low"].min()) | (
        histograms["high"] == histograms["high"].max()
    )
    return bool((histograms["share"][outer] > 0.01).any())


def length_axes(
    figure: Figure, histograms: pd.DataFrame, ends: tuple[float, float], rows: int
) -> Figure:
    """Axes of a figure with ``rows`` histograms below one another, with a mark at equal length."""
    title = "coef (an end bin counts all beyond)" if piled(histograms) else "coef"
    figure.add_vline(x=1, line_dash="dot", line_color=GREY)
    figure.update_yaxes(tickformat=".0%", nticks=4, rangemode="tozero")
    figure.update_xaxes(range=list(ends))
    return figure.update_xaxes(title_text=title, row=rows)
