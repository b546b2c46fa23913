"""Section 4.1: whether linearity is passed on, from pair to pair and to mixes (Conjecture 4.1).

A pair's error is its ε, the root mean square over layers at α = ½. Squared errors are what a
triangle inequality speaks of: if features missed like points that lie apart, the third pair's could
be at most 4 times the larger of the given ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.replicates import Sample, Values, column, rank, rows_of
from ctl_helpers.findings.words import LINEAR, times
from ctl_helpers.results.labels import Triple

TRIANGLE = 4
"""What a triangle inequality allows the constant of :func:`worst_ratio` to be."""

_NAMES = ["i", "j", "k"]


@measure(times)
def worst_ratio(triples: pd.DataFrame) -> Sample:
    """C, the largest ε² of a third pair over the larger ε² of the two given pairs."""
    ratios = ((triples["conclusion"] / triples["premise"]) ** 2).to_numpy(float)
    return Sample(ratios, rows_of(triples, _NAMES), "networks", np.max)


@measure("{:.0%}")
def counterexamples(triples: pd.DataFrame, *, limit: str = "fixed") -> Sample:
    """Of the triples whose two given pairs are linear, the share whose third pair is not.

    Args:
        triples: their errors.
        limit: up to which error a pair is linear: ``"fixed"`` for :data:`LINEAR`, ``"twice near"``
            for twice the largest of third pairs among near tasks.
    """
    near = triples.loc[triples["group"] == Triple.NEAR, "conclusion"]
    bound = {"fixed": LINEAR, "twice near": 2 * near.max()}[limit]

    def share(rows: Values) -> float:
        given = rows[rows[:, 0] <= bound]
        return float(np.mean(given[:, 1] > bound)) if len(given) else float("nan")

    return _tripled(triples, share)


@measure("{:.0%}")
def counterexamples_apart(triples: pd.DataFrame) -> Sample:
    """Of the counterexamples with the fixed limit, the share with a network pretrained apart."""
    refuting = (triples["premise"] <= LINEAR) & (triples["conclusion"] > LINEAR)
    apart = (triples.loc[refuting, "group"] == Triple.APART).to_numpy(float)
    mean = np.mean if len(apart) else lambda rows: float("nan")
    return Sample(apart, rows_of(triples[refuting], _NAMES), "networks", mean)


@measure("{:.0%}")
def linear_premises(triples: pd.DataFrame) -> Sample:
    """Of all triples, the share whose two given pairs are linear."""
    return _tripled(triples, lambda rows: float(np.mean(rows[:, 0] <= LINEAR)))


@measure("{:.0%}")
def nonlinear_thirds(triples: pd.DataFrame) -> Sample:
    """Of all triples, the share whose third pair is not linear."""
    return _tripled(triples, lambda rows: float(np.mean(rows[:, 1] > LINEAR)))


@measure("{:+.2f}")
def premise_rank(triples: pd.DataFrame) -> Sample:
    """Rank correlation of the third pair's error and the larger given one.

    Over triples with shared pretraining: one pretrained apart spoils premise and conclusion alike.
    """
    related = triples[triples["group"] != Triple.APART]
    return _tripled(related, lambda rows: rank(rows[:, 0], rows[:, 1]))


@measure("{:.2f} times")
def mixed_over_parts(lemmas: pd.DataFrame, *, lemma: str = "") -> Sample:
    """The largest error of a mixed pair over the largest error of any pair of its networks.

    Args:
        lemmas: errors of mixed pairs.
        lemma: the only lemma whose mixes count; both if empty.
    """
    if lemma:
        lemmas = lemmas[lemmas["lemma"] == lemma]
    ratios = lemmas.assign(ratio=lemmas["error"] / lemmas["largest_of_parts"])
    return column(ratios, "ratio", "mixes", np.max)


def _tripled(triples: pd.DataFrame, statistic: Callable[[Values], float]) -> Sample:
    """Shape (triples, (premise, conclusion))."""
    values = triples[["premise", "conclusion"]].to_numpy(float)
    return Sample(values, rows_of(triples, _NAMES), "networks", statistic)
