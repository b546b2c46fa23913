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
from ctl_helpers.findings.words import cells, number_table
from ctl_helpers.results.labels import Statistics

MIXED, RECOMPUTED, TUNED = Statistics


def compared(features: pd.DataFrame, accuracy: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Length, ε and accuracy under both statistics."""
    measured = {
        "length at the output": (statistics_length, features),
        "ε, mean over layers": (statistics_epsilon, features),
        "accuracy on both tasks": (statistics_accuracy, accuracy),
    }
    rows = {
        f"{name}, {kind}": cells(panels, measure, table, statistics=kind)
        for name, (measure, table) in measured.items()
        for kind in (MIXED, RECOMPUTED)
    }
    own = cells(panels, statistics_accuracy, accuracy, statistics=TUNED)
    rows["accuracy of fine-tuned networks on their own task"] = own
    return (
        "Mixed networks with BatchNorm's statistics mixed like weights, and recomputed:"
        f"{number_table(panels, rows)}"
    )


def lengths_over_one(features: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """In how many layers features are too long, and by how much they are off."""
    layers = features.groupby("setting")["layer"].nunique()
    rows = {"layers": [str(layers[name]) for name in panels]}
    for kind in (MIXED, RECOMPUTED):
        rows[f"layers with a length above 1, {kind}"] = cells(
            panels, statistics_too_long, features, statistics=kind
        )
    for kind in (MIXED, RECOMPUTED):
        rows[f"deviation of the length from 1, mean over layers, {kind}"] = cells(
            panels, statistics_length_error, features, statistics=kind
        )
    return f"Length by layer, of mixed networks:{number_table(panels, rows)}"
