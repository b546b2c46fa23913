"""What a probe remarks on: one fact, how grave it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Grade = Literal["stop", "doubt", "note"]
GRADES: Sequence[Grade] = ("stop", "doubt", "note")
_FEW = 3


@dataclass(frozen=True)
class Remark:
    """One thing that a rule found.

    Attributes:
        rule: which one, of :data:`ctl_helpers.probing.rules.RULES`.
        grade: ``"stop"`` where a merge would be wrong, ``"doubt"`` where it may be, ``"note"``
            where a person should know.
        about: the checkpoint or checkpoints.
        fact: what is the case of it, in one clause.
        remedy: what to do, in one clause; empty where there is nothing to do.
    """

    rule: str
    grade: Grade
    about: str
    fact: str
    remedy: str = ""


def joined(remarks: Iterable[Remark]) -> list[Remark]:
    """Remarks in order of their grade, those that say the same of several checkpoints as one."""
    found: dict[tuple[str, ...], Remark] = {}
    for one in sorted(remarks, key=lambda one: GRADES.index(one.grade)):
        key = (one.rule, one.grade, one.fact, one.remedy)
        about = f"{found[key].about}, {one.about}" if key in found else one.about
        found[key] = replace(one, about=about)
    return [*found.values()]


def some(names: Sequence[str], most: int = _FEW) -> str:
    """The first names, quoted, and how many more there are."""
    listed = ", ".join(map(repr, names[:most]))
    left = len(names) - most
    return f"{listed} and {left} more" if left > 0 else listed


def count(number: int, thing: str) -> str:
    """A number of things: ``"1 tensor"``, ``"2 tensors"``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
