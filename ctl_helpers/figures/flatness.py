"""Barrier of the loss against the linearity error, a dot for each pair of networks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    COLOURS,
    DOTTED,
    GREY,
    SKY,
    SYMBOLS,
    Figure,
    draw,
    marks,
    xy,
)
from ctl_helpers.findings.flatness import Kin, not_linear, pairs, without_barrier
from ctl_helpers.findings.spawning import NO_BARRIER
from ctl_helpers.findings.words import LINEAR, short


def flatness(
    paths: pd.DataFrame,
    direction: pd.DataFrame,
    curves: pd.DataFrame,
    features: pd.DataFrame,
    control: pd.DataFrame,
    panels: Mapping[str, str],
) -> Figure:
    """ε of the worst layer against the loss over its chord, a panel for each kind of pair.

    Args:
        paths, direction, curves, features, control: as
            :func:`ctl_helpers.findings.flatness.pairs` takes them.
        panels: setting → title; settings are colours here, not panels.
    """
    table = pairs(paths, direction, curves, features, control)
    low, high = table["epsilon"].min() / 1.2, table["epsilon"].max() * 1.2
    lines = []
    for column, kin in enumerate(Kin, 1):
        of_kin = table[table["kin"] == kin]
        if of_kin.empty:
            continue
        reach = [min(of_kin["barrier"].min(), 0) - 0.03, max(of_kin["barrier"].max(), 0.05) + 0.03]
        half = {"": {"x": reach, "y": [LINEAR] * 2}}
        edge = {"": {"x": [NO_BARRIER] * 2, "y": [low, high]}}
        lines += [
            Line("ε = ½, no barrier", GREY, data, 1, column, look=DOTTED) for data in (half, edge)
        ]
        for number, (setting, title) in enumerate(panels.items()):
            rows = of_kin[of_kin["setting"] == setting]
            if not rows.empty:
                lines.append(_dots(rows, short(title), number, column))
    flat = without_barrier(table)
    figure = draw(
        lines,
        f"{len(not_linear(flat))} of {len(flat)} pairs without a barrier have a layer with "
        f"ε over {LINEAR:g}",
        "Scatter plots, one for each kind of pair: the linearity error epsilon of the worst layer, "
        "on a log scale, against how far the loss gets over the chord of its ends. Dotted lines "
        "are epsilon one half and a barrier of next to nothing. Dots at the upper left have no "
        "barrier and features that are not linear.",
        rows=["ε of the worst layer"],
        columns=list(map(str, Kin)),
        height=480,
    )
    figure.update_xaxes(title_text="loss over its chord (nats)")
    return figure.update_yaxes(**log_axis(table["epsilon"]))


def _dots(rows: pd.DataFrame, name: str, number: int, column: int) -> Line:
    named = zip(*(rows[key].tolist() for key in ("i", "j", "seed")), strict=True)
    texts = [f"{i if i == j else f'{i}, {j}'}, seed {seed}" for i, j, seed in named]
    hover = f"%{{text}}<br>loss over its chord %{{x}}<br>ε %{{y}}<extra>{name}</extra>"
    look = marks(hover, SYMBOLS[number % len(SYMBOLS)], size=7, mode="markers", opacity=0.75)
    data = {**xy(rows, "barrier", "epsilon", 3), "text": texts}
    colours = (*COLOURS, SKY)
    return Line(name, colours[number % len(colours)], {"": data}, 1, column, look=look)
