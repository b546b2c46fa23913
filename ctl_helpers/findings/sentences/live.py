"""What the page of the live network says of all images."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.live import halfway_length, halfway_mean, halfway_of_pair
from ctl_helpers.findings.words import mark, markdown_table
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
    head = ["", "distance (1 − cosine)", "baseline"]
    lines = [
        ["all pairs", mean(Metric.DISTANCE), mean(Metric.BASELINE)],
        *(
            [" and ".join(pair), of_pair(Metric.DISTANCE, pair), of_pair(Metric.BASELINE, pair)]
            for pair in (_NEAR, _FAR)
        ),
    ]
    return (
        "Over all test images, layers and seeds at α = 0.5:\n\n"
        f"{markdown_table(head, lines)}\n\n"
        f"The length (coef) is {smallest} to {largest} by pair. {{doc}}`4_1` shows each layer and "
        "pair, and controls that break it."
    )
