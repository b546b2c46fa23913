"""Is what edited networks lack in linearity of second order? Distances against λ and baseline."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import COLOURS, SYMBOLS, Figure, draw, xy
from ctl_helpers.figures.factors import Series, layer_choices, layer_lines
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.figures.views import READ_AGAINST, Controls, views
from ctl_helpers.findings.editing import blocks, edit_excess, edit_growth
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import FLOOR, by_panel
from ctl_helpers.results.labels import Metric


def against_lambda(
    eq2: pd.DataFrame,
    eq3: pd.DataFrame,
    panels: Mapping[str, str],
    *,
    eq2_controls: pd.DataFrame | None = None,
    eq3_controls: pd.DataFrame | None = None,
) -> Figure:
    """ε, distance or length of Equations 2 and 3 against λ, a row per equation.

    The menu chooses the block.

    Args:
        eq2, eq3: as :func:`ctl_helpers.figures.editing.direction` takes them; edits are averaged.
        eq2_controls, eq3_controls: the same with ``control``; drawn as bands.
    """
    first, last = (edit_growth.by_setting(eq2, step=step) for step in (0, -1))
    growth = {name: f"{first[name]} at first and {last[name]} at last" for name in first}
    choices, shown = layer_choices(blocks(eq2), panels), views(eq2, eq3)
    unknown = dict.fromkeys(panels, "by what a second λ would tell")
    figure = draw(
        [
            line
            for row, (table, bands) in enumerate(((eq2, eq2_controls), (eq3, eq3_controls)), 1)
            for line in layer_lines(
                blocks(table), panels, "lam", [Series("both sides")], "λ = %{x}", choices, shown,
                controls=Controls(None if bands is None else blocks(bands)), row=row,
            )
        ],
        by_setting(
            panels,
            lambda one: f"As λ doubles, ε of Equation 2 grows {by_panel(one, unknown | growth)}; "
            "second order would be 2 times",
        ),
        "Against lambda on a log scale, for Equation 2 above and Equation 3 below, with quartiles "
        f"over samples: how far both sides of the equation are apart. {READ_AGAINST} Second order "
        "would be a slope of four for one minus cosine against two for its baseline.",
        rows=["Eq. 2: ", "Eq. 3: "],
        columns=list(panels.values()),
        menu="layer",
        height=620,
        views=shown,
        viewed=(1, 2),
        findings=quoted(first.values(), last.values()),
    )  # fmt: skip
    figure.update_xaxes(type="log", tickvals=sorted(set(eq2["lam"]) | set(eq3["lam"])))
    figure.update_xaxes(title_text="λ", row=2)
    return figure


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
            "marker_size": 9,
            "marker_symbol": SYMBOLS[number % len(SYMBOLS)],
            "text": [f"{one.layer}, λ = {one.lam:g}" for one in rows.itertuples()],
            "hovertemplate": f"{title}<br>%{{text}}<br>baseline %{{x}}, distance %{{y}}"
            "<extra></extra>",
        }
        lines.append(Line(title, COLOURS[number % len(COLOURS)], {"": data}, look=look))
    figure = draw(
        lines,
        "How curved is each network? The distance, divided by the square of the baseline, is "
        f"{by_panel(panels, excess)}, median over blocks and λ",
        "Mean distance of Equation 2 against its mean baseline, both on log scales, a point for "
        "each block and lambda, a colour for each network. Second order would be slope two.",
        rows=["E[1 − cosine] of both sides"],
        height=460,
        findings=quoted(excess.values()),
    )
    figure.update_xaxes(**log_axis(means[Metric.BASELINE]), title_text="baseline")
    return figure.update_yaxes(**log_axis(means[Metric.DISTANCE]))
