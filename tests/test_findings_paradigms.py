"""The measures of linearized networks and of linear layers only, on tables with a known answer."""

from __future__ import annotations

import re
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


def maps(*inside: float, scale_free: float, classification: float) -> pd.DataFrame:
    """Errors in the square of 0 ≤ α ≤ 1 by paradigm, a hundredth of them in nats; beyond 1 those
    given, of each task; 9 elsewhere. A scale-free error needs a vector of the task's own.
    """
    alphas, found = (-2.0, 0.0, 0.5, 1.0, 1.5, 2.0), []
    for seed, (way, value), (i, j), measure in product(SEEDS, by_way(inside), PAIRS, Output):
        here = value + SHIFT[i]
        of = {
            Output.CLASSIFICATION: (here, 2 * classification),
            Output.REPRESENTATION: (here / 100, 9.0),
            Output.SCALE_FREE: (9.0, 2 * scale_free),
        }[measure]
        for a, b in product(alphas, repeat=2):
            error = of[0] if {a, b} <= {0, 0.5, 1.0} else of[1] if min(a, b) > 1 else 9.0
            if measure == Output.SCALE_FREE and 0 in (a, b):
                error = np.nan
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
    """Three rounds, of which the last is slow for everything."""
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
        for metric, value in (
            ("distance", distance * factor),
            ("baseline", baseline),
            ("epsilon", 2 * distance),
        )
    )


def taylor_single() -> pd.DataFrame:
    """θ_PT has 0.5, a fine-tuned network 0.9, its Taylor model 0.8."""
    return pd.DataFrame(
        {"seed": seed, "task": task, "model": model, "network": network, "accuracy": accuracy}
        for seed, task, (model, tuned) in product(SEEDS, TASKS, (("network", 0.9), ("taylor", 0.8)))
        for network, accuracy in (("PT", 0.5 + SHIFT[task]), (task, tuned + SHIFT[task]))
    )


def effect(measure: str, /, *tables: pd.DataFrame, **arguments: object) -> float:
    return MEASURES[measure](*tables, **arguments).effect


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
    assert ">2.5 times</span> |" in text


SINGLE = single(0.7, 0.5, 0.75)
ADDED = addition(0.8, 0.6, 0.7)
ROWS = addition(0.1, 0.6, 0.7, 0.65, 0.8, 0.9)
PLANES = maps(0.4, 0.3, 0.1, scale_free=0.2, classification=0.45)
ANGLES = cosines(0.3, 0.2, 0.1)
MOVED = moved(0.5, 0.3, 0.25)
LINEAR = pd.concat(
    features(0.1 * n, 0.2, i="a", j="b", lam=lam, paradigm=way)
    for n, way in enumerate(MAIN)
    for lam in (0.4, 0.8)
)
LINEAR.loc[LINEAR["lam"] == 0.8, "mean"] = 9.0
OURS, TANGENT = {"paradigm": "attention-weights"}, {"paradigm": "tangent"}
OVER_TANGENT = {"over": "tangent", "value": "accuracy"}


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
        ("sum_over", ROWS, {"paradigm": "block", **OVER_TANGENT}, 0.3),
        ("sum_over", ROWS, {"paradigm": "attention", **OVER_TANGENT}, 0.05),
        ("own_over_pretrained", SINGLE, TANGENT, 0.4),
        ("mean_xi", PLANES, {**OURS, "over": "full", "measure": "classification"}, 0.3),
        ("mean_xi", PLANES, {**TANGENT, "over": "full", "measure": "representation"}, 0.001),
        ("classification_inside", PLANES, TANGENT, 0.3 - 0.04 / 3),
        ("scale_free_beyond", PLANES, {}, 0.2),
        ("classification_beyond", PLANES, {}, 0.45),
        ("heads_degrade", PLANES, {"paradigm": "full"}, 0.25),
        ("mean_cosine", ANGLES, TANGENT, 0.2),
        ("nearer_orthogonal", ANGLES, {"over": "full"}, 3),
        ("nearer_orthogonal", ANGLES, {"over": "tangent"}, 2),
        ("paradigm_epsilon", LINEAR, TANGENT, 0.2),
        ("interference", MOVED, TANGENT, 0.3),
        ("interference", MOVED, {"paradigm": "full", "over": "attention-weights"}, 2),
    ],
)
def test_a_measure_gives_the_known_answer(
    measure: str, table: pd.DataFrame, arguments: dict[str, str], value: float
) -> None:
    assert effect(measure, table, **arguments) == pytest.approx(value)


