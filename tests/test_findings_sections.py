"""Measures of Sections 3, 4.1 and 5 on tables with a known answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations, permutations, product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import (
    batchnorm,
    cross_task,
    factors,
    spawning,
    split_resnets,
    transitivity,
)
from ctl_helpers.results.labels import Control, Statistics, Triple

SEEDS = (0, 1, 2)
PAIRS = list(combinations("abc", 2))
PANEL = {"one": "Setting one"}


def effect(measure: str, *tables: pd.DataFrame, **arguments: object) -> float:
    return MEASURES[measure](*tables, **arguments).effect


def one(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(setting="one")


# Section 4.1: the loss on the pretraining task, and controls.


def paths(ends: tuple[float, float], middle: float) -> pd.DataFrame:
    """Losses grow with the seed; on the pair's own tasks they are others."""
    losses = {0.0: ends[0], 0.25: 9.0, 0.5: middle, 1.0: ends[1]}
    return pd.DataFrame(
        {"seed": seed, "i": i, "j": j, "alpha": alpha, "role": role}
        | {"loss": loss * (1 + seed) if role == "D_PT" else 7.0 * alpha}
        for seed, (i, j), role in product(SEEDS, PAIRS, ("D_i", "D_j", "D_PT"))
        for alpha, loss in losses.items()
    )


def test_a_valley_is_how_deep_the_loss_falls_half_way() -> None:
    table = paths((3.0, 1.0), 0.5)  # mean over seeds: twice
    assert effect("valley", table) == pytest.approx(2 * 1.5)
    assert effect("valley", table, under="ends") == pytest.approx(2 * 0.5)
    hill = paths((1.0, 1.0), 1.5)
    assert effect("valley", hill) == effect("valley", hill, under="ends") == pytest.approx(-1)
    said = cross_task.valley_between(one(table), PANEL)
    assert "3.00 nats" in said
    assert "1.00 nats" in said


def controls(lengths: Mapping[str, float], epsilon: Mapping[str, float]) -> pd.DataFrame:
    """At the first layer ε is half of that at the last, and length 1."""
    rows = []
    for seed, (i, j), (kind, coef) in product(SEEDS, PAIRS, lengths.items()):
        known = {"seed": seed, "i": i, "j": j, "alpha": 0.5, "control": kind}
        for layer, share in (("stem", 0.5), ("linear", 1.0)):
            error = {"metric": "epsilon", "mean": share * epsilon[kind]}
            length = {"metric": "coef", "mean": coef if layer == "linear" else 1.0}
            rows += [{**known, "layer": layer, **each} for each in (error, length)]
    return pd.DataFrame(rows)


CONTROLS = (Control.TASK_VECTORS, Control.APART, Control.RANDOM, Control.OTHER_SAMPLES)
LENGTHS = dict(zip(CONTROLS, (0.9, 0.5, 0.8, 0.7), strict=True))
ERRORS = dict(zip(CONTROLS, (0.4, 1.2, 0.8, 1.6), strict=True))


def test_the_length_of_each_control_is_that_at_the_output() -> None:
    table = controls(LENGTHS, ERRORS)
    for kind, coef in LENGTHS.items():
        assert effect("control_length", table, control=kind) == pytest.approx(coef)


def test_what_is_said_of_controls_has_their_numbers_in_their_places() -> None:
    table = one(controls(LENGTHS, ERRORS))
    said = cross_task.what_controls_show(table, PANEL)
    order = [said.index(number) for number in ("0.40<", "1.20<", "0.80<", "1.60<", "0.50<")]
    assert order == sorted(order)
    said = cross_task.lengths_of_controls(table, PANEL)
    order = [said.index(number) for number in ("0.90<", "0.50<", "0.80<", "0.70<")]
    assert order == sorted(order)
    common = pd.DataFrame({"setting": "one", "seed": SEEDS, "share": 0.25})
    said = cross_task.common_part(common, table, PANEL)
    assert "25%<" in said
    assert "1.60<" in said


def test_the_protocols_stand_in_one_table() -> None:
    table = one(controls(LENGTHS, ERRORS))
    both = pd.concat([table, table.assign(setting="two", mean=table["mean"] / 2)])
    scores = [("PT", "a", 0.9), ("a", "a", 0.8), ("a", "b", 0.1), ("b", "b", 0.6), ("a", "s", 0.3)]
    accuracy = pd.DataFrame(scores, columns=["network", "task", "accuracy"]).assign(seed=0)
    barriers = pd.DataFrame({"seed": [0], "i": "a", "j": "b", "task": "s", "rise": 2.0})
    rows = split_resnets.protocol(
        pd.concat([one(accuracy), accuracy.assign(setting="two", accuracy=0.5)]),
        pd.concat([one(barriers), barriers.assign(setting="two")]),
        both,
        pd.DataFrame({"setting": ["one", "two"], "seed": 0, "share": [0.07, 0.86]}),
        {"one": "Masked", "two": "Usual", "three": "Not run"},
    ).splitlines()
    masked, usual, missing = (row.split(" | ")[1:] for row in rows[2:5])
    wanted = ("70%", "30%", "2.00 nats", "0.30", "0.40", "1.20", "0.90", "7%")
    for cell, number in zip(masked, wanted, strict=True):
        assert number in cell
    assert "0.20" in usual[4]
    assert {cell.strip(" |") for cell in missing} == {"–"}


