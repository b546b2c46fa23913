"""What the page on BatchNorm's statistics says in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.batchnorm import (
    statistics_accuracy,
    statistics_epsilon,
    statistics_last,
    statistics_length,
    statistics_length_error,
    statistics_too_long,
    statistics_turn,
)
from ctl_helpers.findings.sentences.predictions import Prediction, came
from ctl_helpers.findings.words import cells, number_table
from ctl_helpers.results.labels import Control, Metric, Statistics

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


def predictions(features: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """What was expected of lengths and of the direction, and what came of it."""
    mixed, recomputed = (
        statistics_length.by_setting(features, statistics=kind) for kind in (MIXED, RECOMPUTED)
    )
    return came(
        panels,
        [
            Prediction("mixed: the length at the output is under 1", mixed, -1, 1.0),
            Prediction("recomputed: it is over 1", recomputed, 1, 1.0),
            Prediction(
                "1 − cosine is the same, recomputed over mixed",
                statistics_turn.by_setting(features),
                0,
            ),
        ],
    )


def against_apart(controls: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """At the last layer, networks fine-tuned beside those pretrained apart: ε, how far apart."""
    kinds = {"fine-tuned": Control.TASK_VECTORS, "pretrained apart": Control.APART}
    names = {"ε": Metric.EPSILON, "1 − cosine of both networks' features": Metric.BASELINE}
    rows = {
        f"{what}, {who}": cells(panels, statistics_last, controls, name=name, control=kind)
        for what, name in names.items()
        for who, kind in kinds.items()
    }
    return (
        "Networks pretrained apart are the control. At the last layer, statistics recomputed:"
        f"{number_table(panels, rows)}"
        "Fine-tuned networks can be *less* linear than the control where their features are as far "
        "from each other as those of networks pretrained apart: fine-tuning has left little that "
        "they share. With an ε over 1 the mixed network is farther from the mix than one of its "
        "parts is, and how far above 1 says little more."
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
