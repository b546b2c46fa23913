"""One reading of all weights, tensor by tensor: the sums from which tier 1 is computed.

Everything is summed in float64. What is held is a part of one tensor of each checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ctl_helpers.engine.lazy_state import described
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.probing.aligning import STATISTICS, group
from ctl_helpers.probing.checkpoints import floats

_VALUES = 2**16  # of a tensor that are looked at together, so that they stay in a cache


@dataclass
class Sums:
    """Inner products over a set of entries, for k checkpoints.

    With the rows ``θ_PT, τ_1, …, τ_k, 1`` (τ = θ − θ_PT) as a matrix X:

    Attributes:
        products: ``X Xᵀ``, shape (k + 2, k + 2).
        sizes: ``|τ| |τ|ᵀ``, shape (k, k).
        signs: ``sign(τ) sign(τ)ᵀ``, shape (k, k).
        moved: entries in which both τ are not zero, shape (k, k).
        sum_of_sizes, size_of_sum: ``Σ Σ_i |τ_i|`` and ``Σ |Σ_i τ_i|``.
        largest: the largest ``|θ|`` of θ_PT, of each checkpoint and of ``θ_PT + Σ_i τ_i``.
        broken: entries that are not finite, of θ_PT and of each checkpoint.
    """

    products: np.ndarray
    sizes: np.ndarray
    signs: np.ndarray
    moved: np.ndarray
    sum_of_sizes: float
    size_of_sum: float
    largest: np.ndarray
    broken: np.ndarray

    @classmethod
    def nothing(cls, checkpoints: int) -> Sums:
        """Those over no entry."""
        k = checkpoints
        products, largest, broken = np.zeros((k + 2, k + 2)), np.zeros(k + 2), np.zeros(k + 1, int)
        sizes, signs, moved = (np.zeros((k, k)) for _ in range(3))
        return cls(products, sizes, signs, moved, 0.0, 0.0, largest, broken)

    def add(self, other: Sums) -> None:
        """Take in the sums over other entries."""
        for name in ("products", "sizes", "signs", "moved", "broken"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.sum_of_sizes += other.sum_of_sizes
        self.size_of_sum += other.size_of_sum
        self.largest = np.maximum(self.largest, other.largest)

    def covariance(self) -> np.ndarray:
        """Covariance times entries of ``θ_PT, θ_1, …, θ_k``, shape (k + 1, k + 1)."""
        entries = self.products[-1, -1]
        means = self.products[:-1, -1]
        centred = self.products[:-1, :-1] - np.outer(means, means) / max(entries, 1)
        # θ_i = θ_PT + τ_i
        change = np.eye(len(centred))
        change[1:, 0] = 1
        return change @ centred @ change.T


@dataclass(frozen=True)
class Scan:
    """The sums of every tensor.

    Attributes:
        names: of the checkpoints without BASE.
        tensors: tensor → its sums.
        matrices: the tensors of two axes or more, whose entries differ in any training.
    """

    names: Sequence[str]
    tensors: Mapping[str, Sums] = field(repr=False)
    matrices: frozenset[str] = field(repr=False)

    def total(self, tensors: Iterable[str] | None = None) -> Sums:
        """The sums over some tensors, by default over all."""
        total = Sums.nothing(len(self.names))
        for name in self.tensors if tensors is None else tensors:
            total.add(self.tensors[name])
        return total

    @property
    def weights(self) -> list[str]:
        """The tensors that task vectors are made of: all but statistics of batches."""
        return [name for name in self.tensors if not STATISTICS.fullmatch(name)]

    def groups(self) -> dict[str, list[str]]:
        """Block → its weights, in the order of the file."""
        found: dict[str, list[str]] = {}
        for name in self.weights:
            found.setdefault(group(name), []).append(name)
        return found

    def correlations(self, tensors: Iterable[str] | None = None) -> np.ndarray:
        """Pearson's correlation of the entries of matrices, shape (k + 1, k + 1).

        Each tensor is centred by itself, so that different means of tensors do not correlate.
        Vectors are left out: gains near 1 and biases near 0 are alike in all networks. NaN where
        no matrix has entries that differ.
        """
        chosen = self.tensors if tensors is None else tensors
        parts = [self.tensors[name].covariance() for name in chosen if name in self.matrices]
        count = len(self.names) + 1
        total = np.sum(parts, axis=0) if parts else np.zeros((count, count))
        spread = np.sqrt(np.clip(total.diagonal(), 0, None))
        with np.errstate(divide="ignore", invalid="ignore"):
            return total / np.outer(spread, spread)


def scan(states: Mapping[str, StateDict], base: str) -> Scan:
    """Reads every floating tensor once.

    Args:
        states: name → state dict with BASE's names, in memory or read when asked for.
        base: BASE's name.
    """
    start = states[base]
    shapes = described(start)
    names = [name for name in states if name != base]
    tensors: dict[str, Sums] = {}
    wanted = floats(start)
    numbers = sum(shapes[name].numel() for name in wanted)
    with tqdm(
        total=numbers, desc="weights", unit="", unit_scale=True, disable=None, leave=False
    ) as bar:
        for name in wanted:
            total = Sums.nothing(len(names))
            rows = [states[each][name].reshape(-1).split(_VALUES) for each in (base, *names)]
            for parts in zip(*rows, strict=True):
                total.add(_sums(torch.stack([part.double().cpu() for part in parts])))
                bar.update(len(parts[0]))
            tensors[name] = total
    matrices = frozenset(name for name in wanted if shapes[name].dim() > 1)
    return Scan(names, tensors, matrices)


def _sums(weights: Tensor) -> Sums:
    """The sums over a part of a tensor; ``weights`` has a row for BASE and each checkpoint."""
    finite = weights.isfinite()
    broken = (~finite).sum(1)
    if broken.any():
        weights = torch.where(finite.all(0), weights, 0.0)
    base, moves = weights[:1], weights[1:] - weights[:1]
    rows = torch.cat([base, moves, torch.ones_like(base)])
    sizes, signs, total = moves.abs(), moves.sign(), moves.sum(0)
    moved = signs.abs()
    largest = torch.cat([weights, base + total]).abs().amax(1)
    return Sums(
        products=(rows @ rows.T).numpy(),
        sizes=(sizes @ sizes.T).numpy(),
        signs=(signs @ signs.T).numpy(),
        moved=(moved @ moved.T).numpy(),
        sum_of_sizes=sizes.sum().item(),
        size_of_sum=total.abs().sum().item(),
        largest=largest.numpy(),
        broken=broken.numpy(),
    )
