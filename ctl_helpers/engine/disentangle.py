"""Weight disentanglement: whether a task vector leaves the other task's outputs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.engine.arguments import distinct, numbers
from ctl_helpers.engine.batches import Streams, Task, named_streams
from ctl_helpers.engine.checkpoints import Checkpoint
from ctl_helpers.engine.folds import Fold, Pass
from ctl_helpers.engine.mix import MixKey, mix_key
from ctl_helpers.engine.outputs import tensor_in
from ctl_helpers.engine.passes import run
from ctl_helpers.engine.questions import edit
from ctl_helpers.engine.scoring import Heads, head_of

GRID = tuple(np.linspace(-2, 2, 15).tolist())
"""The papers' coefficients, 0 among them, so that the grid holds the models of one task vector."""

MEASURES = ("representation", "classification", "scale-free")


@dataclass(frozen=True)
class Plane:
    """The models ``θ_PT + α_i τ_i + α_j τ_j`` at every pair of coefficients.

    Attributes:
        pretrained: the name of θ_PT.
        i, j: the fine-tuned models, and the streams on which each counts.
        alphas: the coefficients, the same for both.
    """

    pretrained: str
    i: str
    j: str
    alphas: Sequence[float] = GRID

    def mix(self, alpha_i: float, alpha_j: float) -> MixKey:
        """The model at a point."""
        return mix_key(edit(self.pretrained, {self.i: alpha_i, self.j: alpha_j}))

    def alone(self, task: str, alpha_i: float, alpha_j: float) -> MixKey:
        """The model with a task's own vector alone, at a point."""
        return self.mix(*((alpha_i, 0.0) if task == self.i else (0.0, alpha_j)))


def planes(pretrained: str, names: Sequence[str], alphas: Sequence[float] = GRID) -> list[Plane]:
    """A :class:`Plane` for each pair of task vectors, in the order of the names.

    Raises:
        ValueError: a name or a coefficient that occurs twice.
    """
    coefficients = tuple(numbers(alphas, "alphas"))
    return [Plane(pretrained, i, j, coefficients) for i, j in combinations(distinct(names), 2)]


def disentanglement(
    model: nn.Module,
    checkpoints: Mapping[str, Checkpoint],
    planes: Sequence[Plane],
    batches: Streams,
    heads: Heads | None = None,
    device: torch.device | str | None = None,
) -> pd.DataFrame:
    """The disentanglement error ξ on planes of two task vectors (Ortiz-Jimenez et al. 2023).

    ``ξ(α_i, α_j) = Σ_{t ∈ {i, j}} mean_{x ∈ D_t} dist[f(x; θ_PT + α_t τ_t),
    f(x; θ_PT + α_i τ_i + α_j τ_j)]``, as two measures (Jin et al. 2024, Section 4, Figures 4, 7),
    and as a third that does not hang on how long outputs are:

    - ``"classification"``: dist is 1 where the two models predict different classes, else 0.
    - ``"representation"``: with p and q the softmax of the two models' outputs over their
      coordinates, such as those of an embedding as it leaves the image tower, dist is
      ``½ KL(p ‖ q) + ½ KL(q ‖ p)`` in nats. The paper says KL divergence alone; softmax and the
      mean of both directions are its published code's.
    - ``"scale-free"``: how far the other vector moves the output over how far the task's own does,
      ``√(Σ_x ‖f(x; both) − f(x; own)‖² / Σ_x ‖f(x; own) − f(x; θ_PT)‖²)``; none where α_t is 0.

    A mean is over all samples of a task's stream. Each distinct model runs once on a batch: 225
    per plane and task on :data:`GRID`, and planes of one task share θ_PT and the models that have
    only its vector.

    Args:
        model: an architecture whose output is (samples, width); its weights are not used.
        planes: where to measure, as from :func:`planes`.
        batches: task → iterable of batches, for every task of a plane; targets are not used.
        checkpoints, heads, device: as for :func:`~ctl_helpers.evaluate`.

    Returns:
        One row per plane, point and measure: ``i``, ``j``, ``alpha_i``, ``alpha_j``, ``measure``,
        the errors on the two tasks ``error_i`` and ``error_j``, and their sum ``error``, which is ξ
        of the first two measures.

    Raises:
        ValueError: an output of another shape, or one that is not finite; and as
            :func:`~ctl_helpers.engine.passes.run`.
        KeyError: a task without batches or head; an unknown checkpoint.
    """
    tasks = dict.fromkeys(task for plane in planes for task in (plane.i, plane.j))
    folds: dict[Task, _Fold] = {
        task: _Fold(task, [p for p in planes if task in (p.i, p.j)], head_of(heads, task))
        for task in tasks
    }
    run(model, checkpoints, folds, named_streams(batches), device=device)
    means = {task: fold.means() for task, fold in folds.items()}
    return pd.DataFrame(row for plane in planes for row in _rows(plane, means))


