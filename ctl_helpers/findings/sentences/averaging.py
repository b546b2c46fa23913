"""What the page and the notebooks on Section 4.2 say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.averaging import (
    average_length,
    average_nearer,
    average_worst_distance,
    ensemble_correlation,
    ensemble_gap,
    ensemble_lead,
    ensemble_order,
    explained_by,
    growth,
    mix_distance,
    mix_length,
    power_of_spread,
    share_of_baseline,
    single_accuracy,
    spread_growth,
    unequal_over_equal,
)
from ctl_helpers.findings.finding import Measure
from ctl_helpers.findings.words import by_panel, mark, said

Panels = Mapping[str, str]


def singles(accuracy: pd.DataFrame, panels: Panels) -> str:
    """How accurate the single networks are."""
    spans = _span(single_accuracy, accuracy, "least", "most")
    return f"Single networks are right on {by_panel(panels, spans)} of the test images."


def ensembles(ensembles: pd.DataFrame, panels: Panels) -> str:
    """How averaged weights compare with ensembles, and whether far networks make the difference."""
    counts = {str(name): len(rows) for name, rows in ensembles.groupby("setting")}
    ahead, behind = (
        said(panels, ensemble_order, ensembles, averaged=side) for side in ("ahead", "behind")
    )
    text = (
        f"Over {by_panel(panels, counts, '{} triples')} the accuracies of averaged weights "
        "and of the ensemble correlate at "
        f"{said(panels, ensemble_correlation, ensembles)}. Averaged weights are ahead of the "
        f"ensemble in {ahead} and behind in {behind}; in the mean they differ by "
        f"{said(panels, ensemble_lead, ensembles)}, without sign by "
        f"{said(panels, ensemble_gap, ensembles)}."
    )
    rates = _span(ensemble_lead, ensembles, "fewest", "most", "{}, then {}", name="of")
    if not rates:
        return text
    return (
        f"{text}\n\nWhere networks of the highest learning rate join, weights are farther apart, "
        "second order has more to say, and averaged weights should fall behind. In triples with "
        "the fewest of them, and then with the most, averaged weights differ by "
        f"{by_panel(panels, rates)}."
    )


def blocks(averaging: pd.DataFrame, panels: Panels) -> str:
    """How near averaged features are at the first and at the last block, and how long."""
    nearer = by_panel(panels, _span(average_nearer, averaging, "first", "last"))
    lengths = by_panel(panels, _span(average_length, averaging, "least", "most"))
    return (
        f"From the first block to the last the baseline goes from {nearer} the distance (medians "
        f"over averages), which is {said(panels, average_worst_distance, averaging)} at most; the "
        f"length is {lengths} of the averaged features'."
    )


def tasks(accuracy: pd.DataFrame, panels: Panels) -> str:
    """Which tasks the networks of a mix are fine-tuned on."""
    names = accuracy.groupby("setting", sort=False)["network"].unique()
    listed = "; ".join(f"{', '.join(names[name])} ({title})" for name, title in panels.items())
    return f"These networks are fine-tuned on different tasks: {listed}."


def more_networks(spread: pd.DataFrame, panels: Panels) -> str:
    """How distance and length go as networks join, and what unequal weights change."""
    distances = by_panel(panels, _span(mix_distance, spread, "smallest", "largest"))
    return (
        f"From {spread['k'].min()} networks to {_most(spread, panels)} with equal weights, the "
        f"distance (mean over layers) goes from {distances}. In the median over all mixes the "
        f"distance is {said(panels, share_of_baseline, spread)} of the baseline; the length, mean "
        f"over layers, is at least {said(panels, mix_length, spread, at='least')}. With unequal "
        "weights the distance is, in the mean over $k$, "
        f"{said(panels, unequal_over_equal, spread)} that with equal ones: a random mix leans on "
        "few of its networks and is nearer to them."
    )


def second_order(spread: pd.DataFrame, many: pd.DataFrame, panels: Panels) -> str:
    """How distance and spread grow beside what second order allows."""
    wider = _allowed(spread)
    farther = {name: ratio**2 for name, ratio in wider.items()}
    return (
        f"With {_most(spread, panels)} networks that makes "
        f"{by_panel(panels, wider, '{:.2f} times')} the spread of {spread['k'].min()}, and "
        f"{by_panel(panels, farther, '{:.1f} times')} the distance. Measured, the spread grows "
        f"{said(panels, spread_growth, spread)}, the distance {said(panels, growth, many)}. Over "
        "all mixes, with equal and unequal weights, the distance goes with the spread to the power "
        f"{said(panels, power_of_spread, spread)}, where second order gives 2. How much of the "
        "distance the spread explains, on logarithmic axes, against the number of networks: R² "
        f"{_explained(spread, panels)}."
    )


def summary(spread: pd.DataFrame, many: pd.DataFrame, panels: Panels) -> str:
    """What was seen of many networks, and of why their error does not pile up."""
    most = _most(spread, panels)
    farther = {name: ratio**2 for name, ratio in _allowed(spread).items()}
    return (
        f"- With {most} networks the two sides of Theorem 4.2 differ in direction by a distance of "
        f"{said(panels, mix_distance, spread, at='largest')}, and in length by a coefficient of "
        f"{said(panels, mix_length, spread, at='largest')} (equal weights).\n"
        "- The error goes with the spread of the weights (R² against that of the number of "
        f"networks: {_explained(spread, panels)}). Up to {most} networks the distance grows "
        f"{said(panels, growth, many)}; second order allows "
        f"{by_panel(panels, farther, '{:.1f} times')}."
    )


def _most(spread: pd.DataFrame, panels: Panels) -> str:
    most = {str(name): counts.max() for name, counts in spread.groupby("setting")["k"]}
    return by_panel(panels, most)


def _allowed(spread: pd.DataFrame) -> dict[str, float]:
    """How far the spread of equal weights grows if it goes like 1 − 1/k."""
    ends = spread.groupby("setting")["k"].agg(["min", "max"])
    grown = (1 - 1 / ends["max"]) / (1 - 1 / ends["min"])
    return {str(name): float(ratio) for name, ratio in grown.items()}


def _explained(spread: pd.DataFrame, panels: Panels) -> str:
    both = _span(explained_by, spread, "spread", "k", "{} against {}", name="name")
    return by_panel(panels, both)


def _span(
    measure: Measure,
    table: pd.DataFrame,
    first: str,
    last: str,
    form: str = "{} to {}",
    *,
    name: str = "at",
) -> dict[str, str]:
    """Setting → a measure at two values of its argument ``name``."""
    start, end = (measure.by_setting(table, **{name: value}) for value in (first, last))
    return {
        key: form.format(*(mark(one[key]) if key in one else "–" for one in (start, end)))
        for key in start | end
    }
