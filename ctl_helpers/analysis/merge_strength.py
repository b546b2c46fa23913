"""How strong a merge is: s of ``θ_PT + (s/k) Σ_i p_i``, chosen with labels or without.

With plain task vectors the factor on each is ``λ = s/k``, and s = 1 is the networks' average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from ctl_helpers.analysis import merging
from ctl_helpers.analysis.displacement import first_layers, stream_of
from ctl_helpers.analysis.editing import search
from ctl_helpers.analysis.levels import largest
from ctl_helpers.analysis.merge_names import MergeMethod
from ctl_helpers.analysis.merging import Parts, Recipe
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.checkpoints import StateDict
from ctl_helpers.engine.compare import compare
from ctl_helpers.engine.evaluate import Evaluation, evaluate, logits
from ctl_helpers.engine.linearity import Comparison
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.scoring import Heads

AVERAGE = 1.0
"""The strength of the mean of all parts."""

States = Mapping[str, StateDict]


def sets(names: Sequence[str], pairs: int | None = None) -> list[tuple[str, ...]]:
    """What to merge: all networks, then pairs of them.

    Args:
        names: of the networks.
        pairs: how many, all when None. Neighbours in a ring come first, so that few pairs have
            every network about as often.
    """
    count = len(names)
    ring = [
        tuple(sorted((n, (n + apart) % count)))
        for apart in range(1, count // 2 + 1)
        for n in range(count)
    ]
    listed = [tuple(names[n] for n in pair) for pair in dict.fromkeys(ring)]
    return [tuple(names), *listed[:pairs]]


def scaled(
    parts: Parts, layer_of: Mapping[str, str], strengths: Mapping[str, float]
) -> dict[str, dict[str, Tensor]]:
    """Parts whose tensors are multiplied by a strength of their layer; others by the least one.

    Args:
        layer_of: tensor → layer.
        strengths: layer → s.
    """
    least = min(strengths.values())
    return {
        task: {name: strengths.get(layer_of.get(name, ""), least) * x for name, x in own.items()}
        for task, own in parts.items()
    }


@dataclass(frozen=True)
class Bench:
    """What merges of networks are measured with.

    Attributes:
        model: the architecture.
        checkpoints: ``pretrained`` and the fine-tuned networks by task.
        pretrained: the name of θ_PT.
        heads: as for :func:`~ctl_helpers.evaluate`.
        streams: ``"held-out"`` and ``"test"`` → task → labelled batches.
        unlabelled: tasks → batches by task, whose labels are not used.
        own: of the same two → task → what its own network's accuracy is there.
    """

    model: nn.Module
    checkpoints: States
    pretrained: str
    heads: Heads | None
    streams: Mapping[str, Mapping[str, Any]]
    unlabelled: Callable[[Sequence[str]], Streams]
    own: Mapping[str, Mapping[str, float]]

    def ends(self, parts: Parts) -> States:
        """θ_PT and the networks ``θ_PT + p_i``."""
        start = self.checkpoints[self.pretrained]
        return {self.pretrained: start, **merging.ends(self.model, start, parts)}

    def mix(self, names: Sequence[str], strength: float) -> dict[str, float]:
        """The merge of a strength, as a mix of :meth:`ends`."""
        return edit(self.pretrained, dict.fromkeys(names, strength / len(names)))

    def scores(
        self, states: States, names: Sequence[str], split: str, strengths: Sequence[float]
    ) -> pd.DataFrame:
        """Accuracy on each task of a merge, and its share of that of the task's own network."""
        asked = [Evaluation(self.mix(names, s), names, {"strength": s}) for s in strengths]
        streams = {task: self.streams[split][task] for task in names}
        table = evaluate(self.model, states, asked, streams, heads=self.heads)
        own = pd.Series(self.own[split])
        return table.assign(share=table["accuracy"] / table["task"].map(own[own > 0]))

    def epsilons(
        self, states: States, names: Sequence[str], strengths: Sequence[float], batches: Streams
    ) -> pd.DataFrame:
        """ε of ``f(θ_PT + (s/k) Σ p_i)`` against the mean of the ``f(θ_PT + s p_i)``.

        Returns:
            A row for each strength and a column for each layer.
        """
        asked = [
            Comparison(
                left=self.mix(names, s),
                right=[(1 / len(names), edit(self.pretrained, {name: s})) for name in names],
                params={"strength": s},
            )
            for s in strengths
        ]
        table = compare(self.model, states, asked, batches)
        rows = table[table["metric"] == "epsilon"]
        wide = rows.pivot(index="strength", columns="layer", values="mean")
        return wide[list(dict.fromkeys(rows["layer"]))]

    def entropies(
        self, states: States, names: Sequence[str], strengths: Sequence[float], batches: Streams
    ) -> pd.Series:
        """Mean entropy of a merge's answers in nats, by strength; mean over tasks."""
        mixes = [self.mix(names, s) for s in strengths]
        given = logits(self.model, states, mixes, batches, heads=self.heads)
        tasks = [
            Categorical(logits=answers.double()).entropy().mean(1) for answers in given.values()
        ]
        return pd.Series(torch.stack(tasks).mean(0).tolist(), index=list(strengths))


