"""Direction and length of features from their inner products, and how they are summarized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

_ROUNDING = 1e-13
"""Squared, what a float32 rounds off, about one part in three million."""


_SUMMARY = ("n", "mean", "std", "q25", "median", "q75")
_TOGETHER = 2**20  # numbers


def cosine(ab: Tensor, aa: Tensor, bb: Tensor) -> Tensor:
    """``cos[a, b] = ⟨a,b⟩ / (‖a‖‖b‖)``, signed and clipped to [−1, 1] against rounding.

    Args:
        ab, aa, bb: ``⟨a,b⟩``, ``‖a‖²`` and ``‖b‖²``, of one shape, float64.

    Returns:
        The same shape. NaN marks a sample in which a or b is the zero vector: it has no
        direction, and :func:`summarize` leaves it out.
    """
    defined = (aa > 0) & (bb > 0)
    value = (ab / (aa.sqrt() * bb.sqrt())).clamp(-1, 1)
    return torch.where(defined, value, torch.full_like(value, torch.nan))


def coef(lr: Tensor, ll: Tensor, rr: Tensor) -> Tensor:
    """``coef = ‖l‖ · cos[l, r] / ‖r‖ = ⟨l,r⟩ / ‖r‖²``: the length of l along r, in units of r.

    Arguments, shapes and the treatment of zero vectors as in :func:`cosine`
    (CTL paper, Section 4.1, footnote 5).
    """
    defined = (ll > 0) & (rr > 0)
    return torch.where(defined, lr / rr, torch.full_like(lr, torch.nan))


def linearity_error(left_off: Tensor, parts_off: Tensor, right: Tensor) -> Tensor:
    """``ε = √(‖l − r‖² / Σ_m w_m ‖f_m − r‖²)`` with ``r = Σ_m w_m f_m``, ``w ≥ 0``, ``Σ w = 1``.

    0: the left side is the mix. 1: it is no nearer to the mix than one of the parts is that is
    drawn with probability ``w_m``.

    Args:
        left_off: ``‖l − r‖²``, float64.
        parts_off, right: ``Σ_m w_m ‖f_m − r‖²`` and ``‖r‖²``, of one shape with it.

    Returns:
        The same shape; NaN where the parts differ by no more than a float32's rounding, so that
        there is nothing to mix.
    """
    ratio = left_off.clamp(min=0) / parts_off
    differ = parts_off > _ROUNDING * right
    return torch.where(differ, ratio.sqrt(), torch.full_like(ratio, torch.nan))


def summarize(values: Tensor) -> dict[str, float]:
    """``n``, ``mean``, ``std`` (ddof 1), ``q25``, ``median``, ``q75`` of the defined values.

    Quartiles are exact with linear interpolation. ``n`` counts the values that are not NaN; what
    cannot be computed from so few is NaN.
    """
    defined = values[~values.isnan()].double().cpu().numpy()
    if len(defined) == 0:
        return dict(zip(_SUMMARY, (0, *[math.nan] * 5), strict=True))
    return _summaries(defined[None])[0]


def summarize_rows(values: Sequence[Tensor]) -> list[dict[str, float]]:
    """:func:`summarize` of each of some tensors (samples,), those of one length in one go."""
    found: list[dict[str, float]] = []
    for length, group in groupby(values, len):
        waiting = list(group)
        size = max(1, _TOGETHER // max(1, length))
        for start in range(0, len(waiting), size):
            part = waiting[start : start + size]
            rows = torch.stack(part).double().cpu().numpy()
            is_whole = length > 0 and not np.isnan(rows).any()
            found += _summaries(rows) if is_whole else map(summarize, part)
    return found


def _summaries(rows: np.ndarray) -> list[dict[str, float]]:
    """Of rows without NaN; to sort is faster than to select."""
    count = rows.shape[1]
    std = rows.std(1, ddof=1) if count > 1 else np.full(len(rows), math.nan)
    ordered, places = np.sort(rows, 1), (count - 1) * np.array([0.25, 0.5, 0.75])
    below = np.floor(places).astype(int)
    low, high = ordered[:, below], ordered[:, np.minimum(below + 1, count - 1)]
    # From the nearer of both, as numpy's own quantile, with the same last bit.
    share, apart = places - below, high - low
    quartiles = np.where(share < 0.5, low + apart * share, high - apart * (1 - share))
    table = np.column_stack([rows.mean(1), std, quartiles]).tolist()
    return [dict(zip(_SUMMARY, (count, *row), strict=True)) for row in table]


def inner_products(a: Tensor, others: Sequence[Tensor]) -> Tensor:
    """``⟨a, b⟩`` for each b of ``others``, sample by sample, summed in float64.

    Args:
        a: features of shape (samples, width), any floating type.
        others: features of the same shape; ``a`` itself may be among them.

    Returns:
        Shape (len(others), samples), float64.
    """
    # On a CPU a few rows at a time, so that the wide copies stay in its cache.
    rows = max(1, 2**18 // max(1, a.shape[1])) if a.device.type == "cpu" else len(a)
    products = a.new_empty((len(others), len(a)), dtype=torch.float64)
    for start in range(0, len(a), rows):
        part = slice(start, start + rows)
        wide = a[part].double()
        for row, b in enumerate(others):
            products[row, part] = torch.linalg.vecdot(wide, wide if b is a else b[part].double())
    return products
