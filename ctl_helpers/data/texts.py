"""Text-to-text examples: a prompt and the answer to give to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """``sources``, the prompts, and ``targets``, the answer to each."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Texts:
        """Those of pairs of a prompt and an answer."""
        sources, targets = tuple(zip(*pairs, strict=True)) or ((), ())
        return cls(sources, targets)

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Each prompt with its answer."""
        return zip(self.sources, self.targets, strict=True)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, chosen: slice) -> Texts:
        """The examples of a slice."""
        return Texts(self.sources[chosen], self.targets[chosen])

    def first(self, samples: int | None) -> Texts:
        """The first ``samples`` of them, or all when None."""
        return self[:samples]


def majority(train: Texts, test: Texts) -> float:
    """Exact match on test examples of always giving the most frequent training answer.

    Args:
        train: where answers are counted; of equally frequent ones the first in it is taken.
        test: what is scored.

    Raises:
        ValueError: one of them has no examples.
    """
    if not train.targets or not test.targets:
        raise ValueError(
            f"there are {len(train)} training and {len(test)} test examples; the majority answer "
            "needs some of both"
        )
    ((answer, _),) = Counter(train.targets).most_common(1)
    return test.targets.count(answer) / len(test)
