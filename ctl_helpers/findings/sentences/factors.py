"""What the page and the notebooks on Section 5 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.factors import kept, level_at, most_linear_at
from ctl_helpers.findings.words import cells, number_table, spans
from ctl_helpers.results.labels import Metric

Panels = Mapping[str, str]


def pretraining(pretraining: pd.DataFrame, panels: Panels) -> str:
    """How ε, distance and baseline go with pretraining, and where ε is least."""
    least = level_at.by_setting(pretraining, at="least")
    rows = {
        "ε, first to last": _ends(pretraining, panels),
        "least ε": spans(
            panels, least, most_linear_at.by_setting(pretraining), form="{} after {} epochs"
        ),
        **_raw(pretraining, panels),
    }
    return (
        "From fewest epochs of pretraining to most, means over layers:"
        f"{number_table(panels, rows)}"
        "Where the baseline falls, too, the networks stay nearer to each other after more "
        "pretraining. ε does not count that as linearity."
    )


def finetuning(finetuning: pd.DataFrame, panels: Panels) -> str:
    """How ε and length go with fine-tuning, from its first epoch on."""
    rows = {
        "ε, first to last": _ends(finetuning, panels),
        "last ε, divided by the first": cells(panels, kept, finetuning),
        "length, first to last": _ends(finetuning, panels, Metric.COEF),
        **_raw(finetuning, panels),
    }
    return (
        "From the first epoch of fine-tuning to the last, means over layers:"
        f"{number_table(panels, rows)}"
    )


def to_pretraining(table: pd.DataFrame, apart: pd.DataFrame, panels: Panels) -> str:
    """How features and weights go as tasks near the pretraining task."""
    means = apart.groupby(["setting", "replaced"])["distance of weights"].mean()
    moved = [", ".join(f"{length:.1f}" for length in means[name]) for name in panels]
    rows = {
        "ε, first to last": _ends(table, panels),
        **_raw(table, panels),
        "distance of the weights, at each ratio": moved,
    }
    return (
        "From no replaced images to all, means over layers:"
        f"{number_table(panels, rows)}"
        "Similarity is not all that may change from left to right in the figure. Networks that "
        "are fine-tuned on what they know may also stay nearer to each other, and squared distance "
        "is the second factor of Theorem 5.1. If ε falls and the distance of the weights does not, "
        "similarity itself is at work. If both fall, either may be the cause."
    )


def to_each_other(table: pd.DataFrame, to_pretraining: pd.DataFrame, panels: Panels) -> str:
    """How features go as tasks near each other, beside what the pretraining task does."""
    rows = {
        "ε, first to last": _ends(table, panels),
        "last ε, divided by the first": cells(panels, kept, table),
        "the same with the pretraining task's images": cells(panels, kept, to_pretraining),
        **_raw(table, panels),
    }
    return (
        "From no replaced images to all, means over layers:"
        f"{number_table(panels, rows)}"
        "Networks that are trained on the same images become alike. That alone makes them no more "
        "linear."
    )


def _raw(table: pd.DataFrame, panels: Panels) -> dict[str, list[str]]:
    """The rows of the paper's own measure and its baseline."""
    raw = (Metric.DISTANCE, Metric.BASELINE)
    return {f"{metric}, first to last": _ends(table, panels, metric) for metric in raw}


def _ends(table: pd.DataFrame, panels: Panels, metric: Metric = Metric.EPSILON) -> list[str]:
    """From which mean to which a metric goes."""
    return spans(
        panels, *(level_at.by_setting(table, metric=metric, at=at) for at in ("first", "last"))
    )
