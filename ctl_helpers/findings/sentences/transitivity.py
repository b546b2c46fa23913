"""What pages say of transitivity: whether what is linear with one network is so with another."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.transitivity import (
    TRIANGLE,
    counterexamples,
    counterexamples_apart,
    mixed_over_parts,
    nonlinear_thirds,
    premise_rank,
    worst_ratio,
)
from ctl_helpers.findings.words import LINEAR, cells, number_table, said

Panels = Mapping[str, str]


def transitivity(triples: pd.DataFrame, panels: Panels) -> str:
    """The constant of Conjecture 4.1 against a triangle's."""
    return (
        "The third pair's squared error is at most "
        f"{said(panels, worst_ratio, triples)} the larger of the two given ones. If ε "
        f"were a distance, the triangle inequality would allow {TRIANGLE:g} times."
    )


def thresholds(triples: pd.DataFrame, lemmas: pd.DataFrame, panels: Panels) -> str:
    """How often Conjecture 4.1 fails as a yes or no, what its premise says, and the lemmas."""
    near, fixed = (
        cells(panels, counterexamples, triples, limit=limit) for limit in ("twice near", "fixed")
    )
    rows = {
        "third pair above the limit, limit at twice the largest ε among near tasks": near,
        f"the same, limit at ε = {LINEAR:g}": fixed,
        "of these, one network pretrained apart": cells(panels, counterexamples_apart, triples),
        "of all triples, third pair above that limit": cells(panels, nonlinear_thirds, triples),
        "rank correlation of given and third error": cells(panels, premise_rank, triples),
        "largest error of a mixed pair, divided by that of any pair": cells(
            panels, mixed_over_parts, lemmas
        ),
    }
    return (
        "For the conjecture a pair is linear or it is not. But errors grow by degrees, so we need "
        "a limit up to which a pair counts as linear, and try two. Of the triples whose two given "
        f"pairs are below it, in how many is the third pair above it?{number_table(panels, rows)}"
        "**How much is that worth?** Where no third pair is above the limit, the conjecture could "
        "not fail. And a network pretrained apart mostly spoils both of its pairs at once, so that "
        "the premise fails with the conclusion. The rank correlation is over triples that share "
        "one pretraining. (Errors that have nothing to do with each other would give a little less "
        "than 0, since the three triples of three networks share their pairs.)\n\n"
        "The last row is about Lemmas B.2 and B.3, which pass the property on to mixes: a mix of "
        "linear networks should be linear with its parts."
    )
