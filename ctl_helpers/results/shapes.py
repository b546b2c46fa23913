"""The tables that each section's notebook stores: their columns, units and labels."""

from __future__ import annotations

from enum import Enum

from ctl_helpers.results import labels
from ctl_helpers.results.columns import Column
from ctl_helpers.training.pretrained_for import Objective


def _labels(*names: str) -> list[Column]:
    return [Column(name, "label") for name in names]


def _numbers(unit: str, *names: str) -> list[Column]:
    return [Column(name, unit=unit) for name in names]


def _of(name: str, among: type[Enum]) -> Column:
    return Column(name, "label", labels=among)


K = Column("k", "integer")
ALPHA, LAM, SHARE = Column("alpha"), Column("lam"), Column("share", unit="share")
CHANCE = Column("chance", unit="share")
ACCURACY, CHOSEN = Column("accuracy", unit="share"), Column("chosen", "flag")
ROLE, SPLIT = _of("role", labels.Role), _of("split", labels.Split)
PARADIGM = _of("paradigm", labels.Paradigm)
DRAW = [_of("weights", labels.Weights), Column("draw", "integer")]
MODELS = Column("models", "label", optional=True)
PAIR = _labels("i", "j")
GAPPED_PAIR = [Column(name, "label", gaps=True) for name in ("i", "j")]
FIRST, TASK, START = _labels("i", "task", "start")
BLOCK, REPLACED = Column("block", "integer"), Column("replaced", unit="share")
PLACE = [Column("comparison", "integer"), Column("layer", "label")]
"""Which comparison, in the order asked for, and at which layer."""

