"""Measure Cross-Task Linearity on any PyTorch models: ``import ctl_helpers as ctl``.

The names below are the engine, which needs torch, numpy and pandas alone. Settings, figures and
runs are modules of their own: ``from ctl_helpers import figures, results, settings``.
"""

from ctl_helpers.compare import Comparison, Linearity, compare, measure, pairs, triples
from ctl_helpers.disentangle import Plane, disentanglement, planes
from ctl_helpers.edits import addition, averaging, disentangled, edit, growing, negation
from ctl_helpers.evaluate import Evaluation, barriers, evaluate, logits, path
from ctl_helpers.features import feature_layers, taps
from ctl_helpers.mix import Mix, blend, combine, interpolate, task_vector
from ctl_helpers.stitching import Stitch, stitch
from ctl_helpers.tangent import Linearized
from ctl_helpers.task_vectors import cosines
from ctl_helpers.taylor import taylor_errors

__all__ = [
    "Comparison",
    "Evaluation",
    "Linearity",
    "Linearized",
    "Mix",
    "Plane",
    "Stitch",
    "addition",
    "averaging",
    "barriers",
    "blend",
    "combine",
    "compare",
    "cosines",
    "disentangled",
    "disentanglement",
    "edit",
    "evaluate",
    "feature_layers",
    "growing",
    "interpolate",
    "logits",
    "measure",
    "negation",
    "pairs",
    "path",
    "planes",
    "stitch",
    "taps",
    "task_vector",
    "taylor_errors",
    "triples",
]
