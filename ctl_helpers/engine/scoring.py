"""From a model's outputs and targets to loss and accuracy, in sums that add up over batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ctl_helpers.engine.batches import Task
from ctl_helpers.engine.outputs import logits_in, loss_in

Heads = Mapping[Task, Callable[[Any], Tensor]]

_ROUGHLY = 0.02
"""By which share a model's own loss may differ, which it may compute in half precision."""

PADDING = -100
"""A target that does not count, as torch's cross-entropy has it: of a sample, or of a token."""


class Scorer:
    """Scores outputs on one task: from logits and targets to sums that add up over batches.

    A target may be a class, or an answer of several tokens: targets (samples, tokens) with −100
    at padding, and logits (samples, tokens, vocabulary) of one pass under teacher forcing. An
    answer's loss is the sum over its tokens, and it is a hit where all of them are right. That is
    exact match of greedy decoding, which follows the answer as long as it is right. A sample all
    of whose targets are −100 does not count.

    A target may also be a real number s from 0 to 1, such as how alike people find two texts, or
    which of two classes it is, where the head gives one number z a sample. The loss is the
    cross-entropy of s and ``1/(1 + e⁻ᶻ)``; in place of accuracy stands Spearman's rank correlation
    of z and s, equal numbers sharing their mean rank.

    A language model may be given the labels itself and compare each with the token before, as
    causal ones of transformers do. Whether it does is told by its own loss, once per task.
    """

    def __init__(self, task: Task, heads: Heads | None = None) -> None:
        self._whose = "the stream" if task is None else repr(task)
        self._head, self._is_plain = head_of(heads, task), heads is None
        self._is_shifted: bool | None = None
        self._has_told = False

    def __call__(self, output: object, targets: Any) -> Tensor:
        """Shape (3,), float64: samples, summed cross-entropy (nats) and hits.

        Where targets are real numbers, shape (samples, 2): what the head gives, and the target.
        """
        logits = self._head(output)
        if isinstance(targets, Tensor) and targets.is_floating_point():
            one, wanted = _by_sample(logits), _by_sample(targets)
            if one.dim() <= 1:
                return self._graded(one, wanted)
        elif logits.dim() <= 1 or (self._is_plain and _by_sample(logits).dim() <= 1):
            raise ValueError(
                f"the head of {self._whose} gives one number a sample, and targets that are whole "
                "numbers are classes; pass targets.float() for a head of two classes, or a head "
                "that gives a logit for each class"
            )
        logits, targets = self._aligned(logits, self._checked(targets), output)
        if logits.shape[2:] == targets.shape[1:] != () and logits.shape[0] == len(targets):
            self._tell_of_axes(logits, targets)
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

    def _tell_of_axes(self, logits: Tensor, targets: Tensor) -> None:
        shapes = f"{tuple(logits.shape)} for targets {tuple(targets.shape)}"
        if logits.shape[:-1] != targets.shape:
            raise ValueError(
                f"the logits of {self._whose} have the shape {shapes}, with classes in the second "
                "dimension; let the head give them last, as logits.movedim(1, -1) does"
            )
        if not self._has_told:
            warnings.warn(
                f"the logits of {self._whose} have the shape {shapes}, of which the last dimension "
                "is taken for the classes; where it is the second, let the head give "
                "logits.movedim(1, -1)",
                stacklevel=2,
            )
            self._has_told = True

    def _graded(self, logits: Tensor, targets: Tensor) -> Tensor:
        if logits.dim() == 0:
            raise ValueError(
                f"the head of {self._whose} gives one number for a whole batch; let it give one a "
                "sample, as squeeze(-1) does where squeeze() also takes the samples' dimension"
            )
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
        own = loss_in(output)
        if own is None or targets.dim() != 2 or logits.shape[:-1] != targets.shape:
            return logits, targets
        ways = {False: (logits, targets), True: (logits[:, :-1], targets[:, 1:])}
        if not (targets[:, 1:] != PADDING).any():
            return logits, targets
        if self._is_shifted is None:
            means = {way: F.cross_entropy(x.mT.double(), y) for way, (x, y) in ways.items()}
            off = {way: abs(float(mean) / float(own) - 1) for way, mean in means.items()}
            self._is_shifted = off[True] < off[False]
            if off[self._is_shifted] > _ROUGHLY and isinstance(output, tuple):
                self._is_shifted = False  # the number that begins it was no loss of these targets
            elif off[self._is_shifted] > _ROUGHLY:
                raise ValueError(
                    f"the model's own loss on {self._whose} is {float(own):.4g}, which is that of "
                    "targets neither at their places nor one before; pass (inputs, targets), with "
                    "each target where it is predicted"
                )
        return ways[self._is_shifted]


def _by_sample(values: Tensor) -> Tensor:
    """Shape (samples, 1) as (samples,); others as they are."""
    return values[:, 0] if values.dim() == 2 and values.shape[1] == 1 else values


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
