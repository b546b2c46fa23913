"""What pages say of later papers' questions, in numbers of the book's own data."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.boundary import PREDICTORS, loss_rank
from ctl_helpers.findings.interactions import scope_error
from ctl_helpers.findings.merging import merge_rank
from ctl_helpers.findings.words import cells, number_table
from ctl_helpers.results.labels import Scope


def goes_with_loss(plane: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """How what merging loses goes with ε, with distances of features and of weights."""
    rows = {"ε": cells(panels, loss_rank, plane)}
    for name, called in PREDICTORS.items():
        rows[called] = cells(panels, merge_rank, plane, by=name)
    return (
        "Rank correlation with the accuracy that merging two networks loses, over all cells of the "
        f"map of rates, steps and tasks:{number_table(panels, rows)}"
        "At 1 a variable puts merges in the order of what they lose; at 0 it says nothing."
    )


def features_or_weights(plane: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Whether distances of features tell more of a merge than distances of weights."""
    features, weights = (
        merge_rank.by_setting(plane, by=name) for name in ("apart", "weights_apart")
    )
    ahead = sum(features[name].value > weights[name].value for name in panels)
    return (
        "- *Distances of features tell more about a merge than distances of weights*: in "
        f"{_of(ahead, panels)} they go more closely with the accuracy that merging loses."
    )


def layer_or_whole(local: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Whether a layer that is mixed alone is more linear than all layers together."""
    alone, whole = (
        scope_error.by_setting(local, scope=scope, at="mean") for scope in (Scope.ALONE, Scope.ALL)
    )
    ahead = sum(alone[name].value < whole[name].value for name in panels)
    return (
        "- *A layer alone is more linear than the whole network*: in "
        f"{_of(ahead, panels)} its ε is the smaller one, mean over layers."
    )


def _of(count: int, panels: Mapping[str, str]) -> str:
    return f"{count} of {len(panels)} setting{'s' * (len(panels) > 1)}"
