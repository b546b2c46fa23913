"""Merges of task vectors: how accurate they are, and what is known of each without a label.

A merge is ``θ_PT + λ Σ_i τ_i`` over k networks. Its reach is kλ: how far along its own task vector
each network of the right side of the equation lies, ``f(θ_PT + λ Σ_i τ_i)`` against
``1/k Σ_i f(θ_PT + kλ τ_i)``. With k = 2 that is Equation 2 of the CTL paper, with kλ = 1 its
Equation 1 of k networks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby

import numpy as np
import pandas as pd
import torch
from torch import nn

from ctl_helpers.analysis.curvature import coordinates, squared_distance
from ctl_helpers.analysis.displacement import stream_of
from ctl_helpers.analysis.local_linearity import compare_alone
from ctl_helpers.analysis.vector_angles import cosines
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.compare import compare
from ctl_helpers.engine.devices import device_for
from ctl_helpers.engine.evaluate import Evaluation, evaluate, logits
from ctl_helpers.engine.inputs import LABELS, Batch, Inputs
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.scoring import Heads, Scorer

_START = "PT"
_KEYS = ["models", "lam"]

States = Mapping[str, StateDict]


@dataclass(frozen=True)
class Merge:
    """Some networks' task vectors, added with one factor.

    Attributes:
        names: the networks, which are also the tasks that count.
        reach: kλ.
    """

    names: tuple[str, ...]
    reach: float

    @property
    def lam(self) -> float:
        """λ on each task vector."""
        return self.reach / len(self.names)

    @property
    def mix(self) -> dict[str, float]:
        """The merged network."""
        return edit(_START, dict.fromkeys(self.names, self.lam))

    def alone(self, name: str) -> dict[str, float]:
        """The pretrained network with one of the task vectors, at the same λ."""
        return edit(_START, {name: self.lam})

    @property
    def labels(self) -> dict[str, object]:
        """What a table calls it."""
        return {"k": len(self.names), "models": ", ".join(self.names), "lam": self.lam}

    def comparison(self) -> Comparison:
        """The equation, with the own networks' features compared with each other."""
        k, ends = len(self.names), [edit(_START, {name: self.reach}) for name in self.names]
        own: list[Mapping[str, float]] = [{name: 1.0} for name in self.names]
        right = [(1 / k, end) for end in ends]
        return Comparison(self.mix, right, [*combinations(own, 2)], self.names, self.labels)


def drawn(tasks: Sequence[str], reaches: Iterable[float], count: int, seed: int) -> list[Merge]:
    """All pairs, and random sets of three to six tasks, each at every reach.

    Args:
        tasks: the networks' names.
        reaches: kλ of each set.
        count: how many random sets, no two alike; all that there are where they are fewer.
        seed: of the draw.
    """
    sizes = range(3, min(6, len(tasks)) + 1)
    larger = [names for size in sizes for names in combinations(tasks, size)]
    order = np.random.default_rng(seed).permutation(len(larger))[:count]
    sets = [*combinations(tasks, 2), *(larger[place] for place in sorted(order))]
    return [Merge(names, reach) for names in sets for reach in reaches]


