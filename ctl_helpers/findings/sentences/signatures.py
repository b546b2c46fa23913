"""What the page of failure signatures says, told from the verdicts alone.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ctl_helpers import settings
from ctl_helpers.findings.architecture import as_ratio
from ctl_helpers.findings.claims import load
from ctl_helpers.findings.judging import WORDS
from ctl_helpers.findings.sentences.found import answer
from ctl_helpers.findings.signatures import SIGNATURES
from ctl_helpers.findings.verdict import Number, Part, Verdict
from ctl_helpers.results.labels import section_title

Judged = Sequence[Verdict]


@dataclass(frozen=True)
class Case:
    """A condition in one setting: a part of a verdict with a number.

    Attributes:
        condition: as a measure of :mod:`ctl_helpers.findings.signatures` names it.
        before, after: ε without it and with it.
    """

    verdict: Verdict
    part: Part
    condition: str
    before: Number
    after: Number

    @property
    def value(self) -> float:
        """Doublings of ε."""
        return self.part.number.value or 0.0

    @property
    def words(self) -> str:
        """The ratio as a reader sees it."""
        return as_ratio(self.value)

    @property
    def closed(self) -> bool:
        """Whether there is nothing to break."""
        return self.verdict.word == "not testable"


def cases(judged: Judged, signature: str) -> list[Case]:
    """A signature's conditions in each setting that has a number, claim by claim, by setting."""
    rows = load()
    return [
        Case(verdict, part, str(named.arguments["condition"]), before.number, after.number)
        for claim in SIGNATURES[signature].claims
        for verdict in sorted(_of(judged, claim), key=lambda each: (each.grade, each.setting))
        for part, named, before, after in zip(
            verdict.parts,
            rows[claim].parts,
            verdict.shown[::2],
            verdict.shown[1::2],
            strict=True,
        )
        if part.number.value is not None
    ]


def answers(judged: Judged) -> str:
    """For each signature the notes' words, and whether each of its claims is so, as a list."""
    rows, lines = load(), []
    for told in SIGNATURES.values():
        said = [f"{rows[claim].name}: **{_answer(judged, claim)}**" for claim in told.claims]
        lines.append(f"- *{told.quoted}* {'; '.join(said)}.")
    return "\n".join(lines)


def signature(judged: Judged, key: str) -> str:
    """What the notes say, and what each of its claims came to, setting by setting."""
    rows, told = load(), SIGNATURES[key]
    lines = [f"**The notes**: “CTL may fail if: {told.quoted}”"]
    for claim in told.claims:
        ran = [verdict for verdict in _of(judged, claim) if verdict.word != "not run"]
        where = [
            f"{word} in {', '.join(_named(each) for each in ran if each.word == word)}"
            for word in WORDS
            if any(each.word == word for each in ran)
        ]
        lines.append(f"*{rows[claim].name}*: {'; '.join(where) or 'not run'}.")
    return "\n\n".join(lines)


def _answer(judged: Judged, claim: str) -> str:
    return answer([each for each in _of(judged, claim) if each.word != "not run"])


def _of(judged: Judged, claim: str) -> list[Verdict]:
    return [verdict for verdict in judged if verdict.claim == claim]


def _named(verdict: Verdict) -> str:
    return f"{title_of(verdict)} ({section_title(verdict.section)})"


def title_of(verdict: Verdict) -> str:
    """A setting's title without its data, where it names both."""
    return settings.describe(verdict.setting).title.split(" on ")[0]
