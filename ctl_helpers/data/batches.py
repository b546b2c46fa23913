"""Samples in batches, each made when it is asked for: all of them at once take more memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Batches(Sequence[Batch]):
    """Samples in order, ``size`` per batch, the last batch perhaps smaller.

    Attributes:
        samples: how many samples there are.
        size: samples per batch.
        make: the batch of a slice of the samples.
    """

    samples: int
    size: int
    make: Callable[[slice], Batch]

    def __len__(self) -> int:
        return -(-self.samples // self.size)

    def __getitem__(self, number: int) -> Batch:  # type: ignore[override]  # no slices
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} batches, and no number {number}")
        first = number % len(self) * self.size
        return self.make(slice(first, first + self.size))
