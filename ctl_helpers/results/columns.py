"""A column of a stored table, and what it may hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import pandas as pd
from pandas.api import types


@dataclass(frozen=True)
class Column:
    """A column of a stored table.

    Attributes:
        kind: what it holds; a number may be whole, and NaN.
        unit: of numbers, where they have one.
        labels: the only labels that it may hold.
        optional: older tables lack it.
        gaps: a label may be missing in some rows.
    """

    name: str
    kind: Literal["number", "integer", "label", "flag"] = "number"
    unit: str = ""
    labels: type[Enum] | None = None
    optional: bool = False
    gaps: bool = False

    def problem(self, values: pd.Series) -> str | None:
        """What is wrong with a column's values, as the end of a sentence."""
        if not _IS[self.kind](values):
            return f"holds {values.dtype} where {self.kind}s are declared"
        if self.kind != "label":
            return None
        if values.isna().any() and not self.gaps:
            return "lacks labels in some rows"
        if self.labels is None:
            return None
        allowed = [str(label) for label in self.labels]
        unknown = set(values.dropna()) - set(allowed)
        return f"holds {min(unknown)!r}, which is none of {allowed}" if unknown else None


def _is_number(values: pd.Series) -> bool:
    return types.is_numeric_dtype(values) and not types.is_bool_dtype(values)


def _is_label(values: pd.Series) -> bool:
    return all(isinstance(value, str) for value in values.dropna())


_IS = {
    "number": _is_number,
    "integer": types.is_integer_dtype,
    "label": _is_label,
    "flag": types.is_bool_dtype,
}
