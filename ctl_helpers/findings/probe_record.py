"""What the probe knows of its own word on linearity: counted from published merges."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from ctl_helpers import settings
from ctl_helpers.probing import track_record
from ctl_helpers.results import stored

_SECTION = "mergeability"


def counted(merges: pd.DataFrame) -> list[dict[str, Any]]:
    """How many averages have each of the probe's levels, and how many of these work.

    Args:
        merges: a row for each merge, as the section stores it, with its ``setting``. Those with
            kλ = 1 count, where the probe's word is said.

    Returns:
        A row for each setting and level that occurs, with the setting's title and grade.
    """
    averages = merges[np.isclose(merges["k"] * merges["lam"], 1)].dropna(
        subset=["epsilon_worst", "normalized"]
    )
    levels = averages["epsilon_worst"].map(track_record.level)
    works = averages["normalized"] >= track_record.KEPT
    rows = []
    for (name, level), works_here in works.groupby([averages["setting"], levels]):
        setting = settings.describe(str(name))
        row = {"setting": setting.title, "grade": setting.grade, "level": level}
        rows.append(row | {"merges": len(works_here), "kept": int(works_here.sum())})
    return rows


def published() -> list[dict[str, Any]]:
    """:func:`counted` of all published runs; none where there are none."""
    merges = stored.joined(stored.published_runs(_SECTION), "merges")
    return [] if merges is None else counted(merges)


def write() -> None:
    """Give the probe what is published, in a file of the package."""
    text = json.dumps(published(), indent=1, ensure_ascii=False)
    track_record.FILE.write_text(text + "\n", encoding="utf-8")
