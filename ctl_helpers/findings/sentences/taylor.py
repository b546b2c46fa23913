"""What the page on post-hoc linearization says in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.taylor import (
    taylor_accuracy,
    taylor_added,
    taylor_lambda,
    taylor_lost,
    taylor_ratio,
    taylor_times_farther,
)
from ctl_helpers.findings.words import cells, number_table, spans
from ctl_helpers.results.labels import Expansion


def lost(single: pd.DataFrame, addition: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Accuracy of networks and of their Taylor models, alone and with all task vectors added."""
    kinds = {"network": Expansion.NETWORK, "Taylor model": Expansion.TAYLOR}
    alone = {
        f"{name}, alone": cells(panels, taylor_accuracy, single, model=model)
        for name, model in {"pretrained network": "pretrained", **kinds}.items()
    }
    added = {
        f"{name}, all vectors added (λ)": spans(
            panels,
            taylor_added.by_setting(addition, model=model),
            taylor_lambda.by_setting(addition, model=model),
            form="{} ({})",
        )
        for name, model in kinds.items()
    }
    lacks = {"share of the gain that the Taylor model misses": cells(panels, taylor_lost, single)}
    return (
        "Accuracy, mean over tasks; λ is chosen on held-out samples."
        f"{number_table(panels, {**alone, **lacks, **added})}"
    )


def apart(taylor: pd.DataFrame, ctl: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """The distance of CTL against that of Taylor models, as it is and as a share of baselines."""
    least, most = (taylor_ratio.by_setting(taylor, ctl, at=at) for at in ("least", "most"))
    rows = {
        "distance of CTL over that of the Taylor model, by block": spans(panels, least, most),
        "the Taylor model's share of its baseline, divided by CTL's, at the block where that is "
        "smallest": (cells(panels, taylor_times_farther, taylor, ctl)),
    }
    return (
        "What was measured. If $H$ mixes the two task vectors little, second order gives 0.12 to "
        "0.25 in the first row. Where terms cancel, it gives less."
        f"{number_table(panels, rows)}"
    )
