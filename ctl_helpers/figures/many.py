"""Mixes of many networks: distance and length against how many there are (Theorem 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import log_axis, number_axes
from ctl_helpers.figures.drawing import (
    BLUE,
    GREY,
    VERMILION,
    Figure,
    Line,
    draw,
    in_panels,
    over_seeds,
    point_look,
    points,
)
from ctl_helpers.figures.factors import distances, layer_choices
from ctl_helpers.findings.words import FLOOR, by_panel, extent, trend

_LOOKS = ((BLUE, "circle"), (VERMILION, "square"))


def many(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """``f(Σα_iθ_i)`` against ``Σα_i f(θ_i)`` for more and more networks, a panel a setting.

    Args:
        table: :func:`ctl_helpers.compare` with ``k`` (networks in the mix) and ``weights``
            (``"equal"`` or ``"unequal"``); draws are averaged.
    """
    return growing(
        table.assign(kind=table["weights"] + " weights"),
        panels,
        ("equal weights", "unequal weights"),
        "networks",
        f"Networks in the mix {extent(table, 'k', panels)}: the distance "
        f"{by_panel(panels, trends(table[table['weights'] == 'equal'], panels))}, equal weights, "
        "mean over layers",
        "Against the number of networks in the mix: above on a log scale, mean of one minus "
        "cosine between the mixed network's features and the mixed features, for equal weights "
        "(circles) and for random ones (squares), with quartiles over samples, and the baseline "
        "between the mixed network and its parts (diamonds); below, the length coefficient, with "
        "a dotted line at one, equal length.",
        "networks in the mix",
    )


def trends(table: pd.DataFrame, panels: Mapping[str, str]) -> dict[str, str]:
    """Setting → how the distance goes with ``k``, mean over layers, in words."""
    means = distances(table, panels, "k")
    return {name: trend(of, small=FLOOR) for name, of in means.items()}


def growing(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    kinds: Sequence[str],
    unit: str,
    title: str,
    alt: str,
    axis: str,
) -> Figure:
    """Distance with its baseline above and length below, against a number of parts ``k``.

    The menu chooses the layer, as in :func:`ctl_helpers.figures.factors.factor`.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed``, ``k`` and ``kind``.
        kinds: two values of ``kind``, drawn as circles and as squares.
        unit: what is counted, in the plural.
        title, alt: as :func:`ctl_helpers.figures.drawing.draw` takes them.
        axis: the horizontal axis's label.
    """
    table = table[table["setting"].isin(list(panels))]
    figure = draw(
        _lines(table, panels, kinds, unit),
        title,
        alt,
        rows=["E[1 − cosine]", "coef"],
        columns=list(panels.values()),
        menu="layer",
        height=600,
    )
    number_axes(figure, table, "k", panels, axis, row=2)
    figure.add_hline(y=1, line_dash="dot", line_color=GREY, row=2, col="all")
    drawn = table.loc[(table["metric"] != "coef") & (table["mean"] >= FLOOR), "mean"]
    return figure.update_yaxes(**log_axis(drawn), row=1)


def _lines(
    table: pd.DataFrame, panels: Mapping[str, str], kinds: Sequence[str], unit: str
) -> list[Line]:
    choices = layer_choices(table, panels)
    lines = []
    for column, setting, part in in_panels(table, panels):
        for kind, (colour, symbol) in zip(kinds, _LOOKS, strict=True):
            for metric, row in (("baseline", 1), ("distance", 1), ("coef", 2)):
                rows = part[(part["metric"] == metric) & (part["kind"] == kind)]
                frames = {
                    choice: over_seeds(rows[rows["layer"].isin(layers[setting])], "k")
                    for choice, layers in choices.items()
                }
                data = {
                    choice: {"x": frame["k"].tolist(), **points(frame)}
                    for choice, frame in frames.items()
                }
                baseline = metric == "baseline"
                name = f"baseline, {kind}" if baseline else kind
                filled = "diamond" if symbol == "circle" else "diamond-open"
                look = point_look(filled if baseline else symbol, name, f"%{{x}} {unit}")
                if not baseline:
                    look = {**look, "line_dash": "solid"}
                lines.append(Line(name, GREY if baseline else colour, data, row, column, look=look))
    return lines
