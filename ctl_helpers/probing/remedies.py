"""What may help a mix that is not linear, tried out: leaving layers out, and new statistics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor, nn

from ctl_helpers.analysis.batchnorm import renewed
from ctl_helpers.analysis.displacement import first_layers
from ctl_helpers.engine.compare import compare
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.probing import limits
from ctl_helpers.probing.curves import AVERAGE, Rows
from ctl_helpers.probing.linearity_tier import Setup, together
from ctl_helpers.probing.remarks import Remark

_CANDIDATES = 2  # layers that are left out for a trial, one after another


@dataclass(frozen=True)
class Trial:
    """The worst layer's ε of a set at the average, without and with a remedy.

    Attributes:
        members: the set.
        remedy: the layers that were left out, or what was done.
        before, after: the worst ε.
    """

    members: str
    remedy: str
    before: float
    after: float


def leaving_out(setup: Setup, names: Sequence[str], rows: Rows) -> list[Trial]:
    """The layers at which ε rises most are left at BASE's weights, one at a time.

    The right side stays: it is the mix of the features that the whole networks have.

    Args:
        setup: what is run.
        names: the members of a set.
        rows: what was measured of all sets.
    """
    table = _average(rows, " + ".join(names))
    squares = table["epsilon"].fillna(0) ** 2
    rises = squares.diff().fillna(squares.iloc[0])
    chosen = [str(layer) for layer in table["layer"].loc[rises.nlargest(_CANDIDATES).index]]
    batch = setup.batches[0]
    places = first_layers(setup.model, setup.states[setup.base], batch, setup.layers)
    states = dict(setup.states)
    asked: list[Comparison] = []
    for layer in chosen:
        kept = {name for name, place in places.items() if place == layer}
        stand_in = {name: f"{name} without {layer}" for name in names}
        for name, other in stand_in.items():
            states[other] = _without(setup.states[name], setup.states[setup.base], kept)
        asked += together(setup.base, names, [AVERAGE], stand_in)
    before = float(table["epsilon"].max())
    after = _worst(setup, states, asked)
    return [
        Trial(" + ".join(names), layer, before, worst)
        for layer, worst in zip(chosen, after, strict=True)
    ]


def _without(state: StateDict, base: StateDict, kept: set[str]) -> StateDict:
    def make(name: str) -> Tensor:
        return base[name] if name in kept else state[name]

    return LazyState(described(state), make)


def recomputing(setup: Setup, names: Sequence[str], rows: Rows) -> list[Trial]:
    """BatchNorm's statistics of the mix taken anew from the samples; nothing without BatchNorm."""
    if not has_statistics(setup.model):
        return []
    inputs = [batch[0] if isinstance(batch, (tuple, list)) else batch for batch in setup.batches]
    if not all(isinstance(batch, Tensor) for batch in inputs):
        return []
    asked = together(setup.base, names, [AVERAGE])
    states, asked = renewed(setup.model, setup.states, asked, lambda _: inputs)
    (after,) = _worst(setup, states, asked)
    before = float(_average(rows, " + ".join(names))["epsilon"].max())
    return [Trial(" + ".join(names), "recomputed statistics", before, after)]


def has_statistics(model: nn.Module) -> bool:
    """Whether norms of the model keep statistics of batches."""
    return any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) and part.track_running_stats
        for part in model.modules()
    )


def _worst(
    setup: Setup, states: Mapping[str, StateDict], asked: Sequence[Comparison]
) -> list[float]:
    """The worst layer's ε of each comparison."""
    arguments: tuple[Any, ...] = (setup.model, states, asked, setup.batches, setup.layers)
    table = compare(*arguments, stream=setup.stream)
    epsilon = table[table["metric"] == "epsilon"]
    return [float(part["mean"].max()) for _, part in epsilon.groupby("comparison")]


def _average(rows: Rows, members: str) -> pd.DataFrame:
    """The rows of a set at the average, in the order of the layers."""
    table = pd.DataFrame(rows)
    return table[(table["set"] == members) & (table["reach"] == AVERAGE)]


def remarks(left_out: Sequence[Trial], renewed: Sequence[Trial]) -> Iterator[Remark]:
    """What helps."""
    for trial in renewed:
        if trial.after <= limits.RENEWED * trial.before:
            fact = (
                f"has ε {trial.after:.2f} instead of {trial.before:.2f} in its worst layer once "
                "BatchNorm's statistics are recomputed"
            )
            remedy = "recompute the statistics of the mix on some data, with train() and no steps"
            yield Remark("statistics", "doubt", trial.members, fact, remedy)
    for trial in left_out:
        if trial.after <= limits.LINEAR:
            fact = (
                f"has ε {trial.after:.2f} instead of {trial.before:.2f} in its worst layer "
                f"without the weights of {trial.remedy}"
            )
            remedy = f"leave {trial.remedy} out of the merge: keep BASE's weights there"
            yield Remark("linear", "doubt", trial.members, fact, remedy)
