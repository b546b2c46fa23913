"""Labelled texts, one or several to a sample, and their tokens in batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctl_helpers.data.batches import Batches

if TYPE_CHECKING:
    from torch import Tensor

    from ctl_helpers.data.tokens import Coder

Batch = tuple[Mapping[str, "Tensor"], "Tensor"]


@dataclass(frozen=True)
class LabelledTexts:
    """``texts``, as many to each sample, and ``targets`` (samples,): classes, or real numbers."""

    texts: tuple[tuple[str, ...], ...]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.texts)

    def first(self, samples: int | None) -> LabelledTexts:
        """The first ``samples`` of them, or all when None."""
        return LabelledTexts(self.texts[:samples], self.targets[:samples])


class Encoded:
    """Labelled texts as tokens.

    Args:
        coder: makes the tokens.
        texts: what they are made of.
    """

    def __init__(self, coder: Coder, texts: LabelledTexts) -> None:
        self._rows = [coder.prompts(sample) for sample in texts.texts]
        self._targets, self._pad = texts.targets, coder.pad

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Some samples: keyword inputs of an encoder, and targets.

        Returns:
            ``input_ids`` and ``attention_mask``, each (samples, tokens), or (samples, texts,
            tokens) where a sample is several texts; and the targets (samples,).
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        rows = [torch.tensor(row) for sample in chosen for row in self._rows[sample]]
        ids = pad_sequence(rows, batch_first=True, padding_value=self._pad)
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        several = len(rows) // len(chosen)
        given = {"input_ids": ids, "attention_mask": mask}
        if several > 1:
            given = {name: part.unflatten(0, (-1, several)) for name, part in given.items()}
        return given, self._targets[list(chosen)]

    def batches(self, size: int) -> Batches[Batch]:
        """Samples of about the same length together, ``size`` per batch, in a seeded order.

        Padding would take half of the time where long and short texts are mixed. The longest are
        in the last batch, which is perhaps smaller.
        """
        from ctl_helpers.data.images import permutation

        longest = [max(map(len, sample)) for sample in self._rows]
        order = sorted(range(len(self)), key=longest.__getitem__)
        whole = len(self) // size
        groups = [order[place * size : (place + 1) * size] for place in range(whole)]
        shuffled = [n for place in permutation(whole, 0).tolist() for n in groups[place]]
        order = shuffled + order[whole * size :]
        return Batches(len(self), size, lambda part: self.batch(order[part]))
