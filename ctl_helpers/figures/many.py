"""Mixes of many networks: distance and length against how many there are (Theorem 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.drawing import (
    BLUE,
    GREY,
    VERMILION,
    Figure,
    Line,
    draw,
    log_axis,
    number_axis,
    over_seeds,
    point_look,
    points,
)
from ctl_helpers.figures.factors import layer_choices
from ctl_helpers.figures.phrases import FLOOR, by_panel, extent, trend

_WEIGHTS = {"equal": (BLUE, "circle"), "unequal": (VERMILION, "square")}


def many(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """``f(Σα_iθ_i)`` against ``Σα_i f(θ_i)`` for more and more networks, a panel a setting.

    The menu chooses the layer, as in :func:`ctl_helpers.figures.factors.factor`.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed``, ``k`` (networks in
            the mix) and ``weights`` (``"equal"`` or ``"unequal"``); draws and seeds are averaged.
            Error bars are the lower and upper quartile over samples.
        panels: setting → panel title, in order.
    """
    table = table[table["setting"].isin(list(panels))]
    choices = layer_choices(table, panels)
    lines, trends = [], {}
    for column, setting in enumerate(panels, 1):
        chosen = table[table["setting"] == setting]
        for weights, (colour, symbol) in _WEIGHTS.items():
            for metric, row in (("baseline", 1), ("distance", 1), ("coef", 2)):
                rows = chosen[(chosen["metric"] == metric) & (chosen["weights"] == weights)]
                frames = {
                    choice: over_seeds(rows[rows["layer"].isin(layers[setting])], "k")
                    for choice, layers in choices.items()
                }
                whole = next(iter(frames.values())).set_index("k")["mean"]
                if (metric, weights) == ("distance", "equal"):
                    trends[setting] = trend(whole, small=FLOOR)
                data = {
                    choice: {"x": frame["k"].tolist(), **points(frame)}
                    for choice, frame in frames.items()
                }
                baseline = metric == "baseline"
                name = f"baseline, {weights} weights" if baseline else f"{weights} weights"
                filled = "diamond" if weights == "equal" else "diamond-open"
                look = point_look(filled if baseline else symbol, name, "%{x} networks")
                if symbol != "circle" and not baseline:
                    look = {**look, "line_dash": "solid"}
                lines.append(Line(name, GREY if baseline else colour, data, row, column, look=look))
    figure = draw(
        lines,
        f"Networks in the mix {extent(table, 'k', panels)}: the distance "
        f"{by_panel(panels, trends)}, equal weights, mean over layers",
        "Against the number of networks in the mix: above on a log scale, mean of one minus "
        "cosine between the mixed network's features and the mixed features, for equal weights "
        "(circles) and for random ones (squares), with quartiles over samples, and the baseline "
        "between the mixed network and its parts (diamonds); below, the length coefficient, with "
        "a dotted line at one, equal length.",
        rows=["E[1 − cosine]", "coef"],
        columns=list(panels.values()),
        height=600,
        shared_y="rows",
        min_width=340 * len(panels),
    )
    for column, setting in enumerate(panels, 1):
        values = table.loc[table["setting"] == setting, "k"]
        number_axis(figure, values, "networks in the mix", row=2, col=column)
    figure.add_hline(y=1, line_dash="dot", line_color=GREY, row=2, col="all")
    drawn = table.loc[(table["metric"] != "coef") & (table["mean"] >= FLOOR), "mean"]
    return figure.update_yaxes(**log_axis(drawn), row=1)
