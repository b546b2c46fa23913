"""How far a loss is from linear between networks of one start, beside Theorem 5.1's bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise, product

import pandas as pd
from torch import nn

from ctl_helpers.analysis import curvature
from ctl_helpers.analysis.curvature import Pairs
from ctl_helpers.engine.evaluate import Evaluation, evaluate
from ctl_helpers.engine.mix import Mix, StateDict, blend, interpolate, task_vector

READINGS = {"": False, "_buffers": True}
"""Ending of a column → whether θ has the floating buffers, such as BatchNorm's statistics, too."""

_START = "PT"


@dataclass(frozen=True)
class Start:
    """A pretrained network θ_PT, and networks that were fine-tuned from it.

    Attributes:
        model: the architecture; its own weights are not used.
        weights: θ_PT.
        tuned: name → θ_i.
        batches: pairs of inputs and classes, read again and again. f(θ) is the mean
            cross-entropy over all of them (nats), in evaluation mode.
    """

    model: nn.Module
    weights: StateDict
    tuned: Mapping[str, StateDict]
    batches: Pairs = field(repr=False)

    def losses(self, mixes: Sequence[Mix]) -> list[float]:
        """f of each mix of :attr:`tuned` and ``"PT"``."""
        known = {**self.tuned, _START: self.weights}
        asked = [Evaluation(mix) for mix in mixes]
        return [float(loss) for loss in evaluate(self.model, known, asked, self.batches)["loss"]]

    def own_losses(self) -> dict[str, float]:
        """f of the start, ``"PT"``, and of each network."""
        names = [_START, *self.tuned]
        return dict(zip(names, self.losses([{name: 1.0} for name in names]), strict=True))

    def eigenvalues(self, tolerance: float = 0.01) -> dict[str, float]:
        """λ_max of ``∇²f(θ_PT)`` by reading of θ, see :data:`READINGS`.

        Args:
            tolerance: as for :func:`ctl_helpers.analysis.curvature.largest_eigenvalue`.
        """
        plain = self._largest(tolerance, False)
        names = (curvature.coordinates(self.model, buffers) for buffers in (True, False))
        alike = next(names) == next(names)
        return {"": plain, "_buffers": plain if alike else self._largest(tolerance, True)}

    def _largest(self, tolerance: float, with_buffers: bool) -> float:
        return curvature.largest_eigenvalue(
            self.model,
            self.weights,
            self.batches,
            tolerance=tolerance,
            with_buffers=with_buffers,
        )


def deviations(start: Start, eigenvalues: Mapping[str, float], alpha: float = 0.5) -> pd.DataFrame:
    """Both sides of Theorem 5.1 for all pairs of networks from one start (CTL paper, App. C.2).

    With ``d = θ_i − θ_j``: the deviation ``αf(θ_i) + (1−α)f(θ_j) − f(αθ_i + (1−α)θ_j)``, the
    second-order term ``α(1−α)/2 · dᵀ∇²f(θ_PT)d`` and the bound ``α(1−α)/2 · λ_max ‖d‖²``.

    Args:
        start: the networks.
        eigenvalues: its :meth:`Start.eigenvalues`.
        alpha: the weight of network i.

    Returns:
        A row a pair: ``i``, ``j``, ``alpha``, ``signed`` and ``signed_second_order`` (nats),
        ``delta``, ``second_order`` and ``third_order`` (their absolute values, and that of their
        difference), and for each of :data:`READINGS` ``curvature`` (|λ_max|),
        ``squared_distance`` and ``product`` (the bound).
    """
    chosen, own = list(combinations(start.tuned, 2)), start.own_losses()
    between = start.losses([interpolate(i, j, alpha) for i, j in chosen])
    half, rows = alpha * (1 - alpha) / 2, []
    for (i, j), mixed in zip(chosen, between, strict=True):
        step = task_vector(start.tuned[i], start.tuned[j])
        form = curvature.quadratic_form(start.model, start.weights, step, start.batches)
        signed, second = alpha * own[i] + (1 - alpha) * own[j] - mixed, half * form
        row = {"i": i, "j": j, "alpha": alpha, "signed": signed, "signed_second_order": second}
        row |= {"delta": abs(signed), "second_order": abs(second)}
        row["third_order"] = abs(signed - second)
        for ending, with_buffers in READINGS.items():
            squared = curvature.squared_distance(
                start.model, start.tuned[i], start.tuned[j], with_buffers=with_buffers
            )
            largest = abs(eigenvalues[ending])
            row |= {f"curvature{ending}": largest, f"squared_distance{ending}": squared}
            row[f"product{ending}"] = half * largest * squared
        rows.append(row)
    return pd.DataFrame(rows)


def nearer(start: Start, pairs: pd.DataFrame, scales: Sequence[float]) -> pd.DataFrame:
    """The deviation over its second-order term as neighbouring networks are drawn to their start.

    Networks ``θ_PT + t(θ_i − θ_PT)`` have a second-order term t² times as large. For a function of
    three derivatives the ratio tends to 1 in proportion to t.

    Args:
        start: the networks.
        pairs: its :func:`deviations`, for one α.
        scales: the t.

    Returns:
        Rows of ``i``, ``j``, ``scale`` and ``ratio``, both with their signs.
    """
    known, rows = pairs.set_index(["i", "j"]), []
    for t, (i, j) in product(scales, pairwise(start.tuned)):
        alpha = float(known.loc[(i, j), "alpha"])
        f_i, f_j, mixed = start.losses(
            [
                blend([(t, mix), (1 - t, {_START: 1.0})])
                for mix in ({i: 1.0}, {j: 1.0}, interpolate(i, j, alpha))
            ]
        )
        signed = alpha * f_i + (1 - alpha) * f_j - mixed
        ratio = signed / (t**2 * float(known.loc[(i, j), "signed_second_order"]))
        rows.append({"i": i, "j": j, "scale": t, "ratio": ratio})
    return pd.DataFrame(rows)
