"""Cross-task linearity: features of a mix against the mix of features, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.arguments import check_types, distinct, numbers, task_names
from ctl_helpers.engine.batches import Streams, by_task, check_tasks, named_streams
from ctl_helpers.engine.checkpoints import Checkpoint, fitted
from ctl_helpers.engine.defaults import layers_to_tap
from ctl_helpers.engine.linearity import (
    OF_EPSILON,
    Comparison,
    Linearity,
    LinearityFold,
)
from ctl_helpers.engine.mix import interpolate, mix_key
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.pooling import Poolings
from ctl_helpers.engine.precision import noise_floor
from ctl_helpers.engine.similarity import linearity_error
from ctl_helpers.engine.tiles import MOST, can_be_read_again, tiled

_COLUMNS = ("comparison", "layer", "metric", "n", "mean", "std", "q25", "median", "q75")


def pairs(
    names: Iterable[str],
    alphas: float | Iterable[float],
    tasks: str | Sequence[str] | None = None,
    *,
    partners: int | None = None,
    seed: int = 0,
) -> list[Comparison]:
    """Pairs of checkpoints at every α: ``f(θ_α)`` against ``αf(θ_i) + (1−α)f(θ_j)``.

    The baseline is ``cos[f(θ_i), f(θ_j)]`` (CTL paper, Section 4.1, Figures 2 and 3).

    Args:
        names: the checkpoints' names; pairs come in this order, with α on the first.
        alphas: the interpolation weights.
        tasks: the streams to measure every pair on; by default those that bear its two names.
        partners: of many checkpoints, with how many others each is paired; by default with all.
            ``ctl_helpers.analysis.sampled_pairs`` says how sure a mean over so few pairs is.
        seed: of the draw of partners.

    Returns:
        Comparisons with ``params`` ``{"i": …, "j": …, "alpha": …}``.
    """
    return [
        Comparison(
            left=interpolate(i, j, alpha),
            right=[(alpha, {i: 1.0}), (1 - alpha, {j: 1.0})],
            baseline=[({i: 1.0}, {j: 1.0})],
            tasks=task_names(tasks, (i, j)),
            params={"i": i, "j": j, "alpha": alpha},
        )
        for i, j in _drawn(distinct(names), partners, seed)
        for alpha in numbers(alphas, "alphas")
    ]


def _drawn(names: Sequence[str], partners: int | None, seed: int) -> list[tuple[str, str]]:
    """All pairs, or those of neighbours on a circle in random order: so many for each name."""
    if partners is None or partners == len(names) - 1:
        return list(combinations(names, 2))
    if partners not in range(2, len(names), 2):
        raise ValueError(
            f"partners is {partners}; give an even number from 2 to {len(names) - 1}, one less "
            "than there are names, or leave it out for all pairs"
        )
    circle = np.random.default_rng(seed).permutation(len(names))
    steps = range(1, partners // 2 + 1)
    ends = np.sort(np.concatenate([np.stack([circle, np.roll(circle, n)], 1) for n in steps]), 1)
    return [(names[n], names[m]) for n, m in sorted(ends.tolist())]


def measure(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    comparisons: Comparison | Iterable[Comparison],
    batches: Streams,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
    *,
    ignore: Sequence[str] = (),
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
    stream: bool | None = None,
    pooling: Poolings = None,
    progress: bool | None = None,
) -> Linearity:
    """As :func:`compare`, with the values of every sample."""
    comparisons = _checked(comparisons)
    check_types(model, checkpoints, max_memory)
    streams = named_streams(batches)
    names = sorted({name for one in comparisons for mix in one.mixes() for name in mix})
    states = fitted(model, checkpoints, names, ignore)
    positions = by_task((one.tasks for one in comparisons), streams)
    task = next(iter(positions))
    mix = mix_key({next(iter(comparisons[positions[task][0]].left)): 1.0})
    options: dict[str, Any] = {"device": device, "max_memory": max_memory, "dtype": dtype}
    chosen = layers_to_tap(model, states, mix, streams, task, layers, **options)
    layers = chosen.names
    folds = {
        task: LinearityFold({n: comparisons[n] for n in numbers}, layers)
        for task, numbers in positions.items()
    }
    options |= {"stream": stream, "pooling": pooling, "progress": progress}
    run(model, states, folds, chosen.streams, layers, **options)
    values, pooled = by_layer(comparisons, layers, [fold.metrics() for fold in folds.values()])
    floor = noise_floor(states[names[0]], dtype)
    return Linearity(comparisons, layers, values, pooled, floor, chosen.note)


def by_layer(
    comparisons: Sequence[Comparison],
    layers: Sequence[str],
    metrics: Sequence[Mapping[tuple[int, str], Tensor]],
) -> tuple[dict[tuple[int, str, str], Tensor], dict[tuple[int, str], float]]:
    """The values of every sample, and ε of all samples together, from the metrics of each task.

    Args:
        comparisons, layers: what was asked, and where.
        metrics: of each task, :meth:`~ctl_helpers.engine.linearity.LinearityFold.metrics`.

    Returns:
        ``values`` and ``pooled`` of a :class:`~ctl_helpers.engine.linearity.Linearity`.
    """
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
    return values, pooled


def _checked(comparisons: Comparison | Iterable[Comparison]) -> list[Comparison]:
    found = [comparisons] if isinstance(comparisons, Comparison) else list(comparisons)
    if not found:
        raise ValueError(
            "no comparisons given; ctl.pairs makes them from two names of checkpoints or more, and "
            "one alpha or more"
        )
    for comparison in found:
        if not isinstance(comparison, Comparison):
            raise TypeError(
                f"comparisons has {comparison!r}; give what ctl.pairs and the like make, or a "
                "ctl.Comparison"
            )
        if clash := [key for key in comparison.params if key in _COLUMNS]:
            raise ValueError(f"the param {clash[0]!r} is a column of the table; rename it")
    return found


def compare(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    comparisons: Comparison | Iterable[Comparison],
    batches: Streams,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
    *,
    ignore: Sequence[str] = (),
    max_memory: float | None = None,
    dtype: torch.dtype | None = None,
    stream: bool | None = None,
    pooling: Poolings = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """How far the features of mixes are from mixes of features.

    With ``l = f(left; x)`` and ``r = Σ_m w_m f(mix_m; x)`` for each sample x and layer:
    ``distance = 1 − cos[l, r]``, ``coef = ‖l‖ cos[l, r] / ‖r‖``, and ``baseline = 1 −`` the mean
    cosine of the baseline pairs (CTL paper, Section 4.1 and Eqs. 1 to 3). Where the weights w are
    an average's, ``epsilon = √(Σ_x ‖l − r‖² / Σ_x Σ_m w_m ‖f(mix_m; x) − r‖²)``, the linearity
    error: 0 for a linear network, 1 where the mixed network copies one of two equal parts.

    Args:
        model: the architecture, run in evaluation mode; its own weights are not used.
        checkpoints: name → state dict, or what :func:`~ctl_helpers.read` makes one of: a module,
            the path of a file or folder, a repository of the hub. All run in the widest floating
            type among them.
        comparisons: what to compare, as from :func:`pairs`.
        batches: one iterable of batches, or task → such iterables. A batch is a tensor, a pair
            ``(inputs, targets)`` or a dict of keyword inputs, samples first. In a dict may stand
            further dicts, rows of numbers, objects, and what is not by sample. Lists of batches
            are read once for every few hundred comparisons, so that memory does not grow with the
            number of these; other iterables are read once.
        layers: names of modules that give a tensor, or a tuple or dict with one, or globs such as
            ``"encoder.layer.*"``; one or several. Which of its dimensions is the samples is found
            by running few of them. By default those of :func:`~ctl_helpers.feature_layers` that
            run once, which few samples show too.
        device: where to run; by default where the model's parameters are.
        ignore: globs such as ``"classifier.*"`` of tensors that are taken from the model itself,
            as heads of different sizes, whatever the checkpoints have there.
        max_memory: bytes that mixed weights and features may take; batches are split to keep it.
        dtype: ``torch.bfloat16`` or ``torch.float16`` for passes by autocast; sums stay float64.
        pooling: how a layer's tokens become one feature of a sample, for all layers or by layer:
            ``"flatten"`` (the default for every network: all tokens one after another), ``"mean"``,
            ``"first"``, ``"last"``, or a function of states (samples, tokens, …) and a mask
            (samples, tokens) or None. Tokens do not count that a mask of the batch leaves out: an
            entry that ends with ``attention_mask`` (0 at padding; not a global one) or
            ``padding_mask`` (true at padding), or what is given to torch's own attention and
            transformer modules. The text networks of this package give one vector per sample,
            which stays as it is.
        stream: whether to run stage by stage, reading the weights of one at a time, with the same
            result; by default where they do not fit in memory and the network has stages.
        progress: whether a bar on standard error counts forward passes; by default on a terminal.

    Returns:
        One row per comparison, layer and metric: ``comparison`` (its position), its params,
        ``layer``, ``metric``, ``n`` (a zero feature has no direction and does not count),
        ``mean``, ``std`` (ddof 1), ``q25``, ``median`` and ``q75`` (exact, linear). The ``mean``
        of ``epsilon`` is that of all samples together, as above; its other columns are of
        ``√(‖l − r‖² / Σ_m w_m ‖f(mix_m; x) − r‖²)`` sample by sample. ``table.attrs`` has the
        ``noise_floor``: the distance that one rounding in the type of the run makes of zero; and
        where layers were chosen, ``layers`` says which, as does the log of the level INFO.

    Raises:
        KeyError: an unknown checkpoint, task or layer.
        ValueError: checkpoints that do not fit or are not finite; no samples; infinite features.
        TypeError: a batch, or batches, of another kind.
        RuntimeError: a layer that runs twice or never, or gives no row per sample; passes that
            depend on more than weights and samples, as where a module keeps something; a batch
            that does not fit in memory and cannot be split.
    """
    options: dict[str, Any] = {"max_memory": max_memory, "dtype": dtype, "stream": stream}
    options |= {"pooling": pooling, "device": device}
    asked, streams = _checked(comparisons), named_streams(batches)
    if len(asked) <= MOST or not can_be_read_again(streams):
        options |= {"ignore": ignore, "progress": progress}
        return measure(model, checkpoints, asked, batches, layers, **options).table()
    # What is wrong with any is told before the first, and all have one floating type.
    check_types(model, checkpoints, max_memory)
    check_tasks(by_task((one.tasks for one in asked), streams), streams)
    names = sorted({name for one in asked for mix in one.mixes() for name in mix})
    checkpoints = fitted(model, checkpoints, names, ignore)
    part = partial(measure, model, checkpoints, batches=batches, **options, progress=False)
    return tiled(asked, part, layers, progress)


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
    if lacking := [pair for pair in combinations(names, 2) if frozenset(pair) not in error]:
        raise ValueError(
            f"the table has no epsilon of the pair {lacking[0]}; compare ctl.pairs of all names"
        )
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
