"""What the page and the notebooks on Section 5 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.factors import distance_at, kept, least_distant, level_at
from ctl_helpers.findings.words import by_panel, mark, said
from ctl_helpers.results.labels import Metric

Panels = Mapping[str, str]


def pretraining(pretraining: pd.DataFrame, panels: Panels) -> str:
    """How distance, length and baseline go with pretraining, and where the distance is least."""
    epochs = least_distant.by_setting(pretraining)
    least = distance_at.by_setting(pretraining, at="least")
    places = {name: f"{mark(epochs[name])} epochs, at {mark(least[name])}" for name in epochs}
    return (
        f"With more pretraining the distance goes {_change(pretraining, panels)} and the length "
        f"{_change(pretraining, panels, Metric.COEF)}, means over layers. The baseline, how far "
        "the two networks are from each other, goes "
        f"{_change(pretraining, panels, Metric.BASELINE)}: where it falls too, pretraining keeps "
        "the networks nearer together, and part of the linearity comes from that. The distance is "
        f"least after {by_panel(panels, places)}."
    )


def finetuning(finetuning: pd.DataFrame, panels: Panels) -> str:
    """How distance and length go with fine-tuning, from its first epoch on."""
    return (
        f"From the first epoch to the last the distance goes {_change(finetuning, panels)}, and "
        f"the length {_change(finetuning, panels, Metric.COEF)}. The distance after the last is "
        f"{said(panels, kept, finetuning)} of that after the first, which one epoch brought up "
        "from zero."
    )


def to_pretraining(table: pd.DataFrame, apart: pd.DataFrame, panels: Panels) -> str:
    """How features and weights go as tasks near the pretraining task."""
    means = apart.groupby(["setting", "replaced"])["distance of weights"].mean()
    moved = {
        str(name): ", ".join(f"{length:.1f}" for length in part)
        for name, part in means.groupby("setting")
    }
    return (
        f"The distance goes {_change(table, panels)}, the length "
        f"{_change(table, panels, Metric.COEF)}, the baseline "
        f"{_change(table, panels, Metric.BASELINE)}. But similarity is not all that changes along "
        "this axis: networks that go on with what they know may also stay nearer to each other, "
        "which is the second factor of Theorem 5.1. The distance between their "
        f"weights, ratio by ratio, is {by_panel(panels, moved)}. Where it stays and the features' "
        "distance falls, similarity itself is at work; where both fall, either may be."
    )


def to_each_other(table: pd.DataFrame, to_pretraining: pd.DataFrame, panels: Panels) -> str:
    """How features go as tasks near each other, beside what the pretraining task does."""
    return (
        f"The distance goes {_change(table, panels)} and the length "
        f"{_change(table, panels, Metric.COEF)}, while the baseline goes "
        f"{_change(table, panels, Metric.BASELINE)}. Tasks that have become equal to each other "
        f"leave {said(panels, kept, table)} of the distance; tasks that have become the "
        f"pretraining task, in the figure before, {said(panels, kept, to_pretraining)}."
    )


def _change(table: pd.DataFrame, panels: Panels, metric: Metric = Metric.DISTANCE) -> str:
    """From which mean to which a metric goes."""
    ends = [
        distance_at.by_setting(table, at=at)
        if metric is Metric.DISTANCE
        else level_at.by_setting(table, metric=metric, at=at)
        for at in ("first", "last")
    ]
    return by_panel(
        panels, {name: f"from {mark(ends[0][name])} to {mark(ends[1][name])}" for name in ends[0]}
    )
