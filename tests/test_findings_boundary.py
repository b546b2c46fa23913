"""Measures of where linearity ends on cells with a known answer; what is said and drawn of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.figures import boundary as figures
from ctl_helpers.findings.boundary import PREDICTORS, cells
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import boundary as sentences

TASKS = ("30° apart", "90° apart", "50% of labels")
RATES = (0.01, 0.1, 1.0)
STEPS = (10, 100, 1000)
SEEDS = (0, 1, 2)
PANEL = {"one": "Setting one"}


def drawn(
    low: float, high: float, of: Sequence[str] = ("tasks", "steps", "rate"), seed: int = 0
) -> np.ndarray:
    """A number for each cell, or for each of some of a cell's places, the same in every seed."""
    generator = np.random.default_rng(seed)
    sizes = {"tasks": len(TASKS), "steps": len(STEPS), "rate": len(RATES)}
    shape = [size if name in of else 1 for name, size in sizes.items()]
    numbers = np.broadcast_to(generator.uniform(low, high, shape), list(sizes.values()))
    return np.tile(numbers.ravel().repeat(2), len(SEEDS))


def plane(
    rule: Callable[[pd.DataFrame], pd.Series] = lambda cell: 0.8 * cell["apart"] ** 0.5,
    merged: float = 0.1,
) -> pd.DataFrame:
    """ε by a rule of a cell's variables, the same at both layers.

    Features come apart with steps alone, so that ε may depend on the rate beside that.
    """
    rows = [
        {"seed": seed, "tasks": tasks, "steps": steps, "rate": rate, "layer": layer}
        for seed, tasks, steps, rate in product(SEEDS, TASKS, STEPS, RATES)
        for layer in ("first", "last")
    ]
    table = pd.DataFrame(rows)
    table["apart"] = 0.0004 * table["steps"] * drawn(0.5, 2, of=("tasks", "steps"))
    for name in ("moved", "weights_apart", "cosine"):
        table[name] = drawn(0.1, 0.9, seed=len(name))
    table["curvature"] = 2.0 + table["tasks"].map(TASKS.index)
    table["epsilon"] = rule(table)
    table["distance"], table["coef"] = table["apart"] / 9, 0.9
    own = 0.5 + 0.1 * np.log10(table["steps"])
    return table.assign(own=own, merged=own - merged * table["epsilon"], start=0.4)


def effect(measure: str, table: pd.DataFrame, **arguments: object) -> float:
    return MEASURES[measure](table, **arguments).effect


def by_rate(cell: pd.DataFrame) -> pd.Series:
    return 1.45 * cell["rate"] ** 0.4 * cell["apart"] ** 0.05


def slowly(cell: pd.DataFrame) -> pd.Series:
    return 0.89 * by_rate(cell)


def noisy(cell: pd.DataFrame) -> pd.Series:
    return 0.8 * cell["apart"] ** 0.5 * drawn(0.8, 1.25, seed=9)


def broken() -> pd.DataFrame:
    """Features are farther apart the fewer the steps and the less alike the tasks."""
    table = plane(noisy)
    factor = table["tasks"].map(dict(zip(TASKS, (1, 16, 16), strict=True)))
    table = table.assign(apart=factor * 0.4 / table["steps"] * drawn(0.9, 1.1, of=["steps"]))
    return table.assign(epsilon=noisy(table))


def test_one_variable_that_decides_predicts_what_is_left_out() -> None:
    table = plane()
    for out in ("rate", "tasks"):
        assert effect("predicted", table, out=out) == pytest.approx(1)
        assert effect("predicted", table, out=out, by="moved") < 0.3
    assert effect("apart_at_half", table) == pytest.approx((0.5 / 0.8) ** 2)
    assert effect("predictor_range", table) > 100


def test_a_rate_that_decides_is_not_predicted_by_distance_but_by_its_product() -> None:
    table = plane(by_rate)
    assert effect("predicted", table, out="rate") < 0.05
    flat = table.assign(curvature=3.0)
    assert effect("predicted", flat, out="rate", by="stability") > 0.9
    assert effect("left_to_others", flat) == pytest.approx(1, abs=1e-6)
    # Where the distance leaves noise alone, the others have nothing to add.
    assert effect("left_to_others", plane(noisy)) < 0
    assert np.isnan(effect("left_to_others", plane()))


def test_what_merging_loses_is_told_on_either_side_of_the_contour() -> None:
    table = plane(lambda cell: pd.Series(np.where(cell["rate"] == 1, 0.8, 0.2), cell.index))
    assert effect("beyond", table) == pytest.approx(1 / 3)
    assert effect("lost", table, side="inside") == pytest.approx(0.1 * 0.2)
    assert effect("lost", table, side="beyond") == pytest.approx(0.1 * 0.8)
    assert effect("loss_rank", plane()) == pytest.approx(1)
    assert effect("most_learned", table) == pytest.approx(0.5 + 0.3 - 0.4)
    inside = table.assign(epsilon=0.2)
    assert np.isnan(effect("lost", inside, side="beyond"))
    assert effect("beyond", inside) == 0
    assert np.isnan(effect("apart_at_half", inside.assign(epsilon=1 / (1 + inside["apart"]))))


