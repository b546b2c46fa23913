"""Averages of fine-tuned networks: against ensembles, and block by block (Section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.drawing import (
    BLUE,
    GREY,
    SYMBOLS,
    Figure,
    Line,
    draw,
    point_look,
    points,
    significant,
)
from ctl_helpers.findings.words import FLOOR, by_panel


def ensembles(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of averaged weights against that of the ensemble, a point a triple (Figure 4).

    Args:
        table: rows of ``setting``, ``seed``, ``models``, ``averaged`` and ``ensemble``
            (accuracies).
        panels: setting → panel title, in order.
    """
    lines, correlations = [], {}
    for column, setting in enumerate(panels, 1):
        rows = table[table["setting"] == setting]
        correlations[setting] = rows["averaged"].corr(rows["ensemble"])
        both = rows[["averaged", "ensemble"]].to_numpy()
        margin = 0.05 * (both.max() - both.min()) + 0.001
        ends = [float(both.min() - margin), float(both.max() + margin)]
        diagonal = {"mode": "lines", "line_dash": "dot", "hoverinfo": "skip"}
        same = {"": {"x": ends, "y": ends}}
        lines.append(Line("equal accuracy", GREY, same, 1, column, look=diagonal))
        data = {
            "x": significant(rows["ensemble"]),
            "y": significant(rows["averaged"]),
            "text": rows["models"].tolist(),
        }
        look = {
            "mode": "markers",
            "marker_size": 8,
            "opacity": 0.7,
            "hovertemplate": "%{text}<br>ensemble %{x:.1%}, averaged weights %{y:.1%}"
            "<extra></extra>",
        }
        lines.append(Line("a triple of networks", BLUE, {"": data}, 1, column, look=look))
    figure = draw(
        lines,
        "One network with averaged weights is about as accurate as the ensemble of the three: "
        f"correlation {by_panel(panels, correlations, '{:.2f}')}",
        "Scatter plot. Each point is a triple of fine-tuned networks: across, the accuracy of "
        "their averaged logits; up, that of the network with their averaged weights. A dotted "
        "line marks equal accuracy.",
        rows=["accuracy, averaged weights"],
        columns=list(panels.values()),
        height=460,
        shared_y=False,
        gap=0.12,
    )
    figure.update_xaxes(title_text="accuracy, ensemble", tickformat=".0%")
    return figure.update_yaxes(tickformat=".0%")


def blocks(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """``f(mean θ_i)`` against ``mean f(θ_i)`` by block (Eq. 1; Figures 5, 6, 17 and 18).

    The menu chooses how many networks are averaged.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed`` and ``k``; averages
            of as many networks, and seeds, are averaged. Error bars are the lower and upper
            quartile over samples.
        panels: setting → panel title, in order.
    """
    lines, nearer, lengths = [], {}, {}
    known = table.groupby("setting")["k"].agg(set).loc[list(panels)]
    common = set.intersection(*known) - {max(counts) for counts in known}
    for column, setting in enumerate(panels, 1):
        chosen = table[table["setting"] == setting]
        most = chosen["k"].max()
        choices = {"all networks": most}
        choices |= {f"{k} networks": k for k in sorted(common, reverse=True)}
        wide = chosen.pivot_table(index=["k", "layer"], columns="metric", values="mean", sort=False)
        nearer[setting] = (wide["baseline"] / wide["distance"]).median()
        lengths[setting] = wide.loc[most, "coef"].mean()
        series = (("baseline", 1, GREY, 2), ("distance", 1, BLUE, 0), ("coef", 2, BLUE, 0))
        for metric, row, colour, symbol in series:
            data = {}
            for choice, k in choices.items():
                rows = chosen[(chosen["metric"] == metric) & (chosen["k"] == k)]
                means = rows.groupby("layer", sort=False)[["mean", "q25", "q75"]].mean()
                data[choice] = points(means.reset_index())
            name = "baseline" if metric == "baseline" else "averaged network"
            x = list(range(1, chosen["layer"].nunique() + 1))
            look = {"x": x, **point_look(SYMBOLS[symbol], name, "block %{x}")}
            lines.append(Line(name, colour, data, row, column, look=look))
    figure = draw(
        lines,
        "Features of averaged weights are nearer to the averaged features than to those of one "
        f"of the networks, by {by_panel(panels, nearer, '{:.0f} times')} in the median, and "
        f"{by_panel(panels, lengths, '{:.0%}')} as long",
        "By block of the transformer: above on a log scale, mean of one minus cosine between the "
        "averaged network's features and the averaged features (circles), with quartiles over "
        "samples, and the baseline between the averaged network and its parts (diamonds); below, "
        "the length coefficient, with a dotted line at one, equal length.",
        rows=["E[1 − cosine]", "coef"],
        columns=list(panels.values()),
        height=560,
        shared_y="rows",
    )
    figure.add_hline(y=1, line_dash="dot", line_color=GREY, row=2, col="all")
    figure.update_xaxes(title_text="block", dtick=1, row=2)
    drawn = table.loc[(table["metric"] != "coef") & (table["mean"] >= FLOOR), "mean"]
    return figure.update_yaxes(**log_axis(drawn), row=1)
