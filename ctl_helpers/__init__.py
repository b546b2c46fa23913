"""Measure Cross-Task Linearity on any PyTorch models: ``import ctl_helpers as ctl``.

The names below are the engine, which needs torch, numpy and pandas alone. Settings, figures and
runs are modules of their own: ``from ctl_helpers import figures, results, settings``.
"""

from ctl_helpers.compare import Comparison, Linearity, compare, measure, pairs, triples
from ctl_helpers.evaluate import Evaluation, barriers, evaluate, logits, path
from ctl_helpers.features import feature_layers, taps
from ctl_helpers.mix import Mix, blend, combine, interpolate, task_vector

__all__ = [
    "Comparison",
    "Evaluation",
    "Linearity",
    "Mix",
    "barriers",
    "blend",
    "combine",
    "compare",
    "evaluate",
    "feature_layers",
    "interpolate",
    "logits",
    "measure",
    "pairs",
    "path",
    "taps",
    "task_vector",
    "triples",
]
