"""Kinds of one thing told apart: null controls, BatchNorm's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import LOG_AXIS
from ctl_helpers.figures.drawing import (
    ALL,
    COLOURS,
    SYMBOLS,
    Figure,
    Line,
    by_pair,
    draw,
    in_panels,
    point_look,
    points,
)


def contrast(
    table: pd.DataFrame,
    column: str,
    panels: Mapping[str, str],
    title: str,
    alt: str,
    findings: Sequence[Mapping[str, str]] = (),
) -> Figure:
    """Distance above and length below, by layer, a line for each value of a column.

    Args:
        table: :func:`ctl_helpers.compare` with ``column``; pairs are averaged.
        column: what is told apart.
        title, alt, findings: as :func:`ctl_helpers.figures.drawing.draw` takes them.
    """
    kinds = list(dict.fromkeys(table[column]))
    measures = {"distance": "E[1 − cosine]", "coef": "coef"}
    lines = []
    for place, _, part in in_panels(table, panels):
        for n, kind in enumerate(kinds):
            for row, metric in enumerate(measures, 1):
                rows = part[(part[column] == kind) & (part["metric"] == metric)]
                data = {ALL: points(by_pair(rows, ["layer"])[ALL])}
                symbol = SYMBOLS[n % len(SYMBOLS)]
                look = {"x": list(dict.fromkeys(rows["layer"])), **point_look(symbol, kind)}
                lines.append(Line(kind, COLOURS[n], data, row, place, look=look))
    figure = draw(
        lines,
        title,
        alt,
        rows=list(measures.values()),
        columns=list(panels.values()),
        height=600,
        findings=findings,
    )
    return figure.update_yaxes(**LOG_AXIS, row=1)
