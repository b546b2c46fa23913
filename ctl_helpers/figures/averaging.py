"""Averages of fine-tuned networks: against ensembles, and block by block (Section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.drawing import (
    BLUE,
    DOTTED,
    GREY,
    Figure,
    Line,
    draw,
    in_panels,
    marks,
    point_look,
    points,
    xy,
)
from ctl_helpers.findings.averaging import average_nearer, ensemble_correlation, length_of_all
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import FLOOR, by_panel
from ctl_helpers.results.labels import Metric

_SERIES = (
    (Metric.BASELINE, 1, GREY, "diamond"),
    (Metric.DISTANCE, 1, BLUE, "circle"),
    (Metric.COEF, 2, BLUE, "circle"),
)


def ensembles(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of averaged weights against that of the ensemble, a point a triple (Figure 4).

    Args:
        table: rows of ``models``, ``averaged`` and ``ensemble`` (accuracies).
    """
    correlations = ensemble_correlation.by_setting(table)
    lines = []
    for column, _, rows in in_panels(table, panels):
        both = rows[["averaged", "ensemble"]].to_numpy()
        margin = 0.05 * (both.max() - both.min()) + 0.001
        ends = [float(both.min() - margin), float(both.max() + margin)]
        same = {"": {"x": ends, "y": ends}}
        lines.append(Line("equal accuracy", GREY, same, 1, column, look=DOTTED))
        data = {**xy(rows, "ensemble", "averaged"), "text": rows["models"].tolist()}
        hover = "%{text}<br>ensemble %{x:.1%}, averaged weights %{y:.1%}<extra></extra>"
        look = marks(hover, size=8, mode="markers", opacity=0.7)
        lines.append(Line("a triple of networks", BLUE, {"": data}, 1, column, look=look))
    figure = draw(
        lines,
        "One network with averaged weights is about as accurate as the ensemble of the three: "
        f"correlation {by_panel(panels, correlations)}",
        "Scatter plot. Each point is a triple of fine-tuned networks: across, the accuracy of "
        "their averaged logits; up, that of the network with their averaged weights. A dotted "
        "line marks equal accuracy.",
        rows=["accuracy, averaged weights"],
        columns=list(panels.values()),
        height=460,
        shared_y=False,
        gap=0.12,
        findings=quoted(correlations.values()),
    )
    figure.update_xaxes(title_text="accuracy, ensemble", tickformat=".0%")
    return figure.update_yaxes(tickformat=".0%")


def blocks(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """``f(mean θ_i)`` against ``mean f(θ_i)`` by block (Eq. 1; Figures 5, 6, 17 and 18).

    The menu chooses how many networks are averaged.

    Args:
        table: :func:`ctl_helpers.compare` with ``k``; averages of as many networks are averaged.
    """
    nearer, lengths = average_nearer.by_setting(table), length_of_all.by_setting(table)
    figure = draw(
        _block_lines(table, panels),
        "Features of averaged weights are nearer to the averaged features than to those of one "
        f"of the networks, by {by_panel(panels, nearer)} in the median, and "
        f"{by_panel(panels, lengths)} as long",
        "By block of the transformer: above on a log scale, mean of one minus cosine between the "
        "averaged network's features and the averaged features (circles), with quartiles over "
        "samples, and the baseline between the averaged network and its parts (diamonds); below, "
        "the length coefficient, with a dotted line at one, equal length.",
        rows=["E[1 − cosine]", "coef"],
        columns=list(panels.values()),
        height=560,
        findings=quoted(nearer.values(), lengths.values()),
    )
    figure.add_hline(y=1, line_dash="dot", line_color=GREY, row=2, col="all")
    figure.update_xaxes(title_text="block", dtick=1, row=2)
    drawn = table.loc[(table["metric"] != "coef") & (table["mean"] >= FLOOR), "mean"]
    return figure.update_yaxes(**log_axis(drawn), row=1)


def _block_lines(table: pd.DataFrame, panels: Mapping[str, str]) -> list[Line]:
    """Baseline, distance and length, for as many networks as the menu offers."""
    counts = [set(table.loc[table["setting"] == setting, "k"]) for setting in panels]
    common = set.intersection(*counts) - {max(numbers) for numbers in counts}
    lines = []
    for column, _, part in in_panels(table, panels):
        choices = {"all networks": part["k"].max()}
        choices |= {f"{k} networks": k for k in sorted(common, reverse=True)}
        for metric, row, colour, symbol in _SERIES:
            data = {}
            for choice, k in choices.items():
                rows = part[(part["metric"] == metric) & (part["k"] == k)]
                means = rows.groupby("layer", sort=False)[["mean", "q25", "q75"]].mean()
                data[choice] = points(means.reset_index())
            name = "baseline" if metric == Metric.BASELINE else "averaged network"
            x = list(range(1, part["layer"].nunique() + 1))
            look = {"x": x, **point_look(symbol, name, "block %{x}")}
            lines.append(Line(name, colour, data, row, column, look=look))
    return lines
