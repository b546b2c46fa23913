"""Stitched models: features of some networks, finished by another."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, Task, by_task, named_streams, tasks_of
from ctl_helpers.engine.checkpoints import Checkpoint
from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.mix import Mix, MixKey, mix_key
from ctl_helpers.engine.passes import Engine
from ctl_helpers.engine.scoring import Heads, Scorer, scores


@dataclass(frozen=True)
class Stitch:
    """The model ``f^{L←(ℓ+1)}(tail; Σ_m w_m f^(ℓ)(mix_m))`` (CTL paper, Figures 9 and 10).

    Attributes:
        prefix: pairs ``(w_m, mix_m)`` of the networks whose features after layer ℓ are added;
            weights may be negative, as in ``2f(θ_PT) − f(θ_PT + λτ) = f(θ_PT) − Δ(λτ)``.
        tail: the mix that takes the sum through the layers after ℓ.
        layer: the name of layer ℓ.
        tasks: the streams to score the model on; all of them when None.
        params: what names this model in the result table, one column each.
    """

    prefix: Sequence[tuple[float, Mix]]
    tail: Mix
    layer: str
    tasks: Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class _Front:
    """A network up to a layer."""

    mix: MixKey
    layer: str


@dataclass(frozen=True)
class _Model:
    """A stitched model, whatever it is called: the weight of each front, and the tail."""

    prefix: tuple[tuple[_Front, float], ...]
    tail: MixKey
    layer: str

    @classmethod
    def of(cls, one: Stitch) -> _Model:
        weights: dict[_Front, float] = {}
        for weight, mix in one.prefix:
            front = _Front(mix_key(mix), one.layer)
            weights[front] = weights.get(front, 0.0) + weight
        return cls(tuple(weights.items()), mix_key(one.tail), one.layer)


def stitch(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    stitches: Sequence[Stitch],
    batches: Streams,
    heads: Heads | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Mean cross-entropy and accuracy of stitched models.

    In each batch every distinct (prefix mix, layer) runs once, and so does the tail of equal
    stitches. A feature is held until the last stitch that takes it, so put those that share one
    side by side.

    Args:
        model: an architecture that can be run in two parts: ``model(inputs, until=layer)`` gives
            the feature after a layer, samples first, and ``model(feature, after=layer)`` the
            output. A batch that is a dict is given to both parts, as keywords: a mask counts in
            the second, too. Its weights are not used.
        stitches: the models to score.
        checkpoints, batches, heads, device: as for :func:`~ctl_helpers.evaluate`.

    Returns:
        One row per stitch and task: its params, ``task``, ``n``, ``loss`` (nats), ``accuracy``.

    Raises:
        TypeError: a model that does not take ``until`` and ``after``.
        RuntimeError: a feature that is no tensor of samples first.
        ValueError, KeyError: as :func:`~ctl_helpers.evaluate`.
    """
    _check(model, stitches)
    streams = named_streams(batches)
    positions = by_task((one.tasks for one in stitches), streams)
    mixes = {
        task: [mix_key(mix) for n in numbers for mix in _mixes(stitches[n])]
        for task, numbers in positions.items()
    }
    scorers = {task: Scorer(task, heads) for task in positions}
    engine = Engine(model, checkpoints, mixes, streams, device)
    parts: dict[tuple[Task, int], Sequence[Tensor]] = {}
    for task, numbers in positions.items():
        work = partial(_score, engine, [stitches[n] for n in numbers], scorers[task])
        by_stitch = zip(*engine.over(task, work), strict=True)
        parts |= {(task, n): sums for n, sums in zip(numbers, by_stitch, strict=True)}
    return pd.DataFrame(
        {**one.params, "task": task, **scores(parts[task, position])}
        for position, one in enumerate(stitches)
        for task in tasks_of(one.tasks, streams)
    )


def _mixes(one: Stitch) -> list[Mix]:
    return [one.tail, *(mix for _, mix in one.prefix)]


def _score(
    engine: Engine, stitches: Sequence[Stitch], scorer: Scorer, batch: Inputs
) -> list[Tensor]:
    """The sums of every stitch over one batch."""
    models = [_Model.of(one) for one in stitches]
    # Equal models, such as all at λ = 0, run once.
    last_use = {front: n for n, one in enumerate(dict.fromkeys(models)) for front, _ in one.prefix}
    features: dict[_Front, Tensor] = {}
    sums: dict[_Model, Tensor] = {}
    for number, one in enumerate(dict.fromkeys(models)):
        for front, _ in one.prefix:
            if front not in features:
                features[front] = _feature(engine, front, batch)
        # A new tensor, since a tail may change its input in place.
        mixed = sum((weight * features[front] for front, weight in one.prefix), torch.zeros(()))
        output = engine.forward(one.tail, batch, mixed, after=one.layer)
        sums[one] = scorer(output, batch.targets)
        features = {front: x for front, x in features.items() if last_use[front] > number}
    return [sums[one] for one in models]


def _feature(engine: Engine, front: _Front, batch: Inputs) -> Tensor:
    """``f^(ℓ)(mix)`` of a batch, samples first."""
    feature = engine.forward(front.mix, batch, until=front.layer)
    if not isinstance(feature, Tensor) or len(feature) != batch.size:
        given = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise RuntimeError(
            f"the model gives {given} until layer {front.layer!r} for {batch.size} samples; let it "
            "give the layer's feature as one tensor with samples first"
        )
    return feature


def _check(model: nn.Module, stitches: Sequence[Stitch]) -> None:
    """Refuse a model that cannot be run in parts, and a stitch of nothing."""
    if empty := [one for one in stitches if not one.prefix]:
        raise ValueError(
            f"the stitch {dict(empty[0].params)} has an empty prefix; give one or more "
            "(weight, mix)"
        )
    takes = inspect.signature(model.forward).parameters
    if not {"until", "after"} <= takes.keys():
        raise TypeError(
            f"{type(model).__name__} cannot be stitched, since its forward does not take the "
            "keywords 'until' and 'after'; let it run up to a layer and from there on"
        )
