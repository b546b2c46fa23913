"""Frozen linear heads: fitted to features, or taken from a network that was trained with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

_MOST_ROUNDS = 1000


class LinearHead:
    """Features → logits ``features @ weight.T + bias``, with frozen numbers.

    Args:
        weight: a row per class, shape (classes, width).
        bias: shape (classes,).
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias

    def __call__(self, features: Tensor) -> Tensor:
        """Shape (samples, width) → (samples, classes)."""
        return features @ self.weight.to(features).T + self.bias.to(features)

    def rows(self, chosen: Sequence[int]) -> Self:
        """The head of some of the classes, in the order given."""
        places = list(chosen)
        return type(self)(self.weight[places], self.bias[places])

    def beside(self, other: LinearHead) -> Self:
        """The head of its own classes, and of another's after them."""
        both = torch.cat([self.weight, other.weight]), torch.cat([self.bias, other.bias])
        return type(self)(*both)

    @classmethod
    def fitted(cls, features: Tensor, targets: Tensor, decay: float) -> Self:
        """Logistic regression.

        It minimizes the mean cross-entropy and ``decay/2 · ‖weight‖²``, by L-BFGS.

        Args:
            features: shape (samples, width).
            targets: labels from 0 to the number of classes, each of them at least once.
            decay: above 0.

        Raises:
            ValueError: a class without a sample, or fewer than three classes.
        """
        from sklearn.linear_model import LogisticRegression

        found = LogisticRegression(C=1 / (decay * len(targets)), max_iter=_MOST_ROUNDS)
        found.fit(features.double().numpy(), targets.numpy())
        if len(found.coef_) < 3 or found.classes_.tolist() != list(range(len(found.coef_))):
            raise ValueError(
                f"there are samples of the classes {found.classes_.tolist()}; give some of every "
                "class, three or more, counted from 0"
            )
        weight, bias = (torch.from_numpy(part) for part in (found.coef_, found.intercept_))
        return cls(weight.float().contiguous(), bias.float())
