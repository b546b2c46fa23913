"""Cross-task linearity: features of a mix against the mix of features, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, by_task, named_streams
from ctl_helpers.engine.hooks import layers_to_tap
from ctl_helpers.engine.linearity import (
    OF_EPSILON,
    Comparison,
    Linearity,
    LinearityFold,
)
from ctl_helpers.engine.mix import StateDict, distinct, interpolate
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.similarity import linearity_error

_COLUMNS = ("comparison", "layer", "metric", "n", "mean", "std", "q25", "median", "q75")


def pairs(
    names: Sequence[str], alphas: Iterable[float], tasks: Sequence[str] | None = None
) -> list[Comparison]:
    """All pairs of checkpoints at every α: ``f(θ_α)`` against ``αf(θ_i) + (1−α)f(θ_j)``.

    The baseline is ``cos[f(θ_i), f(θ_j)]`` (CTL paper, Section 4.1, Figures 2 and 3).

    Args:
        names: the checkpoints' names; pairs come in this order, with α on the first.
        alphas: the interpolation weights.
        tasks: the streams to measure every pair on; by default those that bear its two names.

    Returns:
        Comparisons with ``params`` ``{"i": …, "j": …, "alpha": …}``.
    """
    return [
        Comparison(
            left=interpolate(i, j, alpha),
            right=[(alpha, {i: 1.0}), (1 - alpha, {j: 1.0})],
            baseline=[({i: 1.0}, {j: 1.0})],
            tasks=(i, j) if tasks is None else tuple(tasks),
            params={"i": i, "j": j, "alpha": alpha},
        )
        for i, j in combinations(distinct(names), 2)
        for alpha in alphas
    ]


def measure(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    comparisons: Sequence[Comparison],
    batches: Streams,
    layers: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    *,
    permuted: bool = False,
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
    stream: bool | None = None,
) -> Linearity:
    """As :func:`compare`, with the values of every sample.

    Args:
        permuted: a null control, the left side of a sample against the right side of the next in
            the batch, or in its part where memory is short: only what all samples share is left.
    """
    comparisons = list(comparisons)
    if not comparisons:
        raise ValueError("no comparisons given; ctl.pairs makes them from checkpoint names")
    for comparison in comparisons:
        if clash := [key for key in comparison.params if key in _COLUMNS]:
            raise ValueError(f"the param {clash[0]!r} is a column of the table; rename it")
    layers, streams = layers_to_tap(model, layers), named_streams(batches)
    folds = {
        task: LinearityFold({n: comparisons[n] for n in positions}, layers, permuted)
        for task, positions in by_task((one.tasks for one in comparisons), streams).items()
    }
    run(model, checkpoints, folds, streams, layers, device, max_memory, dtype, stream)
    metrics = [fold.metrics() for fold in folds.values()]
    values: dict[tuple[int, str, str], Tensor] = {}
    pooled: dict[tuple[int, str], float] = {}

    def joined(position: int, metric: str) -> Tensor:
        """Shape (layers, samples), task by task."""
        key = (position, metric)
        return torch.cat([on_task[key] for on_task in metrics if key in on_task], 1).cpu()

    for position, comparison in enumerate(comparisons):
        for metric in comparison.metrics():
            if metric == "epsilon":
                squares = [joined(position, square) for square in OF_EPSILON]
                samples = linearity_error(*squares)
                sums = linearity_error(*(square.sum(1) for square in squares)).tolist()
                pooled |= {(position, layer): sums[n] for n, layer in enumerate(layers)}
            else:
                samples = joined(position, metric)
            values |= {(position, layer, metric): samples[n] for n, layer in enumerate(layers)}
    return Linearity(comparisons, layers, values, pooled)


def compare(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    comparisons: Sequence[Comparison],
    batches: Streams,
    layers: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    *,
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
    stream: bool | None = None,
) -> pd.DataFrame:
    """How far the features of mixes are from mixes of features.

    With ``l = f(left; x)`` and ``r = Σ_m w_m f(mix_m; x)`` for each sample x and layer:
    ``distance = 1 − cos[l, r]``, ``coef = ‖l‖ cos[l, r] / ‖r‖``, and ``baseline = 1 −`` the mean
    cosine of the baseline pairs (CTL paper, Section 4.1 and Eqs. 1 to 3). Where the weights w are
    an average's, ``epsilon = √(Σ_x ‖l − r‖² / Σ_x Σ_m w_m ‖f(mix_m; x) − r‖²)``, the linearity
    error: 0 for a linear network, 1 where the mixed network copies one of two equal parts.

    Args:
        model: the architecture, run in evaluation mode; its own weights are not used.
        checkpoints: name → state dict.
        comparisons: what to compare, as from :func:`pairs`.
        batches: one iterable of batches, or task → such iterables. A batch is a tensor, a pair
            ``(inputs, targets)`` or a dict of keyword inputs, samples first.
        layers: names of modules that give a tensor (samples, …) or a tuple that starts with one;
            by default :func:`~ctl_helpers.engine.hooks.feature_layers`.
        device: where to run; by default where the model's parameters are.
        max_memory: bytes that mixed weights and features may take; batches are split to keep it.
        dtype: ``torch.bfloat16`` or ``torch.float16`` for passes by autocast; sums stay float64.
        stream: whether to run stage by stage, reading the weights of one at a time, with the same
            result; by default where they do not fit in memory and the network has stages.

    Returns:
        One row per comparison, layer and metric: ``comparison`` (its position), its params,
        ``layer``, ``metric``, ``n`` (a zero feature has no direction and does not count),
        ``mean``, ``std`` (ddof 1), ``q25``, ``median`` and ``q75`` (exact, linear). The ``mean``
        of ``epsilon`` is that of all samples together, as above; its other columns are of
        ``√(‖l − r‖² / Σ_m w_m ‖f(mix_m; x) − r‖²)`` sample by sample.

    Raises:
        KeyError: an unknown checkpoint, task or layer.
        ValueError: checkpoints that do not fit or are not finite; no samples; infinite features.
    """
    options: dict[str, Any] = {"max_memory": max_memory, "dtype": dtype, "stream": stream}
    return measure(model, checkpoints, comparisons, batches, layers, device, **options).table()


def triples(table: pd.DataFrame) -> pd.DataFrame:
    """Every way to ask Conjecture 4.1: given (i, j) and (j, k), what of (i, k)?

    A pair's error is the root mean square, over layers and α, of the linearity error ε of all
    samples: the root of the mean share of the way between its two networks by which features miss.

    Args:
        table: :func:`compare` over all :func:`pairs` of some names.

    Returns:
        One row for each unordered (i, k) and each j: ``i``, ``j``, ``k``, ``premise`` (the larger
        error of the two given pairs) and ``conclusion`` (the third pair's).
    """
    rows = table[table["metric"] == "epsilon"]
    squares = rows.assign(square=rows["mean"] ** 2).groupby(["i", "j"], sort=False)["square"]
    error = {frozenset(pair): value**0.5 for pair, value in squares.mean().items()}
    names = list(dict.fromkeys([*table["i"], *table["j"]]))
    return pd.DataFrame(
        {
            "i": i,
            "j": j,
            "k": k,
            "premise": max(error[frozenset((i, j))], error[frozenset((j, k))]),
            "conclusion": error[frozenset((i, k))],
        }
        for i, k in combinations(names, 2)
        for j in names
        if j not in (i, k)
    )