def test_a_difference_is_of_seeds_that_ran_both() -> None:
    three = ROWS[ROWS["paradigm"].isin(MAIN)]
    other = three.assign(seed=7, accuracy=three["accuracy"] / 2, share=three["share"] / 2)
    both = pd.concat([ROWS, other])
    asked = {"paradigm": "block", **OVER_TANGENT}
    assert effect("sum_over", both, **asked) == pytest.approx(0.3)
    assert np.isnan(effect("sum_over", three, **asked))
    assert MEASURES["sum_over"](three, **asked).interval() is None


def test_pairs_are_units_by_their_tasks() -> None:
    """With one seed each task is left out in turn, with the pairs that it is in."""
    sample = MEASURES["mean_cosine"](ANGLES[ANGLES["seed"] == 0], **OURS)
    assert sample.units(0) == ["a", "b", "c"]


@pytest.mark.parametrize("value", ["seconds", "bytes"])
def test_what_a_step_costs_is_a_ratio_within_rounds(value: str) -> None:
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


def test_single_tasks_at_one_rate_stand_beside_those_at_rates_of_their_own() -> None:
    own, common = of(single(0.9, 0.8, 0.7)), of(single(0.6, 0.5, 0.4))
    more = own.assign(seed=7, accuracy=0)
    rows = cells(paradigms.alone_at_one_rate(pd.concat([own, more]), common, PANELS))
    assert [row[1:] for row in rows] == [["90.0", "60.0"], ["80.0", "50.0"], ["70.0", "40.0"]]


def test_table_2_leaves_out_seeds_without_all_rows() -> None:
    alone = of(single(*[0.9] * len(WAYS)))
    more = of(ROWS[ROWS["paradigm"].isin(MAIN)]).assign(seed=7, accuracy=0, share=0)
    rows = cells(paradigms.ablation(pd.concat([of(ROWS), more]), alone, PANELS))
    assert rows[0] == ["(1) linear layers only", "90.0 / 70.0 / 35.0", "89.55 / 78.37 / 87.42"]
    assert len(rows) == len(VARIANTS)


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        (1e-3, "of 3 that were tried on a, 1 of them added because the best was at an edge"),
        (1e-4, "the smallest of 3"),
        (1e-2, "the largest of 3"),
    ],
)
def test_a_rate_at_an_end_of_the_search_is_told(chosen: float, text: str) -> None:
    search = pd.DataFrame(
        {
            "seed": 0, "paradigm": way, "task": "a", "rate": rate, "chosen": rate == chosen,
            "widening": 1 * (rate == 1e-2),
        }
        for way in MAIN
        for rate in (1e-4, 1e-3, 1e-2)
    )  # fmt: skip
    rows = cells(paradigms.rates(of(search), PANELS))
    assert all(row[3].startswith(text) for row in rows)
    assert text.split(" that")[0] in paradigms.one_rate(of(search), PANELS)
    alone = search[search["rate"] == chosen]
    assert "0.001, given" in paradigms.one_rate(of(alone.assign(rate=1e-3)), PANELS)


def test_sentences_quote_their_findings() -> None:
    rows = cells(paradigms.orthogonality(of(ANGLES), of(MOVED), PANELS))
    assert rows[0][2].endswith(">0.50</span>")
    text = paradigms.regions(of(PLANES), PANELS)
    for row in (
        r"error of classification, tangent space \| .*>28\.7%</span> \|",
        r"change of embeddings, as a share of the own vector's \| .*>0\.20</span> \|",
        r"predictions changed by the other vector \| .*>45%</span> \|",
    ):
        assert re.search(row, text)
    time = cost("seconds", 2.0, 5.0, 1.6)
    rows = cells(paradigms.costs(of(time.assign(bytes=time["seconds"])), PANELS))
    assert rows[1][1].count(">2.50</span>") == 2
    orders = paradigms.orders(of(SINGLE), of(ADDED), of(LINEAR), PANELS)
    alone, added, *_, errors = orders.splitlines()
    assert alone.startswith("- Alone, from best to worst: linear layers only <")
    assert added.startswith("- Added: all parameters <")
    assert errors.endswith(">0.4</span>.")


def test_vectors_made_orthogonal_still_disturb_each_others_data() -> None:
    apart, overlapping, turned = cells(paradigms.two_regressions(PANELS))
    assert apart[1:] == ["0.00", "0.00"]
    assert turned[1] == "0.00"
    assert float(turned[2]) > 0.1
    assert float(overlapping[1]) > 0
