"""Ways to fine-tune, side by side: the learning rates that suit them, and what their vectors do.

How networks are made is the caller's: it gives checkpoints by paradigm and rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
from torch import nn

from ctl_helpers.analysis.editing import Score, addition, best, once, own_networks, sums
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.evaluate import Evaluation, evaluate, logits
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.scoring import Heads

PRETRAINED = "PT"
STEP = 3.0
"""A further learning rate is so many times the largest, or that part of the smallest."""

Checkpoints = Mapping[str, StateDict]


@dataclass(frozen=True)
class Networks:
    """Networks that were fine-tuned from one pretrained network, by paradigm and learning rate.

    Attributes:
        checkpoints: paradigm, rate and tasks → ``"PT"`` and each task's network.
        model: paradigm → the network that takes their weights.
        heads: as for :func:`~ctl_helpers.evaluate`.
    """

    checkpoints: Callable[[str, float, Sequence[str]], Checkpoints]
    model: Callable[[str], nn.Module]
    heads: Heads
    _scores: dict[tuple[str, float, tuple[str, ...]], Score] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def score(self, paradigm: str, rate: float, tasks: Sequence[str]) -> Score:
        """What scores a paradigm's networks; see :mod:`ctl_helpers.analysis.editing`.

        A paradigm's best rate may be the common one, and a search scores what tables show: nothing
        is computed twice.
        """
        key = (paradigm, rate, tuple(tasks))
        if key not in self._scores:
            self._scores[key] = once(partial(self._evaluated, *key))
        return self._scores[key]

    def _evaluated(
        self,
        paradigm: str,
        rate: float,
        tasks: Sequence[str],
        evaluations: Sequence[Evaluation],
        streams: Streams,
    ) -> pd.DataFrame:
        states = self.checkpoints(paradigm, rate, tasks)
        return evaluate(self.model(paradigm), states, evaluations, streams, heads=self.heads)

    def each(
        self,
        rates: Mapping[str, float],
        tasks: Sequence[str],
        measure: Callable[[nn.Module, Checkpoints], pd.DataFrame],
    ) -> pd.DataFrame:
        """A measure of every paradigm's networks, told apart by ``paradigm``.

        Args:
            rates: paradigm → learning rate.
            tasks: what they are fine-tuned on.
            measure: network and checkpoints → table.
        """
        return pd.concat(
            measure(self.model(way), self.checkpoints(way, rate, tasks)).assign(paradigm=way)
            for way, rate in rates.items()
        )


def widened(
    score: Callable[[float], pd.DataFrame], rates: Sequence[float], widenings: int
) -> pd.DataFrame:
    """Score a grid of learning rates, and further ones as long as the best is at an edge.

    The best has the highest mean ``accuracy``; of equal ones it is the smallest. A single rate was
    not searched for, and stays alone.

    Args:
        score: rate → table with ``accuracy``, on held-out examples.
        rates: the grid.
        widenings: how many rates may be added on each side, each :data:`STEP` times the largest or
            that part of the smallest.

    Returns:
        All rates' rows with ``rate``, ``widening`` (0 in the grid, n for the nth rate added on a
        side), and ``chosen``, whether the rate is the best.
    """
    tables = {rate: score(rate).assign(widening=0) for rate in sorted(rates)}
    left = dict.fromkeys(("low", "high"), widenings if len(tables) > 1 else 0)
    while left.get(side := _edge(tables)):
        rate = max(tables) * STEP if side == "high" else min(tables) / STEP
        further = float(f"{rate:.2g}")
        tables[further] = score(further).assign(widening=1 + widenings - left[side])
        left[side] -= 1
    chosen = _best(tables)
    return pd.concat(
        table.assign(rate=rate, chosen=rate == chosen) for rate, table in sorted(tables.items())
    )


def _best(tables: Mapping[float, pd.DataFrame]) -> float:
    return max(sorted(tables), key=lambda rate: tables[rate]["accuracy"].mean())


def _edge(tables: Mapping[float, pd.DataFrame]) -> str:
    """At which end of the rates the best one is: ``"high"``, ``"low"`` or neither."""
    chosen = _best(tables)
    return "high" if chosen == max(tables) else "low" if chosen == min(tables) else ""


def own_rates(
    networks: Networks,
    paradigms: Sequence[str],
    rates: Sequence[float],
    tasks: Sequence[str],
    streams: Streams,
    widenings: int,
) -> pd.DataFrame:
    """Which rate is best for each paradigm's networks on their own tasks.

    Args:
        rates, widenings: as for :func:`widened`.
        tasks: whose fine-tuning tries the rates.
        streams: held-out examples by task.

    Returns:
        :func:`widened`'s rows of each ``paradigm``: a row per rate × ``network``.
    """

    def scored(paradigm: str, rate: float) -> pd.DataFrame:
        asked = own_networks(tasks, paradigm=paradigm)
        return networks.score(paradigm, rate, tasks)(asked, streams)

    return pd.concat(widened(partial(scored, way), rates, widenings) for way in paradigms)


def common_rate(
    networks: Networks,
    paradigms: Sequence[str],
    rates: Sequence[float],
    tasks: Sequence[str],
    alphas: Sequence[float],
    streams: Streams,
    widenings: int,
) -> pd.DataFrame:
    """Which one rate is best for the sums of all paradigms.

    That is, for the accuracy of ``θ_PT + α Σ τ_t``, mean over tasks and paradigms, each paradigm
    with the α that is :func:`~ctl_helpers.analysis.editing.best` for it. It is the
    accuracy itself: as a share of that of the tasks' own networks it is nearest to 1 for vectors
    so short that nothing is learned.

    Args:
        rates, widenings: as for :func:`widened`.
        alphas: the α to try beside 0.
        streams: held-out examples by task.

    Returns:
        :func:`widened`'s rows: a row per rate × ``paradigm`` × task, at the best ``alpha``.
    """

    def best_sum(paradigm: str, rate: float) -> pd.DataFrame:
        score = networks.score(paradigm, rate, tasks)
        table = sums(score, PRETRAINED, tasks, [0.0, *alphas], streams, "alpha")
        return table[table["alpha"] == best(table, "alpha")].assign(paradigm=paradigm)

    def scored(rate: float) -> pd.DataFrame:
        return pd.concat(best_sum(way, rate) for way in paradigms)

    return widened(scored, rates, widenings)


def chosen_rates(search: pd.DataFrame) -> dict[str, float]:
    """Paradigm → the rate that a search chose."""
    chosen = search[search["chosen"]]
    return {
        str(way): float(rate) for way, rate in chosen.groupby("paradigm")["rate"].first().items()
    }


def single(
    networks: Networks, rates: Mapping[str, float], tasks: Sequence[str], streams: Streams
) -> pd.DataFrame:
    """Test accuracy of θ_PT, under the paradigm ``"full"``, and of each task's own network."""
    before = [Evaluation({PRETRAINED: 1.0}, tasks, {"paradigm": "full", "network": PRETRAINED})]
    tables = [networks.score("full", rates["full"], tasks)(before, streams)]
    for way, rate in rates.items():
        asked = own_networks(tasks, paradigm=way)
        tables.append(networks.score(way, rate, tasks)(asked, streams))
    return pd.concat(tables)


