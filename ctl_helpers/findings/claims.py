"""The claims of ``book/claims.yml``: by which number each is judged, and what it has to be."""

from __future__ import annotations

import inspect
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ctl_helpers import settings

# Whose measures a claim may name: importing a module declares them.
from ctl_helpers.findings import (  # noqa: F401
    averaging,
    cross_task,
    curvature,
    editing,
    factors,
    paradigms,
    spawning,
    stitching,
    taylor,
    transitivity,
)
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.project import SettingError, root
from ctl_helpers.settings.schema import Checked

_FILE = "claims.yml"

Names = Annotated[list[str], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
Link = Annotated[str, Field(pattern=r"^\w+\.html(#[\w-]+)?$")]


class Condition(Checked):
    """One number and what it has to be; without a threshold it is shown and decides nothing.

    Attributes:
        effect: what the number is, in words.
        unit: its unit, if it has one.
        measure: what computes it; see :func:`ctl_helpers.findings.finding.measure`.
        arguments: the measure's own.
        table: the stored table that it is computed from, or several in the measure's order.
        at_least, at_most: the threshold.
        reason: why this threshold, or why the number is shown.
    """

    effect: Text
    unit: str = ""
    measure: str
    arguments: dict[str, str | float] = Field(default_factory=dict)
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


class Claim(Checked):
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
    evidence_of: dict[str, Link] = Field(default_factory=dict)
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
        network = settings.describe(setting).architecture
        of_kind = (link for part, link in self.evidence_of.items() if part in network)
        return next(of_kind, self.evidence)


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
