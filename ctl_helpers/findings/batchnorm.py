"""Numbers on BatchNorm's statistics, mixed like weights or recomputed on data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.linearity import epsilon, features_apart, length_spread
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube
from ctl_helpers.results.labels import Control, Metric, Statistics

_BOTH = (Statistics.MIXED, Statistics.RECOMPUTED)


@measure("{:.2f}")
def statistics_length(features: pd.DataFrame, *, statistics: str) -> Sample:
    """Mean coef at the output, over pairs."""
    values, seeds = _by_layer(features, "coef", statistics)
    return Sample(values[:, -1], seeds, "networks", np.mean)


@measure("{:.2f}")
def statistics_epsilon(features: pd.DataFrame, *, statistics: str) -> Sample:
    """ε, mean over layers and pairs."""
    values, replicates = _by_layer(features, "epsilon", statistics)
    return Sample(values, replicates, "networks", np.mean)


@measure("{:.3f}")
def statistics_length_error(features: pd.DataFrame, *, statistics: str) -> Sample:
    """Mean over layers of |1 − coef|, coef being the mean over pairs."""
    values, seeds = _by_layer(features, "coef", statistics)
    return Sample(values, seeds, "networks", lambda rows: abs(rows.mean(axis=0) - 1).mean())


@measure("{:.0f}")
def statistics_too_long(features: pd.DataFrame, *, statistics: str) -> Sample:
    """In how many layers the mean coef is over 1."""
    values, seeds = _by_layer(features, "coef", statistics)
    return Sample(values, seeds, "networks", lambda rows: (rows.mean(axis=0) > 1).sum())


@measure("{:.1%}")
def statistics_accuracy(accuracy: pd.DataFrame, *, statistics: str) -> Sample:
    """Mean accuracy of mixed networks on their two tasks, or of fine-tuned ones on their own."""
    rows = accuracy[accuracy["statistics"] == statistics]
    return Sample(rows["accuracy"].to_numpy(), rows["seed"].tolist(), "accuracies", np.mean)


@measure("{:.2f}")
def statistics_worst_epsilon(
    controls: pd.DataFrame, *, statistics: str, control: str = Control.TASK_VECTORS
) -> Sample:
    """ε of a control or of task vectors at the layer where that of task vectors is largest."""
    rows = controls[controls["statistics"] == statistics]
    return epsilon.function(rows, control=control, at="worst")


@measure("{:.2f}")
def statistics_last(
    controls: pd.DataFrame, *, name: str, control: str = Control.TASK_VECTORS
) -> Sample:
    """At the last layer, statistics recomputed: ``"epsilon"``, or how far features are apart."""
    rows = controls[controls["statistics"] == Statistics.RECOMPUTED]
    number = {Metric.EPSILON: epsilon, Metric.BASELINE: features_apart}[Metric(name)]
    return number.function(rows, control=control, at="last")


@measure("{:.2f}")
def statistics_length_spread(
    controls: pd.DataFrame, *, statistics: str, control: str = Control.TASK_VECTORS
) -> Sample:
    """Root mean square of coef − 1 over samples, at the layer where it is largest; see above."""
    rows = controls[controls["statistics"] == statistics]
    return length_spread.function(rows, control=control, at="worst")


@measure("{:.2f}")
def statistics_doublings(controls: pd.DataFrame) -> Sample:
    """Doublings of ε from mixed statistics to recomputed ones, means over pairs and layers."""
    own = controls[controls["control"] == Control.TASK_VECTORS]
    rows = own[own["metric"] == Metric.EPSILON]
    values, replicates = cube(rows, ["i", "j"], statistics=list(_BOTH), layer=None)

    def doublings(pairs: Values) -> float:
        mixed, recomputed = np.nanmean(pairs, axis=(0, 2))
        return float(np.log2(recomputed / mixed))

    return Sample(values, replicates, "networks", doublings)


@measure(lambda doublings: f"{2**doublings:.2f}×")
def statistics_turn(features: pd.DataFrame) -> Sample:
    """Doublings of 1 − cosine, mixed statistics to recomputed; means over pairs and layers."""
    both = [_by_layer(features, "distance", statistics) for statistics in _BOTH]
    values = np.stack([rows.mean(axis=1) for rows, _ in both], axis=1)

    def doublings(pairs: Values) -> float:
        mixed, recomputed = pairs.mean(axis=0)
        return float(np.log2(recomputed / mixed))

    return Sample(values, both[0][1], "networks", doublings)


def _by_layer(features: pd.DataFrame, metric: str, statistics: str) -> tuple[Values, Replicates]:
    """Means over samples, shape (pairs, layers), layers in their order."""
    rows = features[(features["metric"] == metric) & (features["statistics"] == statistics)]
    layers = list(dict.fromkeys(rows["layer"]))
    return cube(rows, ["i", "j"], layer=layers)
