"""The claims of ``book/claims.yml``: by which numbers each is judged, and against what."""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ctl_helpers import settings

# Whose measures a claim may name: importing a module declares them.
from ctl_helpers.findings import (  # noqa: F401
    architecture,
    averaging,
    batchnorm,
    boundary,
    cross_task,
    curvature,
    editing,
    factors,
    gates,
    interactions,
    linearity,
    merge_methods,
    mergeability,
    objective,
    overtraining,
    paradigms,
    pointing,
    signatures,
    spawning,
    stitching,
    taylor,
    transitivity,
)
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.project import SettingError, root
from ctl_helpers.settings.schema import Checked
from ctl_helpers.settings.yaml_files import parsed, text_of

if TYPE_CHECKING:
    from typing_extensions import Self

_FILE = "claims.yml"

Names = Annotated[list[str], Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]
Link = Annotated[str, Field(pattern=r"^\w+\.html(#[\w-]+)?$")]


class Measured(Checked):
    """One number of stored tables.

    Attributes:
        effect: what the number is, in words.
        measure: what computes it; see :func:`ctl_helpers.findings.finding.measure`.
        arguments: the measure's own.
        table: the stored table that it is computed from, or several in the measure's order.
    """

    effect: Text
    measure: str
    arguments: dict[str, str | float] = Field(default_factory=dict)
    table: str | Names

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        if self.measure not in MEASURES:
            raise ValueError(f"no measure {self.measure!r}; there are {sorted(MEASURES)}")
        parameters = inspect.signature(MEASURES[self.measure].function).parameters.values()
        wanted = sum(one.kind is not one.KEYWORD_ONLY for one in parameters)
        if len(self.tables) != wanted:
            raise ValueError(
                f"measure {self.measure!r} takes {wanted} tables, not {len(self.tables)}"
            )
        return self

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return [self.table] if isinstance(self.table, str) else self.table


class Shown(Measured):
    """A number that is shown and decides nothing.

    Attributes:
        unit: its unit, if it has one.
        reason: why it is shown.
    """

    unit: str = ""
    reason: Text


class Part(Shown):
    """A number that decides, by where it is between a control and an ideal.

    Attributes:
        control: the number where the claim says nothing: a measure of a control, or a constant.
        ideal: the number where all that the claim says is so; without one the sign of the number
            less the control decides, such as of an order.
        paper: the paper's number or order, in words.
        paper_number: the paper's number, which stands for the ideal; 85% of it is enough.
        exact: whether it is counted, the same in every draw, and decides without an interval.
        reason: why this control and this ideal.
    """

    control: Measured | float = 0.0
    ideal: float | None = None
    paper: str = ""
    paper_number: float | None = None
    exact: bool = False


class Gate(Measured):
    """What has to be so for a claim to be testable at all.

    Attributes:
        at_least, at_most: the threshold.
        says: what is the matter where it is not met, as a phrase: "no barrier to begin with".
    """

    at_least: float | None = None
    at_most: float | None = None
    says: Text

    @model_validator(mode="after")
    def _has_one_threshold(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a gate has at_least or at_most, one of them")
        return self

    @property
    def threshold(self) -> str:
        """In words: “at least 0.1”."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return f"at most {self.at_most:g}"

    def is_open(self, value: float) -> bool:
        """Whether a number meets the threshold."""
        if self.at_least is not None:
            return value >= self.at_least
        return value <= (self.at_most or 0.0)


class Claim(Checked):
    """One row of ``book/claims.yml``.

    Attributes:
        name: what a person calls it.
        section: whose results it is judged by, or several with tables of the same names.
        tables_of: section → table → what that section calls it.
        statement: the claim, in a sentence of ours.
        paper: what the paper says or shows of it.
        evidence: page and anchor of the figure.
        evidence_of: the same for networks shown elsewhere, by a pattern of section and
            architecture, such as ``"4.3 clip"``; the first that is found counts.
        parts: what it says, each with a number; the first is its primary one.
        gates: what has to be so for it to be testable.
        shown: further numbers.
    """

    name: Text
    section: Text | Names
    tables_of: dict[str, dict[str, str]] = Field(default_factory=dict)
    statement: Text
    paper: Text
    evidence: Link
    evidence_of: dict[str, Link] = Field(default_factory=dict)
    parts: Annotated[list[Part], Field(min_length=1)]
    gates: list[Gate] = Field(default_factory=list)
    shown: list[Shown] = Field(default_factory=list)

    @property
    def sections(self) -> list[str]:
        """Whose results it is judged by."""
        return [self.section] if isinstance(self.section, str) else self.section

    def figure(self, section: str, setting: str) -> str:
        """Page and anchor of the figure that has a section's results on a setting."""
        place = f"{section} {settings.describe(setting).architecture}"
        of_kind = (link for kind, link in self.evidence_of.items() if re.search(kind, place))
        return next(of_kind, self.evidence)


def load() -> dict[str, Claim]:
    """The claims of ``book/claims.yml`` by id, in its order.

    Raises:
        SettingError: the file is missing or not written right, in one sentence.
    """
    try:
        return dict(_parsed(text_of(root() / "book" / _FILE)))
    except ValidationError as error:
        first = error.errors()[0]
        # A union's place holds the names of its types, which are nobody's key.
        place = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        message = first["msg"].removeprefix("Value error, ")
        raise SettingError(f"{_FILE}: {place!r}: {message[0].lower()}{message[1:]}") from None


# Every page asks, and the file is long.
@lru_cache(maxsize=8)
def _parsed(text: str) -> dict[str, Claim]:
    return TypeAdapter(dict[str, Claim]).validate_python(parsed(_FILE, text))
