"""What predicts a merge, on tables with a known answer: measures, sentences and the figure."""

from __future__ import annotations

import re
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.figures import mergeability as figures
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.mergeability import PREDICTORS
from ctl_helpers.findings.sentences import mergeability as sentences
from ctl_helpers.results import declared

SEEDS = (0, 1, 2)
PANEL = {"digits-mlp": "Digits MLP (D)"}


def merges(by: str = "epsilon_worst", exact: bool = False) -> pd.DataFrame:
    """Merges of four tasks whose accuracy falls with one predictor; all others are drawn.

    Args:
        by: the predictor.
        exact: without anything else in the accuracy.
    """
    generator = np.random.default_rng(0)
    sets = [names for k in (2, 3) for names in combinations("abcd", k)]
    rows = [
        {
            "seed": seed,
            "rate": rate,
            "k": len(names),
            "models": ", ".join(names),
            "lam": reach / len(names),
        }
        for seed, rate, reach, names in product(SEEDS, (0.1, 0.2), (0.6, 1.0, 2.0), sets)
    ]
    table = pd.DataFrame(rows)
    for name in [*PREDICTORS, "own"]:
        if name not in ("k", "lam", "constant"):  # alike in all seeds, which differ by noise alone
            drawn = generator.uniform(0.1, 1, len(table) // len(SEEDS))
            table[name] = np.tile(drawn, len(SEEDS))
    noise = 0 if exact else generator.normal(0, 0.02, len(table))
    table["normalized"] = 1.1 - 0.5 * table[by] + noise
    table["merged"] = table["own"] * table["normalized"]
    return table.assign(gain=table["normalized"] - 0.8)


def effect(measure: str, table: pd.DataFrame, **arguments: str) -> float:
    return MEASURES[measure](table, **arguments).effect


def test_what_accuracy_falls_with_predicts_it_wherever_it_is_left_out() -> None:
    table = merges(exact=True)
    declared.check("mergeability", "merges", table.drop(columns="seed"))
    for out, over, kind, outcome, sets in product(
        ("task", "rate"), ("folds", "all"), ("pearson", "spearman"), ("normalized", "gain"),
        ("all", "pairs", "averages"),
    ):  # fmt: skip
        how = {"out": out, "over": over, "kind": kind, "outcome": outcome, "sets": sets}
        assert effect("merge_forecast", table, **how) == pytest.approx(1, abs=0.01)
    assert abs(effect("merge_forecast", table, by="xi")) < 0.3
    assert np.isnan(effect("merge_forecast", table, by="constant"))
    assert effect("merge_forecast", table, by="constant", over="all") < 0.1
    assert effect("over_lengths", table) > 0.7
    assert effect("over_lengths", merges("length", exact=True)) < -0.7
    assert effect("beside_lengths", table) == pytest.approx(-1, abs=0.01)
    assert np.isnan(effect("beside_lengths", table, by="length"))


def test_a_predictor_that_goes_another_way_on_a_task_left_out_is_told_so() -> None:
    table = merges(exact=True)
    has_a = table["models"].str.startswith("a")
    table["normalized"] = table["normalized"].where(~has_a, 2 - table["normalized"])
    sample = MEASURES["merge_forecast"](table, out="task")
    known = []
    for task in "abcd":
        own = table["models"].str.contains(task)
        part = table[own & (table["seed"] == 0)]
        left = table[~own & (table["seed"] == 0)]
        slope, offset = np.polyfit(left["epsilon_worst"], left["normalized"], 1)
        forecast = offset + slope * part["epsilon_worst"]
        known.append(np.corrcoef(forecast, part["normalized"])[0, 1])
    assert known[0] == pytest.approx(-1)
    assert sample.of_seed(0) == pytest.approx(np.mean(known))


def test_a_yes_is_right_where_a_threshold_tells_all() -> None:
    table = merges(exact=True)
    works = float((table["normalized"] >= 0.9).mean())
    assert effect("working_merges", table) == pytest.approx(works)
    assert effect("told_to_work", table) > 0.85
    assert effect("told_to_work", table, of="false alarms") < 0.1
    by_chance = [effect("told_to_work", table, by="xi", of=of) for of in ("hits", "false alarms")]
    assert by_chance[0] == pytest.approx(by_chance[1], abs=0.3)
    assert np.isnan(effect("told_to_work", table.assign(normalized=0.5)))
    assert effect("merge_count", table) == len(table) / 3
    no_average = table[table["lam"] * table["k"] != 1]
    assert np.isnan(effect("merge_forecast", no_average, sets="averages"))


def test_networks_are_what_one_seeds_interval_is_drawn_from() -> None:
    sample = MEASURES["merge_forecast"](merges().query("seed == 0"))
    assert sample.units(0) == [f"{name} at {rate:g}" for rate in (0.1, 0.2) for name in "abcd"]
    low, high = sample.interval()
    assert low < sample.effect < high


def test_the_page_says_what_was_read() -> None:
    table = merges(exact=True).assign(setting="digits-mlp")
    text = re.sub(r"<[^>]+>", "", sentences.answer(table, PANEL))
    assert "over 60 merges of each seed, a line" in text
    assert "with r = +1.00 within a task, and +1.00 over all tasks pooled" in text
    assert "of all predictors the best is *ε, worst layer* with +1.00" in text
    listed = re.sub(r"<[^>]+>", "", sentences.table(table, PANEL))
    assert "| ε, worst layer | +1.00 |" in listed
    assert "| ‖τ‖, mean: hits | 42% |" in listed
    # Without the constant; two choices of merges; three of ranks, and three thresholds.
    assert listed.count("\n| ") == 3 * 2 + len(PREDICTORS) - 1 + 2 + 3 + 6


def test_the_figure_has_a_row_for_each_predictor_and_a_dot_for_each_merge() -> None:
    figure = figures.predicted(merges(exact=True).assign(setting="digits-mlp"), PANEL)
    lines = {trace.name: trace for trace in figure.data}
    folds = lines["tasks left out, mean"]
    assert folds.x[0] == pytest.approx(1)
    assert len(folds.x) == len(PREDICTORS) - 1  # a constant ranks nothing
    assert len(lines["pairs"].x) == 6 * 6
    assert len(lines["three to six networks"].x) == 4 * 6
    assert "goes with accuracy at r = +1.00" in figure.layout.meta["takeaway"]
