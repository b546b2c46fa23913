"""Stitched models: features of some networks, finished by another."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.batches import Inputs, Streams, named_streams, tasks_of
from ctl_helpers.engine.evaluate import Heads, Scorer, scores
from ctl_helpers.engine.hooks import evaluating
from ctl_helpers.engine.mix import Mix, MixKey, StateDict, mix_key
from ctl_helpers.engine.passes import Engine


@dataclass(frozen=True)
class Stitch:
    """The model ``f^{L←(ℓ+1)}(tail; Σ_m w_m f^(ℓ)(mix_m))`` (CTL paper, Figures 9 and 10).

    Attributes:
        prefix: pairs ``(w_m, mix_m)`` of the networks whose features after layer ℓ are added;
            weights may be negative, as in ``2f(θ_PT) − f(θ_PT + λτ) = f(θ_PT) − Δ(λτ)``.
        tail: the mix that takes the sum through the layers after ℓ.
        layer: the name of layer ℓ.
        tasks: the streams to score the model on; all of them when None.
        params: what names this model in the result table, a column each.
    """

    prefix: Sequence[tuple[float, Mix]]
    tail: Mix
    layer: str
    tasks: Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)


# A network up to a layer.
_Front = tuple[MixKey, str]


@dataclass(frozen=True)
class _Plan:
    """A stitch in terms of what is to be run."""

    fronts: Sequence[tuple[float, _Front]]
    tail: MixKey
    layer: str

    @classmethod
    def of(cls, one: Stitch) -> _Plan:
        if not one.prefix:
            raise ValueError(
                f"the stitch {dict(one.params)} has an empty prefix; give one or more (weight, mix)"
            )
        fronts = [(weight, (mix_key(mix), one.layer)) for weight, mix in one.prefix]
        return cls(fronts, mix_key(one.tail), one.layer)

    def mixes(self) -> list[MixKey]:
        return [self.tail, *(mix for _, (mix, _) in self.fronts)]


def stitch(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    stitches: Sequence[Stitch],
    batches: Streams,
    heads: Heads | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Mean cross-entropy and accuracy of stitched models.

    In each batch every distinct (prefix mix, layer) runs once, and each stitch's tail once. A
    feature is held until the last stitch that takes it: put stitches that share features next to
    each other.

    Args:
        model: an architecture that can be run in two parts: ``model(inputs, until=layer)`` gives
            the feature after a layer, samples first, and ``model(feature, after=layer)`` the
            output. Its weights are not used.
        checkpoints: name → state dict.
        stitches: the models to score.
        batches: one iterable of ``(inputs, targets)``, or task → such iterables.
        heads: task → a function from the output to logits; see
            :func:`~ctl_helpers.engine.evaluate.evaluate`.
        device: where to run; by default where the model's parameters are.

    Returns:
        A row a stitch × task: its params, ``task``, ``n``, ``loss`` (nats), ``accuracy``.

    Raises:
        TypeError: a model that does not take ``until`` and ``after``.
        RuntimeError: a feature that is no tensor of samples first.
        ValueError, KeyError: as :func:`~ctl_helpers.engine.evaluate.evaluate`.
    """
    _check_in_parts(model)
    streams = named_streams(batches)
    asked: dict[str | None, dict[int, _Plan]] = {}
    for position, one in enumerate(stitches):
        for task in tasks_of(one.tasks, streams):
            asked.setdefault(task, {})[position] = _Plan.of(one)
    mixes = {
        task: [mix for plan in part.values() for mix in plan.mixes()]
        for task, part in asked.items()
    }
    scorers = {task: Scorer(task, heads) for task in asked}
    engine = Engine(model, checkpoints, mixes, streams, device)
    sums = {}
    with evaluating(model):
        for task, part in asked.items():
            work = partial(_score, engine, list(part.values()), scorers[task])
            sums[task] = dict(zip(part, sum(engine.over(task, work)), strict=True))
    return pd.DataFrame(
        {**one.params, "task": task, **scores(sums[task][position])}
        for position, one in enumerate(stitches)
        for task in tasks_of(one.tasks, streams)
    )


def _score(engine: Engine, plans: Sequence[_Plan], scorer: Scorer, batch: Inputs) -> Tensor:
    """The sums of every stitch over one batch, shape (stitches, 3)."""
    last_use = {front: n for n, plan in enumerate(plans) for _, front in plan.fronts}
    held: dict[_Front, Tensor] = {}
    found = []
    for number, plan in enumerate(plans):
        for _, front in plan.fronts:
            if front not in held:
                held[front] = _feature(engine, front, batch)
        # A new tensor, since a tail may change its input in place.
        feature = sum(weight * held[front] for weight, front in plan.fronts)
        output = engine(plan.tail, feature, after=plan.layer)
        found.append(scorer(output, batch.targets))
        held = {front: kept for front, kept in held.items() if last_use[front] > number}
    return torch.stack(found)


def _feature(engine: Engine, front: _Front, batch: Inputs) -> Tensor:
    """``f^(ℓ)(mix)`` of a batch, samples first."""
    mix, layer = front
    feature = engine(mix, *batch.arguments, **batch.keywords, until=layer)
    if not isinstance(feature, Tensor) or len(feature) != batch.size:
        given = tuple(feature.shape) if isinstance(feature, Tensor) else type(feature).__name__
        raise RuntimeError(
            f"the model gives {given} until layer {layer!r} for {batch.size} samples; let it give "
            "the layer's feature as one tensor with samples first"
        )
    return feature


def _check_in_parts(model: nn.Module) -> None:
    takes = inspect.signature(model.forward).parameters
    if not {"until", "after"} <= takes.keys():
        raise TypeError(
            f"{type(model).__name__} cannot be stitched, since its forward does not take the "
            "keywords 'until' and 'after'; let it run up to a layer and from there on"
        )
