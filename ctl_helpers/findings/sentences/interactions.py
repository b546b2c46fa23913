"""What the page and the notebook on many task vectors say in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from ctl_helpers.findings.changes import changes, signed_words
from ctl_helpers.findings.interactions import falls, scope_error, sufficient, unexplained
from ctl_helpers.findings.linearity import mix_level, special_ratio
from ctl_helpers.findings.sentences import averaging
from ctl_helpers.findings.words import (
    by_panel,
    cells,
    in_columns,
    number_table,
    quote,
    said,
    short,
)
from ctl_helpers.results.labels import Control, Scope, Terms
from ctl_helpers.settings.schema import PRETRAINED

Panels = Mapping[str, str]

_LAYERS = (Scope.ALL, Scope.ALONE)
_MAPS = (Scope.ATTENTION, Scope.MLP)
_PARTS = (*_MAPS, Scope.NORM)


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
        "The prediction is that pairs leave less than single vectors alone. It is "
        f"{by_panel(panels, _pairs_help(shares))}."
    )


def _pairs_help(shares: pd.DataFrame) -> dict[str, str]:
    """Setting → whether pairs leave less unexplained than single vectors, by the interval."""
    singles, pairs = (
        unexplained.by_setting(shares, terms=terms) for terms in (Terms.SINGLES, Terms.PAIRS)
    )
    return {
        name: signed_words(pairs[name], singles[name], "wrong", "right", "open")
        for name in pairs
        if name in singles
    }


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
        [cells(panels, scope_error, local, scope=scope, at=at) for scope in _LAYERS]
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
    return f"With all task vectors added together:{number_table(panels, rows)}"


def parts(local: pd.DataFrame, panels: Panels) -> str:
    """ε of attention, MLP and norms alone beside that of the whole, in two sentences and a table.

    Empty where no network has such parts.
    """
    local = local[local["setting"].isin(local.loc[local["scope"] == Scope.MLP, "setting"])]
    errors = {
        scope: scope_error.by_setting(local, scope=scope, at="mean")
        for scope in (Scope.ALL, *_PARTS)
    }
    own = {name: title for name, title in panels.items() if name in errors[Scope.MLP]}
    if not own:
        return ""

    def less(small: Scope, large: Scope) -> set[str]:
        return {name for name in own if errors[small][name].value < errors[large][name].value}

    below = less(Scope.ATTENTION, Scope.ALL) & less(Scope.MLP, Scope.ALL)
    first = less(Scope.ATTENTION, Scope.MLP)
    ahead = {"attention": first, "the MLP": own.keys() - first}
    said_of = [f"{part} on {_named(own, where)}" for part, where in ahead.items() if where]
    rows = {str(scope): in_columns(own, of) for scope, of in errors.items()}
    return (
        "On clean input, attention and MLP are both more linear than their network is with all "
        f"layers mixed, on {_named(own, below)}. The more linear one of the two is "
        f"{', and '.join(said_of)}.{number_table(own, rows)}"
        "Means over blocks, of ε at the submodule's own output. A norm multiplies and adds its "
        "weights, so that on a given input it is linear in them: its row is a check."
    )


def _named(panels: Panels, settings: Collection[str]) -> str:
    titles = [short(title) for name, title in panels.items() if name in settings]
    return " and ".join(titles) if titles else "no setting"


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
