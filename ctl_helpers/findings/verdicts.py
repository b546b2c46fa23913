"""The paper's claims and their verdicts, each computed from stored results.

``book/claims.yml`` says what is claimed, by which measure it is judged and from which threshold on
it holds. Nothing there or here says whether it does.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ctl_helpers import results, settings
from ctl_helpers.findings import averaging, cross_task, editing, factors, paradigms
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.project import SettingError, root
from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.weights.checksums import file_checksum

NUMBERS = (averaging, cross_task, editing, factors, paradigms)
"""The modules whose measures a claim may name."""

Word = Literal["holds", "fails", "not run"]

_FILE, _STORED = "claims.yml", "verdicts.json"


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Names = Annotated[list[str], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
Link = Annotated[str, Field(pattern=r"^\w+\.html(#[\w-]+)?$")]


class Condition(_Checked):
    """One number and what it has to be; without a threshold it is shown and decides nothing.

    Attributes:
        effect: what the number is, in words.
        unit: its unit, if it has one.
        measure: the function of :mod:`ctl_helpers.findings.cross_task` that computes it.
        table: the stored table that it is computed from, or several in the measure's order.
        at_least, at_most: the threshold.
        reason: why this threshold, or why the number is shown.
    """

    effect: Text
    unit: str = ""
    measure: str
    arguments: dict[str, str | float] = {}
    table: str | Names
    at_least: float | None = None
    at_most: float | None = None
    reason: Text

    @model_validator(mode="after")
    def _can_be_computed(self) -> Condition:
        if self.measure not in MEASURES:
            raise ValueError(f"no measure {self.measure!r}; there are {sorted(MEASURES)}")
        parameters = inspect.signature(MEASURES[self.measure].function).parameters.values()
        wanted = sum(one.kind is not one.KEYWORD_ONLY for one in parameters)
        if len(self.tables) != wanted:
            raise ValueError(
                f"measure {self.measure!r} takes {wanted} tables, not {len(self.tables)}"
            )
        if None not in (self.at_least, self.at_most):
            raise ValueError("a condition has at_least or at_most, not both; write two conditions")
        return self

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return [self.table] if isinstance(self.table, str) else self.table

    @property
    def threshold(self) -> str | None:
        """In words: “at least 0.1”."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return None if self.at_most is None else f"at most {self.at_most:g}"

    def holds(self, value: float) -> bool | None:
        """Whether a number meets the threshold; None without one."""
        if self.at_least is not None:
            return value >= self.at_least
        return None if self.at_most is None else value <= self.at_most


class Claim(_Checked):
    """One row of ``book/claims.yml``.

    Attributes:
        section: whose results it is judged by, or several with tables of the same names.
        statement: the claim, in a sentence of ours.
        paper: what the paper says or shows of it.
        evidence: page and anchor of the figure.
        evidence_of: the same for networks shown elsewhere, by a part of the architecture's name.
        conditions: it holds where all of them do; the first gives the effect.
    """

    section: Text | Names
    statement: Text
    paper: Text
    evidence: Link
    evidence_of: dict[str, Link] = {}
    conditions: Annotated[list[Condition], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_decided(self) -> Claim:
        if self.conditions[0].threshold is None:
            raise ValueError("the first condition needs at_least or at_most, since it decides")
        return self

    @property
    def sections(self) -> list[str]:
        """Whose results it is judged by."""
        return [self.section] if isinstance(self.section, str) else self.section

    def shown(self, setting: str) -> str:
        """Page and anchor of the figure that has a setting."""
        network = settings.load(setting).model.architecture
        found = (link for part, link in self.evidence_of.items() if part in network)
        return next(found, self.evidence)


@dataclass(frozen=True)
class Check:
    """A condition on one setting.

    Attributes:
        value, interval: the number and its 95% interval, None where it is not known.
        holds: whether the condition is met; None where it is not known or there is no threshold.
        clear: whether all of the interval is on the number's side of the threshold.
    """

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


def load() -> dict[str, Claim]:
    """The claims of ``book/claims.yml`` by id, in its order.

    Raises:
        SettingError: the file is missing or not written right, in one sentence.
    """
    path = root() / "book" / _FILE
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, Claim]).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        # A union's place holds the names of its types, which are nobody's key.
        place = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        message = first["msg"].removeprefix("Value error, ")
        raise SettingError(f"{_FILE}: {place!r}: {message[0].lower()}{message[1:]}") from None
    except (OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(f"{_FILE} cannot be read: {reason}") from None


def verdicts(section: str | None = None) -> list[Verdict]:
    """Every claim's verdict on every setting that its section runs on, from stored results.

    Args:
        section: only the claims that this section's results decide, such as ``"4.1"``.

    Raises:
        SettingError: ``book/claims.yml`` is not written right, or no claim has this section.
    """
    claims = load()
    known = list(dict.fromkeys(number for claim in claims.values() for number in claim.sections))
    if section not in (None, *known):
        raise SettingError(f"no claim has a section {section!r}; there are {known}")
    found = []
    for number in known if section is None else [section]:
        stored = results.runs(number)
        for name in settings.names():
            if number in settings.load(name).sections:
                own = {key: claim for key, claim in claims.items() if number in claim.sections}
                runs = [run for run in stored if run.facts["setting"] == name]
                found += _kept(own, number, name, runs)
    order = list(claims)
    return sorted(found, key=lambda verdict: order.index(verdict.claim))


def _kept(
    own: Mapping[str, Claim], section: str, setting: str, runs: Sequence[results.Run]
) -> list[Verdict]:
    """One setting's verdicts, from the store where they have been computed: several pages ask."""

    def build(folder: Path) -> None:
        tables = _Tables(runs)
        made = [_verdict(key, claim, section, setting, tables) for key, claim in own.items()]
        (folder / _STORED).write_text(json.dumps([asdict(each) for each in made]))

    files = sorted(path for run in runs for path in run.folder.glob("*.parquet"))
    key = {
        "claims": {name: claim.model_dump() for name, claim in own.items()},
        "setting": [section, setting],
        "tables": [[path.parent.name, path.name, file_checksum(path)] for path in files],
        "code": module_checksum("findings.verdicts"),
    }
    stored = Store().make("verdicts", digest(key), build) / _STORED
    return TypeAdapter(list[Verdict]).validate_python(json.loads(stored.read_text()))


class _Tables:
    """The tables of one setting's runs, each read once."""

    def __init__(self, runs: Sequence[results.Run]) -> None:
        self._runs, self._read = runs, {}

    def __call__(self, name: str) -> pd.DataFrame | None:
        """All runs' rows; None where no run has such a table."""
        if name not in self._read:
            parts = [run.table(name) for run in self._runs if run.has(name)]
            self._read[name] = pd.concat(parts, ignore_index=True) if parts else None
        return self._read[name]


def _verdict(key: str, claim: Claim, section: str, setting: str, stored: _Tables) -> Verdict:
    measured = [_measured(condition, stored) for condition in claim.conditions]
    checks, replicates = zip(*measured, strict=True)
    deciding = [check for check in checks if check.threshold is not None]
    missed = [check for check in deciding if check.holds is False]
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


def _measured(condition: Condition, stored: _Tables) -> tuple[Check, str | None]:
    """A condition's check, and what its interval draws from."""
    texts = (condition.effect, condition.unit, condition.threshold, condition.reason)
    tables = [stored(name) for name in condition.tables]
    if any(table is None for table in tables):
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
