"""Cross-task linearity: features of a mix against the mix of features, layer by layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, named_streams, tasks_of
from ctl_helpers.engine.folds import Pass
from ctl_helpers.engine.hooks import feature_layers
from ctl_helpers.engine.mix import Mix, MixKey, StateDict, interpolate, mix_key
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.similarity import coef, cosine, inner_products, summarize

METRICS = ("distance", "baseline", "coef")
_COLUMNS = ("comparison", "layer", "metric", "n", "mean", "std", "q25", "median", "q75")


@dataclass(frozen=True)
class Comparison:
    """One question to the engine: is ``f(left)`` equal to ``Σ_m w_m f(mix_m)``?

    Attributes:
        left: the mix whose features stand on the left side.
        right: pairs ``(w_m, mix_m)`` of the right side.
        baseline: pairs of mixes whose features are compared with each other.
        tasks: names of the streams to measure on; all of them when None.
        params: what names this comparison in the result table, a column each.
    """

    left: Mix
    right: Sequence[tuple[float, Mix]]
    baseline: Sequence[tuple[Mix, Mix]] = ()
    tasks: Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)


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
    if len(set(names)) < len(names):
        raise ValueError(f"a name occurs twice in {list(names)}; name each checkpoint once")
    return [
        Comparison(
            left=interpolate(i, j, alpha),
            right=[(alpha, {i: 1.0}), (1 - alpha, {j: 1.0})],
            baseline=[({i: 1.0}, {j: 1.0})],
            tasks=(i, j) if tasks is None else tuple(tasks),
            params={"i": i, "j": j, "alpha": alpha},
        )
        for i, j in combinations(names, 2)
        for alpha in alphas
    ]


@dataclass(frozen=True)
class Linearity:
    """Per-sample results of :func:`measure`.

    Attributes:
        comparisons: what was asked.
        layers: the tapped layers.
        values: (position of the comparison, layer, metric) → float64 tensor of shape (samples,),
            NaN where a feature is the zero vector. Samples come task by task.
    """

    comparisons: Sequence[Comparison]
    layers: Sequence[str]
    values: Mapping[tuple[int, str, str], Tensor]

    def table(self) -> pd.DataFrame:
        """The tidy summary, one row a comparison × layer × metric; see :func:`compare`."""
        rows = [
            {"comparison": position}
            | dict(self.comparisons[position].params)
            | {"layer": layer, "metric": metric}
            | summarize(values)
            for (position, layer, metric), values in self.values.items()
        ]
        return pd.DataFrame(rows)

    def histogram(self, metric: str, edges: Sequence[float]) -> pd.DataFrame:
        """How a metric is distributed over samples, a row a comparison × layer × bin.

        Args:
            metric: ``"distance"``, ``"baseline"`` or ``"coef"``.
            edges: rising bin edges; values outside count in the outermost bins.

        Returns:
            Columns ``comparison``, the params, ``layer``, ``low``, ``high`` and ``share`` (of the
            samples with a defined value).
        """
        bounds = np.asarray(edges, dtype=float)
        frames = []
        for (position, layer, name), values in self.values.items():
            if name != metric:
                continue
            defined = values[~values.isnan()].cpu().numpy()
            counts, _ = np.histogram(defined.clip(bounds[0], bounds[-1]), bounds)
            labels = {"comparison": position, **self.comparisons[position].params, "layer": layer}
            bins = {"low": bounds[:-1], "high": bounds[1:], "share": counts / max(len(defined), 1)}
            frames.append(pd.DataFrame(labels | bins))
        return pd.concat(frames, ignore_index=True)


# A mix whose features are looked at, and whether those are moved on to the next sample.
_Node = tuple[MixKey, bool]
_Products = dict[tuple[_Node, _Node], Tensor]  # each of shape (layers, samples)


class _LinearityFold:
    """Inner products of features, each once a batch however many comparisons use it."""

    needs_output = False

    def __init__(
        self, comparisons: Mapping[int, Comparison], layers: Sequence[str], permuted: bool
    ) -> None:
        self._layers = layers
        self._nodes = {
            position: _Nodes(
                left=(mix_key(comparison.left), permuted),
                right=[(weight, (mix_key(mix), False)) for weight, mix in comparison.right],
                baseline=[
                    ((mix_key(a), permuted), (mix_key(b), False)) for a, b in comparison.baseline
                ],
            )
            for position, comparison in comparisons.items()
        }
        self._products: dict[tuple[_Node, _Node], list[Tensor]] = {}
        self._new: list[dict[_Node, list[_Node]]] = []
        for nodes in self._nodes.values():
            new: dict[_Node, list[_Node]] = defaultdict(list)
            for a, b in sorted(nodes.products()):
                if (a, b) not in self._products:
                    self._products[a, b] = []
                    new[a].append(b)
            self._new.append(new)
        self.steps = [
            sorted({mix for a, others in new.items() for mix, _ in (a, *others)})
            for new in self._new
        ]

    def reduce(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> _Products:
        found: _Products = {}
        for a, others in self._new[step].items():
            by_layer = []
            for layer in self._layers:
                feature = _feature(a, layer, passes)
                products = inner_products(
                    feature, [feature if b == a else _feature(b, layer, passes) for b in others]
                )
                if a in others and not products[others.index(a)].isfinite().all():
                    raise ValueError(
                        f"the features of layer {layer!r} are not finite for the mix "
                        f"{dict(a[0])}; check the inputs, use smaller weights, or run in float32"
                    )
                by_layer.append(products)
            found |= zip(((a, b) for b in others), torch.stack(by_layer, 1), strict=True)
        return found

    def keep(self, found: Sequence[_Products]) -> None:
        for products in found:
            for pair, product in products.items():
                self._products[pair].append(product)

    def results(self) -> dict[tuple[int, str], Tensor]:
        """(position, metric) → shape (layers, samples)."""
        joined = {key: torch.cat(parts, 1) for key, parts in self._products.items()}

        def product(a: _Node, b: _Node) -> Tensor:
            return joined[min(a, b), max(a, b)]

        values = {}
        for position, nodes in self._nodes.items():
            left, right = nodes.left, nodes.right
            ll = product(left, left)
            lr = sum(w * product(left, a) for w, a in right)
            rr = sum(v * w * product(a, b) for v, a in right for w, b in right)
            values[position, "distance"] = 1 - cosine(lr, ll, rr)
            values[position, "coef"] = coef(lr, ll, rr)
            if nodes.baseline:
                cosines = [
                    cosine(product(a, b), product(a, a), product(b, b)) for a, b in nodes.baseline
                ]
                values[position, "baseline"] = 1 - torch.stack(cosines).mean(0)
        return values


@dataclass(frozen=True)
class _Nodes:
    """A comparison in terms of whose features it needs."""

    left: _Node
    right: Sequence[tuple[float, _Node]]
    baseline: Sequence[tuple[_Node, _Node]]

    def products(self) -> set[tuple[_Node, _Node]]:
        """The pairs whose inner product is needed, each in sorted order."""
        right = [node for _, node in self.right]
        wanted = [(self.left, self.left), *((self.left, node) for node in right)]
        wanted += [(a, b) for a in right for b in right]
        wanted += [pair for a, b in self.baseline for pair in ((a, b), (a, a), (b, b))]
        return {(min(pair), max(pair)) for pair in wanted}


def _feature(node: _Node, layer: str, passes: Mapping[MixKey, Pass]) -> Tensor:
    mix, moved = node
    feature = passes[mix].features[layer]
    if moved and len(feature) < 2:
        raise ValueError("permuting samples needs batches of two or more samples")
    return feature.roll(1, 0) if moved else feature


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
    layers = tuple(feature_layers(model) if layers is None else layers)
    if not layers:
        raise ValueError("no layers to compare; name some of model.named_modules() in layers")
    streams = named_streams(batches)
    asked: dict[str | None, dict[int, Comparison]] = {}
    for position, comparison in enumerate(comparisons):
        for task in tasks_of(comparison.tasks, streams):
            asked.setdefault(task, {})[position] = comparison
    folds = {task: _LinearityFold(part, layers, permuted) for task, part in asked.items()}
    run(model, checkpoints, folds, streams, layers, device, max_memory, dtype, stream)
    by_task = [fold.results() for fold in folds.values()]
    values = {}
    for position, comparison in enumerate(comparisons):
        for metric in METRICS if comparison.baseline else ("distance", "coef"):
            key = (position, metric)
            samples = torch.cat([found[key] for found in by_task if key in found], 1).cpu()
            values |= {(position, layer, metric): samples[row] for row, layer in enumerate(layers)}
    return Linearity(comparisons, layers, values)


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

    For each sample x and layer ℓ, with ``l = f(left; x)`` and ``r = Σ_m w_m f(mix_m; x)``:
    ``distance = 1 − cos[l, r]``, ``coef = ‖l‖ cos[l, r] / ‖r‖``, and ``baseline = 1 −`` the mean
    over the baseline pairs of their cosine (CTL paper, Section 4.1 and Eqs. 1 to 3).

    Args:
        model: the architecture; its own weights are neither used nor changed, and it runs in
            evaluation mode.
        checkpoints: name → state dict.
        comparisons: what to compare, as from :func:`pairs`.
        batches: one iterable of batches, or task → such iterables. A batch is a tensor, a pair
            ``(inputs, targets)`` or a dict of keyword inputs, samples first.
        layers: names of modules whose output is a tensor (samples, …) or a tuple that starts with
            one; by default :func:`~ctl_helpers.engine.hooks.feature_layers`.
        device: where to run; by default where the model's parameters are.
        max_memory: bytes that mixed weights and features may take; batches are split to keep it.
        dtype: ``torch.bfloat16`` or ``torch.float16`` for passes by autocast; sums stay float64.
        stream: whether to read, mix and run the weights stage by stage, with the same result; by
            default where they do not fit in memory and the network has stages, as T5 and Llama.

    Returns:
        A tidy frame, one row a comparison × layer × metric: ``comparison`` (its position), a
        column for each of its params, ``layer``, ``metric``, ``n`` (samples with a defined value:
        a zero feature has no direction and is left out), ``mean``, ``std`` (ddof 1), ``q25``,
        ``median`` and ``q75`` (exact, linear).

    Raises:
        KeyError: an unknown checkpoint, task or layer.
        ValueError: checkpoints that do not fit the model or are not finite; a task without
            samples; features that are not finite.

    Example:
        >>> table = ctl.compare(model, checkpoints, ctl.pairs(["a", "b"], [0.5]), batches)
    """
    return measure(
        model,
        checkpoints,
        comparisons,
        batches,
        layers,
        device,
        max_memory=max_memory,
        dtype=dtype,
        stream=stream,
    ).table()


def triples(table: pd.DataFrame) -> pd.DataFrame:
    """Every way to ask Conjecture 4.1: given (i, j) and (j, k), what of (i, k)?

    A pair's error is the mean of its mean distances over layers and α.

    Args:
        table: :func:`compare` over all :func:`pairs` of some names.

    Returns:
        A row for each unordered (i, k) and each j: ``i``, ``j``, ``k``, ``premise`` (the larger
        error of the two given pairs) and ``conclusion`` (the third pair's).
    """
    found = table[table["metric"] == "distance"].groupby(["i", "j"], sort=False)["mean"].mean()
    error = {frozenset(pair): value for pair, value in found.items()}
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
