"""What the page and the notebook on merging methods say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.analysis.merge_names import METHODS, MergeMethod
from ctl_helpers.findings.merge_methods import (
    ALL,
    PAIRS,
    best_level,
    gain_kept,
    merge_accuracy,
    merge_epsilon,
    merge_lead,
    merge_share,
    merge_strength,
)
from ctl_helpers.findings.words import number_table, said, spans

Panels = Mapping[str, str]

_WITHOUT = (MergeMethod.EPSILON, MergeMethod.LAYERS, MergeMethod.ENTROPY)


def answer(merges: pd.DataFrame, panels: Panels) -> str:
    """Methods, the strength by ε and one per layer, a line each; of the first panel.

    Args:
        merges: as the section stores them.
        panels: setting → panel title.
    """
    first = dict(list(panels.items())[:1])
    others = [one for one in METHODS if one != MergeMethod.ARITHMETIC]
    means = {one: merge_share(_of(merges, first), method=one).effect for one in others}
    best = max(means, key=lambda one: means[one])

    def lead(method: str, over: str = MergeMethod.ARITHMETIC, of: str = ALL) -> str:
        return said(first, merge_lead, merges, method=method, over=over, of=of)

    return (
        f"- **Methods.** Of all networks merged, a plain sum keeps "
        f"{said(first, merge_share, merges, method=MergeMethod.ARITHMETIC)} of the own networks' "
        f"accuracy. The best other method, {best}, differs from it by {lead(best)}.\n"
        f"- **One strength by ε.** Of what labels win over the pretrained network, it wins "
        f"{said(first, gain_kept, merges)}, and for pairs "
        f"{said(first, gain_kept, merges, of=PAIRS)}. Entropy wins "
        f"{said(first, gain_kept, merges, method=MergeMethod.ENTROPY)}.\n"
        f"- **A strength per layer by ε.** From one strength by ε it differs by "
        f"{lead(MergeMethod.LAYERS, MergeMethod.EPSILON)}, and for pairs by "
        f"{lead(MergeMethod.LAYERS, MergeMethod.EPSILON, PAIRS)}."
    )


def table(merges: pd.DataFrame, panels: Panels) -> str:
    """Every way of merging: accuracy and ε of all networks, and what pairs keep."""

    def found(method: MergeMethod) -> list[str]:
        numbers = [
            merge_accuracy.by_setting(merges, method=method),
            merge_share.by_setting(merges, method=method),
            merge_share.by_setting(merges, method=method, of=PAIRS),
            merge_epsilon.by_setting(merges, method=method),
        ]
        return spans(panels, *numbers, form="{} · {} · {} · {}")

    rows = {str(method): found(method) for method in MergeMethod}
    return (
        "Accuracy of all networks merged · the share of the own networks' accuracy that this is · "
        f"that share for pairs · ε of all networks merged:{number_table(panels, rows)}"
    )


def choices(merges: pd.DataFrame, strengths: pd.DataFrame, panels: Panels) -> str:
    """What strength each choice takes, what it keeps of what labels win, and the best level.

    Args:
        merges, strengths: as the section stores them.
        panels: setting → panel title.
    """

    def found(method: MergeMethod, of: str) -> list[str]:
        chosen = merge_strength.by_setting(merges, method=method, of=of)
        kept = gain_kept.by_setting(merges, method=method, of=of)
        return spans(panels, chosen, kept, form="{} · {}")

    rows = {
        f"{method}, {'all networks' if of == ALL else of}": found(method, of)
        for of in (ALL, PAIRS)
        for method in (MergeMethod.ARITHMETIC, *_WITHOUT, MergeMethod.AVERAGE)
    }
    best = said(panels, best_level, strengths)
    return (
        "The strength, and what it wins over the pretrained network, as a share of what labels "
        f"win; task arithmetic is the choice by labels:{number_table(panels, rows)}"
        f"Afterwards, by held-out labels, the best level of ε is {best}."
    )


def _of(merges: pd.DataFrame, panels: Panels) -> pd.DataFrame:
    return merges[merges["setting"].isin(list(panels))]
