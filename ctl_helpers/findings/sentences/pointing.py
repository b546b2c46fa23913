"""What the page and the notebook on what task vectors point at say in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.pointing import (
    pointed_chance,
    pointed_share,
    probe_chance,
    probe_kept,
    task_probe_accuracy,
)
from ctl_helpers.findings.words import cells, mark, number_table, said
from ctl_helpers.results.labels import PAPER_LAMBDA, Direction, Reads

Panels = Mapping[str, str]


def answer(pointed: pd.DataFrame, probes: pd.DataFrame, panels: Panels) -> str:
    """Samples, classes and probes, a line each; of the first panel, the nearest to the paper's.

    Args:
        pointed, probes: as the section stores them.
        panels: setting → panel title.
    """
    first = dict(list(panels.items())[:1])

    def share(at: str, direction: str = Direction.TASK) -> str:
        return said(first, pointed_share, pointed, at=at, direction=direction)

    return (
        f"- **Samples.** Of those nearest to Δ, {share('samples')} are of the same class; with "
        f"random vectors {share('samples', Direction.RANDOM)}, by chance "
        f"{said(first, pointed_chance, pointed, at='samples')}.\n"
        f"- **Classes.** The mean Δ of a class is nearest to the class's own direction in "
        f"{share('classes')} of the classes; by chance in "
        f"{said(first, pointed_chance, pointed, at='classes')}.\n"
        f"- **Probes.** At λ = {PAPER_LAMBDA:g} a task's probe keeps "
        f"{said(first, probe_kept, probes)} of what it reads over chance on its own network, and "
        f"{said(first, probe_kept, probes, reads=Reads.START)} on the pretrained one."
    )


def less_mean(pointed: pd.DataFrame, panels: Panels) -> str:
    """What becomes of the nearest samples once the mean Δ of each task is taken away.

    Empty where that was not stored.
    """
    first = dict(list(panels.items())[:1])
    (setting,) = first

    def finding(direction: str) -> Finding | None:
        return pointed_share.by_setting(pointed, at="samples", direction=direction).get(setting)

    whole, own, random = map(finding, (Direction.TASK, Direction.TASK_OWN, Direction.RANDOM_OWN))
    chance = pointed_chance.by_setting(pointed, at="samples").get(setting)
    if whole is None or own is None or random is None or chance is None:
        return ""
    return (
        f"*The mean Δ taken away.* Of the samples nearest to Δ itself {mark(whole)} are of the "
        f"same class, by chance {mark(chance)}. Take the mean Δ over the task's samples away "
        f"first, and it is {mark(own)}{_between(own)}; with random vectors treated alike, "
        f"{mark(random)}. {_meaning(whole, own, random, chance)}"
    )


def _between(own: Finding) -> str:
    ends = own.sample.interval()
    if ends is None:
        return ""
    # A share has no other values, wherever a t interval ends.
    low, high = (own.write(min(max(end, 0.0), 1.0)) for end in ends)
    return f" (95% interval {low} to {high})"


def _meaning(whole: Finding, own: Finding, random: Finding, chance: Finding) -> str:
    if whole.value >= chance.value:
        return "So Δ did not point away from its own class to begin with."
    low, high = own.sample.interval() or (-math.inf, math.inf)
    if high < chance.value:
        return (
            "That is under chance, too: what the samples of a task share in Δ is not the reason, "
            "or not the only one."
        )
    if low <= chance.value:
        return (
            "That cannot be told from chance. So once the shared part is gone, Δ points neither at "
            "a sample's class nor, as far as can be told, away from it."
        )
    text = "So it is what all samples of a task share in Δ that points away from their classes; "
    text += "what is special to a sample points at its class"
    if random.value < own.value:
        return f"{text}, more often than with random vectors."
    return (
        f"{text}. But random vectors do no worse: it is a trace of the features, not of the task."
    )


def table(pointed: pd.DataFrame, probes: pd.DataFrame, panels: Panels) -> str:
    """Every direction's share, and every network's accuracy under the probe, at the last layer."""
    rows = {
        f"right class at the {at}, {direction}": cells(
            panels, pointed_share, pointed, at=at, direction=direction
        )
        for at in ("samples", "classes")
        for direction in Direction
        if ((pointed["at"] == at) & (pointed["direction"] == direction)).any()
    }
    for at in ("samples", "classes"):
        rows[f"right class at the {at}, by chance"] = cells(panels, pointed_chance, pointed, at=at)
    for reads in Reads:
        rows[f"accuracy of the probe, {reads}"] = cells(
            panels, task_probe_accuracy, probes, reads=reads
        )
    rows["accuracy of the commonest answer"] = cells(panels, probe_chance, probes)
    return f"Means over tasks; merged networks at λ = {PAPER_LAMBDA:g}:{number_table(panels, rows)}"
