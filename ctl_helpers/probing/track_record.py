"""How often the probe's word on linearity came true, of merges whose accuracy is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ctl_helpers.probing import limits
from ctl_helpers.probing.remarks import Remark

FILE = Path(__file__).with_suffix(".json")
"""A row for each setting and level, which :mod:`ctl_helpers.findings.probe_record` writes."""

KEPT = 0.9
"""Share of its parts' accuracy that a merge keeps which is said to work."""

Level = Literal["linear", "not linear", "broken"]
_SPANS: Mapping[Level, str] = {
    "linear": f"of at most {limits.LINEAR:g}",
    "not linear": f"between {limits.LINEAR:g} and {limits.BROKEN:g}",
    "broken": f"of {limits.BROKEN:g} or more",
}


def level(worst: float) -> Level:
    """What the probe says of a mix whose worst layer has this ε."""
    if worst >= limits.BROKEN:
        return "broken"
    return "not linear" if worst > limits.LINEAR else "linear"


def rows() -> Sequence[Mapping[str, Any]]:
    """Setting, its grade, level, how many averages had it, and how many of these worked."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else []


def remark(about: str, said: Level, known: Sequence[Mapping[str, Any]]) -> Remark | None:
    """How often averages with such an ε worked, and others; None where none is known.

    Args:
        about: what is merged.
        said: what the probe says of it.
        known: as :func:`rows` gives them.
    """
    told = [row for row in known if row["level"] == said]
    if not told:
        return None
    fact = (
        f"of averages with an ε {_SPANS[said]}, "
        f"{'; '.join(_worked(row, known) for row in told)}. An average works if it "
        f"keeps {KEPT:.0%} of its parts' accuracy"
    )
    return Remark("record", "note", about, fact)


def _worked(row: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> str:
    text = f"{row['kept'] / row['merges']:.0%} of {row['merges']} worked on {row['setting']}"
    others = [
        one for one in known if one["setting"] == row["setting"] and one["level"] != row["level"]
    ]
    if count := sum(one["merges"] for one in others):
        worked = sum(one["kept"] for one in others) / count
        text += f" ({worked:.0%} of {count} with an ε outside this range)"
    return text
