"""What each part of a network does to linearity: dots of ratios, and runs side by side."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.around_centre import ratio_rows, runs_beside
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.architecture import PARTS, part_doublings, variants_of
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.results.labels import Level, Variant, Where


def ratios(matched: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε of each variant over ε of the centre, a row a variant and a panel a setting.

    Args:
        matched: columns ``variant``, ``at``, ``where``, ``epsilon`` and ``gain``.
    """
    matched = matched[matched["setting"].isin(list(panels))]
    variants = variants_of(matched)
    found = {
        (str(variant), str(at), where): part_doublings.by_setting(
            matched, variant=variant, at=at, where=where
        )
        for variant in variants
        for at in Level
        for where in Where
    }
    main = {one: found[str(one), str(Level.DISPLACEMENT), Where.WORST] for one in variants}
    return ratio_rows(
        found,
        panels,
        PARTS,
        by_setting(panels, lambda one: _takeaway(main, one)),
        "A row for each changed part: the linearity error of the network with that part changed, "
        "divided by that of the centre, on a logarithmic axis with a line at 1. Circles: where "
        "features have moved equally far; squares: where the own accuracy is equal. Bars: 95% "
        "intervals over seeds.",
        axis="ε over the centre's",
        findings=quoted(*(_extremes(main, setting) for setting in panels)),
    )


def _extremes(main: Mapping[Variant, Mapping[str, Finding]], setting: str) -> list[Finding]:
    """Of a setting, the least and the largest ratio."""
    own = [of_setting[setting] for of_setting in main.values() if setting in of_setting]
    return sorted(own, key=float)[:: max(len(own) - 1, 1)]


def _takeaway(main: Mapping[Variant, Mapping[str, Finding]], panels: Mapping[str, str]) -> str:
    (setting,) = list(panels)[:1]
    ends = _extremes(main, setting)
    if len(ends) < 2:
        return "No two variants have gone equally far"
    names = {id(of[setting]): variant for variant, of in main.items() if setting in of}
    low, high = ends
    return (
        f"At equal displacement, the worst layer's ε is {low} the centre's with "
        f"“{names[id(low)]}” and {high} with “{names[id(high)]}”"
    )


def runs(snapshots: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε against how far features have moved, along each variant's run of fine-tuning.

    The slider chooses the part that is changed; the centre is always there.

    Args:
        snapshots: :func:`ctl_helpers.compare` with ``variant`` and ``steps``.
    """
    groups = {"": (Variant.CENTRE,), **PARTS}
    return runs_beside(snapshots, panels, "variant", groups, "changed part")
