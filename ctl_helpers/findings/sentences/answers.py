"""What a page found, in three sentences that answer its question, told from the verdicts alone.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of a page's
settings.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctl_helpers.findings.sentences.found import answer
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.words import plain


def answered(judged: Sequence[Verdict], setting: str, title: str) -> str:
    """Whether the page's claims are reproduced, the first one's number, and what was missed.

    Args:
        judged: the verdicts of all of a page's settings.
        setting: the one that is nearest to the paper's.
        title: what it is called.
    """
    ran = [each for each in judged if each.word != "not run"]
    if not ran:
        return "Nothing was run yet."
    sentences = [f"**{answer(ran)}.** {_share(ran)}"]
    own = [each for each in ran if each.setting == setting and each.word != "not testable"]
    if own and own[0].parts[0].number.value is not None:
        sentences.append(_number(own[0], title))
    missed = [each for each in own if each.missed and each.word != "reproduced"]
    names = ", ".join(f"*{each.name}*: {each.word}" for each in missed)
    if own:
        sentences.append(
            f"Not reproduced there: {names}." if names else "All are reproduced there."
        )
    return " ".join(sentences)


def _share(ran: Sequence[Verdict]) -> str:
    told = {each.claim for each in ran if each.word != "not testable"}
    missed = {each.claim for each in ran if each.word not in ("reproduced", "not testable")}
    if not told:
        return "No claim of this page could be judged."
    good = len(told - missed) / len(told)
    many = "Most" if good > 1 / 2 else "Some"
    which = {1.0: "All claims", 0.0: "No claim"}.get(good, f"{many} claims")
    verb = "is" if good == 0 else "are"
    return f"{which} of this page {verb} reproduced in every setting that could tell."


def _number(verdict: Verdict, title: str) -> str:
    """The number that decides a claim first, beside its control."""
    part = verdict.parts[0]
    unit = f" {part.unit}" if part.unit else ""
    text = f"On {title}, for *{verdict.name}*: {part.effect[0].lower()}{part.effect[1:]}"
    text += f" is {plain(part.number.value or 0.0)}{unit}"
    if part.control is not None and part.control.value is not None and part.control_effect:
        effect = part.control_effect
        text += f" ({effect[0].lower()}{effect[1:]}: {plain(part.control.value)})"
    return f"{text}."
