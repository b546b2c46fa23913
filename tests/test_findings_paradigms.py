"""The measures of linearized networks and of linear layers only, on tables with a known answer."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.engine.disentangle import MEASURES
from ctl_helpers.findings.paradigms import MAIN
from ctl_helpers.findings.claims import MEASURES as NUMBERS

SEEDS = (0, 1)
TASKS = ("a", "b", "c")
PAIRS = list(combinations(TASKS, 2))
WAYS = (*MAIN, "attention", "block-weights", "block")
SHIFT = {"a": -0.02, "b": 0.0, "c": 0.02}  # so that tasks differ, and their mean does not


def by_task(of: Mapping[str, float], column: str = "accuracy") -> pd.DataFrame:
    """A row a seed × paradigm × task, with its number."""
    found = pd.DataFrame(product(SEEDS, of, TASKS), columns=["seed", "paradigm", "task"])
    return found.assign(**{column: found.paradigm.map(of) + found.task.map(SHIFT)})


def single(**of: float) -> pd.DataFrame:
    own = by_task({way.replace("_", "-"): value for way, value in of.items()})
    other = own.assign(network="PT", accuracy=0.1)
    return pd.concat([own.assign(network=own.task), other])


def addition(**of: float) -> pd.DataFrame:
    """Its share is half of its accuracy; rows that should not count are far off."""
    known = {way.replace("_", "-"): value for way, value in of.items()}
    table = by_task(known).assign(split="test", chosen=True)
    table["share"] = table.accuracy / 2
    others = [table.assign(chosen=False, accuracy=9), table.assign(split="held-out", accuracy=9)]
    return pd.concat([table, *others])


def maps(low: Mapping[str, int], representation: float, classification: float) -> pd.DataFrame:
    """On a plane of 4 × 4 points, how many are disentangled; beyond 1 the given errors."""
    alphas, found = (-2.0, 0.0, 1.5, 2.0), []
    for seed, way, (i, j), measure in product(SEEDS, MAIN, PAIRS, MEASURES):
        for number, (a, b) in enumerate(product(alphas, repeat=2)):
            beyond = a > 1 and b > 1
            given = representation if measure == "representation" else classification
            error = given if beyond else 0.05 if number < low[way] else 0.5
            point = {"alpha_i": a, "alpha_j": b, "measure": measure, "error": error}
            found.append({"seed": seed, "paradigm": way, "i": i, "j": j, **point})
    return pd.DataFrame(found)


def cosines(**of: float) -> pd.DataFrame:
    """Of either sign, and 1 on the diagonal."""
    found = []
    for seed, (way, value), i, j in product(SEEDS, of.items(), TASKS, TASKS):
        sign = -1 if {i, j} == {"a", "b"} else 1
        cosine = 1.0 if i == j else sign * value
        found.append({"seed": seed, "paradigm": way.replace("_", "-"), "i": i, "j": j})
        found[-1]["cosine"] = cosine
    return pd.DataFrame(found)


def moved(**ratio: float) -> pd.DataFrame:
    """A vector moves its own task by 2, the others by 2 × the ratio."""
    found = []
    for seed, (way, value), i, task in product(SEEDS, ratio.items(), TASKS, TASKS):
        change = 2.0 if i == task else 2 * value
        found.append({"seed": seed, "paradigm": way.replace("_", "-"), "i": i, "task": task})
        found[-1]["moved"] = change
    return pd.DataFrame(found)


def cost(column: str, **of: float) -> pd.DataFrame:
    """Three repetitions, of which the last is slow for everything."""
    return pd.DataFrame(
        {"seed": 0, "paradigm": way.replace("_", "-"), "repetition": n, column: value * slow}
        for (way, value), (n, slow) in product(of.items(), enumerate((1, 1, 50)))
    )


def features(distance: float, baseline: float, **known: object) -> pd.DataFrame:
    """At the second layer, the distance is twice as large."""
    return pd.DataFrame(
        {"seed": seed, **known, "layer": layer, "metric": metric, "mean": value}
        for seed in SEEDS
        for layer, factor in (("first", 1), ("last", 2))
        for metric, value in (("distance", distance * factor), ("baseline", baseline))
    )


def taylor_single() -> pd.DataFrame:
    """θ_PT has 0.5, a fine-tuned network 0.9, its Taylor model 0.8."""
    found = []
    for seed, task, model in product(SEEDS, TASKS, ("network", "taylor")):
        known = {"seed": seed, "task": task, "model": model}
        found.append({**known, "network": "PT", "accuracy": 0.5 + SHIFT[task]})
        accuracy = {"network": 0.9, "taylor": 0.8}[model]
        found.append({**known, "network": task, "accuracy": accuracy + SHIFT[task]})
    return pd.DataFrame(found)


def effect(measure: str, *tables: pd.DataFrame) -> float:
    sample = NUMBERS[measure](*tables)
    low, high = sample.interval(50)
    assert low - 1e-12 <= sample.effect <= high + 1e-12
    return sample.effect


def test_what_the_taylor_model_has_not() -> None:
    assert effect("taylor_lost", taylor_single()) == pytest.approx(0.25)


def test_the_taylor_models_error_over_that_of_mixing() -> None:
    taylor = pd.concat(features(0.1, 0.2, i=task) for task in TASKS)
    both = pd.concat(features(0.01, 0.1, i=i, j=j) for i, j in PAIRS)
    assert effect("taylor_times_farther", taylor, both) == pytest.approx(5)
    worse = both.assign(mean=both["mean"].where(both.layer == "first", both["mean"] * 2))
    worse.loc[worse.metric == "baseline", "mean"] = 0.1
    assert effect("taylor_times_farther", taylor, worse) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("measure", "value"), [("single_nearer", 0.2 - 0.05), ("single_behind", -0.05)]
)
def test_each_network_on_its_own_task(measure: str, value: float) -> None:
    table = single(full=0.7, tangent=0.5, attention_weights=0.75)
    assert effect(measure, table) == pytest.approx(value)


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("sum_over_tangent", 0.1),
        ("sum_over_full", -0.2),
        ("share_over_tangent", 0.05),
        ("share_over_full", -0.1),
    ],
)
def test_sums_at_the_chosen_alpha_on_test_data(measure: str, value: float) -> None:
    table = addition(full=0.8, tangent=0.6, attention_weights=0.7)
    assert effect(measure, table) == pytest.approx(value)


@pytest.mark.parametrize(("measure", "factor"), [("ablation_sum", 1), ("ablation_share", 0.5)])
def test_the_least_of_table_2(measure: str, factor: float) -> None:
    table = addition(
        full=0.1, tangent=0.6, attention_weights=0.7, attention=0.65, block_weights=0.8, block=0.9
    )
    assert effect(measure, table) == pytest.approx(0.05 * factor)
    assert set(table.paradigm) == set(WAYS)
    three = table[table["paradigm"].isin(MAIN)]
    other = three.assign(seed=7, accuracy=three["accuracy"] / 2, share=three["share"] / 2)
    assert effect(measure, pd.concat([table, other])) == pytest.approx(0.05 * factor)


def test_an_ablation_without_its_rows_gives_no_number() -> None:
    sample = NUMBERS["ablation_sum"](addition(full=0.1, tangent=0.6, attention_weights=0.7))
    assert np.isnan(sample.effect)
    assert sample.interval() is None


def test_how_much_more_of_the_plane_is_disentangled() -> None:
    table = maps({"full": 2, "tangent": 6, "attention-weights": 4}, 0.3, 0.5)
    assert effect("region_tangent", table) == pytest.approx(4 / 16)
    assert effect("region_ours", table) == pytest.approx(2 / 16)


def test_representation_and_heads_where_both_alphas_are_over_one() -> None:
    table = maps(dict.fromkeys(MAIN, 3), 0.02, 0.45)
    assert effect("representation_beyond", table) == pytest.approx(0.02)
    assert effect("heads_degrade", table) == pytest.approx(0.45 - np.sqrt(0.02))


def test_angles_regardless_of_their_sign() -> None:
    table = cosines(full=0.3, tangent=0.2, attention_weights=0.1)
    assert effect("nearer_orthogonal_than_full", table) == pytest.approx(3)
    assert effect("nearer_orthogonal_than_tangent", table) == pytest.approx(2)


def test_what_vectors_move_of_other_tasks() -> None:
    table = moved(full=0.5, tangent=0.3, attention_weights=0.25)
    assert effect("interference_of_full", table) == pytest.approx(2)


@pytest.mark.parametrize(
    ("measure", "column", "value"),
    [
        ("step_time_tangent", "seconds", 2.5),
        ("step_time_ours", "seconds", 0.8),
        ("step_memory_tangent", "bytes", 2.5),
        ("step_memory_ours", "bytes", 0.8),
    ],
)
def test_what_a_step_costs(measure: str, column: str, value: float) -> None:
    table = cost(column, full=2.0, tangent=5.0, attention_weights=1.6)
    assert NUMBERS[measure](table).effect == pytest.approx(value)
