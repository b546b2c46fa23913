"""Random numbers that are the same in each pass of a batch."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class RandomState:
    """Where the generators of random numbers stand: torch's, numpy's and Python's."""

    cpu: Tensor
    gpu: Tensor | None
    numpy: Any
    python: Any
    device: torch.device

    @classmethod
    def now(cls, device: torch.device) -> RandomState:
        gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        states = np.random.get_state(), random.getstate()
        return cls(torch.get_rng_state(), gpu, *states, device)

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu, self.device)
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    def is_at(self, other: RandomState) -> bool:
        """Whether nothing was drawn between the two."""
        return (
            torch.equal(self.cpu, other.cpu)
            and (self.gpu is None or other.gpu is None or torch.equal(self.gpu, other.gpu))
            and np.array_equal(self.numpy[1], other.numpy[1])
            and self.numpy[2:] == other.numpy[2:]
            and self.python == other.python
        )


def same_draws(start: RandomState, work: Callable[[], Result]) -> tuple[Result, RandomState]:
    """What some work gives from a state of the generators on, and where it leaves them.

    They stand afterwards where they stood before.
    """
    before = RandomState.now(start.device)
    start.restore()
    try:
        result = work()
        return result, RandomState.now(start.device)
    finally:
        before.restore()
