"""What the page and the notebook on merging methods say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.analysis.merge_names import METHODS, MergeMethod
from ctl_helpers.findings.finding import Measure
from ctl_helpers.findings.merge_methods import (
    ALL,
    LEAST_GAIN,
    PAIRS,
    best_level,
    gain_kept,
    merge_epsilon,
    merge_lead,
    merge_share,
    merge_strength,
)
from ctl_helpers.findings.words import cells, number_table, said, short

Panels = Mapping[str, str]

_WITHOUT = (MergeMethod.EPSILON, MergeMethod.LAYERS, MergeMethod.ENTROPY)


def answer(merges: pd.DataFrame, panels: Panels) -> str:
    """Methods, the strength by ε and one per layer, a line each; of the first panel.

    Args:
        merges: as the section stores them.
        panels: setting → panel title.
    """
    first = dict(list(panels.items())[:1])
    named = short(*first.values())
    others = [one for one in METHODS if one != MergeMethod.ARITHMETIC]
    means = {one: merge_share(_of(merges, first), method=one).effect for one in others}
    best = max(means, key=lambda one: means[one])

    def lead(method: str, over: str = MergeMethod.ARITHMETIC, of: str = ALL) -> str:
        return said(first, merge_lead, merges, method=method, over=over, of=of)

    return (
        f"- **Methods.** On {named}, of all networks merged, a plain sum keeps "
        f"{said(first, merge_share, merges, method=MergeMethod.ARITHMETIC)} of the own networks' "
        f"accuracy. The best other method, {best}, differs from it by {lead(best)}.\n"
        f"- **One strength by ε.** {_won(merges, first)}\n"
        f"- **A strength per layer by ε.** From one strength by ε it differs by "
        f"{lead(MergeMethod.LAYERS, MergeMethod.EPSILON)}, and for pairs by "
        f"{lead(MergeMethod.LAYERS, MergeMethod.EPSILON, PAIRS)}."
    )


def _won(merges: pd.DataFrame, first: Panels) -> str:
    """What a strength by ε and one by entropy win, where labels win anything."""
    if not gain_kept.by_setting(merges, method=MergeMethod.EPSILON).keys() & first.keys():
        return (
            "A plain sum of all networks, at the strength that labels choose, wins nothing there "
            "over the pretrained network."
        )
    pairs = said(first, gain_kept, merges, of=PAIRS)
    return (
        f"Of what labels win over the pretrained network, it wins "
        f"{said(first, gain_kept, merges)}{'' if pairs == '–' else f', and for pairs {pairs}'}. "
        f"Entropy wins {said(first, gain_kept, merges, method=MergeMethod.ENTROPY)}."
    )


def table(merges: pd.DataFrame, panels: Panels) -> str:
    """What every way of merging keeps, of all networks and of pairs, and its ε: a table each."""

    def rows(measure: Measure, of: str = ALL) -> dict[str, list[str]]:
        return {
            str(method): cells(panels, measure, merges, method=method, of=of)
            for method in MergeMethod
        }

    errors = rows(merge_epsilon)
    del errors[MergeMethod.START]  # which merges nothing
    return (
        "What all networks merged keep of the own networks' accuracy:"
        f"{number_table(panels, rows(merge_share))}"
        f"The same of pairs:{number_table(panels, rows(merge_share, PAIRS))}"
        f"ε of all networks merged, at the worst layer:{number_table(panels, errors)}"
    )


def choices(merges: pd.DataFrame, strengths: pd.DataFrame, panels: Panels) -> str:
    """What strength each choice takes, what it keeps of what labels win, and the best level.

    Args:
        merges, strengths: as the section stores them.
        panels: setting → panel title.
    """

    def rows(measure: Measure, *methods: MergeMethod) -> dict[str, list[str]]:
        return {
            f"{method}, {'all networks' if of == ALL else of}": cells(
                panels, measure, merges, method=method, of=of
            )
            for of in (ALL, PAIRS)
            for method in methods
        }

    strength = rows(merge_strength, MergeMethod.ARITHMETIC, *_WITHOUT)
    kept = rows(gain_kept, *_WITHOUT, MergeMethod.AVERAGE)
    best = said(panels, best_level, strengths)
    return (
        "The strength that each chooses, mean over pairs; task arithmetic is the choice by labels:"
        f"{number_table(panels, strength)}"
        "What it wins over the pretrained network, as a share of what labels win. A dash is where "
        f"labels win less than {LEAST_GAIN:.0%} of the own accuracy, and below 0 the merge is "
        f"worse than the pretrained network:{number_table(panels, kept)}"
        f"Afterwards, by held-out labels, the best level of ε is {best}."
    )


def _of(merges: pd.DataFrame, panels: Panels) -> pd.DataFrame:
    return merges[merges["setting"].isin(list(panels))]
