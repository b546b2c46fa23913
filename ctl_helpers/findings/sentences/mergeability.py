"""What the page and the notebook on which merges work say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.mergeability import (
    PREDICTORS,
    beside_lengths,
    merge_count,
    merge_forecast,
    told_to_work,
    working_merges,
)
from ctl_helpers.findings.words import by_panel, cells, mark, number_table, said, short
from ctl_helpers.probing.track_record import KEPT

Panels = Mapping[str, str]


def answer(merges: pd.DataFrame, panels: Panels) -> str:
    """Whether ε predicts, beside what else does, and how often a yes or no is right.

    Args:
        merges: a row for each merge.
        panels: setting → panel title; the first one is told, which is the nearest to the paper's.
    """
    first = dict(list(panels.items())[:1])

    def r(**how: str) -> str:
        return said(first, merge_forecast, merges, **how)

    return (
        f"- **Does ε predict?** On {short(*first.values())}, over "
        f"{said(first, merge_count, merges)} merges of each seed, a "
        "line through ε of the worst layer predicts the accuracy of merges with a task that it has "
        f"not seen with r = {r()} within a task, and {r(over='all')} over all tasks pooled. In a "
        "study of 28 metrics {cite}`zhou2026mergeability` single ones have |r| of 0.4 to 0.6.\n"
        f"- **Better than weights alone?** Mean ‖τ‖ has r = {r(by='length')}; of all predictors "
        f"the best is {by_panel(first, _best(merges))}. With ‖τ‖ and ‖λΣτ‖ given, the partial rank "
        f"correlation of ε with accuracy is {said(first, beside_lengths, merges)}. Below zero it "
        "would say that merges with a larger ε are worse, above zero that they are better.\n"
        f"- **Yes or no?** {said(first, working_merges, merges)} of the merges keep {KEPT:.0%} of "
        f"their parts. A threshold on ε finds {said(first, told_to_work, merges)} of them on tasks "
        "that it has not seen, and says yes to "
        f"{said(first, told_to_work, merges, of='false alarms')} of the others."
    )


def _best(merges: pd.DataFrame) -> dict[str, str]:
    """Setting → the predictor with the largest correlation within tasks left out."""
    of = {name: merge_forecast.by_setting(merges, by=name) for name in PREDICTORS}
    best = {
        setting: max(
            (name for name in of if setting in of[name]), key=lambda name: float(of[name][setting])
        )
        for setting in of["epsilon_worst"]
    }
    return {
        setting: f"*{PREDICTORS[name]}* with {mark(of[name][setting])}"
        for setting, name in best.items()
    }


def table(merges: pd.DataFrame, panels: Panels) -> str:
    """Of each predictor Pearson's correlation with what came of merges left out, and of some more.

    What is told of few predictors is in tables of its own.
    """
    forecasts = {
        called: cells(panels, merge_forecast, merges, by=name)
        for name, called in PREDICTORS.items()
        if name != "constant"
    }
    for sets in ("pairs", "averages"):
        forecasts[f"ε, worst layer, {sets} alone"] = cells(
            panels, merge_forecast, merges, sets=sets
        )
    partial = {
        PREDICTORS[name]: cells(panels, beside_lengths, merges, by=name)
        for name in ("epsilon_worst", "epsilon_last", "xi")
    }
    told = {
        f"{PREDICTORS[name]}: {of}": cells(panels, told_to_work, merges, by=name, of=of)
        for name in ("epsilon_worst", "apart", "length")
        for of in ("hits", "false alarms")
    }
    return (
        "Pearson's correlation of the forecast with normalized accuracy, mean over tasks left "
        f"out:{number_table(panels, forecasts)}"
        "The *rank* correlation with normalized accuracy, ‖τ‖ and ‖λΣτ‖ given. It is below 0 "
        f"where a larger value goes with a worse merge:{number_table(panels, partial)}"
        f"*Hits* are the merges that keep {KEPT:.0%} of their parts and of which a threshold, "
        "learnt on other tasks, says so. *False alarms* are the others of which it says the same:"
        f"{number_table(panels, told)}"
    )
