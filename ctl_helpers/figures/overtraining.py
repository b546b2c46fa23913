"""Long fine-tuning: ε, features, accuracies and sharpness along one run of each recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    BLUE,
    VERMILION,
    Figure,
    band,
    draw,
    in_panels,
    marks,
    over_seeds,
    significant,
    xy,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.overtraining import aware_gain, aware_halvings, merged_lost, run_epsilon
from ctl_helpers.findings.overtraining import runs as snapshots
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import Level, Recipe

_LOOKS = {Recipe.PLAIN: (BLUE, "circle"), Recipe.AWARE: (VERMILION, "diamond")}
_ALONG = {
    "epsilon": "ε, worst layer",
    "apart": "features apart",
    "merged": "merged accuracy",
    "own": "own accuracy",
}
_DISPLACED = {
    "epsilon": "ε, worst layer",
    "merged": "merged accuracy",
    "curvature": "sharpness",
}


def along(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε, features and accuracies against the length of fine-tuning, a line for each recipe.

    Bands are the range over seeds.

    Args:
        table: a row for each recipe, snapshot and layer.
        panels: setting → what it is called, in order; each has a column of its own.
    """
    lines = [
        line
        for column, _, rows in in_panels(snapshots(table), panels)
        for row, name in enumerate(_ALONG, 1)
        for recipe in Recipe
        for line in _by_length(rows[rows["recipe"] == recipe], recipe, name, (row, column))
    ]
    usual, most = (run_epsilon.by_setting(table, after=after) for after in ("usual", "most"))
    lost = merged_lost.by_setting(table)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "From the usual length of plain fine-tuning to the longest, ε goes from "
                f"{by_panel(one, usual)} to {by_panel(one, most)}; merged accuracy falls at most "
                f"{by_panel(one, lost)} under its best"
            ),
        ),
        "Lines against the number of steps as a multiple of the usual one, on a logarithmic axis, "
        "one for plain and one for sharpness-aware fine-tuning; bands are the range over seeds. "
        "From above: the linearity error of the worst layer, 1 − cosine between the features of "
        "both networks, the accuracy of the merged network, and that of the two networks.",
        rows=list(_ALONG.values()),
        columns=list(panels.values()),
        height=820,
        spacing=0.04,
        findings=quoted(usual.values(), most.values(), lost.values()),
    )
    _percent(figure, [list(_ALONG).index(name) + 1 for name in ("merged", "own")])
    figure.update_xaxes(**log_axis(table["multiple"]))
    figure.update_xaxes(title_text="multiple of the usual steps", row=len(_ALONG))
    return figure.add_vline(x=1, line_width=1, line_dash="dot", opacity=0.5)


def displaced(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε, merged accuracy and sharpness against how far features are apart, mean over seeds.

    Args:
        table, panels: as for :func:`along`.
    """
    lines = [
        line
        for column, _, rows in in_panels(snapshots(table), panels)
        for recipe in Recipe
        for line in _by_displacement(rows[rows["recipe"] == recipe], recipe, column)
    ]
    at = Level.DISPLACEMENT
    ratio = aware_halvings.by_setting(table, of="epsilon", at=at)
    gain = aware_gain.by_setting(table, at=at)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "Where features are equally far apart, sharpness-aware steps multiply ε by "
                f"{by_panel(one, ratio)} and change merged accuracy by {by_panel(one, gain)}"
            ),
        ),
        "Lines against 1 − cosine between the features of both networks, one for plain and one for "
        "sharpness-aware fine-tuning, a point for each snapshot. From above: the linearity error "
        "of the worst layer, the accuracy of the merged network, and the largest eigenvalue of the "
        "Hessian of each network's own loss on a logarithmic axis.",
        rows=list(_DISPLACED.values()),
        columns=list(panels.values()),
        height=680,
        spacing=0.05,
        findings=quoted(ratio.values(), gain.values()),
    )
    _percent(figure, [list(_DISPLACED).index("merged") + 1])
    last = len(_DISPLACED)
    figure.update_yaxes(**log_axis(snapshots(table)["curvature"]), row=last)
    return figure.update_xaxes(title_text="features apart (1 − cosine)", row=last)


def _by_length(
    rows: pd.DataFrame, recipe: Recipe, name: str, place: tuple[int, int]
) -> Iterator[Line]:
    frame = over_seeds(rows, "multiple", name)
    colour, symbol = _LOOKS[recipe]
    if rows["seed"].nunique() > 1:
        yield band(str(recipe), colour, {"": frame}, "multiple", place)
    look = marks(f"%{{x}} times the usual length: %{{y}}<extra>{recipe}</extra>", symbol, size=6)
    yield Line(str(recipe), colour, {"": xy(frame, "multiple", "mean")}, *place, look=look)


def _by_displacement(rows: pd.DataFrame, recipe: Recipe, column: int) -> Iterator[Line]:
    means = rows.groupby("multiple").mean(numeric_only=True)
    colour, symbol = _LOOKS[recipe]
    told = [f"{multiple:g} times the usual length" for multiple in means.index]
    look = marks(f"%{{text}}: %{{y}} at %{{x}}<extra>{recipe}</extra>", symbol, size=6)
    for row, name in enumerate(_DISPLACED, 1):
        data = {"x": significant(means["apart"]), "y": significant(means[name]), "text": told}
        yield Line(str(recipe), colour, {"": data}, row, column, look=look)


def _percent(figure: Figure, rows: Sequence[int]) -> None:
    for row in rows:
        figure.update_yaxes(tickformat=".0%", row=row)
