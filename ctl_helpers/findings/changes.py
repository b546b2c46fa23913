"""How a number goes along a curve, in words that a verdict would not contradict."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.judging import Judged, Word, holm, judge
from ctl_helpers.findings.replicates import jointly
from ctl_helpers.findings.words import by_panel

_GOES = "goes"  # no interval says whether it falls or rises


def changes(
    panels: Mapping[str, str], first: Mapping[str, Finding], last: Mapping[str, Finding]
) -> str:
    """How a number goes in each panel: "falls from 0.3 to 0.1 (A), and may fall or rise, from …".

    Args:
        panels: setting → panel title.
        first, last: setting → the number at one end of the curve, and at the other.
    """
    alike: dict[str, dict[str, str]] = {}
    for name in panels:
        if name in first and name in last:
            how, ends = change(first[name], last[name]), f"from {first[name]} to {last[name]}"
            if how == _GOES and str(first[name]) == str(last[name]):
                how, ends = "stays", f"at {first[name]}"
            alike.setdefault(how, {})[name] = ends
    return ", and ".join(f"{how} {by_panel(panels, ends)}" for how, ends in alike.items())


def change(first: Finding, last: Finding) -> str:
    """How a number goes from one end of a curve to the other, before it is said where to.

    Rules and borders are a verdict's. The number falls or rises if its whole 95% interval has that
    sign. It does so by a quarter or more of the larger end if the whole interval has that, by less
    than a quarter, or perhaps by less where the interval has both. Without an interval it just goes
    there.
    """
    if jointly([first.sample, last.sample], lambda start, end: end - start).interval() is None:
        return _GOES
    fallen, risen = (
        _word(judge(number.sample, control.sample, 0.0))
        for number, control in ((last, first), (first, last))
    )
    verb = signed_words(last, first, "rises", "falls", "")
    if not verb:
        little = fallen == risen == "contradicted"
        return "changes by less than a quarter," if little else "may fall or rise,"
    extent = fallen if verb == "falls" else risen
    if extent == "contradicted":
        return f"{verb} by less than a quarter,"
    return (
        f"{verb} (its 95% interval allows a change of less than a quarter)"
        if extent == "undecided"
        else verb
    )


def signed_words(
    number: Finding, other: Finding | float, more: str, less: str, undecided: str
) -> str:
    """The word of the sign of ``number − other`` if its whole 95% interval has it."""
    control = other if isinstance(other, float) else other.sample
    words: dict[Word, str] = {"reproduced": more, "contradicted": less}
    return words.get(_word(judge(number.sample, control)), undecided)


def _word(judged: Judged) -> Word:
    return "undecided" if math.isnan(judged.estimate.value) else holm([judged])[0]
