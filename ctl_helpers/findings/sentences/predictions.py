"""What became of a page's predictions: right, wrong or open, each by a number's whole interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ctl_helpers.findings.changes import signed_words
from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.words import number_table, with_interval


@dataclass(frozen=True)
class Prediction:
    """What was expected of a number before it was measured.

    Attributes:
        text: the prediction, such as "ε rises without normalization".
        findings: setting → the number.
        sign: 1 where the number was to be above ``border``, −1 where below, 0 where equal to it.
        border: the value where the prediction says nothing.
    """

    text: str
    findings: Mapping[str, Finding]
    sign: int
    border: float = 0.0


def came(panels: Mapping[str, str], predictions: Sequence[Prediction]) -> str:
    """A table: each prediction's word and number in each setting."""
    rows = {one.text: _cells(panels, one) for one in predictions}
    return (
        "What became of the predictions. One is *right* or *wrong* where the whole 95% interval is "
        "on one side, and *open* where it is on both. A prediction of no difference can only be "
        f"wrong or open:{number_table(panels, rows)}"
    )


def _cells(panels: Mapping[str, str], one: Prediction) -> list[str]:
    return [
        f"{_word(one, one.findings[name])}: {with_interval(one.findings[name])}"
        if name in one.findings
        else "not measured"
        for name in panels
    ]


def _word(one: Prediction, finding: Finding) -> str:
    side = side_of(finding, one.border)
    if not side:
        return "open"
    return "right" if side == one.sign else "wrong"


def pairwise(smaller: Mapping[str, Finding], larger: Mapping[str, Finding], pair: str) -> str:
    """In how many pairs of settings the number of one group is above that of another.

    Args:
        smaller: setting → number, of the group that should have the smaller ones.
        larger: the same of the other group.
        pair: what a pair is, such as "an MLP and a ResNet".
    """
    told = [
        signed_words(high, low, "so", "reversed", "open")
        for high in larger.values()
        for low in smaller.values()
    ]
    if not told:
        return f"That is open: there is no pair of {pair} yet."
    so, reversed_, open_ = (told.count(word) for word in ("so", "reversed", "open"))
    return (
        f"Of {len(told)} pairs of {pair} it is so in {so}, the other way round in {reversed_}, and "
        f"open in {open_}."
    )


def side_of(finding: Finding | None, border: float = 0.0) -> int:
    """On which side of a border the whole interval is; 0 where it is on both or unknown."""
    ends = None if finding is None else finding.sample.interval()
    if ends is None:
        return 0
    return (ends[0] > border) - (ends[1] < border)
