"""A head over the classes of all tasks, of which one task looks at its own."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ClassMask(nn.Module):
    """Logits with those of other classes at −∞, as in Mirzadeh et al. (2021).

    Args:
        classes: labels of the task.
    """

    def __init__(self, classes: Iterable[int] | Tensor) -> None:
        super().__init__()
        labels = classes if isinstance(classes, Tensor) else torch.tensor(list(classes))
        self.register_buffer("classes", labels, persistent=False)

    def forward(self, logits: Tensor) -> Tensor:
        """Shape (…, all classes), as given."""
        classes = self.get_buffer("classes").to(logits.device)
        masked = torch.full_like(logits, -torch.inf)
        return masked.index_copy(-1, classes, logits.index_select(-1, classes))
