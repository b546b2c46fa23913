"""Loss and accuracy of mixes, and barriers along the path between two of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor, nn

from ctl_helpers.engine.arguments import check_types, numbers
from ctl_helpers.engine.batches import Streams, Task, by_task, named_streams, tasks_of
from ctl_helpers.engine.checkpoints import Checkpoint
from ctl_helpers.engine.folds import OutputFold
from ctl_helpers.engine.mix import Mix, interpolate, mix_key
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.scoring import Heads, Scorer, head_of, scores


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


def evaluate(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    evaluations: Evaluation | Iterable[Evaluation],
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
        evaluations: one or more to score; equal mixes run once per task.
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
    evaluations = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    if wrong := [one for one in evaluations if not isinstance(one, Evaluation)]:
        raise TypeError(f"evaluations has {wrong[0]!r}; give ctl.Evaluation(mix) of each mix")
    streams = named_streams(batches)
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
    for task, fold in folds.items():
        sides = {tuple(part.shape[1:]) for part in fold.parts[keys[0]]}
        if len(sides) > 1:
            whose = "the stream" if task is None else f"task {task!r}"
            raise ValueError(
                f"the logits of {whose} have {' and '.join(map(str, sorted(sides)))} a sample; pad "
                "batches to one length, or pass a head that gives logits of one size"
            )
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
