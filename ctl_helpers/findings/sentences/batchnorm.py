"""What the page on BatchNorm's statistics says in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.batchnorm import (
    statistics_accuracy,
    statistics_epsilon,
    statistics_length,
    statistics_length_error,
    statistics_too_long,
)
from ctl_helpers.findings.words import by_panel, mark
from ctl_helpers.results.labels import Statistics

MIXED, RECOMPUTED, TUNED = Statistics


def compared(features: pd.DataFrame, accuracy: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Length, distance and accuracy under both statistics, an item per setting."""
    kinds = (MIXED, RECOMPUTED)
    lengths = [statistics_length.by_setting(features, statistics=kind) for kind in kinds]
    errors = [statistics_epsilon.by_setting(features, statistics=kind) for kind in kinds]
    hits = [statistics_accuracy.by_setting(accuracy, statistics=kind) for kind in kinds]
    tuned = statistics_accuracy.by_setting(accuracy, statistics=TUNED)
    return "\n".join(
        f"- **{title}**: length at the output {mark(lengths[0][name])} with mixed statistics, "
        f"{mark(lengths[1][name])} with recomputed ones; mean ε over layers "
        f"{mark(errors[0][name])} and {mark(errors[1][name])}. Accuracy of the mixed "
        f"networks on their two tasks {mark(hits[0][name])} and {mark(hits[1][name])}, where the "
        f"fine-tuned networks reach {mark(tuned[name])} on their own."
        for name, title in panels.items()
        if name in errors[0]
    )


def lengths_over_one(features: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """In how many layers features are too long, and by how much they are off."""
    mixed_over = statistics_too_long.by_setting(features, statistics=MIXED)
    over = statistics_too_long.by_setting(features, statistics=RECOMPUTED)
    mixed_off = statistics_length_error.by_setting(features, statistics=MIXED)
    off = statistics_length_error.by_setting(features, statistics=RECOMPUTED)
    layers = features.groupby("setting")["layer"].nunique()
    phrases = {
        name: f"in {mark(mixed_over[name])} (mixed statistics) and {mark(over[name])} "
        f"(recomputed) of {layers[name]} layers, and its mean deviation from 1 goes from "
        f"{mark(mixed_off[name])} to {mark(off[name])}"
        for name in panels
    }
    return (
        "- The length of features of mixed [ResNets](4_1_resnets.md) is over 1 "
        f"{by_panel(panels, phrases)}."
    )
