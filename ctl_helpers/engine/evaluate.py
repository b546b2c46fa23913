"""Loss and accuracy of mixes, and barriers along the path between two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.engine.arguments import check_types, numbers
from ctl_helpers.engine.batches import Streams, Task, by_task, named_streams, tasks_of
from ctl_helpers.engine.checkpoints import Checkpoint
from ctl_helpers.engine.folds import OutputFold
from ctl_helpers.engine.mix import Mix, interpolate, mix_key
from ctl_helpers.engine.outputs import logits_in
from ctl_helpers.engine.passes import run

Heads = Mapping[Task, Callable[[Any], Tensor]]

_ROUGHLY = 0.02
"""By which share a model's own loss may differ, which it may compute in half precision."""

PADDING = -100
"""A target that does not count, as torch's cross-entropy has it: of a sample, or of a token."""


@dataclass(frozen=True)
class Evaluation:
    """One model to score: a mix, the streams to score it on (all when None), and its labels."""

    mix: Mix
    tasks: Sequence[str] | None = None
    params: Mapping[str, object] = field(default_factory=dict)


def path(
    i: str, j: str, alphas: float | Iterable[float], tasks: Sequence[str] | None = None
) -> list[Evaluation]:
    """The models ``θ_α = αθ_i + (1−α)θ_j`` along the line from j to i, labelled i, j, alpha."""
    return [
        Evaluation(interpolate(i, j, alpha), tasks, {"i": i, "j": j, "alpha": alpha})
        for alpha in numbers(alphas, "alphas")
    ]


class Scorer:
    """Scores outputs on one task: from logits and targets to sums that add up over batches.

    A target may be a class, or an answer of several tokens: targets (samples, tokens) with −100
    at padding, and logits (samples, tokens, vocabulary) of one pass under teacher forcing. An
    answer's loss is the sum over its tokens, and it is a hit where all of them are right. That is
    exact match of greedy decoding, which follows the answer as long as it is right. A sample all
    of whose targets are −100 does not count.

    A target may also be a real number s from 0 to 1, such as how alike people find two texts, where
    the head gives one number z a sample. The loss is the cross-entropy of s and ``1/(1 + e⁻ᶻ)``; in
    place of accuracy stands Spearman's rank correlation of z and s, equal numbers sharing their
    mean rank.

    A language model may be given the labels itself and compare each with the token before, as
    causal ones of transformers do. Whether it does is told by its own loss, once per task.
    """

    def __init__(self, task: Task, heads: Heads | None = None) -> None:
        self._whose = "the stream" if task is None else repr(task)
        self._head = head_of(heads, task)
        self._is_shifted: bool | None = None

    def __call__(self, output: object, targets: Any) -> Tensor:
        """Shape (3,), float64: samples, summed cross-entropy (nats) and hits.

        Where targets are real numbers, shape (samples, 2): what the head gives, and the target.
        """
        logits = self._head(output)
        if logits.dim() == 1 and isinstance(targets, Tensor) and targets.is_floating_point():
            return self._graded(logits, targets)
        logits, targets = self._aligned(logits, self._checked(targets), output)
        if logits.shape[:-1] != targets.shape:
            raise ValueError(
                f"the logits of {self._whose} have the shape {tuple(logits.shape)} for targets "
                f"{tuple(targets.shape)}; pass targets (samples,), or (samples, tokens) with the "
                "answer_ids that they belong to"
            )
        counted = targets != PADDING
        rows, wanted = logits[counted].double(), targets[counted]  # padding takes memory too
        if wanted.numel() and not 0 <= wanted.min() <= wanted.max() < logits.shape[-1]:
            raise ValueError(
                f"the targets of {self._whose} go from {wanted.min()} to {wanted.max()}, and the "
                f"logits are of {logits.shape[-1]} classes; number the classes from 0, and mark "
                f"what does not count by {PADDING}"
            )
        loss = F.cross_entropy(rows, wanted, reduction="sum")
        wrong = torch.zeros_like(counted)
        wrong[counted] = rows.argmax(-1) != wanted
        has_target = counted.view(len(targets), -1).any(1)
        hits = has_target & ~wrong.view(len(targets), -1).any(1)
        return torch.stack([has_target.sum().double(), loss, hits.sum().double()])

    def _graded(self, logits: Tensor, targets: Tensor) -> Tensor:
        if targets.shape != logits.shape or not ((targets >= 0) & (targets <= 1)).all():
            raise ValueError(
                f"the head of {self._whose} gives one number for each of {len(logits)} samples, "
                f"and the targets have the shape {tuple(targets.shape)} and go from "
                f"{targets.min():g} to {targets.max():g}; pass one real number from 0 to 1 a sample"
            )
        return torch.stack([logits, targets], 1).double()

    def _checked(self, targets: Any) -> Tensor:
        if targets is None:
            raise ValueError(
                f"the batches of {self._whose} have no targets; pass (inputs, targets), or labels "
                "in a dict of inputs, to measure loss and accuracy"
            )
        if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.is_complex():
            kind = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
            raise TypeError(
                f"the targets of {self._whose} are of the type {kind}; pass a tensor of whole "
                "numbers, which are classes"
            )
        return targets.long()

    def _aligned(self, logits: Tensor, targets: Tensor, output: object) -> tuple[Tensor, Tensor]:
        """Logits beside the targets that they predict."""
        own = getattr(output, "loss", None)
        if own is None or targets.dim() != 2 or logits.shape[:-1] != targets.shape:
            return logits, targets
        ways = {False: (logits, targets), True: (logits[:, :-1], targets[:, 1:])}
        if not (targets[:, 1:] != PADDING).any():
            return logits, targets
        if self._is_shifted is None:
            means = {way: F.cross_entropy(x.mT.double(), y) for way, (x, y) in ways.items()}
            off = {way: abs(float(mean) / float(own) - 1) for way, mean in means.items()}
            self._is_shifted = off[True] < off[False]
            if off[self._is_shifted] > _ROUGHLY:
                raise ValueError(
                    f"the model's own loss on {self._whose} is {float(own):.4g}, which is that of "
                    "targets neither at their places nor one before; pass (inputs, targets), with "
                    "each target where it is predicted"
                )
        return ways[self._is_shifted]


