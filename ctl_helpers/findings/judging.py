"""From numbers to words: where an interval lies between a control and an ideal.

The position of a number is ``p = (control − number) / (control − ideal)``: 0 at the control, 1 at
the ideal. A word needs the whole 95% interval of its deciding number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ctl_helpers.findings.intervals import LEVEL, Estimate
from ctl_helpers.findings.replicates import Sample, jointly

Word = Literal["reproduced", "partly", "contradicted", "undecided", "not testable", "not run"]
WORDS: tuple[Word, ...] = (
    "reproduced",
    "partly",
    "contradicted",
    "undecided",
    "not testable",
    "not run",
)

POOR, GOOD = 0.25, 0.75
"""Borders of the quarters next to the control and next to the ideal."""

NEAR_PAPER = 0.85
"""How much of the paper's number counts as it: within 15%."""


@dataclass(frozen=True)
class Judged:
    """Where a number is, and which words would be right on either side of which borders.

    Attributes:
        estimate: the deciding number: a position, or a signed difference where there is no ideal.
        borders: rising; one more word than borders, from the worst up.
        words: of the intervals between borders.
        exact: whether the number is a count, which no draw changes.
    """

    estimate: Estimate
    borders: tuple[float, ...]
    words: tuple[Word, ...]
    exact: bool = False

    @property
    def nearest(self) -> float:
        """The border that is nearest to the number."""
        return min(self.borders, key=lambda border: abs(self.estimate.value - border))

    @property
    def point(self) -> Word:
        """The word of the number itself, whatever its interval."""
        return self.words[sum(self.estimate.value >= border for border in self.borders)]

    @property
    def doubt(self) -> float:
        """The p-value that the word of the number is not the right one."""
        if self.exact:
            return 0.0
        place = sum(self.estimate.value >= border for border in self.borders)
        around = self.borders[max(place - 1, 0) : place + 1]
        return max(self.estimate.doubt(border) for border in around)

    @property
    def draws(self) -> float:
        """How many draws would decide, if further ones spread as these do; ∞ over 100 of them."""
        if self.estimate.interval() is None:
            return math.inf
        return self.estimate.needed(self.nearest) or math.inf

    @property
    def needed(self) -> str:
        """The same in words: "about 9 seeds"."""
        kind = self.estimate.units.split(" of ")[0].split(" ", 1)[-1].rstrip("s")
        if math.isnan(self.estimate.error):
            return "more seeds than one"
        if self.estimate.interval() is None:
            return f"more {kind}s than these, whose numbers are alike,"
        finite = math.isfinite(self.draws)
        return f"about {self.draws} {kind}s" if finite else f"over 100 {kind}s"


def judge(
    number: Sample,
    control: Sample | float,
    ideal: float | None = None,
    paper: float | None = None,
) -> Judged:
    """Where a number is between its control and its ideal.

    Args:
        number: the number's sample.
        control: its control's, or a constant.
        ideal: where all that the claim says is so; without one the sign of ``number − control``
            is judged, positive being as the claim has it.
        paper: the paper's number, which stands for the ideal, and 15% less of which is enough.
    """
    samples = [number] if isinstance(control, float) else [number, control]
    constant = control if isinstance(control, float) else math.nan
    aim = ideal if paper is None else paper

    def position(value: float, of_control: float = constant) -> float:
        if aim is None:
            return value - of_control
        apart = of_control - aim
        return (of_control - value) / apart if apart else math.nan

    estimate = jointly(samples, position)
    if aim is None:
        return Judged(estimate, (0.0,), ("contradicted", "reproduced"))
    good = GOOD
    if paper is not None:
        at_control = control if isinstance(control, float) else control.effect
        good = (at_control - NEAR_PAPER * paper) / (at_control - paper)
    return Judged(estimate, (POOR, good), ("contradicted", "partly", "reproduced"))


def holm(parts: Sequence[Judged]) -> list[Word]:
    """The word of each part of one claim, together with 95% certainty (Holm 1979).

    The surest part is held against a level of ``0.05 / m``, the next against ``0.05 / (m − 1)``
    and so on; from the first that misses its level on, parts are undecided.
    """
    words: list[Word] = ["undecided"] * len(parts)
    order = sorted(range(len(parts)), key=lambda number: parts[number].doubt)
    for place, number in enumerate(order):
        if parts[number].doubt > (1 - LEVEL) / (len(parts) - place):
            break
        words[number] = parts[number].point
    return words


def together(words: Sequence[Word]) -> Word:
    """A claim's word from those of its parts.

    All alike: that word. An undecided part leaves the claim undecided unless others have settled
    that some of it is so and some is not; then, as where words differ, it is ``partly``.
    """
    if "not run" in words:
        return "not run"
    decided = set(words) - {"undecided"}
    if decided == set(words) and len(decided) == 1:
        return words[0]
    if "partly" in decided or len(decided) > 1:
        return "partly"
    return "undecided"
