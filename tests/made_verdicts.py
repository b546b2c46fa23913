"""Verdicts made by hand, as those that :func:`ctl_helpers.findings.verdicts.verdicts` gives."""

from __future__ import annotations

from types import SimpleNamespace

from ctl_helpers import settings
from ctl_helpers.findings.judging import Word
from ctl_helpers.findings.verdict import Gate, Number, Part, Verdict

APART = "Networks pretrained apart"


def part(
    word: Word,
    value: float | None = 0.4,
    *,
    control: float | None = 1.2,
    position: float | None = None,
    effect: str = "Error ε of the worst layer",
) -> Part:
    """A part whose intervals reach a tenth to either side."""

    def number(known: float | None) -> Number:
        return Number(known, None if known is None else (known - 0.1, known + 0.1))

    if position is None and value is not None and control is not None:
        position = (control - value) / control
    return Part(
        measure="worst_error(4.1/direction)",
        effect=effect,
        unit="",
        reason="A worst layer decides for *every layer*.",
        number=number(value),
        control=None if control is None else number(control),
        control_effect=None if control is None else APART,
        ideal=0.0,
        paper="under its baseline",
        position=position,
        position_interval=None if position is None else (position - 0.05, position + 0.05),
        word=word,
        units="5 seeds",
    )


def verdict(
    claim: str,
    setting: str,
    word: Word,
    value: float | None = 0.4,
    *,
    section: str = "4.1",
    gate: str = "no barrier to begin with",
    second: Part | None = None,
    control: float | None = 1.2,
    position: float | None = None,
) -> Verdict:
    """A verdict of one part, or of two; numbers are unknown where nothing was run."""
    known = None if word == "not run" else value
    first = part(
        "reproduced" if second and word != "not run" else word,
        known,
        control=None if known is None else control,
        position=position,
    )
    closed = word == "not testable"
    return Verdict(
        claim=claim,
        name=f"The {claim} claim",
        section=section,
        setting=setting,
        grade=settings.describe(setting).grade,
        statement=f"What {claim} says.",
        word=word,
        paper="Figure 2; no number.",
        evidence="4_1.html#fig-4-1-direction",
        parts=(first,) if second is None else (first, second),
        gates=(
            Gate(gate, "Barrier", "loss_barrier(3/spawning)", Number(0.02), "at least 0.1", closed),
        ),
        shown=(),
        needed="about 9 seeds" if word == "undecided" else None,
    )


def claim_rows(judged: list[Verdict], *others: str) -> dict[str, SimpleNamespace]:
    """The rows of the file of claims that verdicts belong to, and rows of others."""
    sections: dict[str, list[str]] = {name: [] for name in others}
    for each in judged:
        own = sections.setdefault(each.claim, [])
        own += [each.section] * (each.section not in own)
    return {
        name: SimpleNamespace(
            name=f"The {name} claim",
            sections=own or ["4.1"],
            statement=f"What {name} says.",
            paper="Figure 2; no number.",
        )
        for name, own in sections.items()
    }
