"""Kinds of one thing told apart: null controls, BatchNorm's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from ctl_helpers.figures.axes import layer_axes, layer_places, log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    COLOURS,
    SYMBOLS,
    Figure,
    draw,
    in_panels,
    point_look,
    points,
)
from ctl_helpers.figures.views import LOOKS, READ_AGAINST, references, views
from ctl_helpers.results.labels import Metric


def contrast(
    table: pd.DataFrame,
    column: str,
    panels: Mapping[str, str],
    title: str | Sequence[str],
    alt: str,
    findings: Sequence[Mapping[str, str]] = (),
    *,
    log: bool = False,
) -> Figure:
    """ε, 1 − cosine or coef by layer, a line for each value of a column.

    Args:
        table: :func:`ctl_helpers.compare` with ``column``; all that else tells rows apart is
            averaged.
        column: what is told apart.
        title, alt, findings: as :func:`ctl_helpers.figures.drawing.draw` takes them; to the text
            alternative is added what the menu chooses.
        log: whether ε stands on a logarithmic axis, for kinds of very different ε.
    """
    kinds = list(table[column].unique())
    errors = table.loc[table["metric"] == Metric.EPSILON, "mean"]
    shown = [
        replace(view, form=log_axis(errors)) if log and view.key == Metric.EPSILON else view
        for view in views(table)
    ]
    lines: list[Line] = []
    named: list[list[str]] = []
    for place, _, part in in_panels(table, panels):
        places = layer_places(part["layer"])
        named.append(list(places.values()))
        for view in shown:
            lines += [
                line
                for line in references(view, named[-1], 1, place)
                if view.form["type"] != "log" or line.data[""]["y"][0] > 0
            ]
            for n, kind in enumerate(kinds):
                rows = part[(part[column] == kind) & (part["metric"] == view.key)]
                means = rows.groupby("layer", sort=False)[["mean", "q25", "q75"]].mean()
                look = {"x": named[-1], **point_look(SYMBOLS[n % len(SYMBOLS)], kind)}
                data = {"": points(means.reindex(list(places)).reset_index())}
                colour = LOOKS[kind][0] if kind in LOOKS else COLOURS[n]
                lines.append(Line(kind, colour, data, 1, place, look=look, view=view.key))
    figure = draw(
        lines,
        title,
        f"{alt} {READ_AGAINST}",
        rows=[""],
        columns=list(panels.values()),
        height=460,
        views=shown,
        findings=findings,
    )
    layer_axes(figure, named)
    return figure
