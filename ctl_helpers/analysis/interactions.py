"""What a sum of task vectors does to features, by inclusion–exclusion: alone, in pairs, in triples.

With ``Δ_T = f(θ_PT + λ Σ_{i∈T} τ_i) − f(θ_PT)``, the *term* of a set T is what none of its parts
has: ``Δ_i`` of one vector, ``Δ_ij − Δ_i − Δ_j`` of a pair, and so on. All terms of the sets in S
sum to ``Δ_S``. Those of up to r vectors give
``P_r = Σ_{t=1}^{r} (−1)^{r−t} C(k−t−1, r−t) Σ_{|T|=t} Δ_T`` for k vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, Task, named_streams
from ctl_helpers.engine.checkpoints import Checkpoint, fitted
from ctl_helpers.engine.defaults import layers_to_tap
from ctl_helpers.engine.folds import Fold, Pass
from ctl_helpers.engine.mix import MixKey, mix_key
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.questions import edit, growing

TERMS = ("single vectors", "and pairs", "and triples")
"""How many vectors a term has at most, by what it is called."""


@dataclass(frozen=True)
class Joining:
    """Task vectors that join a sum one by one.

    Attributes:
        names: of the fine-tuned networks, in the order in which they join.
        sizes: the numbers of vectors whose sum is looked at, rising.
        draw: which of several orders it is.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    draw: int = 0


def joinings(names: Sequence[str], draws: int, seed: int) -> list[Joining]:
    """Orders in which task vectors join, of sets as :func:`~ctl_helpers.growing` draws them.

    Args:
        names: the fine-tuned networks.
        draws: how many orders.
        seed: of the orders.

    Returns:
        One for each draw that has a set of its own. No set comes twice: that of all is the first
        draw's alone.
    """
    sets: dict[int, list[Sequence[str]]] = {}
    for question in growing(names, draws, seed):
        if question.params["weights"] == "equal":
            sets.setdefault(int(str(question.params["draw"])), []).append(list(question.left))
    return [
        Joining(
            tuple(dict.fromkeys(name for few in members for name in few)),
            tuple(map(len, members)),
            draw,
        )
        for draw, members in sets.items()
    ]


def mixes(pretrained: str, joining: Joining, lam: float, triples: int = 0) -> list[MixKey]:
    """The models that the terms of an order's sums need, each once.

    1 + k + k(k−1)/2 of θ_PT, single vectors and pairs, the triples among the first ``triples``
    vectors, and the sums.

    Args:
        pretrained: the name of θ_PT.
        joining: the order.
        lam: the factor λ.
        triples: how many vectors a sum has at most whose triples are looked at.
    """
    names = joining.names[: joining.sizes[-1]]
    sets: list[Sequence[str]] = [(), *((name,) for name in names), *combinations(names, 2)]
    sets += combinations(names[:triples], 3)
    sets += [names[:k] for k in joining.sizes]
    return list(dict.fromkeys(_mix(pretrained, members, lam) for members in sets))


