"""What the page and the notebook on many task vectors say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.changes import changes
from ctl_helpers.findings.interactions import falls, scope_error, sufficient, unexplained
from ctl_helpers.findings.linearity import mix_level, special_ratio
from ctl_helpers.findings.sentences import averaging
from ctl_helpers.findings.words import by_panel, cells, number_table, quote, said
from ctl_helpers.results.labels import Control, Scope, Terms
from ctl_helpers.settings.schema import PRETRAINED

Panels = Mapping[str, str]


def tasks(accuracy: pd.DataFrame, panels: Panels) -> str:
    """Which tasks there is a task vector of."""
    return averaging.tasks(accuracy[accuracy["network"] != PRETRAINED], panels)


def left_over(shares: pd.DataFrame, controls: pd.DataFrame, panels: Panels) -> str:
    """What terms leave unexplained of the largest sums, beside that of random vectors."""
    most = _most(shares)
    of_three = shares[shares["terms"] == Terms.TRIPLES]
    with_triples = _most(of_three) if len(of_three) else {}
    rows = {
        "task vectors": [f"{most[name]}" for name in panels],
        "left by single vectors": cells(panels, unexplained, shares, terms=Terms.SINGLES),
        "left by single vectors and pairs": cells(panels, unexplained, shares, terms=Terms.PAIRS),
        "the same, mean over layers": cells(
            panels, unexplained, shares, terms=Terms.PAIRS, at="mean"
        ),
        "the same of random vectors, worst layer": cells(
            panels, unexplained, controls, terms=Terms.PAIRS, control=Control.RANDOM
        ),
        "the same with networks pretrained apart, worst layer": cells(
            panels, unexplained, controls, terms=Terms.PAIRS, control=Control.APART
        ),
        "most task vectors whose triples were looked at": [
            f"{with_triples[name]}" if name in with_triples else "–" for name in panels
        ],
        "left by single vectors, pairs and triples of those": cells(
            panels, unexplained, shares, terms=Terms.TRIPLES
        ),
        "pairs suffice up to so many task vectors": cells(
            panels, sufficient, shares, terms=Terms.PAIRS
        ),
    }
    return (
        "The share of the features' squared change that is left unexplained, at the layer where "
        "task vectors leave most. Pairs *suffice* where that share is no more than a quarter at "
        "every layer."
        f"{number_table(panels, rows)}"
    )


def errors(theorem: pd.DataFrame, controls: pd.DataFrame, panels: Panels) -> str:
    """How ε goes with the number of task vectors, beside that of random vectors."""
    fewest, most = (cells(panels, mix_level, theorem, at=at) for at in ("fewest", "most"))
    rows = {
        "ε with two task vectors": fewest,
        "ε with all of them": most,
        "ε of task vectors, divided by that of random vectors": cells(
            panels, special_ratio, controls
        ),
    }
    return f"The linearity error ε of Theorem 4.3, mean over layers.{number_table(panels, rows)}"


def local(local: pd.DataFrame, panels: Panels) -> str:
    """How ε of all layers mixed compares with that of each layer alone."""
    means, lasts = (
        [cells(panels, scope_error, local, scope=scope, at=at) for scope in Scope]
        for at in ("mean", "last")
    )
    layers = local.groupby("setting")["layer"].nunique()
    rows = {
        "ε with all layers mixed, mean over layers": means[0],
        "ε with the layer alone mixed, mean over layers": means[1],
        "ε with all layers mixed, at the last layer": lasts[0],
        "ε with the layer alone mixed, at the last that has parameters": lasts[1],
        "layers": [f"{layers[name]}" for name in panels],
        "layers at which ε is less than at the one before": cells(panels, falls, local),
    }
    return f"All task vectors together.{number_table(panels, rows)}"


def answer(
    shares: pd.DataFrame, controls: pd.DataFrame, theorem: pd.DataFrame, panels: Panels
) -> str:
    """How many task vectors pairs suffice for, what they leave, and how ε goes: three sentences."""
    most = _most(shares)
    enough = {
        name: f"{number} of {most[name]}"
        for name, number in zip(
            panels, cells(panels, sufficient, shares, terms=Terms.PAIRS), strict=True
        )
    }
    alone, paired = (
        said(panels, unexplained, shares, terms=terms) for terms in (Terms.SINGLES, Terms.PAIRS)
    )
    random = quote(
        panels,
        unexplained.by_setting(controls, terms=Terms.PAIRS, control=Control.RANDOM),
    )
    first, last = (mix_level.by_setting(theorem, at=at) for at in ("fewest", "most"))
    return (
        f"Pairs suffice up to {by_panel(panels, enough)} task vectors. With all of them, the share "
        f"of the features' change that is left unexplained at the worst layer is {alone} with "
        f"single vectors, {paired} with pairs, and {random} with pairs of random vectors of equal "
        "effect, where 0 is nothing and 1 as much as if no change were expected. From two task "
        "vectors to all, each going as far on its own, the linearity error ε "
        f"{changes(panels, first, last)}."
    )


def _most(shares: pd.DataFrame) -> dict[str, int]:
    return {str(name): int(most) for name, most in shares.groupby("setting")["k"].max().items()}
