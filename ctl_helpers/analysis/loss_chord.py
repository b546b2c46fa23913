"""What features have to do with loss: the chain of Theorem 3.3, measured on logits."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor


def over_chord(outputs: Tensor, alphas: Sequence[float], targets: Tensor) -> pd.DataFrame:
    """How far the loss of ``θ_α`` is over the chord between its ends, split in two.

    With ``z_α`` the logits of ``θ_α`` and ``z̄ = αz_i + (1−α)z_j``, the excess over the chord
    ``L(z_α) − [αL(z_i) + (1−α)L(z_j)]`` is ``[L(z_α) − L(z̄)]``, which vanishes where logits are
    linear, plus ``[L(z̄) − αL(z_i) − (1−α)L(z_j)]``, which is never positive, since cross-entropy
    is convex. It changes by at most √2 times the Euclidean length of a change in the logits, so
    that the first part is at most √2 times the mean of ``‖z_α − z̄‖``.

    Args:
        outputs: logits of the networks along the line, shape (alphas, samples, classes); a class
            whose logits are all −∞ is masked and does not count.
        alphas: their α, 0 and 1 included.
        targets: classes, shape (samples,).

    Returns:
        One row per α: ``alpha``, ``loss`` (nats), ``gap`` (size of the first part), ``error`` (mean
        of ``‖z_α − z̄‖``), ``jensen`` (the second part) and ``excess`` (their sum).

    Raises:
        ValueError: α = 0 or α = 1 is not there.
    """
    if not {0.0, 1.0} <= set(alphas):
        raise ValueError(f"the alphas {list(alphas)} lack an end of the line; include 0 and 1")
    masked = (outputs == -torch.inf).flatten(0, 1).all(0)
    outputs, targets = outputs[..., ~masked].double(), ((~masked).cumsum(0) - 1)[targets]
    at_j, at_i = (outputs[list(alphas).index(end)] for end in (0.0, 1.0))
    rows = []
    for alpha, logits in zip(alphas, outputs, strict=True):
        mixed = alpha * at_i + (1 - alpha) * at_j
        loss, of_mixed, i, j = (
            F.cross_entropy(z, targets).item() for z in (logits, mixed, at_i, at_j)
        )
        chord = alpha * i + (1 - alpha) * j
        error = torch.linalg.vector_norm(logits - mixed, dim=1).mean().item()
        parts = {"gap": abs(loss - of_mixed), "error": error, "jensen": of_mixed - chord}
        rows.append({"alpha": alpha, "loss": loss} | parts | {"excess": loss - chord})
    return pd.DataFrame(rows)
