"""More and more task vectors added, against one at a time (Theorem 4.3)."""

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
from ctl_helpers.figures.editing import blocks
from ctl_helpers.figures.factors import layer_choices
from ctl_helpers.figures.phrases import FLOOR, by_panel, extent, trend

_SCHEMES = {"α = 0.1": (BLUE, "circle"), "(k+1)α = 0.8": (VERMILION, "square")}


def theorem(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and length of both sides of Theorem 4.3 against the number of task vectors.

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.disentangled` with columns
            ``setting``, ``seed`` and ``scheme``; error bars are quartiles over samples.
        panels: setting → panel title, in order.
    """
    table = blocks(table[table["setting"].isin(list(panels))])
    choices = layer_choices(table, panels)
    lines, trends = [], {}
    for column, setting in enumerate(panels, 1):
        chosen = table[table["setting"] == setting]
        for scheme, (colour, symbol) in _SCHEMES.items():
            for metric, row in (("baseline", 1), ("distance", 1), ("coef", 2)):
                rows = chosen[(chosen["metric"] == metric) & (chosen["scheme"] == scheme)]
                frames = {
                    choice: over_seeds(rows[rows["layer"].isin(layers[setting])], "k")
                    for choice, layers in choices.items()
                }
                if metric == "distance":
                    whole = next(iter(frames.values())).set_index("k")["mean"]
                    trends[scheme, setting] = trend(whole, small=FLOOR)
                data = {
                    choice: {"x": frame["k"].tolist(), **points(frame)}
                    for choice, frame in frames.items()
                }
                baseline = metric == "baseline"
                name = f"baseline, {scheme}" if baseline else scheme
                filled = "diamond" if symbol == "circle" else "diamond-open"
                look = point_look(filled if baseline else symbol, name, "%{x} task vectors")
                if not baseline:
                    look = {**look, "line_dash": "solid"}
                lines.append(Line(name, GREY if baseline else colour, data, row, column, look=look))
    last = {name: trends[list(_SCHEMES)[-1], name] for name in panels}
    figure = draw(
        lines,
        f"Task vectors {extent(table, 'k', panels)}: with (k+1)α = 0.8, as the theorem has it, "
        f"the distance {by_panel(panels, last)}, mean over blocks",
        "Against the number of task vectors: above on a log scale, mean of one minus cosine "
        "between the edited network's features and the sum of the single ones (circles for a "
        "fixed factor, squares for one that shrinks), with quartiles over samples, and the mean "
        "baseline between the edited network and the parts (diamonds); below, the length "
        "coefficient, with a dotted line at one.",
        rows=["E[1 − cosine]", "coef"],
        columns=list(panels.values()),
        height=600,
        shared_y="rows",
        min_width=340 * len(panels),
    )
    for column, setting in enumerate(panels, 1):
        counts = table.loc[table["setting"] == setting, "k"]
        number_axis(figure, counts, "task vectors", row=2, col=column)
    figure.add_hline(y=1, line_dash="dot", line_color=GREY, row=2, col="all")
    drawn = table.loc[(table["metric"] != "coef") & (table["mean"] >= FLOOR), "mean"]
    return figure.update_yaxes(**log_axis(drawn), row=1)
