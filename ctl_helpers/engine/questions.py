"""What Sections 4.2 and 4.3 compare: averages, and models edited by adding task vectors.

Each function gives :class:`~ctl_helpers.Comparison` objects for
:func:`~ctl_helpers.compare`, as :func:`~ctl_helpers.engine.compare.pairs` does for Section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np

from ctl_helpers.engine.arguments import distinct, numbers, task_names
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import Mix, mix_key

_ORDERS = 50
"""Of so many drawn orders the one is taken that has the fewest sets a second time."""


def edit(pretrained: str, coefficients: Mapping[str, float]) -> dict[str, float]:
    """The edited model ``θ_PT + Σ_i c_i τ_i`` as a mix: ``τ_i = θ_i − θ_PT`` (Ilharco et al. 2023).

    Args:
        pretrained: the name of θ_PT, whose own task vector is zero (ValueError for a c of it).
        coefficients: name of θ_i → c_i, negative to forget.

    Returns:
        ``{pretrained: 1 − Σ_i c_i, i: c_i}``, without zeros.
    """
    if pretrained in coefficients:
        raise ValueError(
            f"{pretrained!r} is the pretrained model, whose task vector is zero; leave it out of "
            "the coefficients"
        )
    rest = 1 - math.fsum(coefficients.values())
    return dict(mix_key({pretrained: rest, **coefficients}))


def averaging(
    names: Sequence[str],
    sets: Iterable[Sequence[str] | Mix] | None = None,
    tasks: Sequence[str] | None = None,
    params: Mapping[str, object] | None = None,
) -> list[Comparison]:
    """Averages of many models: ``f(Σ_i α_i θ_i)`` against ``Σ_i α_i f(θ_i)``.

    With α_i = 1/k that is Eq. 1 of the CTL paper (Figures 5 and 6), with unequal weights
    Theorem 4.2. The baseline is the mean over the k models of ``cos[f(Σ_j α_j θ_j), f(θ_i)]``.

    Args:
        names: the models that may be averaged.
        sets: which of them to average: names for equal weights, or name → α_i; by default one
            set of all.
        tasks: the streams to measure on; by default all.
        params: more labels for these comparisons.

    Returns:
        One comparison per set, with ``params`` ``{"k": …, "models": "a, b", "weights": "equal" or
        "unequal"}`` and those given.

    Raises:
        ValueError: a set with an unknown or repeated name, or with weights that are negative or
            do not sum to 1.
    """
    comparisons = []
    for members in [names] if sets is None else sets:
        mix = _average(members, names)
        weights = "equal" if len(set(mix.values())) == 1 else "unequal"
        labels = {"k": len(mix), "models": ", ".join(mix), "weights": weights, **(params or {})}
        right = [(weight, {name: 1.0}) for name, weight in mix.items()]
        baseline = [(mix, model) for _, model in right]
        comparisons.append(Comparison(mix, right, baseline, tasks, labels))
    return comparisons


def growing(names: Sequence[str], draws: int, seed: int) -> list[Comparison]:
    """Averages of more and more models, with equal weights and with random ones (Theorem 4.2).

    Args:
        names: the models, which join one by one in a drawn order; all are measured on all streams.
        draws: how many orders; the random weights are uniform on those that sum to 1.
        seed: of orders and weights.

    Returns:
        :func:`averaging` of 2, 3, … models, each twice per draw, with ``draw`` among the params. No
        set of models comes twice: that of all is the first draw's alone.
    """
    generator = np.random.default_rng(seed)
    comparisons: list[Comparison] = []
    taken: set[frozenset[str]] = set()
    for draw in range(draws):
        orders = [generator.permutation(list(names)).tolist() for _ in range(_ORDERS)]
        sets = max((_distinct_sets(order, taken) for order in orders), key=len)
        taken.update(map(frozenset, sets))
        for members in sets:
            k = len(members)
            for alphas in (np.full(k, 1 / k), generator.dirichlet(np.ones(k))):
                mix = dict(zip(members, map(float, alphas), strict=True))
                comparisons += averaging(names, [mix], params={"draw": draw})
    return comparisons


def _distinct_sets(order: Sequence[str], taken: Collection[frozenset[str]]) -> list[Sequence[str]]:
    """The first 2, 3, … of some models, but for sets that are taken."""
    sets = (order[:k] for k in range(2, len(order) + 1))
    return [members for members in sets if frozenset(members) not in taken]


def _average(members: Sequence[str] | Mix, names: Sequence[str]) -> dict[str, float]:
    """Name → α_i of one set, checked."""
    if unknown := [name for name in distinct(members) if name not in names]:
        raise ValueError(f"{unknown[0]!r} is none of the models {list(names)}; name those")
    weights = members if isinstance(members, Mapping) else dict.fromkeys(members, 1 / len(members))
    if min(weights.values()) < 0 or not math.isclose(math.fsum(weights.values()), 1):
        raise ValueError(
            f"the weights {dict(weights)} are no average; give weights from 0 to 1 that sum to 1"
        )
    return dict(mix_key(weights))


def addition(
    pretrained: str,
    names: Sequence[str],
    lambdas: float | Iterable[float],
    tasks: Sequence[str] | None = None,
) -> list[Comparison]:
    """All pairs of task vectors added, at every λ (CTL paper, Eq. 2, Figures 7 and 8).

    ``f(θ_PT + λ(τ_i + τ_j))`` against ``½f(θ_PT + 2λτ_i) + ½f(θ_PT + 2λτ_j)``; the baseline is the
    cosine between the latter two. The paper's captions say λ for the factor on each τ of the left
    side, as here.

    Args:
        pretrained: the name of θ_PT.
        names: the fine-tuned models; pairs come in this order.
        lambdas: the factors λ.
        tasks: the streams to measure every pair on; by default those that bear its two names.

    Returns:
        Comparisons with ``params`` ``{"i": …, "j": …, "lam": …}``.
    """
    return [
        Comparison(
            left=edit(pretrained, {i: lam, j: lam}),
            right=[(0.5, edit(pretrained, {name: 2 * lam})) for name in (i, j)],
            baseline=[(edit(pretrained, {i: 2 * lam}), edit(pretrained, {j: 2 * lam}))],
            tasks=task_names(tasks, (i, j)),
            params={"i": i, "j": j, "lam": lam},
        )
        for i, j in combinations(distinct(names), 2)
        for lam in numbers(lambdas, "lambdas")
    ]


def negation(
    pretrained: str,
    names: Sequence[str],
    lambdas: float | Iterable[float],
    tasks: Sequence[str] | None = None,
) -> list[Comparison]:
    """Each task vector added and subtracted, at every λ (CTL paper, Eq. 3, Figures 7 and 8).

    ``f(θ_PT)`` against ``½f(θ_PT + λτ_i) + ½f(θ_PT − λτ_i)``; the baseline is the cosine between
    the latter two.

    Args:
        pretrained, names, lambdas: as for :func:`addition`.
        tasks: the streams to measure on; by default the one that bears the model's name.

    Returns:
        Comparisons with ``params`` ``{"i": …, "lam": …}``.
    """
    return [
        Comparison(
            left={pretrained: 1.0},
            right=[(0.5, edit(pretrained, {i: lam})), (0.5, edit(pretrained, {i: -lam}))],
            baseline=[(edit(pretrained, {i: lam}), edit(pretrained, {i: -lam}))],
            tasks=task_names(tasks, (i,)),
            params={"i": i, "lam": lam},
        )
        for i in distinct(names)
        for lam in numbers(lambdas, "lambdas")
    ]


def disentangled(
    pretrained: str,
    names: Sequence[str],
    alphas: Mapping[int, float],
    tasks: Sequence[str] | None = None,
    params: Mapping[str, object] | None = None,
) -> list[Comparison]:
    """More and more task vectors added, against one at a time (CTL paper, Theorem 4.3).

    ``f(θ_PT + α Σ_i τ_i)`` against ``g_0 + Σ_i g_i`` with ``g_0 = f(θ_PT)/(k+1)`` and
    ``g_i = f(θ_PT + (k+1)ατ_i)/(k+1)``, i = 1 … k. The paper gives no baseline; here it is the
    mean cosine between the left model and each right one.

    Args:
        pretrained: the name of θ_PT.
        names: the fine-tuned models, in the order in which they join.
        alphas: k → α, such as ``{k: 0.8 / (k + 1) for k in range(1, len(names) + 1)}``.
        tasks: the streams to measure on; by default those that bear the first k names.
        params: more labels for these comparisons.

    Returns:
        One comparison per k, with ``params`` ``{"k": …, "models": "a, b", "alpha": …}`` and those
        given.

    """
    comparisons, names = [], distinct(names)
    for k, alpha in alphas.items():
        if not 1 <= k <= len(names):
            raise ValueError(
                f"alphas has k = {k}, but there are {len(names)} models, {names}; give k from 1 to "
                f"{len(names)}"
            )
        joined = names[:k]
        edited = [edit(pretrained, {name: (k + 1) * alpha}) for name in joined]
        right = [(1 / (k + 1), mix) for mix in ({pretrained: 1.0}, *edited)]
        left = edit(pretrained, dict.fromkeys(joined, alpha))
        baseline = [(left, mix) for _, mix in right]
        labels = {"k": k, "models": ", ".join(joined), "alpha": alpha, **(params or {})}
        streams = task_names(tasks, tuple(joined))
        comparisons.append(Comparison(left, right, baseline, streams, labels))
    return comparisons