def scores(parts: Iterable[Tensor]) -> dict[str, float]:
    """``n``, mean ``loss`` and ``accuracy`` from what a :class:`Scorer` gives for each batch."""
    parts = list(parts)
    if any(part.dim() == 2 for part in parts):
        graded, targets = torch.cat(parts).unbind(1)
        loss = F.binary_cross_entropy_with_logits(graded, targets)
        correlation = torch.stack([_ranks(graded), _ranks(targets)]).corrcoef()[0, 1]
        return {"n": len(targets), "loss": loss.item(), "accuracy": correlation.item()}
    n, loss, hits = sum(parts, torch.zeros(())).tolist()
    if n == 0:
        raise ValueError(f"no sample has a target other than {PADDING}; pass labelled samples")
    return {"n": int(n), "loss": loss / n, "accuracy": hits / n}


def _ranks(values: Tensor) -> Tensor:
    """From smallest to largest; equal values share the mean of their ranks."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2)[place]


def head_of(heads: Heads | None, task: Task) -> Callable[[Any], Tensor]:
    """What turns the model's output into logits of a task: its head, or what takes them out."""
    if heads is None:
        return partial(logits_in, whose="the stream" if task is None else f"task {task!r}")
    if task not in heads:
        raise KeyError(f"no head for task {task!r}; there are {list(heads)}")
    return heads[task]


def evaluate(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    evaluations: Sequence[Evaluation],
    batches: Streams,
    device: torch.device | str | None = None,
    heads: Heads | None = None,
    *,
    stream: bool | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Mean cross-entropy and accuracy of each mix on each of its tasks.

    Args:
        model: an architecture that gives logits (samples, classes) or those of answers, see
            :class:`Scorer`, in a tensor or in an output with ``logits``; or with ``heads`` what
            those take. Its weights are not used.
        checkpoints: name → checkpoint, as for :func:`~ctl_helpers.compare`.
        evaluations: what to score; equal mixes run once per task.
        batches: one iterable of ``(inputs, targets)`` or of dicts with ``labels``, or task → such
            iterables.
        device: where to run; by default where the model's parameters are.
        heads: task (None for one stream) → a function from the output to logits, such as CLIP's
            zero-shot heads.
        stream, progress: as for :func:`~ctl_helpers.compare`.

    Returns:
        One row per evaluation and task: its params, ``task``, ``n`` (a sample whose targets are
        all −100 does not count), ``loss`` (nats), ``accuracy``, in place of which a task whose
        targets are real numbers has a rank correlation.

    Raises:
        ValueError, TypeError, KeyError: as :func:`~ctl_helpers.compare`; a task without targets or
            head; targets that are no classes of the logits.
    """
    check_types(model, checkpoints)
    evaluations, streams = list(evaluations), named_streams(batches)
    if not evaluations:
        raise ValueError("no evaluations given; ctl.path makes them, or ctl.Evaluation(mix) one")
    keys = [mix_key(evaluation.mix) for evaluation in evaluations]
    positions = by_task((evaluation.tasks for evaluation in evaluations), streams)
    folds = {
        task: OutputFold((keys[n] for n in numbers), Scorer(task, heads))
        for task, numbers in positions.items()
    }
    run(model, checkpoints, folds, streams, device=device, stream=stream, progress=progress)
    return pd.DataFrame(
        {**evaluation.params, "task": task, **scores(folds[task].parts[key])}
        for evaluation, key in zip(evaluations, keys, strict=True)
        for task in tasks_of(evaluation.tasks, streams)
    )


def logits(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
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
        if not loss.index.is_unique:
            raise ValueError(
                f"the path from {j!r} to {i!r} has an alpha twice; pass the table of one evaluation"
            )
        if not {0.0, 1.0} <= set(loss.index):
            raise ValueError(f"the path from {j!r} to {i!r} lacks an end; include alpha 0 and 1")
        alpha = loss.index.to_numpy()
        chord = alpha * loss[1.0] + (1 - alpha) * loss[0.0]
        ends = {"loss_i": loss[1.0], "loss_j": loss[0.0]}
        rise = {"barrier": (loss - chord).max(), "rise": loss.max() - min(ends.values())}
        rows.append({"i": i, "j": j, "task": task} | ends | rise)
    return pd.DataFrame(rows)
