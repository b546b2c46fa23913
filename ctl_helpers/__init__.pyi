from .analysis.taylor import taylor_errors
from .analysis.vector_angles import cosines
from .engine.compare import compare, measure, pairs, triples
from .engine.disentangle import Plane, disentanglement, planes
from .engine.evaluate import Evaluation, barriers, evaluate, logits, path
from .engine.hooks import feature_layers, taps
from .engine.linearity import Comparison, Linearity
from .engine.linearized import Linearized
from .engine.mix import Mix, blend, combine, interpolate, task_vector
from .engine.questions import (
    addition,
    averaging,
    disentangled,
    edit,
    growing,
    negation,
)
from .engine.stitch import Stitch, stitch

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
