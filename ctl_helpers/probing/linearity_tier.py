"""Tier 2: the mixes are run, and their features compared with mixes of features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import nn

from ctl_helpers.analysis.controls import random_vectors
from ctl_helpers.engine.compare import compare
from ctl_helpers.engine.inputs import Batch
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.questions import edit
from ctl_helpers.probing.curves import AVERAGE, REACHES, Rows

_ROUNDS = 4  # in which the control's factors are found


@dataclass(frozen=True)
class Setup:
    """What is run.

    Attributes:
        model: the architecture.
        states: name → state dict, BASE among them.
        base: BASE's name.
        batches: the samples.
        layers: the layers to tap.
        stream: as for :func:`~ctl_helpers.compare`.
    """

    model: nn.Module
    states: Mapping[str, StateDict]
    base: str
    batches: Sequence[Batch]
    layers: Sequence[str]
    stream: bool | None = None

    @property
    def names(self) -> list[str]:
        """The checkpoints without BASE."""
        return [name for name in self.states if name != self.base]

    def sets(self) -> list[tuple[str, ...]]:
        """What may be merged: each pair, and all together."""
        pairs: list[tuple[str, ...]] = [*combinations(self.names, 2)]
        return pairs if len(self.names) < 3 else [*pairs, tuple(self.names)]


def together(
    base: str, names: Sequence[str], reaches: Iterable[float], left: Mapping[str, str] | None = None
) -> list[Comparison]:
    """Task vectors added up, against each alone: Equation 2 for any number of them.

    ``f(θ_PT + λ Σ_i τ_i)`` against ``(1/k) Σ_i f(θ_PT + kλ τ_i)``, i = 1 … k; two are Equation 2 of
    the CTL paper, and λ = 1/k compares the average with the average of features.

    Args:
        base: the name of θ_PT.
        names: of the k fine-tuned networks.
        reaches: ``kλ``.
        left: name → the network that stands for it on the left side, by default itself.
    """
    k, left = len(names), left or {}
    comparisons = []
    for reach in reaches:
        mix = edit(base, {left.get(name, name): reach / k for name in names})
        arms = [edit(base, {name: reach}) for name in names]
        baseline = list(combinations(arms, 2))
        params = {"set": " + ".join(names), "k": k, "lam": reach / k, "reach": reach}
        comparisons.append(Comparison(mix, [(1 / k, arm) for arm in arms], baseline, None, params))
    return comparisons


def measured(setup: Setup, reaches: Sequence[float] = REACHES) -> Rows:
    """ε, distance, baseline and coef of each set, λ and layer."""
    comparisons = [one for names in setup.sets() for one in together(setup.base, names, reaches)]
    return _rows(setup, setup.states, comparisons, "task vectors")


def control(setup: Setup, seed: int = 0) -> Rows:
    """The same at the average, of random vectors that move features as far."""
    arguments = (setup.model, setup.states, setup.base, setup.names, setup.batches, seed)
    networks, _ = random_vectors(*arguments, AVERAGE, setup.layers, rounds=_ROUNDS)
    comparisons = [one for names in setup.sets() for one in together(setup.base, names, [AVERAGE])]
    return _rows(setup, networks, comparisons, "random vectors")


def passes_of(sets: int, k: int) -> int:
    """How many passes over the samples :func:`measured` and :func:`control` take.

    Args:
        sets: how many sets there are.
        k: how many checkpoints.
    """
    own = len(REACHES) * (sets + k)
    # Each displacement runs both ends: the task vector's, each round's, and both once more.
    return own + sets + k + k * 2 * (_ROUNDS + 3)


def _rows(
    setup: Setup, states: Mapping[str, StateDict], asked: Sequence[Comparison], label: str
) -> Rows:
    table = compare(setup.model, states, asked, setup.batches, setup.layers, stream=setup.stream)
    found: dict[tuple[str, float, str], dict[str, Any]] = {}
    for row in table.to_dict("records"):
        keys = {key: row[key] for key in ("set", "k", "lam", "reach", "layer")}
        one = found.setdefault((row["set"], row["reach"], row["layer"]), {**keys, "control": label})
        one[row["metric"]] = row["mean"]
    return [*found.values()]
