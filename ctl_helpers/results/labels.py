"""The labels that stored tables may hold, and the points of a grid that pages speak of."""

from __future__ import annotations

from enum import Enum

PAPER_LAMBDA = 0.4
"""λ of the paper's figures on Equations 2 and 3."""


class Metric(str, Enum):
    """What a comparison measures."""

    DISTANCE = "distance"
    BASELINE = "baseline"
    COEF = "coef"


class Split(str, Enum):
    """Which examples a score is on."""

    HELD_OUT = "held-out"
    TEST = "test"


class Statistics(str, Enum):
    """Where a mixed network's BatchNorm statistics come from; the last is no mix."""

    MIXED = "mixed"
    RECOMPUTED = "recomputed"
    TUNED = "fine-tuned, own task"
