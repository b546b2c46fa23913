"""Loss and accuracy of mixes, and barriers along the path between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.mix import Mix, MixKey, StateDict, interpolate, mix_key
from ctl_helpers.passes import Pass, Streams, named_streams, run


@dataclass(frozen=True)
class Evaluation:
    """One model to score: a mix, the streams to score it on (all when None), and its labels."""

    mix: Mix
    tasks: Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)


def path(
    i: str, j: str, alphas: Iterable[float], tasks: Sequence[str] | None = None
) -> list[Evaluation]:
    """The models ``θ_α = αθ_i + (1−α)θ_j`` along the line from j to i, labelled i, j, alpha."""
    return [
        Evaluation(interpolate(i, j, alpha), tasks, {"i": i, "j": j, "alpha": alpha})
        for alpha in alphas
    ]


class _ScoreFold:
    """Sums of cross-entropy and of hits, a pair for each distinct mix."""

    def __init__(self, task: str | None, mixes: Sequence[MixKey]) -> None:
        self.steps = [(mix,) for mix in mixes]
        self.n = 0
        self.sums: dict[MixKey, Tensor | float] = dict.fromkeys(mixes, 0.0)
        self._task = task

    def update(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> None:
        if targets is None:
            raise ValueError(
                f"the batches of {'the stream' if self._task is None else repr(self._task)} have "
                "no targets; pass (inputs, targets) to measure loss and accuracy"
            )
        (mix,) = self.steps[step]
        logits = passes[mix].output.double()
        loss = F.cross_entropy(logits, targets, reduction="sum")
        self.sums[mix] += torch.stack([loss, (logits.argmax(-1) == targets).sum().double()])
        self.n += len(targets) if step == 0 else 0


def evaluate(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    evaluations: Sequence[Evaluation],
    batches: Streams,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """Mean cross-entropy and accuracy of each mix on each of its tasks.

    Args:
        model: an architecture that gives logits (samples, classes); its weights are not used.
        checkpoints: name → state dict.
        evaluations: what to score; equal mixes run once a task.
        batches: one iterable of ``(inputs, targets)``, or task → such iterables.
        device: where to run; by default where the model's parameters are.

    Returns:
        A row an evaluation × task: its params, ``task``, ``n``, ``loss`` (nats), ``accuracy``.

    Raises:
        ValueError, KeyError: as :func:`~ctl_helpers.passes.run`; batches without targets.
    """
    streams = named_streams(batches)
    asked: dict[str | None, dict[MixKey, None]] = {}
    for evaluation in evaluations:
        for task in _tasks(evaluation, streams):
            asked.setdefault(task, {})[mix_key(evaluation.mix)] = None
    folds = {task: _ScoreFold(task, list(mixes)) for task, mixes in asked.items()}
    run(model, checkpoints, folds, streams, device=device)
    rows = []
    for evaluation in evaluations:
        for task in _tasks(evaluation, streams):
            fold = folds[task]
            loss, hits = (fold.sums[mix_key(evaluation.mix)] / fold.n).tolist()
            scores = {"task": task, "n": fold.n, "loss": loss, "accuracy": hits}
            rows.append(dict(evaluation.params) | scores)
    return pd.DataFrame(rows)


def _tasks(evaluation: Evaluation, streams: Mapping[str | None, object]) -> Iterable[str | None]:
    return streams if None in streams or evaluation.tasks is None else evaluation.tasks


class _LogitsFold:
    """The outputs of each mix, batch by batch."""

    def __init__(self, mixes: Sequence[MixKey]) -> None:
        self.steps = [(mix,) for mix in mixes]
        self.found: dict[MixKey, list[Tensor]] = {mix: [] for mix in mixes}

    def update(self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]) -> None:
        (mix,) = self.steps[step]
        self.found[mix].append(passes[mix].output.cpu())


def logits(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    mixes: Sequence[Mix],
    batches: Streams,
    device: torch.device | str | None = None,
) -> dict[str | None, Tensor]:
    """The logits of each mix, to be combined without running any model again.

    Args:
        model: an architecture that gives logits (samples, classes); its weights are not used.
        checkpoints: name → state dict.
        mixes: whose logits to give; equal ones run once.
        batches: one iterable of batches, or task → such iterables.
        device: where to run; by default where the model's parameters are.

    Returns:
        Task (None for one stream) → tensor (mixes, samples, classes) on the CPU.
    """
    keys = [mix_key(mix) for mix in mixes]
    streams = named_streams(batches)
    folds = {task: _LogitsFold(list(dict.fromkeys(keys))) for task in streams}
    run(model, checkpoints, folds, streams, device=device)
    return {
        task: torch.stack([torch.cat(fold.found[key]) for key in keys])
        for task, fold in folds.items()
    }


def barriers(curves: pd.DataFrame) -> pd.DataFrame:
    """How far the loss along a path rises, by pair and task.

    ``barrier = max_α [L(θ_α) − αL(θ_i) − (1−α)L(θ_j)]`` (Frankle et al. 2020; Entezari et al.
    2022) and ``rise = max_α L(θ_α) − min(L(θ_i), L(θ_j))``: linear mode connectivity asks for
    equal ends and a flat path, that is, for a rise near 0 (CTL paper, Definition 3.1).

    Args:
        curves: :func:`evaluate` of :func:`path` with α = 0 and 1 among the alphas.

    Returns:
        Columns ``i``, ``j``, ``task``, ``loss_i``, ``loss_j``, ``barrier``, ``rise``.
    """
    rows = []
    for (i, j, task), curve in curves.groupby(["i", "j", "task"], sort=False, dropna=False):
        loss = curve.set_index("alpha")["loss"]
        if not {0.0, 1.0} <= set(loss.index):
            raise ValueError(f"the path from {j!r} to {i!r} lacks an end; include alpha 0 and 1")
        alpha = loss.index.to_numpy()
        chord = alpha * loss[1.0] + (1 - alpha) * loss[0.0]
        ends = {"loss_i": loss[1.0], "loss_j": loss[0.0]}
        rise = {"barrier": (loss - chord).max(), "rise": loss.max() - min(ends.values())}
        rows.append({"i": i, "j": j, "task": task} | ends | rise)
    return pd.DataFrame(rows)