def outcomes(
    model: nn.Module,
    checkpoints: States,
    merges: Sequence[Merge],
    streams: Streams,
    heads: Heads | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How accurate merged networks are, beside those that they are made of.

    Args:
        model, checkpoints, streams, heads: as for :func:`~ctl_helpers.evaluate`.
        merges: of networks that bear their tasks' names.

    Returns:
        A row per merge: ``k``, ``models``, ``lam``; over its tasks the mean accuracy of the
        ``merged`` network, and of each task's ``own``; ``normalized``, the mean of merged over own
        accuracy; and ``gain``, merged less that of its best network on all of its tasks. And the
        accuracies of each ``network`` on each ``task``.
    """
    names = sorted({name for one in merges for name in one.names})
    ends = [Evaluation({name: 1.0}, names, {"network": name}) for name in (_START, *names)]
    alone = evaluate(model, checkpoints, ends, streams, heads=heads)
    asked = [Evaluation(one.mix, one.names, {"merge": n}) for n, one in enumerate(merges)]
    scores = evaluate(model, checkpoints, asked, streams, heads=heads)
    of = alone.set_index(["network", "task"])["accuracy"]
    rows = []
    for (_, part), one in zip(scores.groupby("merge"), merges, strict=True):
        merged = part.set_index("task")["accuracy"][list(one.names)].to_numpy()
        own = np.array([of[name, name] for name in one.names])
        best = max(np.mean([of[name, task] for task in one.names]) for name in one.names)
        means = {"merged": merged.mean(), "own": own.mean()}
        means |= {"normalized": np.mean(merged / own), "gain": merged.mean() - best}
        rows.append({**one.labels, **means})
    return pd.DataFrame(rows), alone


def features(
    model: nn.Module,
    checkpoints: States,
    merges: Sequence[Merge],
    few: Mapping[int, Streams],
    local_layers: Sequence[str] | None = None,
) -> pd.DataFrame:
    """What features of few unlabelled samples say of each merge.

    Args:
        model, checkpoints: as for :func:`~ctl_helpers.compare`.
        merges: of networks that bear their tasks' names.
        few: k → few samples by task, for merges of k networks.
        local_layers: where the layer alone is mixed, all when None.

    Returns:
        A row per merge: ``models``, ``lam``; ε of the worst layer and of the last one
        (``epsilon_worst``, ``epsilon_last``); ε of the worst layer where it alone is mixed
        (``local``); and at the last layer 1 − cosine between both sides (``distance``), between
        the own networks' features (``apart``), and between theirs and the pretrained one's
        (``moved``).
    """
    tables = []
    for k, some in groupby(sorted(merges, key=lambda one: len(one.names)), lambda m: len(m.names)):
        asked = [one.comparison() for one in some]
        start = [replace(one, baseline=_from_start(one)) for one in asked]
        both = compare(model, checkpoints, [*asked, *start], few[k])
        layers = list(dict.fromkeys(both["layer"]))
        own, from_start = (both[(both["comparison"] < len(asked)) == first] for first in (1, 0))
        alone = compare_alone(model, checkpoints, _START, asked, few[k], local_layers)
        columns = {
            "epsilon_worst": _metric(own, "epsilon").max(),
            "epsilon_last": _metric(own, "epsilon", layers[-1]).last(),
            "distance": _metric(own, "distance", layers[-1]).last(),
            "apart": _metric(own, "baseline", layers[-1]).last(),
            "moved": _metric(from_start, "baseline", layers[-1]).last(),
            "local": _metric(alone, "epsilon").max(),
        }
        tables.append(pd.DataFrame(columns).reset_index())
    return pd.concat(tables, ignore_index=True)


def _from_start(one: Comparison) -> list[tuple[Mapping[str, float], Mapping[str, float]]]:
    return [({_START: 1.0}, {name: 1.0}) for name in one.tasks or ()]


def _metric(table: pd.DataFrame, metric: str, layer: str = "") -> pd.api.typing.SeriesGroupBy:
    rows = table[(table["metric"] == metric) & (table["layer"].eq(layer) | (layer == ""))]
    return rows.groupby(_KEYS, sort=False)["mean"]


def disagreement(
    model: nn.Module,
    checkpoints: States,
    merges: Sequence[Merge],
    few: Mapping[int, Streams],
    heads: Heads | None = None,
) -> pd.DataFrame:
    """ξ of each merge: how often it gives another class than the task's own vector at the same λ.

    The mean over a merge's tasks, where :func:`~ctl_helpers.disentanglement` has the sum over two.

    Returns:
        A row per merge: ``models``, ``lam`` and ``xi``.
    """
    shares: dict[Merge, list[float]] = {one: [] for one in merges}
    for k, task in {(len(one.names), name): None for one in merges for name in one.names}:
        own = [one for one in merges if len(one.names) == k and task in one.names]
        mixes = [mix for one in own for mix in (one.mix, one.alone(task))]
        batches = {task: stream_of(few[k], task)}
        classes = logits(model, checkpoints, mixes, batches, heads=heads)[task].argmax(-1)
        for one, merged, alone in zip(own, classes[::2], classes[1::2], strict=True):
            shares[one].append(float((merged != alone).double().mean()))
    return pd.DataFrame(
        {"models": one.labels["models"], "lam": one.lam, "xi": np.mean(numbers)}
        for one, numbers in shares.items()
    )


def vectors(model: nn.Module, checkpoints: States, merges: Sequence[Merge]) -> pd.DataFrame:
    """What the task vectors of each merge say, without running any network.

    Returns:
        A row per merge: ``models``, ``lam``; ``length``, the mean ‖τ_i‖; ``sum_length``,
        ‖λ Σ_i τ_i‖; and over pairs the means of ``cosine`` of τ_i and τ_j, and of ``conflict``,
        the share of weights that both change where one grows and the other falls.
    """
    names = sorted({name for one in merges for name in one.names})
    states = {name: checkpoints[name] for name in (_START, *names)}
    angles = cosines(states, _START, names).set_index(["i", "j"])["cosine"]
    start = checkpoints[_START]
    lengths = {n: math.sqrt(squared_distance(model, checkpoints[n], start)) for n in names}
    clash = {
        pair: sign_conflict(model, start, *(checkpoints[name] for name in pair))
        for pair in combinations(names, 2)
    }
    rows = []
    for one in merges:
        pairs = [*combinations(sorted(one.names), 2)]
        squares = sum(lengths[name] ** 2 for name in one.names)
        squares += 2 * sum(angles[i, j] * lengths[i] * lengths[j] for i, j in pairs)
        row = {"models": one.labels["models"], "lam": one.lam}
        row["length"] = np.mean([lengths[name] for name in one.names])
        row["sum_length"] = one.lam * math.sqrt(max(squares, 0.0))
        row["cosine"] = np.mean([angles[pair] for pair in pairs])
        row["conflict"] = np.mean([clash[pair] for pair in pairs])
        rows.append(row)
    return pd.DataFrame(rows)


def sign_conflict(model: nn.Module, start: StateDict, a: StateDict, b: StateDict) -> float:
    """Of the weights that two networks have both changed, the share with opposite signs.

    The signs are those that TIES-Merging (Yadav et al. 2023) elects from. NaN where there are none.
    """
    opposite = changed = 0
    for name in coordinates(model, with_buffers=False):
        signs = (a[name] - start[name]).sign() * (b[name] - start[name]).sign()
        opposite += int((signs < 0).sum())
        changed += int((signs != 0).sum())
    return opposite / changed if changed else math.nan


def gradient_norm(
    model: nn.Module,
    state: StateDict,
    batches: Iterable[Batch],
    task: str,
    heads: Heads | None = None,
    device: torch.device | str | None = None,
) -> float:
    """``‖∇L(θ)‖`` of the mean loss over few labelled samples, in evaluation mode.

    Args:
        model, heads, device: as for :func:`~ctl_helpers.evaluate`.
        state: θ.
        batches: inputs and targets.
        task: whose head and loss.
    """
    place = device_for(model, device)
    network, score, samples = copy.deepcopy(model).to(place).eval(), Scorer(task, heads), 0.0
    network.load_state_dict(dict(state))
    network.requires_grad_(True).zero_grad()
    for batch in batches:
        inputs = Inputs.of(batch, place)
        keywords = {name: value for name, value in inputs.keywords.items() if name not in LABELS}
        with torch.enable_grad():
            count, loss, _ = score(network(*inputs.arguments, **keywords), inputs.targets)
            loss.backward()
        samples += count.item()
    grads = [one.grad.double() for one in network.parameters() if one.grad is not None]
    return math.sqrt(sum(float(grad.square().sum()) for grad in grads)) / samples
