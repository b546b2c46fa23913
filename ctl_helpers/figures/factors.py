"""What linearity depends on: distance and length against a number that training is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from ctl_helpers.figures.axes import number_axes
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.drawing import (
    BLUE,
    GREY,
    Figure,
    band,
    draw,
    drawable,
    in_panels,
    over_seeds,
    point_look,
    points,
    significant,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.views import (
    BANDS,
    BY_LOG,
    READ_AGAINST,
    Controls,
    references,
    series,
    views,
)
from ctl_helpers.findings.changes import changes
from ctl_helpers.findings.factors import FACTORS, factor_of, level_at
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import FLOOR, extent, plain
from ctl_helpers.results.labels import Metric

_MEAN = "mean over layers"
CALLED = {
    Metric.EPSILON: "linearity error ε",
    Metric.DISTANCE: "distance",
    Metric.COEF: "length",
}
"""What a measure is called in a takeaway."""


@dataclass(frozen=True)
class Series:
    """One of a panel's series.

    Attributes:
        kind: its rows' value of the column ``kind``; all rows if empty.
    """

    name: str
    colour: str = BLUE
    symbol: str = "circle"
    kind: str = ""

    def of(self, metric: Metric) -> tuple[str, str, str]:
        """Name, colour and symbol: a baseline's are grey, and of the same form as its series'."""
        if metric != Metric.BASELINE:
            return self.name, self.colour, self.symbol
        name = f"baseline, {self.name}" if self.kind else "baseline"
        return name, GREY, "diamond" if self.symbol == "circle" else "diamond-open"

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """Its rows of a table."""
        return table[table["kind"] == self.kind] if self.kind else table


def factor(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """ε, distance or length at α = 0.5 against a number, a panel a setting (Figures 11 and 12).

    The menu chooses the layer. Where the panels' settings differ in their layers, it offers the
    first, middle and last third of each network's layers instead. Distances under ``FLOOR`` are not
    drawn on the log scale, and the alternative text says so.

    Args:
        table: :func:`ctl_helpers.compare` with a factor, one of
            :data:`ctl_helpers.findings.factors.FACTORS`; other rows than those of α = 0.5 are left
            out. Pairs are averaged; a band spans the seeds, where there are several.
        controls: :func:`ctl_helpers.compare` with ``control``; drawn as bands.
    """
    table = table[table["setting"].isin(list(panels)) & np.isclose(table["alpha"], 0.5)]
    column = factor_of(table)
    label, layers, shown = FACTORS[column], layer_choices(table, panels), views(table)
    metric = Metric(shown[0].key)
    first, last = (level_at.by_setting(table, metric=metric, at=at) for at in ("first", "last"))
    known = table[(table["metric"] == metric) & table["mean"].notna()]
    figure = draw(
        layer_lines(
            table, panels, column, [Series("at α = 0.5")], f"{label} %{{x}}", layers, shown,
            controls=Controls(controls),
        ),
        by_setting(
            panels,
            lambda one: f"{label[:1].upper()}{label[1:]} {extent(known, column, one)}: the "
            f"{CALLED[metric]} {changes(one, first, last)}, {_MEAN}",
        ),
        f"Against {label}, at alpha one half, with quartiles over samples; pale areas around lines "
        f"span the seeds. {READ_AGAINST}{BANDS if controls is not None else ''}"
        f"{_dropped(table, panels, column, label)}",
        rows=[""],
        columns=list(panels.values()),
        menu="layer",
        height=460,
        views=shown,
        findings=quoted(first.values(), last.values()),
    )  # fmt: skip
    number_axes(figure, table, column, panels, label)
    return figure


def _dropped(table: pd.DataFrame, panels: Mapping[str, str], column: str, label: str) -> str:
    """Where the distance is too small for a log scale, for the alternative text."""
    distances = table[table["metric"] == Metric.DISTANCE]
    places = {
        float(str(at))
        for _, _, rows in in_panels(distances, panels)
        for at, mean in rows.groupby(column)["mean"].mean().items()
        if mean < FLOOR
    }
    if not places:
        return ""
    listed = ", ".join(map(plain, sorted(places)))
    return f" One minus cosine is under one millionth and not drawn at {label} {listed}."


def layer_lines(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    column: str,
    kinds: Sequence[Series],
    place: str,
    choices: Mapping[str, Mapping[str, Sequence[str]]],
    shown: Sequence[View],
    *,
    controls: Controls,
    row: int = 1,
) -> list[Line]:
    """What each view shows against a column, for each choice of layers, over its range of seeds.

    Args:
        kinds: what is told apart.
        place: what is told of a place, such as ``"λ = %{x}"``.
        choices: :func:`layer_choices`.
        shown: :func:`ctl_helpers.figures.views.views`.
        controls: drawn as bands.
        row: of the panels.
    """
    lines = []
    for number, setting, part in in_panels(table, panels):
        ends = [float(part[column].min()), float(part[column].max())]
        own = {choice: layers[setting] for choice, layers in choices.items()}
        for view in shown:
            lines += references(view, ends, row, number)
            lines += controls.levels(setting, view, own, ends, column, row, number)
            for metric, kind in product(series(view), kinds):
                rows = kind.rows(part[part["metric"] == metric])
                frames = {
                    choice: over_seeds(rows[rows["layer"].isin(layers)], column)
                    for choice, layers in own.items()
                }
                if metric in BY_LOG:
                    frames = {choice: drawable(frame) for choice, frame in frames.items()}
                name, colour, symbol = kind.of(metric)
                if part["seed"].nunique() > 1:
                    at = (row, number)
                    lines.append(band(name, colour, frames, column, at, view=view.key))
                data = {
                    choice: {"x": significant(frame[column]), **points(frame)}
                    for choice, frame in frames.items()
                }
                look = point_look(symbol, name, place)
                lines.append(Line(name, colour, data, row, number, look=look, view=view.key))
    return lines


def layer_choices(
    table: pd.DataFrame, panels: Mapping[str, str]
) -> dict[str, dict[str, list[str]]]:
    """What a menu of layers offers: choice → setting → layers, all of them first.

    Each layer where all panels have the same ones, else thirds of the depth; a network of fewer
    than three layers has its nearest layer in two of them.
    """
    layers = {
        setting: list(table.loc[table["setting"] == setting, "layer"].unique())
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
