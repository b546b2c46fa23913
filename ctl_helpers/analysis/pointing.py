"""What Δ(λτ_i) points at: nearest samples, class directions, and what probes read from features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.analysis.displacement import stream_of
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.checkpoints import StateDict
from ctl_helpers.engine.folds import Fold, Pass
from ctl_helpers.engine.mix import Mix, MixKey, mix_key
from ctl_helpers.engine.passes import run

OUTPUT = ""
"""The place of what the network gives, under a frozen head."""

FEATURE = "pretrained feature"
"""The direction of a sample's own feature, which no vector of weights has to do with."""

LESS_MEAN = ", less the task's mean"
"""What stands behind a kind of vector where the mean Δ over its task's samples is taken away."""

Features = Mapping[str, Mapping[str, Tensor]]
"""Network → place → features (samples, width)."""


def features(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    mixes: Mapping[str, Mix],
    task: str,
    streams: Streams,
    layers: Sequence[str],
) -> Features:
    """What each of several networks gives at some layers and at its end, on one task's samples.

    Args:
        model, checkpoints: as for :func:`~ctl_helpers.compare`.
        mixes: the networks by name.
        task: whose samples.
        streams: batches by task.
        layers: names of layers; :data:`OUTPUT` comes beside them.
    """
    fold = _Kept(list(mixes.values()), layers)
    run(model, checkpoints, {task: fold}, {task: stream_of(streams, task)}, layers)
    return {
        name: {place: torch.cat(parts) for place, parts in fold.parts[mix_key(mix)].items()}
        for name, mix in mixes.items()
    }


class _Kept(Fold):
    """Keeps in ``parts`` each mix's features by place and batch."""

    needs_output = True

    def __init__(self, mixes: Sequence[Mix], layers: Sequence[str]) -> None:
        keys = list(dict.fromkeys(map(mix_key, mixes)))
        self.steps = [(key,) for key in keys]
        self.parts: dict[MixKey, dict[str, list[Tensor]]] = {
            key: {place: [] for place in (*layers, OUTPUT)} for key in keys
        }
        self._layers = layers

    def reduce(
        self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]
    ) -> dict[str, Tensor]:
        given = passes[self.steps[step][0]]
        seen = {**{layer: given.features[layer] for layer in self._layers}, OUTPUT: given.output}
        return {place: feature.flatten(1).float().cpu() for place, feature in seen.items()}

    def keep(self, results: Sequence[Mapping[str, Tensor]]) -> None:
        for (key,), seen in zip(self.steps, results, strict=True):
            for place, feature in seen.items():
                self.parts[key][place].append(feature)


def nearest(
    start: Mapping[str, Tensor],
    ends: Mapping[str, Mapping[str, Tensor]],
    labels: Mapping[str, Tensor],
    count: int,
) -> pd.DataFrame:
    """For each task, how often a direction's nearest samples are of its own sample's class.

    Args:
        start: task → features of its samples in the pretrained network.
        ends: kind of vector → the same in the networks that each task's own vector leads to.
        labels: the samples' classes. Classes of two tasks are never the same.
        count: how many nearest samples are looked at.

    Returns:
        A row per task × direction: ``i``, ``direction`` (a kind of vector, the same with
        :data:`LESS_MEAN`, or :data:`FEATURE`), ``share`` and ``chance``.
    """
    names = list(start)
    pool = torch.cat([start[name].double() for name in names])
    most = 1 + max(int(classes.max()) for classes in labels.values())
    classes = torch.cat([labels[name] + most * place for place, name in enumerate(names)])
    sizes = torch.tensor([len(start[name]) for name in names])
    rows = []
    for place, name in enumerate(names):
        own = torch.arange(int(sizes[place])) + int(sizes[:place].sum())
        directions = {kind: end[name].double() - start[name] for kind, end in ends.items()}
        directions |= {
            f"{kind}{LESS_MEAN}": rays - rays.mean(0) for kind, rays in directions.items()
        }
        directions[FEATURE] = pool[own] - pool.mean(0)
        chance = by_chance(classes, own)
        for kind, rays in directions.items():
            share = of_own_class(rays, own, pool, classes, count)
            rows.append({"i": name, "direction": kind, "share": share, "chance": chance})
    return pd.DataFrame(rows)


