"""What the page on Section 3 says of pairs whose loss has no barrier."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.flatness import (
    ALL,
    RELATED,
    Kin,
    barrier_rank,
    connected,
    not_linear,
    of_kin,
    together,
    without_barrier,
)
from ctl_helpers.findings.flatness import pairs as of_pairs
from ctl_helpers.findings.spawning import FLAT, NO_BARRIER
from ctl_helpers.findings.words import LINEAR, mark, markdown_table, plain, short

Panels = Mapping[str, str]


def answer(
    paths: pd.DataFrame,
    direction: pd.DataFrame,
    curves: pd.DataFrame,
    features: pd.DataFrame,
    control: pd.DataFrame,
    panels: Panels,
) -> str:
    """Whether a flat loss goes with linear features, by counterexamples and by ranks.

    Args:
        paths, direction, curves, features, control: as
            :func:`ctl_helpers.findings.flatness.pairs` takes them.
        panels: setting → panel title.
    """
    pairs = of_pairs(paths, direction, curves, features, control)
    parts = [_counted(pairs, panels), _backwards(pairs), _ranked(pairs)]
    return "\n\n".join(part for part in parts if part)


def table(
    paths: pd.DataFrame,
    direction: pd.DataFrame,
    curves: pd.DataFrame,
    features: pd.DataFrame,
    control: pd.DataFrame,
    panels: Panels,
) -> str:
    """Of each kind of pair in each setting: how many, what holds of them, and the rank correlation.

    Arguments as for :func:`answer`.
    """
    pairs = of_pairs(paths, direction, curves, features, control)
    whole = together(pairs)
    rows = [
        _row(f"{short(title)}, {kin}", pairs[pairs["setting"] == setting], setting, kin)
        for kin in Kin
        for setting, title in panels.items()
        if ((pairs["kin"] == kin) & (pairs["setting"] == setting)).any()
    ]
    rows += [_row(RELATED, whole, ALL, RELATED), _row("all", whole, ALL, "")]
    both = ["no barrier", "no barrier, not linear", "LMC", "LMC, not linear"]
    return (
        f"*No barrier*: at most {NO_BARRIER:g} nats over the chord at every α that was measured. "
        f"*Not linear*: ε over {LINEAR:g} at a layer. *LMC*: the loss also stays within "
        f"{FLAT:g} nats of the better end. *Rank*: the "
        "rank correlation of the loss over its chord with ε, with its 95% interval."
        f"\n\n{markdown_table(['', 'pairs', *both, 'rank'], rows)}\n\n"
    )


def _row(name: str, pairs: pd.DataFrame, setting: str, kin: str) -> list[str]:
    part = of_kin(pairs, kin)
    kinds = [without_barrier(part), connected(part)]
    counts = [str(count) for kind in kinds for count in (len(kind), len(not_linear(kind)))]
    return [name, str(len(part)), *counts, _with_interval(_rank(pairs, setting, kin))]


def _counted(pairs: pd.DataFrame, panels: Panels) -> str:
    flat = without_barrier(pairs)
    refuting = not_linear(flat)
    if flat.empty:
        return (
            f"**It cannot be told here.** Every pair's loss gets over its chord by more than "
            f"{NO_BARRIER:g} nats."
        )
    if refuting.empty:
        return (
            f"**Nothing here speaks against it.** All {len(flat)} pairs without a barrier have "
            f"an ε of at most {LINEAR:g} at every layer."
        )
    told = (
        f"**It does not.** {len(refuting)} of {len(flat)} pairs without a barrier have a layer "
        f"with ε over {LINEAR:g}."
    )
    strict = not_linear(connected(pairs))
    if strict.empty:
        return f"{told} None of these has level ends: their loss rises by more than {FLAT:g} nats."
    worst = strict.nlargest(1, "epsilon").iloc[0]
    where = short(panels[str(worst["setting"])])
    return (
        f"{told} Some of these have linear mode connectivity in the full sense, with a loss that "
        f"stays within {FLAT:g} nats of the better end: {len(strict)} of the "
        f"{len(connected(pairs))} that have it. The clearest one ({where}, {_called(worst)}) has "
        f"an ε of {plain(worst['epsilon'])}."
    )


def _backwards(pairs: pd.DataFrame) -> str:
    ridges = pairs[~pairs.index.isin(without_barrier(pairs).index)]
    linear = len(ridges) - len(not_linear(ridges))
    if ridges.empty:
        return "No pair has a barrier, so that nothing is seen of the way back."
    if linear:
        return (
            f"The other way round: {linear} of {len(ridges)} pairs with a barrier are linear at "
            "every layer all the same, so that ε of ½ is no guard against one."
        )
    return (
        f"The other way round there is no exception: of pairs with a barrier ({len(ridges)}), none "
        "is linear at every layer, which fits {prf:ref}`theorem-3-3`. So a barrier speaks "
        "against linear features, and a flat loss does not speak for them."
    )


def _ranked(pairs: pd.DataFrame) -> str:
    finding = _rank(together(pairs), ALL, RELATED)
    if finding is None:
        return ""
    low, high = finding.sample.interval() or (-1.0, 1.0)
    if low > 0:
        means = "the higher the loss over its chord, the less linear features are, on the whole"
    elif high < 0:
        means = "the higher the loss over its chord, the *more* linear features are, on the whole"
    else:
        means = "the loss on the line does not put pairs in the order of their ε"
    return (
        "Does the loss at least tell which of two pairs is more linear? Over all pairs that share "
        f"a start, the rank correlation is {_with_interval(finding)}: {means}."
    )


def _rank(pairs: pd.DataFrame, setting: str, kin: str) -> Finding | None:
    return barrier_rank.by_setting(pairs, kin=kin).get(setting)


def _with_interval(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    ends = finding.sample.interval()
    if ends is None:
        return mark(finding)
    # No correlation is beyond 1, wherever a t interval ends.
    low, high = (finding.write(min(max(end, -1.0), 1.0)) for end in ends)
    return f"{mark(finding)} [{low}, {high}]"


def _called(pair: pd.Series) -> str:
    named = pair["i"] if pair["i"] == pair["j"] else f"{pair['i']} and {pair['j']}"
    return f"{named}, seed {pair['seed']}"
