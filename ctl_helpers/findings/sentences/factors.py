"""What the page and the notebooks on Section 5 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.factors import kept, level_at, most_linear_at
from ctl_helpers.findings.words import by_panel, mark, said
from ctl_helpers.results.labels import Metric

Panels = Mapping[str, str]


def pretraining(pretraining: pd.DataFrame, panels: Panels) -> str:
    """How ε, distance and baseline go with pretraining, and where ε is least."""
    epochs = most_linear_at.by_setting(pretraining)
    least = level_at.by_setting(pretraining, at="least")
    places = {name: f"{mark(epochs[name])} epochs, at {mark(least[name])}" for name in epochs}
    return (
        f"With more pretraining ε goes {_change(pretraining, panels)}, mean over layers. It is "
        f"least after {by_panel(panels, places)}. The raw distance goes "
        f"{_change(pretraining, panels, Metric.DISTANCE)}, but the baseline goes "
        f"{_change(pretraining, panels, Metric.BASELINE)}: where that falls too, pretraining keeps "
        "the networks nearer together, which ε does not count as linearity."
    )


def finetuning(finetuning: pd.DataFrame, panels: Panels) -> str:
    """How ε and length go with fine-tuning, from its first epoch on."""
    return (
        f"From the first epoch to the last ε goes {_change(finetuning, panels)}, to "
        f"{said(panels, kept, finetuning)} of what it was, and the length "
        f"{_change(finetuning, panels, Metric.COEF)}. The raw distance goes "
        f"{_change(finetuning, panels, Metric.DISTANCE)}: one epoch brought it up from zero, and "
        "it grows as networks part."
    )


def to_pretraining(table: pd.DataFrame, apart: pd.DataFrame, panels: Panels) -> str:
    """How features and weights go as tasks near the pretraining task."""
    means = apart.groupby(["setting", "replaced"])["distance of weights"].mean()
    moved = {
        str(name): ", ".join(f"{length:.1f}" for length in part)
        for name, part in means.groupby("setting")
    }
    return (
        f"ε goes {_change(table, panels)}, the raw distance "
        f"{_change(table, panels, Metric.DISTANCE)}, the baseline "
        f"{_change(table, panels, Metric.BASELINE)}. But similarity is not all that changes along "
        "this axis: networks that go on with what they know may also stay nearer to each other, "
        "which is the second factor of Theorem 5.1. The distance between their "
        f"weights, ratio by ratio, is {by_panel(panels, moved)}. Where it stays and ε falls, "
        "similarity itself is at work; where both fall, either may be."
    )


def to_each_other(table: pd.DataFrame, to_pretraining: pd.DataFrame, panels: Panels) -> str:
    """How features go as tasks near each other, beside what the pretraining task does."""
    return (
        f"ε goes {_change(table, panels)}, while the raw distance goes "
        f"{_change(table, panels, Metric.DISTANCE)} and the baseline "
        f"{_change(table, panels, Metric.BASELINE)}: networks of one task become alike, which "
        f"makes them no more linear by itself. Tasks that have become equal to each other leave "
        f"{said(panels, kept, table)} of ε; tasks that have become the pretraining task, in the "
        f"figure before, {said(panels, kept, to_pretraining)}."
    )


def _change(table: pd.DataFrame, panels: Panels, metric: Metric = Metric.EPSILON) -> str:
    """From which mean to which a metric goes."""
    first, last = (level_at.by_setting(table, metric=metric, at=at) for at in ("first", "last"))
    return by_panel(
        panels, {name: f"from {mark(first[name])} to {mark(last[name])}" for name in first}
    )
