"""Is what edited networks lack in linearity of second order? Distances against λ and baseline."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import LOG_AXIS
from ctl_helpers.figures.drawing import (
    BLUE,
    COLOURS,
    GREY,
    SYMBOLS,
    Figure,
    Line,
    draw,
    xy,
)
from ctl_helpers.figures.factors import layer_choices, layer_lines
from ctl_helpers.findings.editing import blocks, edit_excess, edit_growth
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import FLOOR, by_panel
from ctl_helpers.results.labels import Metric


def against_lambda(eq2: pd.DataFrame, eq3: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Distance and baseline of Equations 2 and 3 against λ, a row per equation.

    The menu chooses the block.

    Args:
        eq2, eq3: as :func:`ctl_helpers.figures.editing.direction` takes them; edits are averaged.
    """
    first, last = (edit_growth.by_setting(eq2, step=step) for step in (0, -1))
    growth = {name: f"{first[name]} at first and {last[name]} at last" for name in first}
    choices = layer_choices(blocks(eq2), panels)
    unknown = dict.fromkeys(panels, "by what a second λ would tell")
    figure = draw(
        [
            line
            for row, table in enumerate((eq2, eq3), 1)
            for line in layer_lines(blocks(table), panels, "lam", _series(row), "λ = %{x}", choices)
        ],
        f"As λ doubles, the distance of Equation 2 grows {by_panel(panels, unknown | growth)}; of "
        "second order are 16 times",
        "Mean of one minus cosine against lambda, both on log scales, for Equation 2 above and "
        "Equation 3 below: both sides of the equation (circles), with quartiles over samples, and "
        "the baseline (diamonds). Second order would be a slope of four against two.",
        rows=["Eq. 2: E[1 − cos]", "Eq. 3: E[1 − cos]"],
        columns=list(panels.values()),
        menu="layer",
        height=620,
        findings=quoted(first.values(), last.values()),
    )
    figure.update_xaxes(type="log", tickvals=sorted(set(eq2["lam"]) | set(eq3["lam"])))
    figure.update_xaxes(title_text="λ", row=2)
    return figure.update_yaxes(**LOG_AXIS)


def _series(row: int) -> list[tuple[str, str, str, str, int]]:
    """Baseline and distance of the equation that stands in a row."""
    return [
        (Metric.BASELINE, "baseline", GREY, "diamond", row),
        (Metric.DISTANCE, "1 − cosine of both sides", BLUE, "circle", row),
    ]


def against_baseline(
    table: pd.DataFrame,
    panels: Mapping[str, str],
    *,
    beside: tuple[pd.DataFrame, Mapping[str, str]] | None = None,
) -> Figure:
    """Distance of Equation 2 against its baseline, a point per block and λ, for several networks.

    Of second order, the distance goes with the square of the baseline: a line of slope 2. Where a
    network stands above another's line, it is less linear at an equal change of its features.

    Args:
        table: as :func:`ctl_helpers.figures.editing.direction`'s; edits and seeds are averaged.
        beside: another such table with its own panels, which come first.
    """
    if beside:
        table, panels = pd.concat([beside[0], table]), {**beside[1], **panels}
    named = blocks(table[table["setting"].isin(list(panels))])
    excess = edit_excess.by_setting(named)
    means = named.groupby(["setting", "layer", "lam", "metric"], sort=False)["mean"].mean()
    means = means.unstack().reset_index()
    means = means[(means[[Metric.DISTANCE, Metric.BASELINE]] >= FLOOR).all(axis=1)]
    lines = []
    for number, (setting, title) in enumerate(panels.items()):
        rows = means[means["setting"] == setting]
        data = xy(rows, Metric.BASELINE, Metric.DISTANCE)
        look = {
            "mode": "markers",
            "marker_symbol": SYMBOLS[number % len(SYMBOLS)],
            "text": (rows["layer"] + ", λ = " + rows["lam"].map("{:g}".format)).tolist(),
            "hovertemplate": f"{title}<br>%{{text}}<br>baseline %{{x}}, distance %{{y}}"
            "<extra></extra>",
        }
        lines.append(Line(title, COLOURS[number % len(COLOURS)], {"": data}, look=look))
    figure = draw(
        lines,
        "At an equal baseline networks are not equally linear: the distance is "
        f"{by_panel(panels, excess)} times the baseline's square, in the median",
        "Mean distance of Equation 2 against its mean baseline, both on log scales, a point for "
        "each block and lambda, a colour for each network. Second order would be slope two.",
        rows=["E[1 − cosine] of both sides"],
        height=460,
        findings=quoted(excess.values()),
    )
    return figure.update_xaxes(**LOG_AXIS, title_text="baseline").update_yaxes(**LOG_AXIS)