def added(
    networks: Networks,
    rates: Mapping[str, float],
    tasks: Sequence[str],
    alphas: Sequence[float],
    streams: Mapping[str, Streams],
) -> pd.DataFrame:
    """:func:`~ctl_helpers.analysis.editing.addition` of each paradigm (Tables 1 and 2).

    Args:
        alphas: the α to try beside 0.
        streams: ``{"held-out": …, "test": …}``.
    """
    return pd.concat(
        addition(
            networks.score(way, rate, tasks),
            PRETRAINED,
            tasks,
            alphas,
            streams,
            column="alpha",
            everywhere=False,
        ).assign(paradigm=way)
        for way, rate in rates.items()
    )


def moved(
    model: nn.Module, checkpoints: Checkpoints, tasks: Sequence[str], streams: Streams
) -> pd.DataFrame:
    """How far each whole task vector moves the outputs on each task's samples.

    ``mean_x ‖f(x; θ_PT + τ_i) − f(x; θ_PT)‖``, which Proposition 1 wants to be 0 on other tasks.

    Returns:
        A row per vector ``i`` × ``task``, with ``moved``, in the length of outputs.
    """
    ends = [{PRETRAINED: 1.0}, *(edit(PRETRAINED, {task: 1.0}) for task in tasks)]
    return pd.DataFrame(
        {"i": i, "task": task, "moved": float(change)}
        for task, outputs in logits(model, checkpoints, ends, streams).items()
        for i, change in zip(tasks, (outputs[1:] - outputs[0]).norm(dim=-1).mean(1), strict=True)
    )


def started(build: Callable[[], nn.Module], weights: StateDict) -> nn.Module:
    """A network with given weights, to be trained."""
    model = build()
    model.load_state_dict(weights)
    return model
