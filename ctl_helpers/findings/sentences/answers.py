"""What a page found, in three sentences that answer its question, told from the verdicts alone.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of a page's
settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ctl_helpers.findings.sentences.found import answer
from ctl_helpers.findings.signatures import CLAIMS as SIGNATURES
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.words import plain, short

OURS = (
    *("special", "null", "batchnorm-mixed", "boundary", "architecture", "many-tasks"),
    *("objective", "objective-pixels", "objective-directions"),
    *("overtraining", "sharpness-aware", "pointing", "mergeability"),
    *SIGNATURES,
)
"""Claims that no paper makes, such as whether the measures can fail."""

_NAMED = 3


def nearest(judged: Iterable[Verdict], panels: Mapping[str, str]) -> list[Verdict]:
    """Of each claim the verdict on the setting that is nearest to the paper's, of those that ran.

    Args:
        panels: setting → panel title, the nearest first. One that could judge a claim comes before
            one that could not.
    """
    judged = list(judged)
    order = {setting: place for place, setting in enumerate(panels)}
    ran = [each for each in judged if each.setting in order and each.word != "not run"]
    ran.sort(key=lambda each: (each.word == "not testable", order[each.setting]))
    first: dict[tuple[str, str], Verdict] = {}
    for each in ran:
        first.setdefault((each.claim, each.section), each)
    named = dict.fromkeys((each.claim, each.section) for each in judged)
    return [first[key] for key in named if key in first]


def answered(judged: Sequence[Verdict], panels: Mapping[str, str]) -> str:
    """Whether the page's claims are reproduced, a number that decides, and what was missed.

    Args:
        judged: the verdicts of all of a page's settings.
        panels: as :func:`nearest` takes them.
    """
    ran = [each for each in judged if each.word != "not run"]
    if not ran:
        return "Nothing was run yet."
    sentences = [f"**{answer(ran)}.** {_share(ran)}"]
    own = [each for each in nearest(ran, panels) if each.word != "not testable"]
    if not own:
        return sentences[0]
    main = min(own, key=_weight)
    if main.parts[0].number.value is not None:
        sentences.append(_number(main, short(panels[main.setting])))
    own.sort(key=lambda each: each.claim in OURS)
    told = (f"*{each.name}* ({each.word})" for each in own if each.word != "reproduced")
    missed = list(dict.fromkeys(told))
    more = len(missed) - _NAMED
    named = f"{', '.join(missed[:_NAMED])}{f' and {more} more' if more > 0 else ''}"
    where = "On the setting nearest to the paper's"
    sentences.append(
        f"{where}, not reproduced: {named}." if missed else f"{where}, all are reproduced."
    )
    return " ".join(sentences)


def _weight(verdict: Verdict) -> tuple[bool, bool]:
    """What comes first of a page's claims: the paper's, and what has a measured control."""
    return verdict.claim in OURS, verdict.parts[0].control_effect is None


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
    text = f"*{verdict.name}* on {title}: {_small(part.effect)}, is "
    text += f"{plain(part.number.value or 0.0)}{unit}"
    if part.control is not None and part.control.value is not None and part.control_effect:
        text += f" ({_small(part.control_effect)}: {plain(part.control.value)})"
    return f"{text}: {verdict.word}."


def _small(text: str) -> str:
    """With a small letter, unless a symbol begins it."""
    return text[0].lower() + text[1:] if text[1].islower() else text
