from .analysis.taylor import taylor_errors
from .analysis.vector_angles import cosines
from .engine.checkpoints import CheckpointWarning
from .engine.compare import compare, measure, pairs, triples
from .engine.disentangle import Plane, disentanglement, planes
from .engine.evaluate import Evaluation, barriers, evaluate, logits, path
from .engine.hooks import taps
from .engine.layers import feature_layers, layers
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
from .probing.probe import probe
from .probing.report import Report
from .weights.read import read

__all__ = [
    "CheckpointWarning",
    "Comparison",
    "Evaluation",
    "Linearity",
    "Linearized",
    "Mix",
    "Plane",
    "Report",
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
    "layers",
    "logits",
    "measure",
    "negation",
    "pairs",
    "path",
    "planes",
    "probe",
    "read",
    "stitch",
    "taps",
    "task_vector",
    "taylor_errors",
    "triples",
]