def test_both_statistics_have_their_error() -> None:
    ways = {"mixed": 0.2, "recomputed": 0.6}
    features = pd.DataFrame(
        {"seed": seed, "i": i, "j": j, "statistics": way, "layer": layer, "metric": metric}
        | {"mean": times * error}
        for seed, (i, j), (way, error) in product(SEEDS, PAIRS, ways.items())
        for layer, times in (("first", 1), ("last", 3))
        for metric in ("epsilon", "coef")
    )
    for way, error in ways.items():
        assert effect("statistics_epsilon", features, statistics=way) == pytest.approx(2 * error)
    accuracy = pd.DataFrame({"setting": "one", "seed": 0, "statistics": list(Statistics)})
    said = batchnorm.compared(one(features), accuracy.assign(accuracy=0.5), PANEL)
    assert said.index("0.40<") < said.index("1.20<")


# Section 4.1: transitivity.


def triples(factor: float = 1.5, last: float | None = None) -> pd.DataFrame:
    """Given errors rise from 0.2 to 0.3; third ones are so many times them, the last of another."""
    rows = [
        {
            "seed": seed, "i": i, "j": j, "k": k, "group": str(Triple.NEAR),
            "premise": 0.2 + number / 50, "conclusion": factor * (0.2 + number / 50),
        }
        for seed in SEEDS
        for number, (i, j, k) in enumerate(permutations("abc"))
    ]  # fmt: skip
    for row in rows[5::6]:
        row["conclusion"] = (factor if last is None else last) * row["premise"]
    return pd.DataFrame(rows)


def test_the_constant_of_transitivity_is_of_squares() -> None:
    assert effect("worst_ratio", triples()) == pytest.approx(1.5**2)
    assert effect("worst_ratio", triples(last=3.0)) == pytest.approx(9)
    # Left-out networks take all of their triples with them.
    sample = MEASURES["worst_ratio"](triples().query("seed == 0"))
    assert sample.units(0) == ["a", "b", "c"]


def test_thirds_over_half_of_the_way_are_counterexamples() -> None:
    assert effect("counterexamples", triples()) == 0
    assert effect("nonlinear_thirds", triples()) == 0
    assert effect("linear_premises", triples()) == 1
    assert effect("linear_premises", triples().assign(premise=0.51)) == 0
    table = triples(last=2.0)  # 0.6 after 0.3
    assert effect("counterexamples", table) == pytest.approx(1 / 6)
    assert effect("nonlinear_thirds", table) == pytest.approx(1 / 6)
    assert effect("counterexamples", table, limit="twice near") == 0
    assert effect("premise_rank", table) == pytest.approx(1)
    assert np.isnan(effect("counterexamples", table.assign(premise=0.7)))


def test_a_mix_is_held_against_its_parts() -> None:
    lemmas = pd.DataFrame({"seed": SEEDS, "error": [0.1, 0.2, 0.3], "largest_of_parts": 0.4})
    assert effect("mixed_over_parts", lemmas) == pytest.approx(0.5)
    said = transitivity.thresholds(one(triples(last=2.0)), one(lemmas), PANEL)
    assert "0.50 times" in said
    apart = re.compile(r"\| of these, one network pretrained apart \| (.*) \|")
    assert apart.search(said)[1].endswith(">0%</span>")
    held = transitivity.thresholds(one(triples()), one(lemmas), PANEL)
    assert apart.search(held)[1] == "–"


# Section 5: a factor.


def factor(name: str, **curves: Mapping[float, float]) -> pd.DataFrame:
    """Metrics by a factor's value; the second layer has three times them."""
    return pd.DataFrame(
        {"seed": seed, "i": "a", "j": "b", name: value, "metric": metric}
        | {"layer": layer, "mean": times * level}
        for seed, (layer, times) in product(SEEDS, {"first": 1, "last": 3}.items())
        for metric, curve in curves.items()
        for value, level in curve.items()
    )


RISES = {0.0: 0.1, 0.5: 0.2, 1.0: 0.4}
FALLS = {0.0: 0.8, 0.5: 0.4, 1.0: 0.2}


