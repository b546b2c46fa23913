"""Both sides of an equation on features, compared sample by sample and layer by layer."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ctl_helpers.engine.folds import Fold, Pass
from ctl_helpers.engine.mix import Mix, MixKey, mix_key
from ctl_helpers.engine.similarity import (
    coef,
    cosine,
    inner_products,
    summarize_rows,
)

METRICS = ("distance", "baseline", "coef", "epsilon")


@dataclass(frozen=True)
class Comparison:
    """One question to the engine: is ``f(left)`` equal to ``Σ_m w_m f(mix_m)``?

    Attributes:
        left: the mix whose features stand on the left side.
        right: pairs ``(w_m, mix_m)`` of the right side. Where no weight is negative and they sum
            to 1, the linearity error ε is measured too.
        baseline: pairs of mixes whose features are compared with each other.
        tasks: names of the streams to measure on; all of them when None.
        params: what names this comparison in the result table, one column each.
        permuted: a null control, the left side of a sample against the right side of the next in
            the batch, or in its part where memory is short: only what all samples share is left.
    """

    left: Mix
    right: Sequence[tuple[float, Mix]]
    baseline: Sequence[tuple[Mix, Mix]] = ()
    tasks: Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    permuted: bool = False

    def __post_init__(self) -> None:
        if not self.right:
            raise ValueError(
                f"the comparison of {self.left!r} has nothing on its right side; give pairs of a "
                "weight and a mix"
            )

    def mixes(self) -> list[Mix]:
        """All that it needs to be run."""
        return [self.left, *(mix for _, mix in self.right), *chain(*self.baseline)]

    def metrics(self) -> tuple[str, ...]:
        """Those of :data:`METRICS` that it has."""
        weights = [weight for weight, _ in self.right]
        averages = min(weights) >= 0 and abs(math.fsum(weights) - 1) < 1e-9
        has = {"baseline": bool(self.baseline), "epsilon": averages and len(weights) > 1}
        return tuple(metric for metric in METRICS if has.get(metric, True))


@dataclass(frozen=True)
class Linearity:
    """Results of :func:`~ctl_helpers.measure`, sample by sample.

    Attributes:
        comparisons: what was asked.
        layers: the tapped layers.
        values: (position of the comparison, layer, metric) → float64 tensor of shape (samples,),
            NaN where a feature is the zero vector. Samples come task by task.
        pooled: (position, layer) → ε of all samples together, where it is measured.
        noise_floor: the distance that rounding makes of zero, as from
            :func:`~ctl_helpers.engine.precision.noise_floor`.
        note: which layers were chosen, where none were named.
    """

    comparisons: Sequence[Comparison]
    layers: Sequence[str]
    values: Mapping[tuple[int, str, str], Tensor]
    pooled: Mapping[tuple[int, str], float]
    noise_floor: float
    note: str = ""

    def table(self) -> pd.DataFrame:
        """The tidy summary that :func:`~ctl_helpers.compare` gives."""
        summaries = summarize_rows(list(self.values.values()))
        table = pd.DataFrame(
            {"comparison": position}
            | dict(self.comparisons[position].params)
            | {"layer": layer, "metric": metric}
            | summary
            | ({"mean": self.pooled[position, layer]} if metric == "epsilon" else {})
            for (position, layer, metric), summary in zip(self.values, summaries, strict=True)
        )
        table.attrs["noise_floor"] = self.noise_floor
        if self.note:
            table.attrs["layers"] = self.note
        return table

    def histogram(self, metric: str, edges: Sequence[float]) -> pd.DataFrame:
        """How a metric is distributed over samples: one row per comparison, layer and bin.

        Args:
            metric: one of :data:`METRICS`.
            edges: rising bin edges; values outside count in the outermost bins.

        Returns:
            Columns ``comparison``, the params, ``layer``, ``low``, ``high`` and ``share`` (of the
            samples with a defined value).
        """
        measured = dict.fromkeys(name for _, _, name in self.values)
        if metric not in measured:
            raise ValueError(f"no metric {metric!r} was measured; there are {list(measured)}")
        bounds = np.asarray(edges, dtype=float)
        if bounds.ndim != 1 or len(bounds) < 2 or not (np.diff(bounds) > 0).all():
            raise ValueError(f"edges is {edges!r}; give two numbers or more, rising")
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


OF_EPSILON = ("‖l − r‖²", "Σ_m w_m ‖f_m − r‖²", "‖r‖²")
"""What ε is made of, sample by sample; each is summed before one is divided by the other."""

# A mix whose features are looked at, and whether those are moved on to the next sample.
_Node = tuple[MixKey, bool]
_Pair = tuple[_Node, _Node]


@dataclass(frozen=True)
class _Equation:
    """A comparison in terms of whose features it needs."""

    left: _Node
    right: Sequence[tuple[float, _Node]]
    baseline: Sequence[_Pair]

    @classmethod
    def of(cls, comparison: Comparison) -> _Equation:
        is_moved = comparison.permuted
        return cls(
            (mix_key(comparison.left), is_moved),
            [(weight, (mix_key(mix), False)) for weight, mix in comparison.right],
            [((mix_key(a), is_moved), (mix_key(b), False)) for a, b in comparison.baseline],
        )

    def pairs(self) -> list[_Pair]:
        """The pairs whose inner product is needed, each and all of them in sorted order."""
        right = [node for _, node in self.right]
        pairs = [(self.left, self.left), *((self.left, node) for node in right)]
        pairs += [(a, b) for a in right for b in right]
        pairs += [pair for a, b in self.baseline for pair in ((a, b), (a, a), (b, b))]
        return sorted({(min(pair), max(pair)) for pair in pairs})


class LinearityFold(Fold):
    """Inner products of features, each once per batch however many comparisons use it.

    Args:
        comparisons: position → comparison.
        layers: the tapped layers.
    """

    needs_output = False

    def __init__(self, comparisons: Mapping[int, Comparison], layers: Sequence[str]) -> None:
        self._layers = layers
        self._equations = {
            position: _Equation.of(comparison) for position, comparison in comparisons.items()
        }
        # The products of each pair, batch by batch, and the pairs that are new at each step.
        self._products: dict[_Pair, list[Tensor]] = {}
        self._new: list[dict[_Node, list[_Node]]] = []
        for equation in self._equations.values():
            new: dict[_Node, list[_Node]] = defaultdict(list)
            for a, b in equation.pairs():
                if (a, b) not in self._products:
                    self._products[a, b] = []
                    new[a].append(b)
            self._new.append(new)
        self.steps = [
            sorted({mix for a, others in new.items() for mix, _ in (a, *others)})
            for new in self._new
        ]

    def reduce(
        self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]
    ) -> dict[_Pair, Tensor]:
        """Pair → inner products, shape (layers, samples)."""
        products: dict[_Pair, Tensor] = {}
        for a, others in self._new[step].items():
            by_layer = [_products(a, others, layer, passes) for layer in self._layers]
            together = torch.stack(by_layer, 1)
            if a in others:
                self._check_finite(a, together[others.index(a)])
            products |= zip(((a, b) for b in others), together, strict=True)
        return products

    def _check_finite(self, node: _Node, squares: Tensor) -> None:
        """Refuse a mix some of whose features have no length, given those (layers, samples)."""
        if squares.isfinite().all():
            return
        layer = next(
            n for n, row in zip(self._layers, squares, strict=True) if not row.isfinite().all()
        )
        raise ValueError(
            f"the features of layer {layer!r} are not finite for the mix {dict(node[0])}; check "
            "the inputs, use smaller weights, or run in float32"
        )

    def keep(self, results: Sequence[dict[_Pair, Tensor]]) -> None:
        for products in results:
            for pair, product in products.items():
                self._products[pair].append(product)

    def metrics(self) -> dict[tuple[int, str], Tensor]:
        """(position, metric) → shape (layers, samples); of ε, the parts of its ratio."""
        joined = {pair: torch.cat(parts, 1) for pair, parts in self._products.items()}

        def product(a: _Node, b: _Node) -> Tensor:
            return joined[min(a, b), max(a, b)]

        values = {}
        for position, equation in self._equations.items():
            left, right = equation.left, equation.right
            ll = product(left, left)
            lr = _total(w * product(left, a) for w, a in right)
            rr = _total(v * w * product(a, b) for v, a in right for w, b in right)
            values[position, "distance"] = 1 - cosine(lr, ll, rr)
            values[position, "coef"] = coef(lr, ll, rr)
            parts = _total(w * product(a, a) for w, a in right)
            squares = (ll - 2 * lr + rr, parts - rr, rr)
            values |= {(position, name): of for name, of in zip(OF_EPSILON, squares, strict=True)}
            if equation.baseline:
                cosines = [
                    cosine(product(a, b), product(a, a), product(b, b))
                    for a, b in equation.baseline
                ]
                values[position, "baseline"] = 1 - torch.stack(cosines).mean(0)
        return values


def _total(parts: Iterable[Tensor]) -> Tensor:
    return sum(parts, torch.zeros(()))


def _products(
    a: _Node, others: Sequence[_Node], layer: str, passes: Mapping[MixKey, Pass]
) -> Tensor:
    """Inner products of a node's feature with those of others, shape (others, samples)."""
    feature = _feature(a, layer, passes)
    return inner_products(
        feature, [feature if b == a else _feature(b, layer, passes) for b in others]
    )


def _feature(node: _Node, layer: str, passes: Mapping[MixKey, Pass]) -> Tensor:
    mix, is_moved = node
    feature = passes[mix].features[layer]
    if is_moved and len(feature) < 2:
        raise ValueError("permuting samples needs batches of two or more samples")
    return feature.roll(1, 0) if is_moved else feature
