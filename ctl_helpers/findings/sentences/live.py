"""What the page of the live network says of all images."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.live import halfway_length, halfway_mean, halfway_of_pair
from ctl_helpers.findings.words import mark
from ctl_helpers.results.labels import Metric

SETTING = "digits-mlp"
"""Whose networks run in the reader's browser."""

_NEAR, _FAR = ("22.5°", "45°"), ("22.5°", "90°")


def halfway(direction: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Distance, baseline and length at α = 0.5, over all pairs and of a near and a far one."""

    def mean(metric: Metric) -> str:
        return mark(halfway_mean.by_setting(direction, metric=metric)[SETTING])

    def of_pair(metric: Metric, pair: tuple[str, str]) -> str:
        i, j = pair
        return mark(halfway_of_pair.by_setting(direction, metric=metric, i=i, j=j)[SETTING])

    smallest, largest = (
        mark(halfway_length.by_setting(direction, end=end)[SETTING])
        for end in ("smallest", "largest")
    )
    return (
        f"Over all test images, pairs, layers and seeds, 1 − cosine of the two sides at α = 0.5 is "
        f"{mean(Metric.DISTANCE)} on average, against a baseline of {mean(Metric.BASELINE)}; coef "
        f"is {smallest} to {largest} by pair. From {' and '.join(_NEAR)} to {' and '.join(_FAR)} "
        f"the baseline goes from {of_pair(Metric.BASELINE, _NEAR)} to "
        f"{of_pair(Metric.BASELINE, _FAR)} and the two sides' distance from "
        f"{of_pair(Metric.DISTANCE, _NEAR)} to {of_pair(Metric.DISTANCE, _FAR)}. "
        "{doc}`4_1` shows each layer and pair, and controls that break it."
    )
