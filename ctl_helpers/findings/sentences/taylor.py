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
from ctl_helpers.findings.words import by_panel, mark, quote
from ctl_helpers.results.labels import Expansion


def lost(single: pd.DataFrame, addition: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Accuracy of networks and of their Taylor models, alone and with all task vectors added."""

    def alone(model: str) -> str:
        return quote(panels, taylor_accuracy.by_setting(single, model=model))

    def added(model: Expansion) -> str:
        scalings = quote(panels, taylor_lambda.by_setting(addition, model=model))
        return f"{quote(panels, taylor_added.by_setting(addition, model=model))} (λ = {scalings})"

    return (
        f"Fine-tuning takes the accuracy from {alone('pretrained')} to {alone(Expansion.NETWORK)} "
        f"(mean over tasks); the Taylor model reaches {alone(Expansion.TAYLOR)}, and so lacks "
        f"{quote(panels, taylor_lost.by_setting(single))} of the gain. With all task vectors added "
        "and λ chosen on held-out images for each, the network reaches "
        f"{added(Expansion.NETWORK)}, its Taylor model {added(Expansion.TAYLOR)}."
    )


def apart(taylor: pd.DataFrame, ctl: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """The distance of CTL against that of Taylor models, as it is and as a share of baselines."""
    least, most = (taylor_ratio.by_setting(taylor, ctl, at=at) for at in ("least", "most"))
    ends = {name: f"{mark(least[name])} to {mark(most[name])}" for name in least}
    farther = taylor_times_farther.by_setting(taylor, ctl)
    return (
        f"Measured, the distance of CTL is {by_panel(panels, ends)} of the Taylor model's over the "
        "blocks; second order without common terms gives 0.12 to 0.25, and less where terms "
        "cancel. As a share of the baseline, the Taylor model's is "
        f"{quote(panels, farther)} as large at least."
    )
