"""What the page and the notebook on long fine-tuning say in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.overtraining import (
    FALLEN,
    STEPS,
    aware_gain,
    aware_halvings,
    left_at,
    run_accuracy,
    run_control,
    run_epsilon,
    run_random_ratio,
    run_sharpness,
)
from ctl_helpers.findings.words import by_panel, cells, mark, number_table, said, spans
from ctl_helpers.results.labels import Control, Level, Recipe

Panels = Mapping[str, str]

_AFTER = ("usual", "most")


def answer(along: pd.DataFrame, panels: Panels) -> str:
    """What long fine-tuning does to ε and to merging, and what sharpness-aware steps do.

    Args:
        along: a row for each recipe, snapshot and layer.
        panels: setting → panel title.
    """
    usual, most = (said(panels, run_epsilon, along, after=after) for after in _AFTER)
    epsilon, merged = (_when(along, panels, what) for what in ("linearity", "merging"))
    at = Level.DISPLACEMENT
    return (
        f"- **Does linearity leave?** From the usual length to the longest, ε of the worst layer "
        f"goes from {usual} to {most}. It has doubled {epsilon}.\n"
        f"- **Does merging suffer?** Merged accuracy has fallen {100 * FALLEN:.0f} points under "
        f"its best {merged}.\n"
        f"- **Do sharpness-aware steps help?** Where features are as far apart as after the usual "
        f"length, these steps multiply ε by "
        f"{said(panels, aware_halvings, along, of='epsilon', at=at)} and change merged accuracy by "
        f"{said(panels, aware_gain, along, at=at)}. Where they are as far apart as after the "
        f"longest, the change is {said(panels, aware_gain, along, at=at, after='most')}."
    )


def _when(along: pd.DataFrame, panels: Panels, what: str) -> str:
    """After how many times the usual length something leaves, and in how many seeds it does."""
    leaving = left_at.by_setting(along, what=what)
    texts = {}
    for setting, one in leaving.items():
        seeds = one.sample.seeds
        count = sum(not math.isnan(one.sample.of_seed(seed)) for seed in seeds)
        some = f", in {count} of {len(seeds)} seeds" if count < len(seeds) else ""
        texts[setting] = f"{mark(one)} the usual length{some}"
    known = {name: texts.get(name, "no length that was tried") for name in panels}
    return f"after {by_panel(panels, known)}"


def recipes(along: pd.DataFrame, panels: Panels) -> str:
    """Both recipes after the usual length and after the longest, and one beside the other."""
    rows = {}
    for recipe in Recipe:
        for name, measure, of in (
            ("ε of the worst layer", run_epsilon, {}),
            ("merged accuracy", run_accuracy, {"of": "merged"}),
            ("own accuracy", run_accuracy, {"of": "own"}),
            ("sharpness", run_sharpness, {}),
        ):
            ends = (measure.by_setting(along, recipe=recipe, after=after, **of) for after in _AFTER)
            rows[f"{recipe}: {name}"] = spans(panels, *ends, form="{} → {}")
    beside = {}
    for at in (STEPS, str(Level.DISPLACEMENT)):
        beside[f"ε, {at}"] = cells(panels, aware_halvings, along, of="epsilon", at=at)
        beside[f"sharpness, {at}"] = cells(panels, aware_halvings, along, of="curvature", at=at)
        beside[f"merged accuracy, {at}"] = cells(panels, aware_gain, along, at=at)
        beside[f"own accuracy, {at}"] = cells(panels, aware_gain, along, of="own", at=at)
        beside[f"merged accuracy, longest, {at}"] = cells(
            panels, aware_gain, along, at=at, after="most"
        )
    return (
        f"After the usual length, and after the longest:{number_table(panels, rows)}"
        "What sharpness-aware steps change against plain ones of the usual length, or of the "
        "longest: ε and sharpness as multiples, accuracies as differences."
        f"{number_table(panels, beside)}"
    )


def beside_controls(controls: pd.DataFrame, panels: Panels) -> str:
    """ε of task vectors and of each control after the usual length and after the longest."""
    rows = {
        f"ε, {control}": spans(
            panels,
            *(run_control.by_setting(controls, control=control, after=one) for one in _AFTER),
            form="{} → {}",
        )
        for control in Control
        if control in set(controls["control"])
    }
    ratios = (run_random_ratio.by_setting(controls, after=one) for one in _AFTER)
    rows["ε over that of random vectors"] = spans(panels, *ratios, form="{} → {}")
    return (
        "Plain fine-tuning of the usual length and of the longest, means over layers:"
        f"{number_table(panels, rows)}"
    )
