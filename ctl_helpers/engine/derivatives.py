"""What torch needs to derive networks twice, or forward."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

Weights = Mapping[str, Tensor]


@contextmanager
def differentiable() -> Iterator[None]:
    """While open, attention has forward and second derivatives, which its fused kernels lack."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), without_jit_warning():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def without_jit_warning() -> Iterator[None]:
    """While open, nothing is said of ``torch.jit``, which newer versions of torch call deprecated
    and whose forward derivatives, as well as curvlinops, still load."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.* is deprecated")
        yield


def along(
    function: Callable[[Weights], list[Tensor]], point: Weights, direction: Weights
) -> tuple[list[Tensor], list[Tensor]]:
    """The values of a function at a point, and their derivatives in a direction.

    Where an operation has no forward derivative, as weight norm or a float32 LSTM on a CPU, the
    gradient is derived instead, which is linear in what it is multiplied with: ``Jv`` is the
    derivative of ``u ↦ Jᵀu`` by u, applied to v.

    Raises:
        NotImplementedError: an operation that has neither.
    """
    with differentiable():
        try:
            values, slopes = jvp(function, (point,), (direction,))[:2]
            return values, slopes
        except NotImplementedError:
            with _without_onednn():
                values, pull = vjp(function, point)[:2]
                _, push = vjp(lambda *u: pull([*u])[0], *map(torch.zeros_like, values))[:2]
                return values, [*push({**direction})]


@contextmanager
def _without_onednn() -> Iterator[None]:
    """While open, CPUs take operations whose gradients have derivatives."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*tf32.*|.*TF32.*")  # which these flags touch too
        with torch.backends.mkldnn.flags(enabled=False):
            yield
