"""Cross-task linearity by layer: direction, length, null controls and transitivity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import LOG_AXIS
from ctl_helpers.figures.contrast import contrast
from ctl_helpers.figures.drawing import (
    COLOURS,
    DOTTED,
    GREY,
    SYMBOLS,
    Figure,
    Line,
    by_pair,
    draw,
    in_panels,
    marks,
    point_look,
    points,
    xy,
)
from ctl_helpers.figures.frame import offer_pairs
from ctl_helpers.figures.lengths import in_view, length_axes, step_line
from ctl_helpers.findings.cross_task import drawn_length, times_farther, times_nearer
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.transitivity import worst_ratio
from ctl_helpers.findings.words import by_panel


def direction(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """``E[1 − cosine_α]`` by layer with its baseline, a panel a setting (Figures 2, 13, 15).

    Args:
        table: :func:`ctl_helpers.compare` over pairs.
    """
    lines = []
    for column, _, chosen in in_panels(table, panels):
        alphas = sorted(chosen["alpha"].unique())
        series = [("distance", a, f"α = {a:g}", COLOURS[n], "circle") for n, a in enumerate(alphas)]
        series.append(("baseline", alphas[0], "baseline", GREY, "diamond"))
        for metric, alpha, name, colour, symbol in series:
            rows = chosen[(chosen["metric"] == metric) & (chosen["alpha"] == alpha)]
            data = {pair: points(part) for pair, part in by_pair(rows, ["layer"]).items()}
            group = name if metric == "distance" else ""
            look = {"x": list(dict.fromkeys(rows["layer"])), **point_look(symbol, name)}
            lines.append(Line(name, colour, data, 1, column, group, look))
    off = (table["alpha"] - 0.5).abs()
    middle = table[np.isclose(off, off.min())]
    nearer = times_nearer.by_setting(table)
    figure = draw(
        lines,
        "At α = 0.5 the mixed network's features are nearer to the mixed features than the two "
        f"networks' features are to each other, by {by_panel(panels, nearer)} in the median",
        "Mean of one minus cosine by layer on a log scale. Coloured circles, one series for each "
        "alpha, compare the interpolated network with the interpolated features; grey diamonds "
        "are the baseline between the two fine-tuned networks.",
        rows=["E[1 − cosine]"],
        columns=list(panels.values()),
        menu="pair",
        height=460,
        findings=quoted(nearer.values()),
    )
    offer_pairs(figure, middle[middle["metric"] == "distance"], " – ")
    return figure.update_yaxes(**LOG_AXIS)


def length(
    histograms: pd.DataFrame, panels: Mapping[str, str], *, last: int | None = None
) -> Figure:
    """How ``coef_α`` is distributed over samples, a row a layer (Figures 3, 14, 16).

    Args:
        histograms: :meth:`ctl_helpers.Linearity.histogram` of ``coef``.
        last: how many layers to draw, the last ones; all if None.
    """
    layers = list(dict.fromkeys(histograms["layer"]))[-(last or 0) :]
    histograms = histograms[histograms["layer"].isin(layers)]
    lengths = drawn_length.by_setting(histograms)
    seen, ends = in_view(histograms)
    lines = []
    for column, setting in enumerate(panels, 1):
        for row, layer in enumerate(layers, 1):
            part = seen[(seen["setting"] == setting) & (seen["layer"] == layer)]
            for n, (alpha, rows) in enumerate(part.groupby("alpha")):
                name = f"α = {alpha:g}"
                bins = by_pair(rows, ["low", "high"])
                lines.append(step_line(bins, name, COLOURS[n], row, column))
    figure = draw(
        lines,
        "The mixed network's features have "
        f"{by_panel(panels, lengths)} of the mixed features' length, "
        "mean over what is drawn",
        "For each layer, the share of samples by coefficient: the length of the interpolated "
        "network's feature along the interpolated features, where one means equal length.",
        rows=layers,
        columns=list(panels.values()),
        menu="pair",
        height=170 + 130 * len(layers),
        shared_y=False,
        findings=quoted(lengths.values()),
    )
    return length_axes(figure, ends, len(layers))


def controls(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and length by layer beside those of null controls, which should be far off.

    Args:
        table: :func:`ctl_helpers.compare` with ``control``, task vectors first.
    """
    farther = times_farther.by_setting(table)
    return contrast(
        table,
        "control",
        panels,
        "Can the measures fail? At the output, the nearer of both controls is "
        f"{by_panel(panels, farther)} as far from linear as networks with shared pretraining, in "
        "the median over pairs",
        "By layer, one minus cosine above on a log scale and the length coefficient below: for "
        "task vectors, networks pretrained apart, random vectors, and permuted samples.",
        findings=quoted(farther.values()),
    )


def transitivity(triples: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """CTL error of (i, k) against the larger of those of (i, j) and (j, k) (Conjecture 4.1).

    Args:
        triples: rows of ``i``, ``j``, ``k``, ``group``, ``premise`` (the larger error of the two
            given pairs) and ``conclusion`` (the third pair's error).
    """
    lines = []
    errors = triples[["premise", "conclusion"]].to_numpy()
    low, top = errors.min() / 1.3, errors.max() * 1.3
    hover = "i, j, k: %{text}<br>(i,j), (j,k) up to %{x}<br>(i,k) %{y}<extra></extra>"
    for column, _, chosen in in_panels(triples, panels):
        diagonal = {"": {"x": [low, top], "y": [low, top], "text": ["", ""]}}
        lines.append(Line("equal errors", GREY, diagonal, 1, column, look=DOTTED))
        for n, (group, rows) in enumerate(chosen.groupby("group", sort=False)):
            texts = [f"{r.i}, {r.j}, {r.k}, seed {r.seed}" for r in rows.itertuples()]
            data = {**xy(rows, "premise", "conclusion", 3), "text": texts}
            symbol = SYMBOLS[n % len(SYMBOLS)]
            look = marks(hover, symbol, size=8, mode="markers", opacity=0.75)
            lines.append(Line(str(group), COLOURS[n], {"": data}, 1, column, look=look))
    shown = triples[triples["setting"].isin(list(panels))]
    worst = max(worst_ratio.by_setting(shown).values(), key=float)
    figure = draw(
        lines,
        f"The third pair's error is at most {worst} the larger error of the two given pairs, over "
        "all triples",
        "Scatter plot on log scales. Each point is a triple of networks; the horizontal place is "
        "the larger CTL error of the two given pairs, the vertical one the third pair's error.",
        rows=["error of (i, k)"],
        columns=list(panels.values()),
        height=480,
        findings=quoted([worst]),
    )
    figure.update_xaxes(title_text="larger error of (i, j), (j, k)", **LOG_AXIS)
    return figure.update_yaxes(**LOG_AXIS)
