"""Merging methods, on tables with a known answer: measures, sentences and the figure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import combinations, product

import pandas as pd
import pytest

from ctl_helpers import results, settings
from ctl_helpers.analysis.merge_names import MergeMethod
from ctl_helpers.figures import merging as figures
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import merging as sentences
from ctl_helpers.results import declared

SEEDS = (0, 1, 2)
PANEL = {"digits-mlp": "Digits MLP (D)"}
SHARES = {
    MergeMethod.START: 0.5,
    MergeMethod.AVERAGE: 0.6,
    MergeMethod.ARITHMETIC: 0.9,
    MergeMethod.TIES: 0.85,
    MergeMethod.DARE: 0.8,
    MergeMethod.BREADCRUMBS: 0.88,
    MergeMethod.REGMEAN: 0.86,
    MergeMethod.EPSILON: 0.8,
    MergeMethod.ENTROPY: 0.7,
    MergeMethod.LAYERS: 0.82,
}


def merges(shares: Mapping[str, float] | None = None, pairs: float = 0.05) -> pd.DataFrame:
    """Three tasks; the third keeps .03 more, and pairs keep some more. ε is the share's tenth."""
    known = SHARES | (shares or {})
    sets = ["abc", *combinations("abc", 2)]
    return pd.DataFrame(
        {
            "seed": seed, "models": ", ".join(names), "k": len(names), "method": str(method),
            "strength": 0.0 if method == MergeMethod.START else 2.0, "task": task, "n": 100,
            "loss": 1.0, "share": share + pairs * (len(names) < 3) + 0.03 * (task == "c"),
            "accuracy": share / 2,
            "epsilon": math.nan if method == MergeMethod.START else share / 10,
        }
        for seed, names, (method, share) in product(SEEDS, sets, known.items())
        for task in names
    )  # fmt: skip


def test_shares_are_means_over_tasks_and_over_pairs() -> None:
    table = merges()
    declared.check("merging", "merges", table.drop(columns="seed"))
    share, lead, kept = (MEASURES[name] for name in ("merge_share", "merge_lead", "gain_kept"))
    assert share(table, method="TIES").effect == pytest.approx(0.86)
    assert share(table, method="TIES", of="pairs").effect == pytest.approx(0.91)
    assert lead(table, method="DARE").effect == pytest.approx(-0.1)
    assert lead(table, method="DARE", over="strength by entropy", of="pairs").effect == (
        pytest.approx(0.1)
    )
    assert kept(table).effect == pytest.approx(0.75)
    assert kept(table, method="strength by entropy", of="pairs").effect == pytest.approx(0.5)
    little = merges({MergeMethod.START: 0.895})
    assert math.isnan(kept(little).effect)
    assert MEASURES["merge_epsilon"](table, method="RegMean").effect == pytest.approx(0.086)
    assert MEASURES["merge_strength"](table, method="TIES").effect == 2


def strengths() -> pd.DataFrame:
    """ε grows with s, for pairs twice as fast; pairs are best at s = 1, all at s = 2 and 3."""
    known = {"abc": (0.8, 0.9, 0.9), "a, b": (0.9, 0.8, 0.3), "b, c": (0.9, 0.8, 0.3)}
    return pd.DataFrame(
        {
            "seed": 0, "models": "a, b, c" if names == "abc" else names,
            "k": 3 if names == "abc" else 2, "strength": s, "layer": "x", "entropy": 1.0,
            "epsilon": s * (0.15 if names == "abc" else 0.3), "held_out": share,
        }
        for names, shares in known.items()
        for s, share in zip((1.0, 2.0, 3.0), shares, strict=True)
    )  # fmt: skip


def test_the_best_level_lets_both_pairs_and_all_be_as_strong_as_they_may() -> None:
    table = strengths()
    declared.check("merging", "strengths", table.drop(columns="seed"))
    # Under .3 pairs are at s = 1 as well, the least there is; from .6 on they are too strong.
    assert MEASURES["best_level"](table).effect == pytest.approx(0.3)


def test_published_networks_take_the_level_that_was_best_on_one_trained_here() -> None:
    table = results.tables("merging", "strengths")
    best = MEASURES["best_level"](table[table["setting"] == "scenes-clip"]).effect
    described = [settings.describe(name) for name in settings.names()]
    published = [one for one in described if one.kind == "real" and "merging" in one.sections]
    assert [one.sections["merging"].parameters["level"] for one in published] == [best] * 3


def test_of_one_seed_tasks_are_drawn_and_of_pairs_networks() -> None:
    table = merges().query("seed == 0")
    for of, units in (("all", "3 tasks of 1 seed"), ("pairs", "3 networks of 1 seed")):
        sample = MEASURES["merge_share"](table, method="TIES", of=of)
        assert sample.estimate().units == units
        assert sample.interval() is not None


def test_the_page_says_what_is_kept() -> None:
    table = merges().assign(setting="digits-mlp")
    text = re.sub(r"<[^>]+>", "", sentences.answer(table, PANEL))
    assert "a plain sum keeps 91% of the own networks' accuracy" in text
    assert "The best other method, Breadcrumbs, differs from it by −2.0 points." in text
    assert "Of what labels win over the pretrained network, it wins 75%, and for pairs 75%" in text
    assert "Entropy wins 50%" in text
    assert "From one strength by ε it differs by +2.0 points, and for pairs by +2.0 points" in text
    little = merges({MergeMethod.START: 0.9}).assign(setting="digits-mlp")
    assert "at the strength that labels choose, wins nothing there" in sentences.answer(
        little, PANEL
    )
    listed = re.sub(r"<[^>]+>", "", sentences.table(table, PANEL))
    assert [row for row in listed.splitlines() if row.startswith("| TIES")] == [
        f"| TIES | {number} |" for number in ("86%", "91%", "0.09")
    ]
    chosen = sentences.choices(table, strengths().assign(setting="digits-mlp"), PANEL)
    chosen = re.sub(r"<[^>]+>", "", chosen)
    assert "| strength by ε, pairs | 2.0 |" in chosen
    assert "| strength by ε, pairs | 75% |" in chosen
    assert chosen.endswith("the best level of ε is 0.30.")


def test_the_figure_has_a_row_for_each_way_of_merging_and_epsilon_below() -> None:
    figure = figures.methods(merges().assign(setting="digits-mlp"), PANEL)
    share, epsilon = (
        next(one for one in figure.data if one.name == "all networks merged" and one.xaxis == axis)
        for axis in ("x", "x2")
    )
    assert list(share.text) == [str(one) for one in MergeMethod]
    assert list(share.x) == pytest.approx([SHARES[one] + 0.01 for one in MergeMethod])
    assert list(epsilon.x) == pytest.approx([SHARES[one] / 10 for one in list(MergeMethod)[1:]])
    assert (
        "keep 91% of their own accuracy as a plain sum, 86% by TIES"
        in (figure.layout.meta["takeaway"])
    )
