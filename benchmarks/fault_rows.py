"""What a kind of fault did over its tries: a row of the table of faults."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Row:
    """One kind of fault.

    Attributes:
        fault: what was done.
        tries: how often.
        wrong: what was lost or ended otherwise than it may, a line each.
        repeated: finished artifacts that were made again; None where nothing is made.
        foreign: code of a file that ran; None where no file is read.
        seconds: the longest that one try took.
        mebibytes: the most memory that one try took more than before; None where not measured.
        ends: how tries ended, and how many of them.
    """

    fault: str
    tries: int = 0
    wrong: list[str] = field(default_factory=list)
    repeated: int | None = None
    foreign: int | None = None
    seconds: float = 0.0
    mebibytes: float | None = None
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, end: str, seconds: float, wrong: str | None = None) -> None:
        """Count a try."""
        self.tries += 1
        self.ends[end] += 1
        self.seconds = max(self.seconds, seconds)
        if wrong is not None:
            self.wrong.append(wrong)

    def cells(self) -> list[str]:
        """As text, in the order of the table's columns."""
        numbers = (self.repeated, self.foreign)
        return [
            self.fault,
            str(self.tries),
            str(len(self.wrong)),
            *("–" if number is None else str(number) for number in numbers),
            f"{self.seconds:.1f}",
            "–" if self.mebibytes is None else f"{self.mebibytes:.1f}",
            ", ".join(f"{count} {end}" for end, count in self.ends.most_common()),
        ]

    def to_json(self) -> dict[str, Any]:
        """For another process."""
        return vars(self)

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Row:
        """From another process."""
        return cls(**{**content, "ends": Counter(content["ends"])})
