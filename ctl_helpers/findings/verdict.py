"""A verdict: what one setting says of one claim, with every number behind it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ctl_helpers.findings.judging import Word


@dataclass(frozen=True)
class Number:
    """A number with its 95% interval, None where they are not known."""

    value: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Part:
    """What one of a claim's numbers says on one setting.

    Attributes:
        measure: the number's name, the same as that of the finding on other pages.
        effect, unit, reason, ideal, paper: as in :class:`ctl_helpers.findings.claims.Part`.
        number: the number.
        control, control_effect: what it is held against, and what that is.
        position: 0 at the control, 1 at the ideal.
        word: what its interval allows one to say.
        units: what was drawn, such as "5 seeds".
    """

    measure: str
    effect: str
    unit: str
    reason: str
    number: Number = Number()
    control: Number | None = None
    control_effect: str | None = None
    ideal: float | None = None
    paper: str | None = None
    position: float | None = None
    position_interval: tuple[float, float] | None = None
    word: Word = "not run"
    units: str | None = None


@dataclass(frozen=True)
class Gate:
    """What has to be so for a claim to be testable.

    Attributes:
        says: what is the matter where it is closed.
        effect: what its number is, in words.
        measure: the number's name, as a part's.
        threshold: what the number is asked for.
        closed: None where it is not known.
    """

    says: str
    effect: str
    measure: str
    number: Number
    threshold: str
    closed: bool | None


@dataclass(frozen=True)
class Verdict:
    """What one setting says of one claim.

    Attributes:
        word: see :mod:`ctl_helpers.findings.judging`; ``not run`` where results are not stored, or
            too few.
        grade: how near the setting is to the paper's, from A to D.
        parts: the claim's numbers, the primary one first.
        gates: what has to be so for it to be testable.
        shown: numbers that decide nothing.
        needed: how many draws would decide the undecided part that asks for most.
    """

    claim: str
    name: str
    section: str
    setting: str
    grade: str
    statement: str
    word: Word
    paper: str
    evidence: str
    parts: tuple[Part, ...]
    gates: tuple[Gate, ...]
    shown: tuple[Part, ...]
    needed: str | None = None

    @property
    def gate(self) -> str | None:
        """What the closed gate says, if one is closed."""
        return next((gate.says for gate in self.gates if gate.closed), None)

    @property
    def missed(self) -> Part | None:
        """The first part that has the verdict's word, or else is not reproduced."""
        others = [part for part in self.parts if part.word != "reproduced"]
        alike = [part for part in others if part.word == self.word]
        return next(iter([*alike, *others]), None)

    @property
    def position(self) -> float | None:
        """The primary number's."""
        return self.parts[0].position

    def to_json(self) -> dict[str, Any]:
        """As JSON has it, with its gate: no infinite numbers and no tuples."""
        return _plain(asdict(self) | {"gate": self.gate})


def _plain(value: object) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _plain(part) for key, part in value.items()}
        case tuple() | list():
            return [_plain(part) for part in value]
    return value
