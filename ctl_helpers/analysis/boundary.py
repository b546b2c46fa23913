"""Where linearity ends: ε, features, weights and accuracies of pairs of networks, cell by cell."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import nn

from ctl_helpers.analysis.curvature import squared_distance
from ctl_helpers.analysis.vector_angles import cosines
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.compare import compare, pairs
from ctl_helpers.engine.evaluate import Evaluation, evaluate
from ctl_helpers.engine.hooks import taps
from ctl_helpers.engine.layers import feature_layers
from ctl_helpers.engine.mix import StateDict, combine, interpolate

_START = "PT"

Tuned = Mapping[tuple[float, int], tuple[StateDict, StateDict]]
"""Learning rate and steps → the networks of both tasks."""


def plane(
    model: nn.Module, start: StateDict, tuned: Tuned, streams: Mapping[str, Any], curvature: float
) -> pd.DataFrame:
    """What averaging the networks of two tasks gives, at each rate and number of steps.

    A cell whose networks are on the way to infinity has no number: some feature's squared length
    is no longer finite in single precision. It is left out.

    Args:
        model: as for :func:`~ctl_helpers.compare`.
        start: θ_PT.
        tuned: the networks.
        streams: the batches of the first task and of the second, by their names.
        curvature: the largest eigenvalue of the loss's Hessian at the start.

    Returns:
        A row for each cell and layer: ``rate``, ``steps``, ``layer``; of the features at α = ½
        ``epsilon``, ``distance`` and ``coef``; ``apart``, mean 1 − cosine between both networks'
        features, and ``moved``, that between them and the start's; ``weights_apart``
        (``‖τ_i − τ_j‖``), ``cosine`` (of τ_i and τ_j) and ``curvature``; and the mean accuracy over
        both tasks of the ``merged`` network, of each task's ``own`` and of the ``start``.
    """
    i, j = streams
    checkpoints = {_START: start}
    comparisons, models, weights = [], [], []
    for number, ((rate, steps), both) in enumerate(tuned.items()):
        if not _measurable(model, both, streams):
            continue
        a, b = f"{number}i", f"{number}j"
        checkpoints |= {a: both[0], b: both[1]}
        cell = {"rate": rate, "steps": steps}
        (one,) = pairs([a, b], 0.5, [i, j])
        away = [({_START: 1.0}, {name: 1.0}) for name in (a, b)]
        comparisons += [
            replace(one, params={**cell, "from": "other"}),
            replace(one, params={**cell, "from": "start"}, baseline=away),
        ]
        models += [
            Evaluation(interpolate(a, b, 0.5), [i, j], {**cell, "model": "merged"}),
            Evaluation({a: 1.0}, [i], {**cell, "model": "own"}),
            Evaluation({b: 1.0}, [j], {**cell, "model": "own"}),
            Evaluation({_START: 1.0}, [i, j], {**cell, "model": "start"}),
        ]
        angles = cosines({_START: start, a: both[0], b: both[1]}, _START, [a, b])
        apart = math.sqrt(squared_distance(model, *both))
        weights.append({**cell, "weights_apart": apart, "cosine": angles["cosine"].iloc[1]})
    cells = ["rate", "steps"]
    scores = evaluate(model, checkpoints, models, streams)
    accuracies = scores.pivot_table(index=cells, columns="model", values="accuracy")
    features = _features(model, checkpoints, comparisons, streams)
    return (
        features.merge(pd.DataFrame(weights), on=cells)
        .merge(accuracies.reset_index(), on=cells)
        .assign(curvature=curvature)
    )


def _measurable(
    model: nn.Module, both: tuple[StateDict, StateDict], streams: Mapping[str, Any]
) -> bool:
    """Whether features of two networks and of their mean have finite lengths, by a batch a task."""
    ends = dict(zip("ij", both, strict=True))
    still = copy.deepcopy(model).eval()
    with torch.no_grad(), taps(still, feature_layers(still)) as seen:
        for weights in (*both, combine(ends, interpolate("i", "j", 0.5))):
            for inputs, _ in (next(iter(stream)) for stream in streams.values()):
                torch.func.functional_call(still, dict(weights), inputs)
                lengths = [one.flatten(1).square().sum(1) for one in seen.values()]
                if not all(one.isfinite().all() for one in lengths):
                    return False
    return True


def _features(
    model: nn.Module, checkpoints: Mapping[str, StateDict], comparisons: list[Any], streams: Streams
) -> pd.DataFrame:
    """A row for each cell and layer, a column for each measure."""
    table = compare(model, checkpoints, comparisons, streams)
    keys = ["rate", "steps", "layer"]
    wide = table.pivot(index=[*keys, "from"], columns="metric", values="mean").reset_index()
    wide = wide.rename_axis(columns=None)
    moved = wide[wide["from"] == "start"].rename(columns={"baseline": "moved"})
    wide = wide[wide["from"] == "other"].rename(columns={"baseline": "apart"})
    order = list(dict.fromkeys(table["layer"]))
    merged = wide.drop(columns="from").merge(moved[[*keys, "moved"]], on=keys)
    place = merged["layer"].map(order.index)
    return merged.iloc[place.argsort(kind="stable")].reset_index(drop=True)
