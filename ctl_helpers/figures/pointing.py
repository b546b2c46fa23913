"""What task vectors point at as dots by task, and what probes read by layer."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import layer_axes, layer_places
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.dots import Kind, dots
from ctl_helpers.figures.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SYMBOLS,
    VERMILION,
    Figure,
    draw,
    in_panels,
    marks,
    sequence,
    significant,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.pointing import pointed_chance, pointed_share, task_probe_accuracy
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import PAPER_LAMBDA, Direction, Reads

_LOOKS = {
    Direction.TASK: (VERMILION, "circle"),
    Direction.FEATURE: (BLUE, "square"),
    Direction.RANDOM: (GREEN, "diamond"),
    Direction.TASK_OWN: (ORANGE, "circle-open"),
    Direction.RANDOM_OWN: (PURPLE, "diamond-open"),
}
_CHANCE = "chance"
_OTHERS = {Reads.OWN: VERMILION, Reads.START: GREEN, Reads.OTHER: GREY}


def pointed(table: pd.DataFrame, panels: Mapping[str, str], *, at: str = "samples") -> Figure:
    """How often each direction points at the right class, a row per task.

    Args:
        table: by task, what is pointed at and direction.
        at: ``"samples"`` or ``"classes"``.
    """
    rows = table[(table["at"] == at) & table["setting"].isin(list(panels))]
    named = rows.rename(columns={"i": "task", "share": "accuracy"})
    kinds = [
        Kind(str(one), *_LOOKS[one], named[named["direction"] == one])
        for one in _LOOKS
        if (named["direction"] == one).any()
    ]
    own = named[named["direction"] == Direction.TASK]
    kinds.append(Kind(_CHANCE, GREY, "x", own.assign(accuracy=own["chance"])))
    shares = pointed_share.by_setting(table, at=at)
    chances = pointed_chance.by_setting(table, at=at)
    what, does = {
        "samples": ("samples nearest to a task vector's change", "are of the same class"),
        "classes": ("classes", "have a mean change that points at their own direction"),
    }[at]
    figure = dots(
        kinds,
        panels,
        by_setting(
            panels,
            lambda one: (
                f"{by_panel(one, shares)} of the {what} {does}; by chance {by_panel(one, chances)}"
            ),
        ),
        f"A row for each task and their mean: the share of {what} that {does}, for task vectors "
        "(circles) beside controls and chance. Bars go from the lowest seed to the highest.",
        quoted(shares.values(), chances.values()),
    )
    return figure.update_xaxes(title_text="share", tickformat=".0%")


def probes(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of each task's probe by layer, mean over tasks, a line for each network."""
    lines, named = [], []
    for column, _, rows in in_panels(table, panels):
        places = layer_places(rows["layer"])
        named.append(list(places.values()))
        lambdas = sorted(rows.loc[rows["reads"] == Reads.MERGED, "lam"].unique())
        merged = zip(lambdas, sequence(len(lambdas)), strict=True)
        shown = [(str(one), rows[rows["reads"] == one], colour) for one, colour in _OTHERS.items()]
        shown += [
            (f"{Reads.MERGED}, λ = {lam:g}", _merged(rows, lam), colour) for lam, colour in merged
        ]
        for number, (name, part, colour) in enumerate(shown):
            means = part.groupby("layer", sort=False)["accuracy"].mean().reindex(list(places))
            look = marks(f"%{{x}}: %{{y:.1%}}<extra>{name}</extra>", SYMBOLS[number % 4])
            data = {"": {"x": named[-1], "y": significant(means)}}
            lines.append(Line(name, colour, data, 1, column, look=look))
    own, other, start = (
        task_probe_accuracy.by_setting(table, reads=reads)
        for reads in (Reads.OWN, Reads.MERGED, Reads.START)
    )
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                f"At the last layer a task's probe is right on {by_panel(one, own)} of its own "
                f"network's features, on {by_panel(one, other)} of merged ones at "
                f"λ = {PAPER_LAMBDA:g}, and on {by_panel(one, start)} of pretrained ones"
            ),
        ),
        "By layer: the accuracy of a linear probe, fitted on features of each task's own network, "
        "on features of that network, of the pretrained one, of another task's and of merged ones, "
        "mean over tasks.",
        rows=["accuracy"],
        columns=list(panels.values()),
        height=460,
        findings=quoted(own.values(), other.values(), start.values()),
    )
    layer_axes(figure, named)
    return figure.update_yaxes(tickformat=".0%")


def _merged(rows: pd.DataFrame, lam: float) -> pd.DataFrame:
    return rows[(rows["reads"] == Reads.MERGED) & (rows["lam"] == lam)]
