"""What features of edited networks know: stitched models, and directions in feature space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.analysis.task_arithmetic import roles, strongest
from ctl_helpers.engine.batches import Streams
from ctl_helpers.engine.folds import Fold, Pass
from ctl_helpers.engine.mix import Mix, MixKey, StateDict, mix_key
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.stitch import Stitch

Score = Callable[[Sequence[Stitch], Streams], pd.DataFrame]
"""Stitches and streams → scores, such as ``partial(ctl.stitch, model, checkpoints)``."""

Front = Sequence[tuple[float, Mix]]
Labelled = tuple[Any, Tensor]
LabelledStreams = Mapping[str, Sequence[Labelled]]


def added_fronts(pretrained: str, i: str, j: str, lam: float) -> dict[str, Front]:
    """What Figure 9 stitches: model → pairs of a weight and a mix."""
    one, other = (edit(pretrained, {name: 2 * lam}) for name in (i, j))
    return {
        "merged weights": [(1.0, edit(pretrained, {i: lam, j: lam}))],
        "averaged features": [(0.5, one), (0.5, other)],
        "features of i": [(1.0, one)],
        "features of j": [(1.0, other)],
    }


def negated_fronts(pretrained: str, i: str, lam: float) -> dict[str, Front]:
    """What Figure 10 stitches: ``f(θ_PT) − Δ(λτ_i)``, and the feature of ``θ_PT − λτ_i``."""
    plus, minus = (edit(pretrained, {i: sign * lam}) for sign in (1, -1))
    return {
        "feature subtracted": [(2.0, {pretrained: 1.0}), (-1.0, plus)],
        "weights subtracted": [(1.0, minus)],
    }


def stitched_addition(
    stitch: Score,
    pretrained: str,
    tasks: Sequence[str],
    lambdas: Sequence[float],
    layer: str,
    block: int,
    streams: Streams,
) -> pd.DataFrame:
    """Accuracy on both tasks of each pair of :func:`added_fronts`, under the pretrained tail.

    Args:
        stitch: see :data:`Score`.
        pretrained: the name of θ_PT.
        tasks: the networks to pair.
        lambdas: the λ beside 0.
        layer, block: the layer to stitch after, and its number, which is a label.
        streams: test examples by task.

    Returns:
        A row per pair × λ × model: ``i, j, lam, model, block``, and accuracies ``D_i``, ``D_j``.
    """
    asked = [
        Stitch(
            front,
            {pretrained: 1.0},
            layer,
            (i, j),
            {"i": i, "j": j, "lam": lam, "model": model, "block": block},
        )
        for i, j in combinations(tasks, 2)
        for lam in [0.0, *lambdas]
        for model, front in added_fronts(pretrained, i, j, lam).items()
    ]
    scores = stitch(asked, streams)
    scores["role"] = np.where(scores["task"] == scores["i"], "D_i", "D_j")
    keys = ["i", "j", "lam", "model", "block"]
    wide = scores.pivot(index=keys, columns="role", values="accuracy")
    return wide.reset_index().rename_axis(columns=None)


def stitched_negation(
    stitch: Score,
    pretrained: str,
    tasks: Sequence[str],
    control: Sequence[str],
    lambdas: Sequence[float],
    layer: str,
    block: int,
    streams: Mapping[str, LabelledStreams],
) -> pd.DataFrame:
    """Accuracy by role of :func:`negated_fronts`, under the pretrained tail.

    Other arguments are those of :func:`stitched_addition` and
    :func:`ctl_helpers.analysis.editing.negation`.

    Args:
        streams: ``{"held-out": …, "test": …}``, of batches of ``(inputs, labels)`` by task.

    Returns:
        A row per split × task vector × λ × model × role: ``split``, ``i``, ``lam``, ``model``,
        ``block``, ``role``, ``accuracy``, ``chance`` (see :func:`commonest`) and ``chosen``, which
        marks the λ that :func:`~ctl_helpers.analysis.task_arithmetic.strongest` chooses for the
        first model, the only one that held-out examples are used for.
    """

    def scored(split: str, models: Sequence[str]) -> pd.DataFrame:
        asked = [
            Stitch(
                fronts[model],
                {pretrained: 1.0},
                layer,
                tuple(dict.fromkeys([i, *control])),
                {"split": split, "i": i, "lam": lam, "model": model, "block": block},
            )
            for i in tasks
            for lam in [0.0, *lambdas]
            for fronts in [negated_fronts(pretrained, i, lam)]
            for model in models
        ]
        scores = stitch(asked, streams[split])
        return roles(scores.assign(chance=scores["task"].map(commonest(streams[split]))), control)

    models = list(negated_fronts(pretrained, "", 0.0))
    held_out = scored("held-out", models[:1])
    both = pd.concat([held_out, scored("test", models)])
    return both.assign(chosen=both["lam"] == both["i"].map(strongest(held_out)))


def commonest(streams: LabelledStreams) -> dict[str, float]:
    """Task → the share of its commonest label, which one answer to everything would reach.

    It is 0 where labels are real numbers, with which one answer has no rank correlation.
    """
    shares = {}
    for task, batches in streams.items():
        labels = torch.cat([labels for _, labels in batches])
        most = labels.unique(return_counts=True)[1].max().item()
        shares[task] = 0.0 if labels.is_floating_point() else most / len(labels)
    return shares


def directions(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    pretrained: str,
    tasks: Sequence[str],
    lam: float,
    layer: str,
    streams: Mapping[str, LabelledStreams],
) -> pd.DataFrame:
    """How far every test sample moves along each task vector's mean direction.

    The direction of a task is the mean of ``Δ(λτ_i) = f(θ_PT + λτ_i) − f(θ_PT)`` at a layer over
    its held-out samples; a sample moves along it by the scalar product with its own Δ.

    Args:
        model, checkpoints: as for :func:`~ctl_helpers.stitch`.
        pretrained: the name of θ_PT.
        tasks: whose task vectors, and whose samples, are looked at.
        lam: the factor λ.
        layer: the layer's name.
        streams: ``{"held-out": …, "test": …}``, of batches of ``(inputs, labels)`` by task.

    Returns:
        A row per task vector × sample: ``i``, ``kind`` (the sample's task), ``label``, ``moved``.
    """
    start = mix_key({pretrained: 1.0})

    def deltas(
        i: str, task: str, batches: Sequence[Labelled], function: Callable[[Tensor], Tensor]
    ) -> Tensor:
        fold = _Deltas(start, mix_key(edit(pretrained, {i: lam})), layer, function)
        run(model, checkpoints, {task: fold}, {task: batches}, [layer])
        return torch.cat(fold.parts)

    test, rows = streams["test"], []
    for i in tasks:
        mean = deltas(i, i, streams["held-out"][i], lambda delta: delta).mean(0)
        for task in tasks:
            moved = deltas(i, task, test[task], partial(torch.matmul, other=mean))
            labels = torch.cat([targets for _, targets in test[task]])
            samples = {"kind": task, "label": labels.tolist(), "i": i, "moved": moved.numpy()}
            rows.append(pd.DataFrame(samples))
    return pd.concat(rows, ignore_index=True)


class _Deltas(Fold):
    """Keeps in ``parts`` what a function makes of how far a layer's features move, by batch."""

    needs_output = False

    def __init__(
        self, start: MixKey, end: MixKey, layer: str, function: Callable[[Tensor], Tensor]
    ) -> None:
        self.steps, self.parts = [(start, end)], list[Tensor]()
        self._layer, self._function = layer, function

    def reduce(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> Tensor:
        before, after = (passes[mix].features[self._layer] for mix in self.steps[step])
        return self._function(after - before).cpu()

    def keep(self, results: Sequence[Tensor]) -> None:
        self.parts += results


def nearest(
    moved: pd.DataFrame, names: Mapping[str, Sequence[str]], count: int = 50
) -> pd.DataFrame:
    """What the samples have in common that move most along each direction.

    Args:
        moved: :func:`directions`.
        names: task → the names of its classes.
        count: how many samples to look at; all there are if fewer.

    Returns:
        A row per task vector: ``i``, the shares of samples of its ``own`` kind and by ``chance``,
        the ``commonest`` class and its ``share``, and the number of ``classes``.
    """
    rows = []
    for i, samples in moved.groupby("i", sort=False):
        first = samples.nlargest(count, "moved")
        classes = [
            names[kind][label] for kind, label in zip(first["kind"], first["label"], strict=True)
        ]
        counts = pd.Series(classes).value_counts()
        rows.append(
            {
                "i": i,
                "own": (first["kind"] == i).mean(),
                "chance": (samples["kind"] == i).mean(),
                "commonest": counts.index[0],
                "share": counts.iloc[0] / len(first),
                "classes": len(counts),
            }
        )
    return pd.DataFrame(rows)
