"""What pretraining does to linearity: dots of ratios, and runs side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.around_centre import ratio_rows, runs_beside
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.objective import KINDS, objective_doublings, objectives_of, that_teach
from ctl_helpers.results.labels import Where
from ctl_helpers.training.pretrained_for import Objective


def ratios(matched: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε after each objective over ε from a random start, a row an objective and a panel a setting.

    Args:
        matched: columns ``objective``, ``control``, ``where`` and ``epsilon``.
    """
    matched = matched[matched["setting"].isin(list(panels))]
    taught = {one for setting in panels for one in that_teach(matched, setting)}
    untold = [
        one for one in objectives_of(matched) if one not in {*taught, Objective.RANDOM_LABELS}
    ]
    names = {one: f"{one}<br>(not testable)" if one in untold else str(one) for one in Objective}
    found = {
        (names[objective], str(kind), where): objective_doublings.by_setting(
            matched, objective=objective, control=kind, where=where
        )
        for objective in objectives_of(matched)
        for kind in KINDS
        for where in Where
    }
    told = next((name for name, _, _ in found), "")
    own, random = (found.get((told, str(kind), Where.WORST), {}) for kind in KINDS)

    def takeaway(one: Mapping[str, str]) -> str:
        (setting,) = list(one)[:1]
        if setting not in own or setting not in random:
            return "No features have moved far enough to compare"
        return (
            f"After {told}, the worst layer's ε is {own[setting]} that of a random start for task "
            f"vectors, and {random[setting]} for random vectors that move features as far"
        )

    return ratio_rows(
        found,
        panels,
        {"": list(names.values())},
        by_setting(panels, takeaway),
        "A row for each objective of pretraining: the linearity error after it, divided by that "
        "from a random start, on a logarithmic axis with a line at 1. Circles: task vectors; "
        "squares: random vectors that move features as far. Bars: 95% intervals over seeds. Of an "
        "objective that is not testable a head reads features no better than a random start's.",
        axis="ε over that<br>of a random start",
        findings=quoted(own.values(), random.values()),
    )


def runs(snapshots: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε against how far features have moved, along the run of fine-tuning after each objective.

    The slider chooses the objective; the random start is always there.

    Args:
        snapshots: :func:`ctl_helpers.compare` with ``objective`` and ``steps``.
    """
    groups = {"" if one is Objective.NONE else str(one): (one,) for one in Objective}
    return runs_beside(snapshots, panels, "objective", groups, "objective")