@dataclass(frozen=True)
class Choices:
    """What is known of a plain sum at each strength, and the strengths that are chosen by it.

    Attributes:
        by_layer: ε, a row for each strength and a column for each layer.
        entropy: by strength.
        level: of ε.
    """

    by_layer: pd.DataFrame
    entropy: pd.Series
    level: float

    @property
    def worst(self) -> pd.Series:
        """ε of the worst layer, by strength."""
        return self.by_layer.max(axis=1)

    @property
    def chosen(self) -> dict[MergeMethod, float]:
        """Those without labels; per layer, see :attr:`layers`."""
        return {
            MergeMethod.START: 0.0,
            MergeMethod.AVERAGE: AVERAGE,
            MergeMethod.EPSILON: largest(self.worst, self.level),
            MergeMethod.ENTROPY: float(self.entropy.index.to_numpy()[self.entropy.argmin()]),
        }

    @property
    def layers(self) -> dict[str, float]:
        """Layer → the largest strength, the same everywhere, at which its own ε is low enough."""
        return {str(layer): largest(column, self.level) for layer, column in self.by_layer.items()}

    def table(self, strengths: Sequence[float]) -> pd.DataFrame:
        """The worst layer, its ε and the entropy, a row for each strength."""
        along = pd.DataFrame({"layer": self.by_layer.idxmax(axis=1), "epsilon": self.worst})
        along = along.loc[list(strengths)].rename_axis("strength").reset_index()
        return along.assign(entropy=along["strength"].map(self.entropy))


def merged(
    bench: Bench,
    names: Sequence[str],
    recipes: Mapping[MergeMethod, Recipe],
    strengths: Sequence[float],
    level: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All methods' merges of some networks, on test examples.

    A method's strength is chosen by the mean share of accuracy on held-out labels. Beside them
    stand plain sums whose strength is chosen without labels, with one s or one per layer.

    Args:
        recipes: the methods.
        strengths: those to try, rising.
        level: of ε, for choices by it.

    Returns:
        A row for each network and task: ``models``, ``k``, ``method``, ``strength`` (a mean where
        layers differ), scores, ``share``, and ``epsilon`` of the worst layer. And a row for each
        strength of a plain sum: ``models``, ``k``, ``strength``, ``layer`` (the worst one),
        ``epsilon``, ``entropy``, and ``held_out``, the share there.
    """
    batches, strengths = bench.unlabelled(names), list(map(float, strengths))
    labels: dict[str, Any] = {"models": ", ".join(names), "k": len(names)}
    plain = merging.vectors(bench.model, bench.checkpoints, bench.pretrained, names)
    own = {name: bench.checkpoints[name] for name in (bench.pretrained, *names)}
    known = Choices(
        bench.epsilons(own, names, sorted({*strengths, AVERAGE}), batches),
        bench.entropies(own, names, strengths, batches),
        level,
    )
    tables = [
        bench.scores(own, names, "test", [s]).assign(method=str(method), epsilon=known.worst.get(s))
        for method, s in known.chosen.items()
    ]
    tables.append(_per_layer(bench, names, plain, known, batches))
    along = known.table(strengths)
    for method, recipe in recipes.items():
        states = bench.ends(recipe(plain))
        tried = search(partial(bench.scores, states, names), strengths, "strength")
        held_out, test = tried.iloc[: -len(names)], tried.iloc[-len(names) :]
        if method == MergeMethod.ARITHMETIC:
            means = held_out.groupby("strength")["share"].mean()
            along["held_out"] = along["strength"].map(means)
        chosen = test["strength"].unique().tolist()
        worst = bench.epsilons(states, names, chosen, batches).max(axis=1).item()
        tables.append(test.drop(columns="chosen").assign(method=str(method), epsilon=worst))
    merges = pd.concat(tables, ignore_index=True).assign(**labels)
    return merges.astype({"epsilon": float}), along.assign(**labels)


def _per_layer(
    bench: Bench, names: Sequence[str], plain: Parts, known: Choices, batches: Streams
) -> pd.DataFrame:
    """The plain sum with a strength for each layer."""
    layers, start = known.layers, bench.checkpoints[bench.pretrained]
    batch = next(iter(stream_of(batches, names[0])))
    layer_of = first_layers(bench.model, start, batch, list(layers))
    states = bench.ends(scaled(plain, layer_of, layers))
    worst = bench.epsilons(states, names, [AVERAGE], batches).max(axis=1).item()
    mean = sum(layers.values()) / len(layers)
    scores = bench.scores(states, names, "test", [AVERAGE])
    return scores.assign(strength=mean, method=str(MergeMethod.LAYERS), epsilon=worst)