_Means = Mapping[tuple[MixKey, MixKey], Sequence[float]]


def _rows(plane: Plane, means: Mapping[Task, _Means]) -> Iterator[dict[str, object]]:
    """A plane's part of the table."""
    for a, b in product(plane.alphas, repeat=2):
        on_i, on_j = (
            means[task][plane.mix(a, b), plane.alone(task, a, b)] for task in (plane.i, plane.j)
        )
        for measure, error_i, error_j in zip(MEASURES, on_i, on_j, strict=True):
            point = {"i": plane.i, "j": plane.j, "alpha_i": a, "alpha_j": b}
            errors = {"error_i": error_i, "error_j": error_j, "error": error_i + error_j}
            yield {**point, "measure": measure, **errors}


class _Fold(Fold):
    """Summed distances of models with a task's vector alone from θ_PT, and with another beside."""

    needs_output = True

    def __init__(
        self, task: str, planes: Sequence[Plane], head: Callable[[Tensor], Tensor]
    ) -> None:
        self._task, self._head = task, head
        # Sorted, so that all that is compared with one model comes in a row, and its output is
        # held for no longer than that.
        self._points = sorted(
            {
                (plane.alone(task, a, b), plane.mix(a, b), plane.mix(0.0, 0.0))
                for plane in planes
                for a, b in product(plane.alphas, repeat=2)
            }
        )
        self.steps = [tuple(dict.fromkeys(mixes)) for mixes in self._points]
        self._sums = torch.zeros(())
        self._samples = 0

    def reduce(
        self, step: int, targets: Tensor | None, passes: Mapping[MixKey, Pass]
    ) -> tuple[int, Tensor]:
        outputs = [self._checked(tensor_in(passes[mix].output), mix) for mix in self._points[step]]
        disagree = self._head(outputs[0]).argmax(-1) != self._head(outputs[1]).argmax(-1)
        alone, both, start = (output.double() for output in outputs)
        log_p, log_q = (F.log_softmax(output, -1) for output in (alone, both))
        divergence = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() / 2
        other, own = ((one - alone).square().sum() for one in (both, start))
        return len(alone), torch.stack([divergence, disagree.sum().double(), other, own])

    def keep(self, results: Sequence[tuple[int, Tensor]]) -> None:
        self._samples += results[0][0]
        self._sums = self._sums + torch.stack([sums for _, sums in results])

    def means(self) -> _Means:
        """(model, model with the task's vector alone) → each measure."""
        divergence, disagree, other, own = self._sums.unbind(-1)
        by_sample = [divergence / self._samples, disagree / self._samples]
        # Without a vector of its own there is nothing to compare with.
        scale_free = (other / own).sqrt().where(own > 0, torch.nan)
        found = torch.stack([*by_sample, scale_free], -1).tolist()
        return {
            (both, alone): row for (alone, both, _), row in zip(self._points, found, strict=True)
        }

    def _checked(self, output: object, mix: MixKey) -> Tensor:
        if not isinstance(output, Tensor) or output.dim() != 2:
            given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f"the model gives {given} on task {self._task!r}; disentanglement is measured on "
                "outputs (samples, width), so let it give one vector per sample"
            )
        if not output.isfinite().all():
            raise ValueError(
                f"the output of the mix {dict(mix)} on task {self._task!r} is not finite; check "
                "the inputs or take smaller coefficients"
            )
        return output
