"""What the page and the notebook on what task vectors point at say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.pointing import (
    pointed_chance,
    pointed_share,
    probe_chance,
    probe_kept,
    task_probe_accuracy,
)
from ctl_helpers.findings.words import cells, number_table, said
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
