"""What torch needs to derive a network of attention layers twice, or forward."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


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
