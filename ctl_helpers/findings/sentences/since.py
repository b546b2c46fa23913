"""What pages say of later papers' questions, in numbers of the book's own data."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.boundary import PREDICTORS, loss_rank
from ctl_helpers.findings.merging import merge_rank
from ctl_helpers.findings.words import cells, number_table


def goes_with_loss(plane: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """How what merging loses goes with ε, with distances of features and of weights."""
    rows = {"ε": cells(panels, loss_rank, plane)}
    for name, called in PREDICTORS.items():
        rows[called] = cells(panels, merge_rank, plane, by=name)
    features, weights = (
        merge_rank.by_setting(plane, by=name) for name in ("apart", "weights_apart")
    )
    ahead = sum(features[name].value > weights[name].value for name in panels)
    return (
        "Rank correlation with the accuracy that merging two networks loses, over all cells of the "
        f"map of rates, steps and tasks:{number_table(panels, rows)}"
        "At 1 a variable puts merges in the order of what they lose; at 0 it says nothing. The "
        "distance of features goes with it more closely than the distance of weights in "
        f"{ahead} of {len(panels)} settings."
    )
