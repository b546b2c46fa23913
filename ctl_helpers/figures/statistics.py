"""The figure on BatchNorm's statistics, mixed or recomputed."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.contrast import contrast
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.batchnorm import statistics_epsilon, statistics_length
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import Statistics

_KINDS = (Statistics.MIXED, Statistics.RECOMPUTED)


def statistics(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε, distance and length by layer with mixed and with recomputed statistics.

    Args:
        table: :func:`ctl_helpers.compare` with ``statistics`` (``"mixed"`` or ``"recomputed"``).
    """
    lengths, errors = (
        [measure.by_setting(table, statistics=kind) for kind in _KINDS]
        for measure in (statistics_length, statistics_epsilon)
    )
    moved, nearer = (
        {name: f"from {before} to {after[name]}" for name, before in mixed.items()}
        for mixed, after in (lengths, errors)
    )
    return contrast(
        table,
        "statistics",
        panels,
        by_setting(
            panels,
            lambda one: (
                f"Recomputing BatchNorm's statistics takes ε {by_panel(one, nearer)}, mean "
                f"over layers, and the length at the output {by_panel(one, moved)}"
            ),
        ),
        "By layer, for BatchNorm statistics mixed like weights and recomputed on data of both "
        "tasks.",
        quoted(*(findings.values() for findings in lengths + errors)),
    )
