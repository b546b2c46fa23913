"""What single task vectors, pairs and triples leave unexplained, against their number."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures import many
from ctl_helpers.figures.axes import log_axis, number_axes
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.contrast import contrast
from ctl_helpers.figures.drawing import (
    BLUE,
    DOTTED,
    GREEN,
    GREY,
    VERMILION,
    Figure,
    band,
    draw,
    drawable,
    in_panels,
    marks,
    over_seeds,
    significant,
)
from ctl_helpers.figures.factors import layer_choices
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.interactions import ENOUGH, scope_error, unexplained
from ctl_helpers.findings.words import FLOOR, by_panel, extent
from ctl_helpers.results.labels import Control, Metric, Scope, Terms

_LOOKS = {
    Terms.SINGLES: (VERMILION, "circle"),
    Terms.PAIRS: (BLUE, "square"),
    Terms.TRIPLES: (GREEN, "diamond"),
}
_AXIS = "task vectors"

LEAST = 1e-3
"""A smaller ε of one layer alone is rounding, as where a layer is linear in its weights."""

_REFERENCES = {1.0: ("no better than no change", "dot"), ENOUGH: ("a quarter", "dashdot")}


def shares(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """The share of the features' change that terms leave, on a log scale, a panel a setting.

    The menu chooses the layer, as in :func:`ctl_helpers.figures.factors.factor`.

    Args:
        table: :func:`ctl_helpers.analysis.interactions.unexplained`.
        controls: the same with ``control``; the random vectors' are drawn as broken lines.
    """
    table = table[table["setting"].isin(list(panels))]
    parts = {"": table}
    if controls is not None:
        parts[Control.RANDOM] = controls[controls["control"] == Control.RANDOM]
    alone, paired = (
        unexplained.by_setting(table, terms=terms, at="mean")
        for terms in (Terms.SINGLES, Terms.PAIRS)
    )
    figure = draw(
        _lines(parts, panels),
        by_setting(
            panels,
            lambda one: (
                f"Task vectors {extent(table, 'k', one)}: of what all of them change, the share "
                f"left unexplained is {by_panel(one, alone)} with single vectors, and "
                f"{by_panel(one, paired)} with pairs, mean over layers"
            ),
        ),
        "Against the number of task vectors in the sum, on a log scale: the share of the features' "
        "squared change that is left by single task vectors (circles), by these and pairs "
        "(squares), and by these and triples (diamonds). At one, terms are no better than to "
        "expect no change; pale areas around lines span the seeds."
        + (" Broken lines are of random vectors." if controls is not None else ""),
        rows=["share left unexplained"],
        columns=list(panels.values()),
        menu="layer",
        height=460,
        findings=quoted(alone.values(), paired.values()),
    )
    values = pd.concat([part["unexplained"] for part in parts.values()])
    figure.update_yaxes(**log_axis(values[values >= FLOOR]))
    number_axes(figure, table, "k", panels, _AXIS)
    return figure


def sums(
    table: pd.DataFrame, panels: Mapping[str, str], *, controls: pd.DataFrame | None = None
) -> Figure:
    """ε, distance or length of Theorem 4.3 against the number of task vectors, by set.

    Args:
        table: :func:`ctl_helpers.compare` of :func:`ctl_helpers.disentangled` at (k+1)α = 0.8.
        controls: the same with ``control``; drawn as bands.
    """
    kind = "(k+1)α = 0.8"
    return many.growing(
        table.assign(kind=kind),
        panels,
        [kind],
        ("Task vectors", f"with {kind}, as Theorem 4.3 has it", "mean over layers"),
        "Against the number of task vectors, with quartiles over samples: how far the edited "
        "network's features are from the mean of those with one task vector each.",
        _AXIS,
        controls,
    )


def local(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε, distance or length by layer: with all layers mixed, the layer alone, or a part of it.

    Args:
        table: :func:`ctl_helpers.compare` with ``scope``.
    """
    table = table[table["setting"].isin(list(panels))]
    is_error, known = table["metric"] == Metric.EPSILON, table["scope"] != Scope.NORM
    drawn = table[known & (~is_error | (table["mean"] >= LEAST))]
    every, alone = (
        scope_error.by_setting(table, scope=one, at="mean") for one in (Scope.ALL, Scope.ALONE)
    )
    return contrast(
        drawn,
        "scope",
        panels,
        by_setting(
            panels,
            lambda one: (
                f"All task vectors: ε is {by_panel(one, every)} with all layers mixed, and "
                f"{by_panel(one, alone)} with each layer alone mixed, mean over layers"
            ),
        ),
        "By layer, for the sum of all task vectors, with quartiles over samples: how far both "
        "sides of Theorem 4.3 are apart with all layers mixed (circles), and with the layer alone "
        "mixed (squares); in transformers also with a block's attention or MLP alone. "
        f"ε is on a log scale, and where it is under {LEAST:g} there is no dot.",
        quoted(every.values(), alone.values()),
        log=True,
    )


def _lines(parts: Mapping[str, pd.DataFrame], panels: Mapping[str, str]) -> list[Line]:
    """The references, and the shares of each table, those of a control without markers."""
    lines = []
    table = parts[""]
    choices = layer_choices(table, panels)
    for column, setting, rows in in_panels(table, panels):
        ends = [int(rows["k"].min()), int(rows["k"].max())]
        for value, (name, dash) in _REFERENCES.items():
            data = {"": {"x": ends, "y": [value, value]}}
            look = {**DOTTED, "line_dash": dash, "line_width": 1.5}
            lines.append(Line(name, GREY, data, 1, column, look=look))
        for control, part in parts.items():
            for terms, (colour, symbol) in _LOOKS.items():
                own = part[(part["setting"] == setting) & (part["terms"] == terms)]
                if len(own):
                    lines += _series(own, setting, choices, control, colour, symbol, column)
    return lines


def _series(
    rows: pd.DataFrame,
    setting: str,
    choices: Mapping[str, Mapping[str, list[str]]],
    control: str,
    colour: str,
    symbol: str,
    column: int,
) -> list[Line]:
    """One line, with the range of its seeds where there are several."""
    name = f"{rows['terms'].iloc[0]}{f', {control}' if control else ''}"
    frames = {
        choice: drawable(over_seeds(rows[rows["layer"].isin(layers[setting])], "k", "unexplained"))
        for choice, layers in choices.items()
    }
    data = {
        choice: {"x": frame["k"].tolist(), "y": significant(frame["mean"])}
        for choice, frame in frames.items()
    }
    hover = f"%{{x}} {_AXIS}: %{{y}}<extra>{name}</extra>"
    if control:
        look: dict[str, object] = {"mode": "lines", "line_dash": "dash", "hovertemplate": hover}
        return [Line(name, colour, data, 1, column, look=look)]
    line = Line(name, colour, data, 1, column, look=marks(hover, symbol))
    if rows["seed"].nunique() < 2:
        return [line]
    return [band(name, colour, frames, "k", (1, column)), line]
