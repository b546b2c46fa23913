"""Numbers on BatchNorm's statistics, mixed like weights or recomputed on data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube


@measure("{:.2f}")
def statistics_length(features: pd.DataFrame, *, statistics: str) -> Sample:
    """Mean coef at the output, over pairs."""
    values, seeds = _by_layer(features, "coef", statistics)
    return Sample(values[:, -1], seeds, "pairs", np.mean)


@measure("{:.2f}")
def statistics_epsilon(features: pd.DataFrame, *, statistics: str) -> Sample:
    """ε, mean over layers and pairs."""
    values, replicates = _by_layer(features, "epsilon", statistics)
    return Sample(values, replicates, "networks", np.mean)


@measure("{:.3f}")
def statistics_length_error(features: pd.DataFrame, *, statistics: str) -> Sample:
    """Mean over layers of |1 − coef|, coef being the mean over pairs."""
    values, seeds = _by_layer(features, "coef", statistics)
    return Sample(values, seeds, "pairs", lambda rows: abs(rows.mean(axis=0) - 1).mean())


@measure("{:.0f}")
def statistics_too_long(features: pd.DataFrame, *, statistics: str) -> Sample:
    """In how many layers the mean coef is over 1."""
    values, seeds = _by_layer(features, "coef", statistics)
    return Sample(values, seeds, "pairs", lambda rows: (rows.mean(axis=0) > 1).sum())


@measure("{:.1%}")
def statistics_accuracy(accuracy: pd.DataFrame, *, statistics: str) -> Sample:
    """Mean accuracy of mixed networks on their two tasks, or of fine-tuned ones on their own."""
    rows = accuracy[accuracy["statistics"] == statistics]
    return Sample(rows["accuracy"].to_numpy(), rows["seed"].tolist(), "accuracies", np.mean)


def _by_layer(features: pd.DataFrame, metric: str, statistics: str) -> tuple[Values, Replicates]:
    """Means over samples, shape (pairs, layers), layers in their order."""
    rows = features[(features["metric"] == metric) & (features["statistics"] == statistics)]
    layers = list(dict.fromkeys(rows["layer"]))
    return cube(rows, ["i", "j"], layer=layers)