def of_own_class(
    directions: Tensor, own: Tensor, pool: Tensor, classes: Tensor, count: int
) -> float:
    """Of the samples whose features are nearest to a direction, the share of the right class.

    Nearest by cosine, after the mean over the pool is taken away from its features. A direction's
    own sample does not count.

    Args:
        directions: shape (directions, width).
        own: each direction's own sample, as a row of the pool.
        pool: the features of all tasks' samples, shape (samples, width).
        classes: of each sample of the pool.
        count: how many nearest samples are looked at.

    Returns:
        The mean over directions.

    Raises:
        ValueError: fewer other samples than are to be looked at.
    """
    if count >= len(pool):
        raise ValueError(f"there are {len(pool)} samples in all; look at fewer than {count} others")
    cosines = F.normalize(directions.double(), dim=1) @ _centred(pool).T
    cosines[torch.arange(len(own)), own] = -torch.inf
    found = classes[cosines.topk(count, dim=1).indices]
    return float((found == classes[own, None]).double().mean())


def by_chance(classes: Tensor, own: Tensor) -> float:
    """:func:`of_own_class` of samples that are drawn instead of near."""
    shares = [(classes == classes[row]).double().sum() - 1 for row in own.tolist()]
    return float(torch.stack(shares).mean() / (len(classes) - 1))


def hits(
    start: Mapping[str, Tensor],
    ends: Mapping[str, Mapping[str, Tensor]],
    labels: Mapping[str, Tensor],
    heads: Mapping[str, Tensor],
) -> pd.DataFrame:
    """For each task, how many classes' mean Δ points at the direction that its head has for them.

    Args:
        start, ends, labels: as for :func:`nearest`, of features under the heads.
        heads: task → a direction for each of its classes, shape (classes, width).

    Returns:
        As :func:`nearest`; by chance one class in as many as there are is hit.
    """
    return pd.DataFrame(
        {
            "i": name,
            "direction": kind,
            "share": class_hits(end[name].double() - start[name], labels[name], heads[name]),
            "chance": 1 / len(heads[name]),
        }
        for name in start
        for kind, end in ends.items()
    )


def class_hits(deltas: Tensor, labels: Tensor, heads: Tensor) -> float:
    """The share of classes whose mean Δ has its largest cosine with the class's own direction.

    The mean over classes is taken away on both sides: what all classes share points at none.

    Args:
        deltas: shape (samples, width).
        labels: a class for each sample; classes without a sample count for nothing.
        heads: a direction for each class, shape (classes, width).
    """
    present = labels.unique()
    means = torch.stack([deltas[labels == one].double().mean(0) for one in present])
    cosines = _centred(means) @ _centred(heads).T
    return float((cosines.argmax(dim=1) == present).double().mean())


class Probe:
    """Ridge regression of classes on features: a linear probe with a closed form.

    Args:
        seen: features to fit on, shape (samples, width).
        labels: their classes, counted from 0.
        decay: the penalty, as a share of the features' mean squared length.
    """

    def __init__(self, seen: Tensor, labels: Tensor, decay: float = 0.1) -> None:
        wide, hot = seen.double(), F.one_hot(labels).double()
        self._mean, self._usual = wide.mean(0), hot.mean(0)
        centred = wide - self._mean
        kernel = centred @ centred.T
        kernel.diagonal().add_(decay * kernel.diagonal().mean())
        # Samples are fewer than units, so that the dual form is the small one.
        self._weight = centred.T @ torch.linalg.solve(kernel, hot - self._usual)

    def accuracy(self, seen: Tensor, labels: Tensor) -> float:
        """The share of samples whose class it tells."""
        scores = (seen.double() - self._mean) @ self._weight + self._usual
        return float((scores.argmax(dim=1) == labels).double().mean())


def _centred(rows: Tensor) -> Tensor:
    """Unit vectors from the rows' mean."""
    wide = rows.double()
    return F.normalize(wide - wide.mean(0), dim=1)
