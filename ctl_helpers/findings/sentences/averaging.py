"""What the page and the notebooks on Section 4.2 say in numbers."""

from __future__ import annotations

import math
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
from ctl_helpers.findings.words import by_panel, cells, in_turn, number_table, said, short, spans

Panels = Mapping[str, str]


def singles(accuracy: pd.DataFrame, panels: Panels) -> str:
    """How accurate the single networks are."""
    ends = _ends(panels, single_accuracy, accuracy, at=("least", "most"))
    return f"Single networks are right on {in_turn(panels, ends)} of the test samples."


def ensembles(ensembles: pd.DataFrame, panels: Panels) -> str:
    """How averaged weights compare with ensembles, and whether far networks make the difference."""
    counts = ensembles.groupby("setting").size()
    rows = {
        "triples": [f"{counts[name]:,}" for name in panels],
        "correlation of both accuracies": cells(panels, ensemble_correlation, ensembles),
        "triples where averaged weights are ahead": cells(
            panels, ensemble_order, ensembles, averaged="ahead"
        ),
        "triples where they are behind": cells(
            panels, ensemble_order, ensembles, averaged="behind"
        ),
        "averaged weights minus ensemble, mean": cells(panels, ensemble_lead, ensembles),
        "the same without its sign": cells(panels, ensemble_gap, ensembles),
    }
    shares = {
        "difference with fewest networks of the highest learning rate": "fewest",
        "difference with most of them": "most",
    }
    rates = {
        name: cells(panels, ensemble_lead, ensembles, of=share) for name, share in shares.items()
    }
    text = "Accuracy of averaged weights beside that of the ensemble of the same three networks."
    if not ensemble_lead.by_setting(ensembles, of="most"):
        return f"{text}{number_table(panels, rows)}"
    return (
        f"{text}{number_table(panels, rows | rates)}"
        "The last two rows split the mean difference. Networks of the highest learning rate are "
        "farther apart from the others. So terms of second order are larger, and averaged weights "
        "should fall behind."
    )


def blocks(averaging: pd.DataFrame, panels: Panels) -> str:
    """How near averaged features are at the first and at the last block, and how long."""
    first, last = (cells(panels, average_nearer, averaging, at=at) for at in ("first", "last"))
    rows = {
        "baseline over distance at the first block": first,
        "the same at the last block": last,
        "largest distance of a block": cells(panels, average_worst_distance, averaging),
        "length by block": _ends(panels, average_length, averaging, at=("least", "most")),
    }
    return (
        "The averaged network's feature against the averaged features: medians over averages, and "
        "the mean length."
        f"{number_table(panels, rows)}"
    )


def tasks(accuracy: pd.DataFrame, panels: Panels) -> str:
    """Which tasks the networks of a mix are fine-tuned on."""
    names = accuracy.groupby("setting", sort=False)["network"].unique()
    listed = "; ".join(f"{', '.join(names[name])} ({title})" for name, title in panels.items())
    return f"These networks are fine-tuned on different tasks: {listed}."


def more_networks(spread: pd.DataFrame, panels: Panels) -> str:
    """How distance and length go as networks join, and what unequal weights change."""
    counts = spread.groupby("setting")["k"]
    first, last = (cells(panels, mix_distance, spread, at=at) for at in ("smallest", "largest"))
    rows = {
        "networks": [f"{counts.min()[name]} to {counts.max()[name]}" for name in panels],
        "distance with fewest": first,
        "distance with most": last,
        "distance as a share of the baseline, median of all mixes": cells(
            panels, share_of_baseline, spread
        ),
        "least length of a mix": cells(panels, mix_length, spread, at="least"),
        "distance with unequal weights, divided by that with equal ones": cells(
            panels, unequal_over_equal, spread
        ),
    }
    return (
        "Means over layers, with equal weights; the last row compares with unequal weights and is "
        "a mean over the number of networks $k$. A mix with random weights is made mostly of a few "
        "of its networks, and is nearer to these."
        f"{number_table(panels, rows)}"
    )


def second_order(spread: pd.DataFrame, many: pd.DataFrame, panels: Panels) -> str:
    """How distance and spread grow beside what second order allows."""
    wider = _allowed(spread)
    grown = {name: one.value / wider[name] ** 2 for name, one in growth.by_setting(many).items()}
    counts = spread.groupby("setting")["k"]
    rows = {
        "networks": [f"{counts.min()[name]} to {counts.max()[name]}" for name in panels],
        "growth of the spread, if it goes like $1 - 1/k$": [
            f"{wider[name]:.2f} times" for name in panels
        ],
        "growth of the spread, measured": cells(panels, spread_growth, spread),
        "growth of the distance, if it goes like $(1 - 1/k)^2$": [
            f"{wider[name] ** 2:.2f} times" for name in panels
        ],
        "growth of the distance, measured": cells(panels, growth, many),
        "the distance goes like the spread to the power of": cells(panels, power_of_spread, spread),
        "R² of the spread": cells(panels, explained_by, spread, name="spread"),
        "R² of the number of networks": cells(panels, explained_by, spread, name="k"),
    }
    return (
        "How much do spread and distance grow from the fewest networks to the most, with equal "
        "weights? Each growth is the ratio of two means over seeds, draws and layers. The last "
        "three rows fit all mixes on logarithmic axes. If only second order mattered, the distance "
        "would go like the spread to the power of 2."
        f"{number_table(panels, rows)}"
        f"{_piled(panels, grown)}"
    )


def _piled(panels: Panels, grown: Mapping[str, float]) -> str:
    """In which settings errors pile up: by how they grow, divided by what second order allows."""
    known = [name for name in panels if not math.isnan(grown.get(name, math.nan))]
    beyond = [short(panels[name]) for name in known if grown[name] > 1]
    named = f": {', '.join(beyond)}" if beyond else ""
    told = (
        f"**The error grows beyond that limit in {len(beyond)} of {len(known)} settings**{named}."
    )
    return told if known else ""


def summary(spread: pd.DataFrame, many: pd.DataFrame, panels: Panels) -> str:
    """What was seen of many networks, and of why their error does not pile up."""
    most = {str(name): counts.max() for name, counts in spread.groupby("setting")["k"]}
    farther = {name: ratio**2 for name, ratio in _allowed(spread).items()}
    explained = (said(panels, explained_by, spread, name=name) for name in ("spread", "k"))
    return (
        f"- With {by_panel(panels, most)} networks, the two sides of Theorem 4.2 differ in "
        f"direction by a distance of {said(panels, mix_distance, spread, at='largest')}, and in "
        f"length by a coefficient of {said(panels, mix_length, spread, at='largest')} (equal "
        "weights).\n"
        "- The error goes with the spread of the weights: R² "
        f"{' against that of the number of networks, '.join(explained)}. The distance grows "
        f"{said(panels, growth, many)}; second order allows "
        f"{by_panel(panels, farther, '{:.2f} times')}."
    )


def _allowed(spread: pd.DataFrame) -> dict[str, float]:
    """How far the spread of equal weights grows if it goes like 1 − 1/k."""
    ends = spread.groupby("setting")["k"].agg(["min", "max"])
    grown = (1 - 1 / ends["max"]) / (1 - 1 / ends["min"])
    return {str(name): float(ratio) for name, ratio in grown.items()}


def _ends(
    panels: Panels, measure: Measure, table: pd.DataFrame, *, at: tuple[str, str]
) -> list[str]:
    """A measure at two places in each panel: "0.98 to 1.02"."""
    return spans(panels, *(measure.by_setting(table, at=place) for place in at))
