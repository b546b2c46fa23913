"""Columns, and groups of them, that tables of several sections have."""

from __future__ import annotations

from enum import Enum

from ctl_helpers.analysis.merge_names import MergeMethod
from ctl_helpers.results import labels
from ctl_helpers.results.columns import Column
from ctl_helpers.training.pretrained_for import Objective


def label_columns(*names: str) -> list[Column]:
    return [Column(name, "label") for name in names]


def number_columns(unit: str, *names: str) -> list[Column]:
    return [Column(name, unit=unit) for name in names]


def label_of(name: str, among: type[Enum]) -> Column:
    return Column(name, "label", labels=among)


K = Column("k", "integer")
ALPHA, LAM, SHARE = Column("alpha"), Column("lam"), Column("share", unit="share")
CHANCE = Column("chance", unit="share")
ACCURACY, CHOSEN = Column("accuracy", unit="share"), Column("chosen", "flag")
ROLE, SPLIT = label_of("role", labels.Role), label_of("split", labels.Split)
PARADIGM = label_of("paradigm", labels.Paradigm)
DRAW = [label_of("weights", labels.Weights), Column("draw", "integer")]
MODELS = Column("models", "label", optional=True)
PAIR = label_columns("i", "j")
GAPPED_PAIR = [Column(name, "label", gaps=True) for name in ("i", "j")]
FIRST, TASK, START = label_columns("i", "task", "start")
BLOCK, REPLACED = Column("block", "integer"), Column("replaced", unit="share")
PLACE = [Column("comparison", "integer"), Column("layer", "label")]
"""Which comparison, in the order asked for, and at which layer."""

STATISTICS = [
    label_of("metric", labels.Metric),
    Column("n", "integer", "samples"),
    *number_columns("1 − cosine, or none for coef", "mean", "std", "q25", "median", "q75"),
]
COMPARED = [*PLACE, *STATISTICS]
"""What ``ctl.compare`` gives beside the labels of its comparisons."""

BIN = [*PLACE, Column("low"), Column("high"), SHARE]
"""A bin of a histogram of coef, and the share of samples in it."""

SCORE = [TASK, Column("n", "integer", "samples"), Column("loss", unit="nats"), ACCURACY]
"""What ``ctl.evaluate`` gives beside labels."""

NETWORK_SCORE = [Column("network", "label"), *SCORE]
BESIDE_MAJORITY = [*NETWORK_SCORE, Column("majority", unit="share", optional=True)]
OF_TEXTS = [*BESIDE_MAJORITY, Column("exact", unit="share", optional=True)]
BARRIER = [*PAIR, TASK, *number_columns("nats", "loss_i", "loss_j", "barrier", "rise")]
ERROR = Column("error", unit="length of logits")
MEANS = [*number_columns("1 − cosine", "distance", "baseline"), Column("coef"), Column("epsilon")]
ALONG = [*PAIR, ALPHA, *COMPARED]
BY_LAMBDA = [*PAIR, LAM, *COMPARED]
TERMS = number_columns("", "curvature", "squared_distance", "product")
TERMS += [Column(f"{term.name}_buffers") for term in TERMS]
MANY = [K, MODELS, *DRAW, *COMPARED]
CONTROL = label_of("control", labels.Control)
DISPLACEMENT = [*label_columns("i", "layer"), Column("moved", unit="times")]
"""How far random vectors move features, over how far the task vectors do."""

TASKS = Column("tasks", "label")
"""Two tasks at a distance, by what tells them apart."""

CELL_OF_PLANE = [
    TASKS,
    Column("rate"),
    Column("steps", "integer"),
    Column("layer", "label"),
    *number_columns("1 − cosine", "distance", "apart", "moved"),
    *number_columns("", "epsilon", "coef", "cosine", "curvature"),
    Column("weights_apart", unit="length"),
    *number_columns("share", "merged", "own", "start"),
]
"""A pair of tasks at one rate and number of steps, layer by layer."""

TRIED = [Column("rate"), Column("widening", "integer")]
"""A learning rate, and how many were added on its side of the grid until it was."""

OBJECTIVE = label_of("objective", Objective)
VARIANT, STEPS = label_of("variant", labels.Variant), Column("steps", "integer")
METHOD = label_of("method", MergeMethod)
MERGE = [Column("models", "label"), K, Column("strength")]
"""Which networks are merged, how many they are, and s of their merge; none where nothing is."""

MULTIPLE = Column("multiple", unit="usual number of steps")
ADDED = [*SCORE, SPLIT, SHARE, CHOSEN]
THEOREM = [K, Column("models", "label"), ALPHA, label_of("scheme", labels.Scheme), *COMPARED]
SUMS = [K, Column("models", "label"), ALPHA, Column("draw", "integer"), *COMPARED]
SHARES = [
    *SUMS[:2],
    *SUMS[3:4],
    LAM,
    Column("layer", "label"),
    label_of("terms", labels.Terms),
    Column("n", "integer", "samples"),
    Column("unexplained", unit="share of the squared change"),
    Column("moved", unit="length of the pretrained feature"),
]
RATE = Column("rate")
MERGES = [
    RATE,
    K,
    Column("models", "label"),
    LAM,
    *number_columns("share", "merged", "own", "normalized", "gain", "xi", "conflict"),
    *number_columns("", "epsilon_worst", "epsilon_last", "local", "cosine"),
    *number_columns("1 − cosine", "distance", "apart", "moved"),
    *number_columns("length", "length", "sum_length"),
    Column("gradient", unit="nats per length"),
]
"""A merge: how accurate it is, and what predicts that."""

WITH_STATISTICS = [*ALONG, label_of("statistics", labels.Statistics)]
AVERAGING = [K, MODELS, label_of("weights", labels.Weights), *COMPARED]
EDITS = {
    "addition": [*ADDED, LAM],
    "negation": [SPLIT, FIRST, LAM, ROLE, ACCURACY, CHOSEN],
    "eq2": BY_LAMBDA,
    "eq2_length": [*PAIR, LAM, *BIN],
    "eq3": [FIRST, LAM, *COMPARED],
    "eq3_length": [FIRST, LAM, *BIN],
    "eq2_controls": [*BY_LAMBDA, CONTROL],
    "eq3_controls": [FIRST, LAM, *COMPARED, CONTROL],
    "theorem": THEOREM,
    "theorem_controls": [*THEOREM, CONTROL],
    "displacement": DISPLACEMENT,
}