STATISTICS = [
    _of("metric", labels.Metric),
    Column("n", "integer", "samples"),
    *_numbers("1 − cosine, or none for coef", "mean", "std", "q25", "median", "q75"),
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
BARRIER = [*PAIR, TASK, *_numbers("nats", "loss_i", "loss_j", "barrier", "rise")]
ERROR = Column("error", unit="length of logits")
MEANS = [*_numbers("1 − cosine", "distance", "baseline"), Column("coef"), Column("epsilon")]
ALONG = [*PAIR, ALPHA, *COMPARED]
BY_LAMBDA = [*PAIR, LAM, *COMPARED]
TERMS = _numbers("", "curvature", "squared_distance", "product")
TERMS += [Column(f"{term.name}_buffers") for term in TERMS]
MANY = [K, MODELS, *DRAW, *COMPARED]
CONTROL = _of("control", labels.Control)
DISPLACEMENT = [*_labels("i", "layer"), Column("moved", unit="times")]
"""How far random vectors move features, over how far the task vectors do."""

TASKS = Column("tasks", "label")
"""Two tasks at a distance, by what tells them apart."""

CELL_OF_PLANE = [
    TASKS,
    Column("rate"),
    Column("steps", "integer"),
    Column("layer", "label"),
    *_numbers("1 − cosine", "distance", "apart", "moved"),
    *_numbers("", "epsilon", "coef", "cosine", "curvature"),
    Column("weights_apart", unit="length"),
    *_numbers("share", "merged", "own", "start"),
]
"""A pair of tasks at one rate and number of steps, layer by layer."""

_TRIED = [Column("rate"), Column("widening", "integer")]
"""A learning rate, and how many were added on its side of the grid until it was."""

OBJECTIVE = _of("objective", Objective)
VARIANT, STEPS = _of("variant", labels.Variant), Column("steps", "integer")
MULTIPLE = Column("multiple", unit="usual number of steps")
_ADDED = [*SCORE, SPLIT, SHARE, CHOSEN]
_THEOREM = [K, Column("models", "label"), ALPHA, _of("scheme", labels.Scheme), *COMPARED]
_SUMS = [K, Column("models", "label"), ALPHA, Column("draw", "integer"), *COMPARED]
_SHARES = [
    *_SUMS[:2],
    *_SUMS[3:4],
    LAM,
    Column("layer", "label"),
    _of("terms", labels.Terms),
    Column("n", "integer", "samples"),
    Column("unexplained", unit="share of the squared change"),
    Column("moved", unit="length of the pretrained feature"),
]
_WITH_STATISTICS = [*ALONG, _of("statistics", labels.Statistics)]
_AVERAGING = [K, MODELS, _of("weights", labels.Weights), *COMPARED]
_EDITS = {
    "addition": [*_ADDED, LAM],
    "negation": [SPLIT, FIRST, LAM, ROLE, ACCURACY, CHOSEN],
    "eq2": BY_LAMBDA,
    "eq2_length": [*PAIR, LAM, *BIN],
    "eq3": [FIRST, LAM, *COMPARED],
    "eq3_length": [FIRST, LAM, *BIN],
    "eq2_controls": [*BY_LAMBDA, CONTROL],
    "eq3_controls": [FIRST, LAM, *COMPARED, CONTROL],
    "theorem": _THEOREM,
    "theorem_controls": [*_THEOREM, CONTROL],
    "displacement": DISPLACEMENT,
}

TABLES: dict[str, dict[str, list[Column]]] = {
    "3": {
        "curves": [K, *PAIR, ALPHA, *SCORE],
        "barriers": [K, *BARRIER],
        "features": [K, *ALONG],
        "spawning": [K, *_numbers("nats", "barrier", "rise"), *MEANS],
        "induced": [K, ALPHA, ERROR, *_numbers("nats", "loss", "gap", "jensen", "excess")],
        "control": [*_numbers("nats", "barrier", "rise", "gap"), ERROR, *MEANS],
    },
    "4.1": {
        "accuracy": BESIDE_MAJORITY,
        "paths": [*PAIR, ALPHA, *SCORE, ROLE],
        "barriers": BARRIER,
        "direction": ALONG,
        "length": [*PAIR, ALPHA, *BIN],
        "controls": [*ALONG, CONTROL],
        "displacement": DISPLACEMENT,
        "common": [*_labels("network", "task"), SHARE],
        "triples": [
            *PAIR,
            Column("k", "label"),
            _of("group", labels.Triple),
            *_numbers("ε", "premise", "conclusion"),
        ],
        "lemmas": [
            _of("lemma", labels.Lemma),
            *_labels("mixed", "with"),
            *_numbers("ε", "error", "largest_of_parts"),
        ],
    },
    "4.1.batchnorm": {
        "features": _WITH_STATISTICS,
        "controls": [*_WITH_STATISTICS, CONTROL],
        "displacement": DISPLACEMENT,
        "accuracy": [_of("statistics", labels.Statistics), *SCORE, *GAPPED_PAIR],
    },
    "4.2": {
        "accuracy": NETWORK_SCORE,
        "ensembles": [Column("models", "label"), *_numbers("share", "averaged", "ensemble")],
        "averaging": _AVERAGING,
        "controls": [*_AVERAGING, CONTROL],
        "displacement": DISPLACEMENT,
    },
    "4.2.many": {
        "accuracy": NETWORK_SCORE,
        "many": MANY,
        "controls": [*MANY, CONTROL],
        "displacement": DISPLACEMENT,
        "spread": [K, *DRAW, *MEANS, Column("spread", unit="squared length")],
    },
    "4.3": {
        "accuracy": BESIDE_MAJORITY,
        **_EDITS,
        "stitched_addition": [
            *PAIR,
            LAM,
            _of("model", labels.AddedModel),
            BLOCK,
            *_numbers("share", "D_i", "D_j"),
        ],
        "stitched_negation": [
            SPLIT,
            BLOCK,
            _of("model", labels.NegatedModel),
            FIRST,
            LAM,
            ROLE,
            *[ACCURACY, CHANCE],
            CHOSEN,
        ],
        "nearest": [
            *_labels("i", "commonest"),
            Column("classes", "integer"),
            *_numbers("share", "own", "chance", "share"),
        ],
    },
    "4.3.text": {
        "accuracy": OF_TEXTS,
        **_EDITS,
        "kept": NETWORK_SCORE,
        "norms": BY_LAMBDA,
        "readings": [*BY_LAMBDA, _of("reading", labels.Pooling)],
        "many": MANY,
    },
    "5.epochs": {
        "accuracy": [Column("pretrain_epochs", "integer"), *SCORE],
        "pretraining": [Column("pretrain_epochs", "integer"), *ALONG],
        "finetuning": [Column("finetune_epochs", "integer"), *ALONG],
    },
    "5.similarity": {
        "to_pretraining": [REPLACED, *ALONG],
        "to_each_other": [REPLACED, *ALONG],
        "apart": [REPLACED, Column("distance of weights", unit="length")],
    },
    "5.curvature": {
        "regression": [
            START,
            *PAIR,
            ALPHA,
            *TERMS,
            *_numbers("nats", "signed", "signed_second_order"),
            *_numbers("nats", "delta", "second_order", "third_order"),
        ],
        "fits": [
            _of("scale", labels.Scale),
            Column("regressor", "label"),
            _of("reading", labels.Buffers),
            *_numbers("share", "r_squared", "low", "high"),
        ],
        "nearer": [START, *PAIR, Column("scale"), Column("ratio")],
    },
    "boundary": {
        "plane": CELL_OF_PLANE,
        "controls": [TASKS, *ALONG, CONTROL],
        "displacement": [TASKS, *DISPLACEMENT],
    },
    "A": {
        "single": [_of("model", labels.Expansion), *NETWORK_SCORE],
        "addition": [_of("model", labels.Expansion), SPLIT, LAM, *SCORE, CHOSEN],
        "taylor": [*_labels("i", "layer"), *STATISTICS],
        "ctl": ALONG,
        "controls": [*ALONG, CONTROL],
        "displacement": DISPLACEMENT,
    },
    "many-tasks": {
        "accuracy": BESIDE_MAJORITY,
        "shares": _SHARES,
        "share_controls": [*_SHARES, CONTROL],
        "theorem": _SUMS,
        "controls": [*_SUMS, CONTROL],
        "local": [*_SUMS, _of("scope", labels.Scope)],
        "displacement": DISPLACEMENT,
    },
    "overtraining": {
        "along": [_of("recipe", labels.Recipe), MULTIPLE, *CELL_OF_PLANE],
        "controls": [MULTIPLE, *ALONG, CONTROL],
        "displacement": [MULTIPLE, *DISPLACEMENT],
    },
    "pointing": {
        "accuracy": BESIDE_MAJORITY,
        "pointed": [*_labels("i", "at"), _of("direction", labels.Direction), SHARE, CHANCE],
        "probes": [TASK, _of("reads", labels.Reads), LAM, *_labels("layer"), ACCURACY, CHANCE],
    },
    "linear": {
        "search": [PARADIGM, *_TRIED, *NETWORK_SCORE, CHOSEN],
        "common_search": [PARADIGM, *_TRIED, ALPHA, *SCORE, SHARE, CHOSEN],
        "single": [PARADIGM, *NETWORK_SCORE],
        "common_single": [PARADIGM, *NETWORK_SCORE],
        "addition": [PARADIGM, ALPHA, *_ADDED],
        "common": [PARADIGM, ALPHA, *_ADDED],
        "maps": [
            PARADIGM,
            *PAIR,
            *_numbers("", "alpha_i", "alpha_j"),
            _of("measure", labels.Output),
            *_numbers(
                "share, nats of representations, or ratio of lengths", "error_i", "error_j", "error"
            ),
        ],
        "cosines": [PARADIGM, *PAIR, Column("cosine")],
        "interference": [
            PARADIGM,
            *_labels("i", "task"),
            Column("moved", unit="length of embeddings"),
        ],
        "linear": [PARADIGM, *BY_LAMBDA],
        "controls": [PARADIGM, *BY_LAMBDA, CONTROL],
        "displacement": DISPLACEMENT,
        "cost": [
            PARADIGM,
            Column("repetition", "integer"),
            Column("seconds", unit="s"),
            Column("bytes", "integer", "bytes"),
        ],
    },
    "architecture": {
        "snapshots": [VARIANT, STEPS, *ALONG],
        "accuracy": [VARIANT, STEPS, *NETWORK_SCORE],
        "matched": [
            VARIANT,
            _of("at", labels.Level),
            _of("where", labels.Where),
            *_numbers("", "epsilon"),
            *_numbers("share", "gain"),
        ],
        "controls": [VARIANT, STEPS, *ALONG, CONTROL],
        "displacement": [VARIANT, *DISPLACEMENT],
    },
    "objective": {
        "snapshots": [OBJECTIVE, STEPS, *ALONG],
        "accuracy": [OBJECTIVE, STEPS, *NETWORK_SCORE],
        "controls": [OBJECTIVE, STEPS, *ALONG, CONTROL],
        "displacement": [OBJECTIVE, STEPS, *DISPLACEMENT],
        "matched": [
            OBJECTIVE,
            CONTROL,
            _of("where", labels.Where),
            *_numbers("", "epsilon"),
            *_numbers("share", "probe", "gain"),
        ],
    },
}
"""Section → table → its columns, in no order."""
