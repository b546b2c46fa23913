"""How verdicts are written wherever the site shows one: word, mark, number and link."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ctl_helpers import settings
from ctl_helpers.findings.judging import Word
from ctl_helpers.findings.verdict import Number, Part, Verdict
from ctl_helpers.findings.words import power_of_ten
from ctl_helpers.results.labels import section_title

MARKS: dict[Word, str] = {
    "reproduced": "✓",
    "partly": "◐",
    "contradicted": "✗",
    "undecided": "?",
    "not testable": "∅",
    "not run": "–",
}
"""A sign for each word, since not everyone sees colours; best first."""


def css_class(word: Word) -> str:
    """The word as a class: ``not-run``."""
    return word.replace(" ", "-")


def chip(word: Word) -> str:
    """A word's mark on its colour."""
    return f'<span class="verdict {css_class(word)}" aria-hidden="true">{MARKS[word]}</span>'


def marked(word: Word) -> str:
    """A word after its mark: "✓ reproduced"."""
    return f"{MARKS[word]} {word}"


def missed(verdict: Verdict) -> str:
    """What keeps a verdict from *reproduced*: a gate, or a part."""
    if verdict.word == "not testable":
        return verdict.gate or ""
    if verdict.word in ("reproduced", "not run") or verdict.missed is None:
        return ""
    return verdict.missed.effect


def needed(verdict: Verdict) -> str:
    """What would decide all parts of a verdict: "it takes about 9 seeds to decide"."""
    if verdict.word == "not testable" or not verdict.needed:
        return ""
    return f"it takes {verdict.needed} to decide"


def reason(verdict: Verdict) -> str:
    """Both in one phrase."""
    return "; ".join(filter(None, (missed(verdict), needed(verdict))))


def number(shown: Number | None) -> str:
    """A number with its interval: "0.42 [0.38, 0.46]", a dash where there is none."""
    if shown is None or shown.value is None:
        return "–"
    ends = f" [{', '.join(map(digits, shown.interval))}]" if shown.interval else ""
    return digits(shown.value) + ends


def position(part: Part) -> str:
    """Where a part stands between its control (0) and the ideal (1)."""
    return number(Number(part.position, part.position_interval))


def digits(value: float) -> str:
    """Three significant ones; what rounding alone leaves of a difference is nothing."""
    mantissa, _, power = f"{round(value, 12) + 0.0:.3g}".partition("e")
    mantissa = mantissa.replace("-", "−")
    return f"{mantissa}·{power_of_ten(int(power))}" if power else mantissa


def described(verdict: Verdict) -> str:
    """A verdict in a line of plain text, for who points at its mark."""
    setting = settings.describe(verdict.setting)
    where = f"{setting.title} ({verdict.grade}, {setting.badge}), {section_title(verdict.section)}"
    text = f"{where}: {verdict.word}"
    first = verdict.parts[0]
    if first.number.value is not None:
        text += f". {first.effect}: {number(first.number)}"
        if first.control is not None:
            text += f"; {first.control_effect or 'control'}: {number(first.control)}"
        if first.position is not None:
            text += f"; p = {position(first)}"
    why = reason(verdict)
    return f"{text}. {why[0].upper()}{why[1:]}." if why else f"{text}."


def grade(verdict: Verdict) -> str:
    """The setting's grade as a badge, with what it means for who points at it."""
    badge = html.escape(settings.describe(verdict.setting).badge)
    return f'<abbr class="grade" title="{badge}">{verdict.grade}</abbr>'


def link(address: str, text: str) -> str:
    """A link to a page that the book tool need not know."""
    return f'<a href="{address}">{text}</a>'


def claim_link(claim: str, text: str) -> str:
    """A link to a claim on the page of claims."""
    return link(f"claims.html#claim-{claim}", text)


def count(judged: Iterable[Verdict], word: Word) -> int:
    """How many verdicts say so."""
    return sum(verdict.word == word for verdict in judged)


def words(judged: Sequence[Verdict]) -> list[Word]:
    """The words that occur, best first."""
    return [word for word in MARKS if count(judged, word)]
