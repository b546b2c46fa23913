"""The measures of linearity that a figure shows in turn, and what they are read against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ctl_helpers.figures.axes import LINEAR_AXIS, log_axis
from ctl_helpers.figures.choices import Line, View
from ctl_helpers.figures.drawing import (
    DOTTED,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    band,
    significant,
)
from ctl_helpers.findings.words import FLOOR
from ctl_helpers.results.labels import Control, Metric

LOOKS = {
    Control.APART: (ORANGE, "dash"),
    Control.SCRATCH: (GREY, "longdashdot"),
    Control.RANDOM: (PURPLE, "dashdot"),
    Control.OTHER_SAMPLES: (SKY, "longdash"),
}
"""How a control looks, in every figure: a band between quartiles around a broken line."""

READ_AGAINST = (
    "The menu chooses what is shown: the linearity error epsilon, from zero (linear) to one (no "
    "nearer to the mix than one of its parts is) and beyond; one minus cosine on a log scale with "
    "its baseline; or the length coefficient, where one is equal length."
)
"""For text alternatives."""

BANDS = (
    " Broken lines in bands are controls: medians, lower and upper quartile over pairs and seeds."
)

_REFERENCES = {
    Metric.EPSILON: {0.0: "ε = 0: linear", 1.0: "ε = 1: no nearer than a part"},
    Metric.COEF: {1.0: "coef = 1: equal length"},
}


def views(*tables: pd.DataFrame) -> list[View]:
    """ε, 1 − cosine and coef, as far as all of some comparisons have them.

    The axis of ε ends half above what is compared and above 1: a control that is worse may leave
    it.

    Args:
        tables: of :func:`ctl_helpers.compare`; of their values the axes are made.
    """
    errors = pd.concat([table[table["metric"] == Metric.EPSILON] for table in tables])["mean"]
    top = float(f"{1.5 * max(1.0, errors.max()):.2g}") if errors.notna().any() else 1.5
    distances = pd.concat([table[table["metric"].isin(BY_LOG)] for table in tables])["mean"]
    log = log_axis(distances[distances >= FLOOR])
    known = [
        View(
            Metric.EPSILON,
            "linearity error ε",
            "linearity error ε",
            {**LINEAR_AXIS, "range": [0, top]},
        ),
        View(
            Metric.DISTANCE,
            "1 − cosine",
            "E[1 − cosine]",
            {**log, "autorange": True},
        ),
        View(Metric.COEF, "length (coef)", "coef", {**LINEAR_AXIS, "autorange": True}),
    ]
    return [view for view in known if all((t["metric"] == view.key).any() for t in tables)]


BY_LOG = (Metric.DISTANCE, Metric.BASELINE)


def series(view: View) -> tuple[Metric, ...]:
    """The metrics that a view shows: the distance has its baseline with it, behind it."""
    return (
        (Metric.BASELINE, Metric.DISTANCE) if view.key == Metric.DISTANCE else (Metric(view.key),)
    )


def references(view: View, places: Sequence[object], row: int, column: int) -> list[Line]:
    """Lines across a panel at the values that a view is read against.

    Args:
        view: one of :func:`views`.
        places: those on the horizontal axis in their order, at least the first and the last.
        row, column: of the panel.
    """
    return [
        Line(name, GREY, {"": {"x": list(places), "y": [value] * len(places)}}, row, column,
             look={**DOTTED, "line_width": 1.5, "line_dash": "dot" if value else "solid"},
             view=view.key)
        for value, name in _REFERENCES.get(Metric(view.key), {}).items()
    ]  # fmt: skip


@dataclass(frozen=True)
class Controls:
    """The controls of a figure.

    Attributes:
        table: :func:`ctl_helpers.compare` with ``setting`` and ``control``; None for no controls.
    """

    table: pd.DataFrame | None = field(default=None)

    def by_layer(
        self, setting: str, view: View, places: Mapping[str, object], *place: int
    ) -> list[Line]:
        """Bands along layers.

        Args:
            places: layer → where it stands on the horizontal axis.
            place: row and column of the panel.
        """
        frames = {}
        for control, rows in self._rows(setting, view).items():
            rows = rows[rows["layer"].isin(list(places))]
            order = {layer: number for number, layer in enumerate(places)}
            frame = _quartiles(rows, "layer")
            frame = frame.sort_values("layer", key=lambda names: names.map(order))
            frames[control] = {"": frame.assign(place=[places[name] for name in frame["layer"]])}
        return _banded(frames, view, place)

    def levels(
        self,
        setting: str,
        view: View,
        choices: Mapping[str, Sequence[str]],
        ends: Sequence[float],
        column: str,
        *place: int,
    ) -> list[Line]:
        """Bands against a number, or level ones where the controls were taken at one value of it.

        Args:
            choices: what a menu offers → the layers that it is the mean of.
            ends: the number's smallest and largest value.
            column: the number's.
            place: row and column of the panel.
        """
        frames: dict[Control, dict[str, pd.DataFrame]] = {}
        for control, rows in self._rows(setting, view).items():
            frames[control] = {}
            several = column in rows and rows[column].nunique() > 1
            for choice, layers in choices.items():
                chosen = rows[rows["layer"].isin(list(layers))]
                keys = [name for name in _PAIR if name in chosen]
                if several:
                    means = chosen.groupby([*keys, column])["mean"].mean().reset_index()
                    frames[control][choice] = _quartiles(means, column, "place")
                else:
                    means = chosen.groupby(keys)["mean"].mean().reset_index()
                    levels = [_quartiles(means.assign(place=end), "place") for end in ends]
                    frames[control][choice] = pd.concat(levels)
        return _banded(frames, view, place)

    def _rows(self, setting: str, view: View) -> dict[Control, pd.DataFrame]:
        """Control → its rows of a setting and a view's own metric.

        The ε of other samples is several times 1: it has a figure of its own.
        """
        if self.table is None:
            return {}
        own = self.table[(self.table["setting"] == setting) & (self.table["metric"] == view.key)]
        far = {Control.OTHER_SAMPLES} if view.key == Metric.EPSILON else set()
        parts = {control: own[own["control"] == control] for control in LOOKS if control not in far}
        return {control: rows for control, rows in parts.items() if len(rows)}


_PAIR = ("seed", "i", "j", "models", "draw")


def _quartiles(rows: pd.DataFrame, column: str, called: str = "") -> pd.DataFrame:
    """Lower quartile, median and upper quartile of the means: ``low``, ``mean`` and ``high``."""
    grouped = rows.groupby(column, sort=False)["mean"]
    ends = {"low": grouped.quantile(0.25), "high": grouped.quantile(0.75)}
    frame = pd.DataFrame({**ends, "mean": grouped.median()}).reset_index()
    return frame.rename(columns={column: called or column})


def _banded(
    frames: Mapping[Control, Mapping[str, pd.DataFrame]], view: View, place: Sequence[int]
) -> list[Line]:
    lines = []
    row, column = place
    for control, choices in frames.items():
        colour, dash = LOOKS[control]
        lines.append(band(str(control), colour, choices, "place", (row, column), view=view.key))
        data: dict[str, dict[str, list[Any]]] = {
            choice: {"x": frame["place"].tolist(), "y": significant(frame["mean"])}
            for choice, frame in choices.items()
        }
        hover = f"%{{x}}: %{{y}}, median over pairs<extra>{control}</extra>"
        look = {"mode": "lines", "line_dash": dash, "line_width": 2, "hovertemplate": hover}
        lines.append(Line(str(control), colour, data, row, column, look=look, view=view.key))
    return lines
