"""The verdict: one word from the remarks of all rules, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ctl_helpers.probing.remarks import Grade, Remark, joined

Word = Literal["mergeable", "doubtful", "not mergeable"]
EXIT_CODES: dict[Word, int] = {"mergeable": 0, "doubtful": 1, "not mergeable": 2}
_WORDS: dict[Grade, Word] = {"stop": "not mergeable", "doubt": "doubtful", "note": "mergeable"}
_DEPTHS = (
    "nothing in headers and configurations speaks against a merge; no weight was read",
    "nothing in headers, configurations and weights speaks against a merge; no network was run",
    "features of the mix are near the mix of features, layer by layer; that is not yet accuracy",
)


@dataclass(frozen=True)
class Verdict:
    """What a probe comes to.

    Attributes:
        word: mergeable, doubtful or not mergeable.
        reasons: why, one sentence each, the gravest first.
        advice: what to do, in the same order.
    """

    word: Word
    reasons: Sequence[str]
    advice: Sequence[str]

    @property
    def exit_code(self) -> int:
        """0 mergeable, 1 doubtful, 2 not."""
        return EXIT_CODES[self.word]


def judged(remarks: Sequence[Remark], tier: int) -> Verdict:
    """The verdict by the gravest remark.

    Args:
        remarks: of all tiers.
        tier: the deepest one that was looked at.
    """
    grave = [one for one in joined(remarks) if one.grade != "note"]
    worst: Grade = grave[0].grade if grave else "note"
    reasons = [f"{one.about}: {one.fact}" for one in grave]
    advice = [f"{one.about}: {one.remedy}" for one in grave if one.remedy]
    if not grave:
        linear = [f"{one.about}: {one.fact}" for one in remarks if one.rule == "linear"]
        reasons = [*linear[-1:], _DEPTHS[tier]]  # the last set is the largest
    return Verdict(_WORDS[worst], reasons, advice)
