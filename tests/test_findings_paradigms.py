"""The measures of linearized networks and of linear layers only, on tables with a known answer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import paradigms, taylor
from ctl_helpers.results.labels import MAIN_PARADIGMS as MAIN
from ctl_helpers.results.labels import Output
from ctl_helpers.training.trainable import VARIANTS

SEEDS = (0, 1)
TASKS = ("a", "b", "c")
PAIRS = list(combinations(TASKS, 2))
SHIFT = {"a": -0.02, "b": 0.0, "c": 0.02}  # so that tasks differ, and their mean does not
WAYS = (*MAIN, *VARIANTS[1:])


def by_way(numbers: Iterable[float]) -> list[tuple[str, float]]:
    """Numbers of the paradigms, in the order of ``WAYS``."""
    return [(str(way), number) for way, number in zip(WAYS, numbers, strict=False)]


def by_task(*numbers: float) -> pd.DataFrame:
    """A row a seed × paradigm × task, with its number."""
    return pd.DataFrame(
        {"seed": seed, "paradigm": way, "task": task, "accuracy": value + SHIFT[task]}
        for seed, (way, value), task in product(SEEDS, by_way(numbers), TASKS)
    )


def single(*numbers: float) -> pd.DataFrame:
    own = by_task(*numbers)
    return pd.concat([own.assign(network=own.task), own.assign(network="PT", accuracy=0.1)])


def addition(*numbers: float) -> pd.DataFrame:
    """Its share is half of its accuracy; rows that should not count are far off."""
    table = by_task(*numbers).assign(split="test", chosen=True)
    table["share"] = table.accuracy / 2
    others = [table.assign(chosen=False, accuracy=9), table.assign(split="held-out", accuracy=9)]
    return pd.concat([table, *others])


def maps(*low: int, representation: float, classification: float = 0.5) -> pd.DataFrame:
    """On a plane of 4 × 4 points, how many are disentangled; beyond 1 the given errors."""
    alphas, found = (-2.0, 0.0, 1.5, 2.0), []
    for seed, (way, count), (i, j), measure in product(SEEDS, by_way(low), PAIRS, Output):
        for number, (a, b) in enumerate(product(alphas, repeat=2)):
            given = representation if measure == Output.REPRESENTATION else classification
            error = given if a > 1 and b > 1 else 0.05 if number < count else 0.5
            point = {"alpha_i": a, "alpha_j": b, "measure": measure, "error": error}
            found.append({"seed": seed, "paradigm": way, "i": i, "j": j, **point})
    return pd.DataFrame(found)


def cosines(*numbers: float) -> pd.DataFrame:
    """Of either sign, and 1 on the diagonal."""
    return pd.DataFrame(
        {
            "seed": seed, "paradigm": way, "i": i, "j": j,
            "cosine": 1.0 if i == j else -value if {i, j} == {"a", "b"} else value,
        }
        for seed, (way, value), i, j in product(SEEDS, by_way(numbers), TASKS, TASKS)
    )  # fmt: skip


def moved(*ratios: float) -> pd.DataFrame:
    """A vector moves its own task by 2, the others by 2 × the ratio."""
    return pd.DataFrame(
        {
            "seed": seed, "paradigm": way, "i": i, "task": task,
            "moved": 2.0 if i == task else 2 * value,
        }
        for seed, (way, value), i, task in product(SEEDS, by_way(ratios), TASKS, TASKS)
    )  # fmt: skip


def cost(column: str, *numbers: float) -> pd.DataFrame:
    """Three repetitions, of which the last is slow for everything."""
    return pd.DataFrame(
        {"seed": 0, "paradigm": way, "repetition": n, column: value * slow}
        for (way, value), (n, slow) in product(by_way(numbers), enumerate((1, 1, 50)))
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
    return pd.DataFrame(
        {"seed": seed, "task": task, "model": model, "network": network, "accuracy": accuracy}
        for seed, task, (model, tuned) in product(SEEDS, TASKS, (("network", 0.9), ("taylor", 0.8)))
        for network, accuracy in (("PT", 0.5 + SHIFT[task]), (task, tuned + SHIFT[task]))
    )


def effect(measure: str, *tables: pd.DataFrame, **arguments: object) -> float:
    sample = MEASURES[measure](*tables, **arguments)
    low, high = sample.interval(50)
    assert low - 1e-9 <= sample.effect <= high + 1e-9
    return sample.effect


def test_the_taylor_models_error_over_that_of_mixing() -> None:
    linearized = pd.concat(features(0.1, 0.2, i=task) for task in TASKS)
    both = pd.concat(features(0.01, 0.1, i=i, j=j) for i, j in PAIRS)
    assert effect("taylor_times_farther", linearized, both) == pytest.approx(5)
    assert effect("taylor_ratio", linearized, both, at="least") == pytest.approx(0.1)
    worse = both.assign(mean=both["mean"].where(both.layer == "first", both["mean"] * 2))
    worse.loc[worse.metric == "baseline", "mean"] = 0.1
    assert effect("taylor_times_farther", linearized, worse) == pytest.approx(2.5)
    assert effect("taylor_ratio", linearized, worse, at="most") == pytest.approx(0.2)
    text = taylor.apart(linearized.assign(setting="s"), worse.assign(setting="s"), {"s": "S"})
    assert ">0.1</span> to <" in text
    assert ">2.5 times</span> as large" in text


SINGLE = single(0.7, 0.5, 0.75)
ADDED = addition(0.8, 0.6, 0.7)
ROWS = addition(0.1, 0.6, 0.7, 0.65, 0.8, 0.9)
PLANES = maps(2, 6, 4, representation=0.02, classification=0.45)
ANGLES = cosines(0.3, 0.2, 0.1)
MOVED = moved(0.5, 0.3, 0.25)
OURS, TANGENT = {"paradigm": "attention-weights"}, {"paradigm": "tangent"}


@pytest.mark.parametrize(
    ("measure", "table", "arguments", "value"),
    [
        ("taylor_lost", taylor_single(), {}, 0.25),
        ("taylor_gained", taylor_single(), {"model": "taylor"}, 0.3),
        ("taylor_accuracy", taylor_single(), {"model": "pretrained"}, 0.5),
        ("single_nearer", SINGLE, {}, 0.2 - 0.05),
        ("single_behind", SINGLE, OURS, -0.05),
        ("paradigm_accuracy", SINGLE, TANGENT, 0.5),
        ("sum_over", ADDED, {**OURS, "over": "tangent", "value": "accuracy"}, 0.1),
        ("sum_over", ADDED, {**TANGENT, "over": "full", "value": "share"}, -0.1),
        ("sum_reached", ADDED, OURS, 0.35),
        ("ablation_over_tangent", ROWS, {"value": "accuracy"}, 0.05),
        ("ablation_over_tangent", ROWS, {"value": "share"}, 0.025),
        ("disentangled", PLANES, TANGENT, 6 / 16),
        ("disentangled_over", PLANES, {**OURS, "over": "full"}, 2 / 16),
        ("classification_inside", PLANES, TANGENT, 0.05 / 1),
        ("representation_beyond", PLANES, {}, 0.02),
        ("classification_beyond", PLANES, {}, 0.45),
        ("heads_degrade", PLANES, {}, 0.45 - np.sqrt(0.02)),
        ("mean_cosine", ANGLES, TANGENT, 0.2),
        ("nearer_orthogonal", ANGLES, {"over": "full"}, 3),
        ("interference", MOVED, TANGENT, 0.3),
        ("interference", MOVED, {"paradigm": "full", "over": "attention-weights"}, 2),
    ],
)
def test_a_measure_gives_the_known_answer(
    measure: str, table: pd.DataFrame, arguments: dict[str, str], value: float
) -> None:
    assert effect(measure, table, **arguments) == pytest.approx(value)


def test_an_ablation_is_of_seeds_that_ran_all_rows() -> None:
    three = ROWS[ROWS["paradigm"].isin(MAIN)]
    other = three.assign(seed=7, accuracy=three["accuracy"] / 2, share=three["share"] / 2)
    both = pd.concat([ROWS, other])
    assert effect("ablation_over_tangent", both, value="accuracy") == pytest.approx(0.05)
    alone = MEASURES["ablation_over_tangent"](three, value="accuracy")
    assert np.isnan(alone.effect)
    assert alone.interval() is None


@pytest.mark.parametrize("value", ["seconds", "bytes"])
def test_what_a_step_costs_is_a_ratio_of_medians(value: str) -> None:
    table = cost(value, 2.0, 5.0, 1.6)
    assert effect("step_cost", table, value=value, **TANGENT) == pytest.approx(2.5)
    assert effect("step_cost", table, value=value, **OURS) == pytest.approx(0.8)


# The page's tables.

PANELS = {"s": "S"}


def of(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(setting="s")


def cells(table: str) -> list[list[str]]:
    return [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]


def test_table_1_stands_beside_the_papers() -> None:
    rows = cells(paradigms.sums(of(ADDED), of(SINGLE), PANELS))
    assert [row[1] for row in rows] == ["10.0", "80.0 / 40.0", "60.0 / 30.0", "70.0 / 35.0"]
    assert [row[2] for row in rows][:2] == ["48.40", "70.00 / 77.04"]


def test_one_rate_is_compared_over_the_seeds_that_ran_it() -> None:
    own = of(ADDED).assign(alpha=0.3)
    own.loc[own["seed"] == 1, "accuracy"] = 0
    common = own[own["seed"] == 0].assign(accuracy=0.9)
    rows = cells(paradigms.sums_at_one_rate(own, common, PANELS))
    assert rows[0][1:] == ["80.0 / 40.0 (α 0.3)", "90.0 / 40.0 (α 0.3)"]


def test_table_2_leaves_out_seeds_without_all_rows() -> None:
    alone = of(single(*[0.9] * len(WAYS)))
    more = of(ROWS[ROWS["paradigm"].isin(MAIN)]).assign(seed=7, accuracy=0, share=0)
    rows = cells(paradigms.ablation(pd.concat([of(ROWS), more]), alone, PANELS))
    assert rows[0] == ["(1) linear layers only", "90.0 / 70.0 / 35.0", "89.55 / 78.37 / 87.42"]
    assert len(rows) == len(VARIANTS)


@pytest.mark.parametrize(
    ("chosen", "text"), [(1e-3, "of 3 that"), (1e-4, "the smallest, of"), (1e-2, "the largest, of")]
)
def test_a_rate_at_an_end_of_the_search_is_told(chosen: float, text: str) -> None:
    search = pd.DataFrame(
        {"seed": 0, "paradigm": way, "task": "a", "rate": rate, "chosen": rate == chosen}
        for way in MAIN
        for rate in (1e-4, 1e-3, 1e-2)
    )
    rows = cells(paradigms.rates(of(search), PANELS))
    assert all(row[3].startswith(text) for row in rows)


def test_sentences_quote_their_findings() -> None:
    rows = cells(paradigms.orthogonality(of(ANGLES), of(MOVED), PANELS))
    assert rows[0][2].endswith(">0.50</span>")
    assert ">38%</span> of the plane for tangent space" in paradigms.regions(of(PLANES), PANELS)
    time = cost("seconds", 2.0, 5.0, 1.6)
    rows = cells(paradigms.costs(of(time.assign(bytes=time["seconds"])), PANELS))
    assert rows[1][1].count(">2.50</span>") == 2
    linear = pd.concat(
        features(0.1 * n, 0.2, i="a", j="b", lam=0.4, paradigm=way) for n, way in enumerate(MAIN)
    )
    orders = paradigms.orders(of(SINGLE), of(ADDED), of(linear), PANELS)
    alone, added, *_, errors = orders.splitlines()
    assert alone.startswith("- Alone, from best to worst: linear layers only <")
    assert added.startswith("- Added: all parameters <")
    assert errors.endswith(">0.3</span>.")


def test_vectors_made_orthogonal_still_disturb_each_others_data() -> None:
    apart, overlapping, turned = cells(paradigms.two_regressions(PANELS))
    assert apart[1:] == ["0.00", "0.00"]
    assert turned[1] == "0.00"
    assert float(turned[2]) > 0.1
    assert float(overlapping[1]) > 0
