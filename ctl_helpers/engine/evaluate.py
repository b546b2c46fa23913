"""Loss and accuracy of mixes, and barriers along the path between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.engine.batches import Streams, Task, by_task, named_streams, tasks_of
from ctl_helpers.engine.folds import OutputFold
from ctl_helpers.engine.mix import Mix, StateDict, interpolate, mix_key
from ctl_helpers.engine.passes import run

Heads = Mapping[Task, Callable[[Tensor], Tensor]]

PADDING = -100
"""In targets of several tokens: no token of the answer, as torch's cross-entropy has it."""


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


class Scorer:
    """Scores outputs on one task: from logits and targets to sums that add up over batches.

    A target may be a class, or an answer of several tokens: targets (samples, tokens) with −100
    at padding, and logits (samples, tokens, vocabulary) of one pass under teacher forcing. An
    answer's loss is the sum over its tokens, and it is a hit where all of them are right. That is
    exact match of greedy decoding, which follows the answer as long as it is right.
    """

    def __init__(self, task: Task, heads: Heads | None = None) -> None:
        self._whose = "the stream" if task is None else repr(task)
        self._head = head_of(heads, task)

    def __call__(self, output: Tensor, targets: Tensor | None) -> Tensor:
        """Shape (3,), float64: samples, summed cross-entropy (nats) and hits."""
        if targets is None:
            raise ValueError(
                f"the batches of {self._whose} have no targets; pass (inputs, targets) to measure "
                "loss and accuracy"
            )
        logits = self._head(output)
        if logits.shape[:-1] != targets.shape:
            raise ValueError(
                f"the logits of {self._whose} have the shape {tuple(logits.shape)} for targets "
                f"{tuple(targets.shape)}; pass targets (samples,), or (samples, tokens) with the "
                "answer_ids that they belong to"
            )
        counted = targets != PADDING
        rows, wanted = logits[counted].double(), targets[counted]  # padding takes memory too
        loss = F.cross_entropy(rows, wanted, reduction="sum")
        wrong = torch.zeros_like(counted)
        wrong[counted] = rows.argmax(-1) != wanted
        hits = (~wrong).view(len(targets), -1).all(1).sum()
        return torch.stack([torch.full_like(loss, len(targets)), loss, hits.double()])


def scores(parts: Iterable[Tensor]) -> dict[str, float]:
    """``n``, mean ``loss`` and ``accuracy`` from a :class:`Scorer`'s sums on each batch."""
    n, loss, hits = sum(parts, torch.zeros(())).tolist()
    return {"n": int(n), "loss": loss / n, "accuracy": hits / n}


def head_of(heads: Heads | None, task: Task) -> Callable[[Tensor], Tensor]:
    """What turns the model's output into logits of a task: its head, or nothing without heads."""
    if heads is None:
        return nn.Identity()
    if task not in heads:
        raise KeyError(f"no head for task {task!r}; there are {list(heads)}")
    return heads[task]


def evaluate(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    evaluations: Sequence[Evaluation],
    batches: Streams,
    device: torch.device | str | None = None,
    heads: Heads | None = None,
    *,
    stream: bool | None = None,
) -> pd.DataFrame:
    """Mean cross-entropy and accuracy of each mix on each of its tasks.

    Args:
        model: an architecture that gives logits (samples, classes) or those of answers, see
            :class:`Scorer`, or with ``heads`` what those take; its weights are not used.
        checkpoints: name → state dict.
        evaluations: what to score; equal mixes run once per task.
        batches: one iterable of ``(inputs, targets)``, or task → such iterables.
        device: where to run; by default where the model's parameters are.
        heads: task (None for one stream) → a function from the output to logits, such as CLIP's
            zero-shot heads.
        stream: as for :func:`~ctl_helpers.compare`.

    Returns:
        One row per evaluation and task: its params, ``task``, ``n``, ``loss`` (nats), ``accuracy``.

    Raises:
        ValueError, KeyError: as :func:`~ctl_helpers.compare`; a task without targets or head.
    """
    streams = named_streams(batches)
    keys = [mix_key(evaluation.mix) for evaluation in evaluations]
    positions = by_task((evaluation.tasks for evaluation in evaluations), streams)
    folds = {
        task: OutputFold((keys[n] for n in numbers), Scorer(task, heads))
        for task, numbers in positions.items()
    }
    run(model, checkpoints, folds, streams, device=device, stream=stream)
    return pd.DataFrame(
        {**evaluation.params, "task": task, **scores(folds[task].parts[key])}
        for evaluation, key in zip(evaluations, keys, strict=True)
        for task in tasks_of(evaluation.tasks, streams)
    )


def logits(
    model: nn.Module,
    checkpoints: Mapping[str, StateDict],
    mixes: Sequence[Mix],
    batches: Streams,
    device: torch.device | str | None = None,
    heads: Heads | None = None,
    *,
    stream: bool | None = None,
) -> dict[Task, Tensor]:
    """The logits of each mix, to be combined without running any model again.

    Args:
        model, checkpoints, device, heads, stream: as for :func:`evaluate`.
        mixes: whose logits to give; equal ones run once.
        batches: one iterable of batches, or task → such iterables.

    Returns:
        Task (None for one stream) → tensor (mixes, samples, classes) on the CPU.
    """
    keys, streams = [mix_key(mix) for mix in mixes], named_streams(batches)

    def on(task: Task) -> OutputFold:
        head = head_of(heads, task)
        return OutputFold(keys, lambda output, _: head(output).cpu())

    folds = {task: on(task) for task in streams}
    run(model, checkpoints, folds, streams, device=device, stream=stream)
    return {
        task: torch.stack([torch.cat(fold.parts[key]) for key in keys])
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