def test_layers_are_averaged_and_networks_that_do_not_differ_left_out() -> None:
    table = plane()
    first = table["layer"] == "first"
    table.loc[first, "epsilon"] *= 3
    table.loc[(table["tasks"] == TASKS[0]) & (table["steps"] == 10), ["epsilon", "apart"]] = np.nan
    means = cells(table)
    assert len(means) == len(SEEDS) * (len(TASKS) * len(RATES) * len(STEPS) - len(RATES))
    rows = table.groupby(["seed", "tasks", "rate", "steps"], sort=False)["epsilon"].mean().dropna()
    assert means["epsilon"].tolist() == pytest.approx(rows.tolist())
    row = means.iloc[0]
    assert row["product"] == pytest.approx(row["curvature"] * row["weights_apart"] ** 2)
    assert row["stability"] == pytest.approx(row["curvature"] * row["rate"])
    assert row["angle"] == pytest.approx(1 - row["cosine"])


def test_one_seed_has_an_interval_over_its_pairs_of_tasks() -> None:
    sample = MEASURES["beyond"](plane().query("seed == 0"))
    assert sorted(sample.units(0)) == sorted(TASKS)


def test_the_page_says_where_it_ends_and_what_predicts_it() -> None:
    table = plane().assign(setting="one")
    said = sentences.answer(table, PANEL)
    texts = (">0.39<", "R² = <", ">1.00<", "on rates is *features apart*.", "merged network loses")
    order = [said.index(text) for text in texts]
    assert order == sorted(order)
    assert re.sub("<.*?>", "", said).count("**") == 6
    told = sentences.predictors(table, PANEL)
    assert told.count(" left out | ") == 2 * len(PREDICTORS) + 1
    assert "| features apart, rates left out | <span" in told
    listed = sentences.by_tasks(table, PANEL)
    assert all(f"| {tasks}: cells beyond ε = ½ |" in listed for tasks in TASKS)


# Figures.


def test_the_map_has_each_cell_and_its_contour() -> None:
    def rising(cell: pd.DataFrame) -> pd.Series:
        return 0.1 + 0.2 * (np.log10(cell["rate"]) + 2)

    table = plane(rising).assign(setting="one")  # 0.1, 0.3, 0.5 + 0.0…
    figure = figures.plane(table.assign(epsilon=table["epsilon"] * 1.5), PANEL)
    maps = [trace for trace in figure.data if trace.type == "heatmap"]
    above, below = maps
    assert list(above.x) == [1, 2, 3]
    assert list(above.y) == [-2, -1, 0]
    assert [row[0] for row in above.z] == pytest.approx([0.15, 0.45, 0.75])
    assert below.z[0][2] == pytest.approx(0.5 + 0.3 - 0.1 * 0.1, abs=0.006)
    assert above.text[1][2].startswith("1,000 steps at rate 0.1<br>ε = 0.45, merged")
    lines = [trace for trace in figure.data if trace.type == "scatter"]
    for line in lines:
        assert list(line.x) == [1, 2, 3]
        assert list(line.y) == pytest.approx([-1 + 0.05 / 0.3] * 3, abs=1e-3)
    assert [line.showlegend for line in lines] == [True, False]
    (menu,) = figure.layout.updatemenus
    assert [one.label for one in menu.buttons] == ["mean over tasks", *TASKS]
    change = menu.buttons[1].args[0]
    assert len(change["z"]) == len(figure.data)
    assert "over ½ in 33% of the cells" in figure.layout.meta["takeaway"]


def test_a_map_that_is_linear_everywhere_has_no_contour() -> None:
    figure = figures.plane(plane(lambda cell: 0.1 + 0 * cell["apart"]).assign(setting="one"), PANEL)
    assert [len(trace.x) for trace in figure.data if trace.type == "scatter"] == [0, 0]


def test_every_cell_is_a_point_and_the_line_is_that_of_least_squares() -> None:
    table = plane().assign(setting="one")
    figure = figures.scattered(table, PANEL)
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(points) == len(RATES)
    assert sum(len(trace.x) for trace in points) == len(cells(table))
    assert [trace.name for trace in points if trace.showlegend] == ["smallest rate", "largest rate"]
    fit = next(trace for trace in figure.data if trace.name == "least squares")
    assert list(fit.y) == pytest.approx([0.8 * x**0.5 for x in fit.x], rel=1e-3)
    assert "R² = 1.00 on learning rates" in figure.layout.meta["takeaway"]
    (menu,) = figure.layout.updatemenus
    assert [one.label for one in menu.buttons] == list(PREDICTORS.values())
    assert figure.layout.xaxis.title.text == menu.buttons[0].label
    for entry in menu.buttons:
        assert entry.method == "update"
        assert entry.args[1] == {"xaxis.title.text": entry.label}
