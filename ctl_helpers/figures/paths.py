"""Loss along the line between two networks."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import ALL, COLOURS, Figure, by_pair, draw, in_panels, significant
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.cross_task import loss_rise
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import by_panel

_TASKS = {"D_i": "task i", "D_j": "task j", "D_PT": "the pretraining task"}


def paths(curves: pd.DataFrame, barriers: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Loss and accuracy along ``θ_α`` on ``D_i``, ``D_j`` and ``D_PT`` (Section 4.1).

    Args:
        curves: :func:`ctl_helpers.evaluate` of :func:`ctl_helpers.path` with columns ``setting``,
            ``seed`` and ``role``, which says whose task it is; seeds are averaged.
        barriers: :func:`ctl_helpers.barriers` of the curves, by setting and seed.
    """
    lines = []
    roles = list(curves["role"].unique())
    for column, _, part in in_panels(curves, panels):
        for n, role in enumerate(roles):
            told = f"on {_TASKS.get(role, role)}"
            pairs = by_pair(part[part["role"] == role], ["alpha"])
            for row, (measure, form) in enumerate((("loss", ".3f"), ("accuracy", ".1%")), 1):
                data = {pair: {"y": significant(part[measure])} for pair, part in pairs.items()}
                hover = f"α = %{{x}}: {measure} %{{y:{form}}}<extra>{told}</extra>"
                alphas = pairs[ALL]["alpha"].tolist()
                look = {"x": alphas, "mode": "lines+markers", "hovertemplate": hover}
                lines.append(Line(told, COLOURS[n], data, row, column, look=look))
    both, start = (loss_rise.by_setting(barriers, tasks=tasks) for tasks in ("both", "pretraining"))
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "On the line between two fine-tuned networks, ends included, the loss is highest "
                f"by this much above the better end: on their tasks {by_panel(one, both)}, on the "
                f"pretraining task {by_panel(one, start)} (medians over all pairs)"
            ),
        ),
        "Loss above and accuracy below against alpha, from network j at zero to network i at one, "
        "on both fine-tuning tasks and on the pretraining task.",
        rows=["loss", "accuracy"],
        columns=list(panels.values()),
        menu="pair",
        height=560,
        findings=quoted(both.values(), start.values()),
    )
    figure.update_yaxes(tickformat=".0%", row=2)
    figure.update_xaxes(zeroline=False)
    return figure.update_xaxes(title_text="α (weight of network i)", row=2)
