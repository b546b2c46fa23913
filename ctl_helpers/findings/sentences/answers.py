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
from ctl_helpers.results.labels import section_title

OURS = (
    *("special", "null", "batchnorm-mixed", "boundary", "architecture", "many-tasks"),
    *("objective", "objective-pixels", "objective-directions"),
    *("overtraining", "sharpness-aware", "pointing", "mergeability"),
    *("merging-methods", "lambda-without-labels", "layerwise-lambda"),
    *SIGNATURES,
)
"""Claims that no paper makes, such as whether the measures can fail."""

_OF_ALL_PAGES = ("special", "null")

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
    word = answer(ran)
    untold = _untold(ran)
    if untold and word in ("Yes", "Mostly"):
        word += ", as far as it could be tested"
    sentences = [f"**{word}.** {_share(ran)}", *untold]
    own = [each for each in nearest(ran, panels) if each.word != "not testable"]
    if not own:
        return sentences[0]
    main = min(own, key=_weight)
    if main.parts[0].number.value is not None:
        sentences.append(_number(main, short(panels[main.setting])))
    own.sort(key=lambda each: each.claim in OURS)
    others = [each for each in own if each.word != "reproduced" and each is not main]
    if others:
        is_ours = all(each.claim in OURS for each in own)
        where = "nearest setting" if is_ours else "setting nearest to the paper's"
        sentences.append(
            f"Of the rest, not reproduced in the {where} that could test it: {_by_word(others)}."
        )
    return " ".join(sentences)


def _by_word(others: Sequence[Verdict]) -> str:
    """What came out in other ways than reproduced, the clearest first."""
    named: dict[str, dict[str, None]] = {"contradicted": {}, "partly": {}, "undecided": {}}
    words = {each.claim: {one.word for one in others if one.claim == each.claim} for each in others}
    for each in others:
        place = f" ({section_title(each.section)})" if len(words[each.claim]) > 1 else ""
        named[each.word][f"*{each.name}*{place}"] = None
    return "; ".join(f"{word} {_some(list(names))}" for word, names in named.items() if names)


def _some(named: Sequence[str]) -> str:
    """The first few, and how many more there are; one more is named."""
    more = len(named) - _NAMED
    return f"{', '.join(named[:_NAMED])} and {more} more" if more > 1 else ", ".join(named)


def _untold(ran: Sequence[Verdict]) -> list[str]:
    """The claims that no setting could test, in a sentence."""
    told = {each.claim for each in ran if each.word != "not testable"}
    named = dict.fromkeys(f"*{each.name}*" for each in ran if each.claim not in told)
    return [f"No setting could test {_some(list(named))}."] if named and told else []


def _weight(verdict: Verdict) -> tuple[bool, bool, bool]:
    """What comes first: the paper's claims, the page's own, and what has a measured control."""
    claim = verdict.claim
    return claim in OURS, claim in _OF_ALL_PAGES, verdict.parts[0].control_effect is None


def _share(ran: Sequence[Verdict]) -> str:
    told = {each.claim for each in ran if each.word != "not testable"}
    missed = {each.claim for each in ran if each.word not in ("reproduced", "not testable")}
    if not told:
        return "No claim of this page could be judged."
    good = sorted(
        {each.claim: each for each in ran if each.claim in told - missed}.values(),
        key=lambda each: each.claim in OURS,
    )
    if not good:
        return "No claim of this page is reproduced in every setting that could test it."
    named = list(dict.fromkeys(f"*{each.name}*" for each in good))
    return f"Reproduced in every setting that could test it: {_some(named)}."


def _number(verdict: Verdict, title: str) -> str:
    """The number that decides a claim first, beside its control."""
    part = verdict.parts[0]
    unit = f" {part.unit}" if part.unit else ""
    text = f"*{verdict.name}*: {verdict.word} on {title} ({_small(part.effect)}: "
    text += f"{plain(part.number.value or 0.0)}{unit}"
    if part.control is not None and part.control.value is not None and part.control_effect:
        text += f"; {_small(part.control_effect)}: {plain(part.control.value)}"
    return f"{text})."


def _small(text: str) -> str:
    """With a small letter, unless a symbol begins it."""
    return text[0].lower() + text[1:] if text[1].islower() else text