def unexplained(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    pretrained: str,
    orders: Sequence[Joining],
    lam: float,
    batches: Streams,
    *,
    triples: int = 0,
    layers: str | Iterable[str] | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """The share of the features' change that the terms of one, two and three vectors leave.

    ``Σ_x ‖Δ_S − P_r‖² / Σ_x ‖Δ_S‖²`` for each sum S, r and layer, over the samples of all streams:
    0 where the terms are all there is, 1 where they are no better than to expect no change. Sums
    of k ≤ r vectors, whose terms are all there is, have no row. Each model of :func:`mixes` runs
    once on a batch, and no feature outlives its batch.

    Args:
        model, checkpoints, batches, layers, device: as for :func:`~ctl_helpers.compare`.
        pretrained: the name of θ_PT.
        orders: as from :func:`joinings`.
        lam: the factor λ on each task vector.
        triples: how many vectors a sum has at most whose triples are looked at.

    Returns:
        One row per sum, layer and entry of :data:`TERMS`: ``k``, ``models``, ``draw``, ``lam``,
        ``layer``, ``terms``, ``n`` (samples), ``unexplained``, and ``moved``, the length of the
        change over that of the pretrained network's feature (root of summed squares).

    Raises:
        ValueError: features that are not finite; as :func:`~ctl_helpers.engine.passes.run`.
        KeyError: an unknown checkpoint or layer.
    """
    streams = named_streams(batches)
    names = dict.fromkeys(name for one in orders for name in one.names[: one.sizes[-1]])
    states = fitted(model, checkpoints, sorted({pretrained, *names}))
    start, task = mix_key({pretrained: 1.0}), next(iter(streams))
    chosen = layers_to_tap(model, states, start, streams, task, layers, device=device)
    folds: dict[Task, _Fold] = {
        task: _Fold(pretrained, orders, lam, triples, chosen.names) for task in streams
    }
    run(model, states, folds, chosen.streams, chosen.names, device)
    samples = sum(fold.samples for fold in folds.values())
    rows = []
    for place, order in enumerate(orders):
        for k in order.sizes:
            of_sum = torch.stack([fold.sums[place, k] for fold in folds.values()]).sum(0)
            labels = {"k": k, "models": ", ".join(order.names[:k]), "draw": order.draw, "lam": lam}
            for layer, (origin, change, *left) in zip(chosen.names, of_sum.tolist(), strict=True):
                moved = (origin and change / origin) ** 0.5
                rows += [
                    labels
                    | {"layer": layer, "terms": terms, "n": samples}
                    | {"unexplained": part / change if change else torch.nan, "moved": moved}
                    for terms, part in zip(TERMS[: _most(k, triples)], left, strict=True)
                ]
    return pd.DataFrame(rows)


def _most(k: int, triples: int) -> int:
    """How many vectors the terms of a sum of k have at most, so that some may be left."""
    return min(k - 1, 3 if k <= triples else 2)


def _mix(pretrained: str, members: Iterable[str], lam: float) -> MixKey:
    return mix_key(edit(pretrained, dict.fromkeys(members, lam)))


class _Fold(Fold):
    """Summed squares for each sum: of θ_PT's feature, of its change, and of what terms leave."""

    needs_output = False

    def __init__(
        self,
        pretrained: str,
        orders: Sequence[Joining],
        lam: float,
        triples: int,
        layers: Sequence[str],
    ) -> None:
        self._pretrained, self._lam, self._layers = pretrained, lam, layers
        self._orders, self._triples = orders, triples
        self.steps = [mixes(pretrained, order, lam, triples) for order in orders]
        self.sums: dict[tuple[int, int], Tensor] = {}
        self.samples = 0

    def reduce(
        self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]
    ) -> tuple[int, dict[tuple[int, int], Tensor]]:
        """The number of samples, and (order, k) → squares of shape (layers, 2 + terms)."""
        start = passes[_mix(self._pretrained, (), self._lam)].features
        by_layer = [self._squares(self._orders[step], layer, passes) for layer in self._layers]
        samples = len(start[self._layers[0]])
        return samples, {(step, k): torch.stack([one[k] for one in by_layer]) for k in by_layer[0]}

    def keep(self, results: Sequence[tuple[int, dict[tuple[int, int], Tensor]]]) -> None:
        self.samples += results[0][0]
        for _, squares in results:
            for key, part in squares.items():
                self.sums[key] = self.sums.get(key, torch.zeros(())) + part.cpu()

    def _squares(
        self, order: Joining, layer: str, passes: Mapping[MixKey, Pass]
    ) -> dict[int, Tensor]:
        """k → squares at a layer; Δ of all sets of a size are summed up as vectors join."""

        def feature(members: Iterable[str]) -> Tensor:
            return passes[_mix(self._pretrained, members, self._lam)].features[layer].double()

        start = feature(())
        totals: dict[int, Tensor] = {}
        squares = {}
        for k, name in enumerate(order.names[: order.sizes[-1]], 1):
            for size in range(1, min(k, 3 if k <= self._triples else 2) + 1):
                for few in combinations(order.names[: k - 1], size - 1):
                    change = feature((*few, name)) - start
                    totals[size] = totals[size] + change if size in totals else change
            if k in order.sizes:
                change = feature(order.names[:k]) - start
                left = [
                    change - _predicted(totals, k, most)
                    for most in range(1, _most(k, self._triples) + 1)
                ]
                squares[k] = torch.stack([part.square().sum() for part in (start, change, *left)])
                if not squares[k].isfinite().all():
                    raise ValueError(
                        f"the features of layer {layer!r} are not finite with {k} task vectors at "
                        f"λ = {self._lam:g}; take a smaller λ"
                    )
        return squares


def _predicted(totals: Mapping[int, Tensor], k: int, most: int) -> Tensor:
    """The sum of all terms of up to so many vectors."""
    parts = (
        (-1) ** (most - size) * comb(k - size - 1, most - size) * totals[size]
        for size in range(1, most + 1)
    )
    return sum(parts, torch.zeros((), dtype=torch.float64))
