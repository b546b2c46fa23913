"""What stored results say of each claim, setting by setting.

Nothing here says what that is: see ``book/claims.yml`` and :mod:`ctl_helpers.findings.claims`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from ctl_helpers import results, settings
from ctl_helpers.findings.claims import Claim, Condition, load
from ctl_helpers.findings.finding import MEASURES, title
from ctl_helpers.project import SettingError
from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.weights.checksums import file_checksum

Word = Literal["holds", "fails", "not run"]

_STORED = "verdicts.json"


@dataclass(frozen=True)
class Check:
    """A condition on one setting.

    Attributes:
        measure: the number's name, the same as that of the finding on other pages.
        value, interval: the number and its 95% interval, None where it is not known.
        holds: whether the condition is met; None where it is not known or there is no threshold.
        clear: whether all of the interval is on the number's side of the threshold.
    """

    measure: str
    effect: str
    unit: str
    threshold: str | None
    reason: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    holds: bool | None = None
    clear: bool = False


@dataclass(frozen=True)
class Verdict:
    """What one setting says of one claim.

    Attributes:
        verdict: ``holds``, ``fails``, or ``not run`` where no results are stored, or too few.
        effect, interval, threshold, reason: those of the first condition.
        clear: whether the verdict would be the same anywhere in the intervals.
        replicates: what the interval draws from, such as “18 pairs of 3 seeds”.
        checks: every condition.
    """

    claim: str
    section: str
    setting: str
    statement: str
    verdict: Word
    clear: bool
    effect: float | None
    interval: tuple[float, float] | None
    threshold: str | None
    reason: str
    replicates: str | None
    paper: str
    evidence: str
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON has it: no infinite numbers and no tuples."""
        return _plain(asdict(self))


def verdicts(section: str | None = None) -> list[Verdict]:
    """Every claim's verdict on every setting that its section runs on, from stored results.

    Args:
        section: only the claims that this section's results decide, such as ``"4.1"``.

    Raises:
        SettingError: ``book/claims.yml`` is not written right, or no claim has this section.
    """
    claims = load()
    sections = list(dict.fromkeys(number for claim in claims.values() for number in claim.sections))
    if section not in (None, *sections):
        raise SettingError(f"no claim has a section {section!r}; there are {sections}")
    listed = []
    for number in sections if section is None else [section]:
        stored = results.runs(number)
        judged = {key: claim for key, claim in claims.items() if number in claim.sections}
        for name in settings.names():
            if number in settings.describe(name).sections:
                runs = [run for run in stored if run.facts["setting"] == name]
                listed += _of_setting(judged, number, name, runs)
    order = list(claims)
    return sorted(listed, key=lambda verdict: order.index(verdict.claim))


def _of_setting(
    claims: Mapping[str, Claim], section: str, setting: str, runs: Sequence[results.Run]
) -> list[Verdict]:
    """One setting's verdicts, from the store where they have been computed: several pages ask."""

    def build(folder: Path) -> None:
        tables = _Tables(runs)
        made = [_verdict(key, claim, section, setting, tables) for key, claim in claims.items()]
        (folder / _STORED).write_text(json.dumps([asdict(verdict) for verdict in made]))

    files = sorted(path for run in runs for path in run.folder.glob("*.parquet"))
    key = {
        "claims": {name: claim.model_dump() for name, claim in claims.items()},
        "setting": [section, setting],
        "points": [run.point() for run in runs],
        "tables": [[path.parent.name, path.name, file_checksum(path)] for path in files],
        "code": module_checksum("findings.verdicts"),
    }
    stored = Store().make("verdicts", digest(key), build) / _STORED
    return TypeAdapter(list[Verdict]).validate_python(json.loads(stored.read_text()))


class _Tables:
    """The tables of one setting's runs, each read once."""

    def __init__(self, runs: Sequence[results.Run]) -> None:
        self._runs = runs
        self._read: dict[str, pd.DataFrame | None] = {}

    def __call__(self, name: str) -> pd.DataFrame | None:
        """All runs' rows; None where no run has such a table."""
        if name not in self._read:
            self._read[name] = results.joined(self._runs, name)
        return self._read[name]


def _verdict(key: str, claim: Claim, section: str, setting: str, stored: _Tables) -> Verdict:
    measured = [_measured(condition, section, stored) for condition in claim.conditions]
    checks, replicates = zip(*measured, strict=True)
    deciding = [check for check in checks if check.threshold is not None]
    missed = [check for check in deciding if check.holds is False]
    word: Word
    if missed:
        word, clear = "fails", any(check.clear for check in missed)
    elif any(check.holds is None for check in deciding):
        word, clear = "not run", False
    else:
        word, clear = "holds", all(check.clear for check in deciding)
    first = checks[0]
    return Verdict(
        claim=key,
        section=section,
        setting=setting,
        statement=claim.statement,
        verdict=word,
        clear=clear,
        effect=first.value,
        interval=first.interval,
        threshold=first.threshold,
        reason=first.reason,
        replicates=replicates[0],
        paper=claim.paper,
        evidence=claim.shown(setting),
        checks=checks,
    )


def _measured(condition: Condition, section: str, stored: _Tables) -> tuple[Check, str | None]:
    """A condition's check, and what its interval draws from."""
    sources = [f"{section}/{name}" for name in condition.tables]
    name = title(condition.measure, sources, condition.arguments)
    texts = (name, condition.effect, condition.unit, condition.threshold, condition.reason)
    tables = [table for name in condition.tables if (table := stored(name)) is not None]
    if len(tables) < len(sources):
        return Check(*texts), None
    with np.errstate(all="ignore"):
        sample = MEASURES[condition.measure](*tables, **condition.arguments)
    value = sample.effect
    if math.isnan(value):
        return Check(*texts), sample.replicates if len(sample.values) else None
    interval, holds = sample.interval(), condition.holds(value)
    clear = interval is not None and all(condition.holds(end) == holds for end in interval)
    return Check(*texts, value, interval, holds, clear), sample.replicates


def _plain(value: object) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {key: _plain(part) for key, part in value.items()}
        case tuple() | list():
            return [_plain(part) for part in value]
    return value
