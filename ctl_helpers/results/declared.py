"""Is a table as it is declared?"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ctl_helpers.project import TableError
from ctl_helpers.results.columns import Column
from ctl_helpers.results.shapes import TABLES


def check(section: str, name: str, table: pd.DataFrame) -> None:
    """Refuse a table that is not as it is declared.

    Raises:
        TableError: no such table, a column that is missing or not declared, or values of another
            kind or with other labels.
    """
    problem = _problem(TABLES.get(section, {}).get(name), table)
    if problem:
        raise TableError(
            f"section {section}, table {name!r}: {problem}; mend the notebook, or the declaration "
            "in ctl_helpers/results/shapes.py"
        )


def _problem(columns: Iterable[Column] | None, table: pd.DataFrame) -> str | None:
    if columns is None:
        return "no such table is declared"
    declared = {column.name: column for column in columns}
    for name in table.columns:
        if name not in declared:
            return f"column {name!r} is not declared"
    for name, column in declared.items():
        if name in table:
            problem = column.problem(table[name])
            if problem:
                return f"column {name!r} {problem}"
        elif not column.optional:
            return f"column {name!r} is missing"
    return None