def test_a_factor_is_judged_by_the_linearity_error() -> None:
    table = factor("replaced", epsilon=RISES, distance=FALLS)
    for metric, kept, trend in (({}, 4, 1), ({"metric": "distance"}, 0.25, -1)):
        assert effect("kept", table, **metric) == pytest.approx(kept)
        assert effect("trend", table, **metric) == pytest.approx(trend)
        assert effect("change", table, **metric) == pytest.approx(2)
    assert effect("most_linear_at", table) == 0
    # Over seeds the curve is lowest at one of its points, though each seed's is lowest elsewhere.
    own = [{0: 0.1, 1: 0.3, 2: 0.9}, {0: 0.9, 1: 0.3, 2: 0.1}]
    seeds = [factor("replaced", epsilon=curve).assign(seed=n) for n, curve in enumerate(own)]
    assert effect("most_linear_at", pd.concat(seeds)) == 1
    assert effect("level_at", pd.concat(seeds), at="least") == pytest.approx(
        effect("level_at", seeds[0][seeds[0]["replaced"] == 1], at="first")
    )
    assert effect("level_at", table, at="last") == pytest.approx(0.8)  # layers weigh 1 and 3
    assert effect("level_at", table, at="least") == pytest.approx(0.2)
    assert effect("level_at", table, at="first", metric="distance") == pytest.approx(1.6)


def test_zero_epochs_of_finetuning_have_no_error() -> None:
    epochs = {0: float("nan"), 1: 0.2, 20: 0.3}
    table = factor("finetune_epochs", epsilon=epochs, distance={0: 0.0, 1: 0.1, 20: 0.3})
    assert effect("kept", table) == pytest.approx(1.5)
    assert effect("kept", table, metric="distance") == pytest.approx(3)
    assert effect("most_linear_at", table) == 1
    lengths = factor("finetune_epochs", coef={0: 1.0, 1: 0.9, 20: 0.8}, baseline=dict(epochs))
    said = factors.finetuning(one(pd.concat([table, lengths])), PANEL)
    assert "150%<" in said


def test_tasks_that_become_alike_are_told_by_error_and_by_distance() -> None:
    each = factor("replaced", epsilon=RISES, distance=FALLS, baseline=FALLS, coef=RISES)
    nearer = factor("replaced", epsilon=FALLS, distance=FALLS, baseline=FALLS, coef=RISES)
    said = factors.to_each_other(one(each), one(nearer), PANEL)
    assert "400%<" in said
    assert "25%<" in said
    apart = pd.DataFrame({"setting": "one", "replaced": RISES, "distance of weights": 3.0})
    assert "3.0, 3.0, 3.0" in factors.to_pretraining(one(nearer), apart, PANEL)
    epochs = nearer.rename(columns={"replaced": "pretrain_epochs"})
    assert "1</span> epochs |" in factors.pretraining(one(epochs), PANEL)


# Section 3.


def spawned(barrier: Sequence[float], epsilon: Sequence[float]) -> pd.DataFrame:
    rows = zip((0, 5, 20), barrier, epsilon, strict=True)
    return pd.DataFrame(
        {"seed": seed, "k": k, "barrier": b, "rise": b + 0.01, "epsilon": e}
        | {"distance": e**2, "baseline": 0.5, "coef": 1.0}
        for k, b, e in rows
        for seed in SEEDS
    )


def test_spawning_is_judged_by_barrier_and_error() -> None:
    table = spawned((1.0, 0.5, 0.1), (0.8, 0.5, 0.4))
    assert effect("linear_from", table) == 5
    assert np.isnan(effect("linear_from", spawned((1, 1, 1), (0.4, 0.4, 0.6))))
    assert effect("spawned", table, name="epsilon", at="last") == pytest.approx(0.4)
    said = spawning.features(one(table), PANEL)
    assert "| linear from | k = <" in said
    assert ">5</span> |" in said


def induced(gap: float, errors: Sequence[float]) -> pd.DataFrame:
    """Gaps that go with errors, half way at most ``gap``."""
    return pd.DataFrame(
        {"seed": seed, "k": k, "alpha": alpha, "error": error * 4 * alpha * (1 - alpha)}
        | {"gap": gap * error / max(errors) * 4 * alpha * (1 - alpha), "jensen": -0.1}
        | {"excess": -0.1}
        for seed in SEEDS
        for k, error in enumerate(errors)
        for alpha in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def test_gates_of_the_theorem_are_the_largest_gap_and_the_span_of_errors() -> None:
    table = induced(0.05, (3.0, 6.0, 1.5))
    assert effect("largest_gap", table) == pytest.approx(0.05)
    assert effect("error_span", table) == pytest.approx(4)
    assert effect("gap_rank", table) == pytest.approx(1)
    said = spawning.theorem(one(table), PANEL)
    for number in ("0.05 nats", "4.0 times", "+1.00"):
        assert number in said
