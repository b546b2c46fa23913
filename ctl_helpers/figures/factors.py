"""What linearity depends on: distance and length against a number that training is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import log_axis, number_axes
from ctl_helpers.figures.drawing import (
    BLUE,
    GREEN,
    GREY,
    Figure,
    Line,
    band,
    draw,
    drawable,
    in_panels,
    over_seeds,
    point_look,
    points,
    significant,
)
from ctl_helpers.findings.factors import FACTORS, factor_of
from ctl_helpers.findings.words import FLOOR, by_panel, extent, plain, trend
from ctl_helpers.results.labels import Metric

_MEAN = "mean over layers"
_SERIES = (
    (Metric.BASELINE, "baseline", GREY, "diamond", 1),
    (Metric.DISTANCE, "1 − cosine at α = 0.5", BLUE, "circle", 1),
    (Metric.COEF, "coef at α = 0.5", GREEN, "circle", 2),
)


def factor(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and length at α = 0.5 against a number, a panel a setting (Figures 11 and 12).

    The menu chooses the layer. Where the panels' settings differ in their layers, it offers the
    first, middle and last third of each network's layers instead. Means under ``FLOOR`` are not
    drawn on the log scale: a "≈ 0" stands there at the bottom, and the alternative text says so.

    Args:
        table: :func:`ctl_helpers.compare` with a factor, one of
            :data:`ctl_helpers.findings.factors.FACTORS`; other rows than those of α = 0.5 are left
            out. Pairs are averaged; a band spans the seeds, where there are several.
    """
    table = table[table["setting"].isin(list(panels)) & np.isclose(table["alpha"], 0.5)]
    column = factor_of(table)
    label, layers = FACTORS[column], layer_choices(table, panels)
    curves = distances(table, panels, column)
    zeros = {setting: curve[curve < FLOOR].index.tolist() for setting, curve in curves.items()}
    trends = {setting: trend(curve, small=FLOOR) for setting, curve in curves.items()}
    dropped = sorted({value for values in zeros.values() for value in values})
    note = (
        f" Not drawn, since the distance is under one millionth: {label} "
        f"{', '.join(map(plain, dropped))}."
        if dropped
        else ""
    )
    figure = draw(
        layer_lines(table, panels, column, _SERIES, f"{label} %{{x}}", layers, bands=True),
        f"{label[:1].upper()}{label[1:]} {extent(table, column, panels)}: the distance "
        f"{by_panel(panels, trends)}, {_MEAN}",
        f"Against {label}: above on a log scale, mean of one minus cosine at alpha one half "
        "(circles) with quartiles over samples, and the baseline between two fine-tuned networks "
        "(diamonds); below, the length coefficient, with a dotted line at one, equal length. "
        f"Bands span the seeds.{note}",
        rows=["E[1 − cosine]", "coef"],
        columns=list(panels.values()),
        menu="layer",
        height=600,
    )
    number_axes(figure, table, column, panels, label, row=2)
    for place, setting in enumerate(panels, 1):
        for value in zeros[setting]:
            note_at = {"x": value, "y": 0, "yref": "y domain", "yanchor": "bottom"}
            figure.add_annotation(**note_at, text="≈ 0", showarrow=False, row=1, col=place)
    figure.add_hline(y=1, line_dash="dot", line_color=GREY, row=2, col="all")
    means = table[table["metric"] != Metric.COEF].groupby(["setting", column, "metric"])["mean"]
    drawn = means.mean()
    return figure.update_yaxes(**log_axis(drawn[drawn >= FLOOR]), row=1)


def distances(table: pd.DataFrame, panels: Mapping[str, str], column: str) -> dict[str, pd.Series]:
    """Setting → mean distance over layers, pairs and seeds by a column."""
    parts = in_panels(table[table["metric"] == Metric.DISTANCE], panels)
    return {name: over_seeds(rows, column).set_index(column)["mean"] for _, name, rows in parts}


def layer_lines(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    column: str,
    series: Sequence[tuple[str, str, str, str, int]],
    place: str,
    choices: Mapping[str, Mapping[str, Sequence[str]]],
    *,
    bands: bool = False,
) -> list[Line]:
    """Means against a column, a line for each of a series, for each choice of layers.

    Args:
        series: metric, name, colour, symbol and row of each.
        place: what is told of a place, such as ``"λ = %{x}"``.
        choices: :func:`layer_choices`.
        bands: mark the range of seeds, and leave out of the first row what a log axis cannot show.
    """
    lines = []
    for number, setting, part in in_panels(table, panels):
        for metric, name, colour, symbol, row in series:
            rows = part[part["metric"] == metric]
            frames = {
                choice: over_seeds(rows[rows["layer"].isin(layers[setting])], column)
                for choice, layers in choices.items()
            }
            if bands and row == 1:
                frames = {choice: drawable(frame) for choice, frame in frames.items()}
            if bands and part["seed"].nunique() > 1:
                lines.append(band(name, colour, frames, column, (row, number)))
            data = {
                choice: {"x": significant(frame[column]), **points(frame)}
                for choice, frame in frames.items()
            }
            look = point_look(symbol, name, place)
            lines.append(Line(name, colour, data, row, number, look=look))
    return lines


def layer_choices(
    table: pd.DataFrame, panels: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """What a menu of layers offers: choice → setting → layers, all of them first.

    Each layer where all panels have the same ones, else thirds of the depth; a network of fewer
    than three layers has its nearest layer in two of them.
    """
    layers = {
        setting: list(dict.fromkeys(table.loc[table["setting"] == setting, "layer"]))
        for setting in panels
    }
    choices = {_MEAN: layers}
    if len(set(map(tuple, layers.values()))) == 1:
        names = next(iter(layers.values()))
        alone = names if len(names) > 1 else []
        return choices | {name: {setting: [name] for setting in layers} for name in alone}
    for third, choice in enumerate(("early layers", "middle layers", "late layers")):
        choices[choice] = {}
        for setting, names in layers.items():
            start = third * len(names) // 3
            stop = max((third + 1) * len(names) // 3, start + 1)
            choices[choice][setting] = names[start:stop]
    return choices
