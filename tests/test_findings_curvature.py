"""Measures of Theorem 5.1 on tables with a known answer, and what the page says of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import theory
from ctl_helpers.results.labels import Buffers, Scale

PAIRS = [("a", "b"), ("a", "c"), ("b", "c")]


def effect(measure: str, *tables: pd.DataFrame, **arguments: object) -> float:
    return MEASURES[measure](*tables, **arguments).effect


def regression(delta: Callable[[pd.DataFrame], pd.Series], starts: int = 4) -> pd.DataFrame:
    generator = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "seed": 0, "start": f"PT {start}", "i": i, "j": j,
            "curvature": 1.0 + start, "squared_distance": generator.uniform(1, 3),
        }
        for start in range(starts)
        for i, j in PAIRS[: 3 - start % 2]
    )  # fmt: skip
    apart = table["squared_distance"].copy()
    # Running statistics would add to every distance.
    for suffix, most in (("", 0), ("_buffers", 20)):
        distance = apart + generator.uniform(0, most, len(table))
        table[f"curvature{suffix}"] = table["curvature"]
        table[f"squared_distance{suffix}"] = distance
        table[f"product{suffix}"] = table["curvature"] * distance / 8
    return table.assign(delta=delta(table))


def test_r_squared_of_the_product_has_the_slopes_sign() -> None:
    for slope, sign in ((2, 1), (-1, -1)):
        line = regression(lambda table, slope=slope: slope * table["product"] + 1)
        assert effect("explained", line) == pytest.approx(sign)
    falling = regression(lambda table: 9 - table["curvature"])
    assert effect("explained", falling, name="curvature") == pytest.approx(-1)
    assert MEASURES["explained"].write(-0.5) == "−0.50"
    assert MEASURES["explained"].write(0.5) == "0.50"


def test_logarithms_make_powers_lines_and_leave_out_what_is_not_positive() -> None:
    table = regression(lambda table: table["product"] ** 3)
    table.loc[0, "delta"] = 0
    assert effect("explained", table, scale=Scale.LOG) == pytest.approx(1)
    assert effect("explained", table) < 0.99


def test_theta_with_running_statistics_is_another_reading() -> None:
    table = regression(lambda table: table["product"])
    assert effect("explained", table) == pytest.approx(1)
    assert effect("explained", table, theta=Buffers.ALL) < 0.9
    assert effect("explained_more", table) > 0


def test_the_span_of_a_predictor_is_its_largest_value_over_its_smallest() -> None:
    table = regression(lambda table: table["product"])
    assert effect("predictor_span", table, name="curvature") == pytest.approx(4)
    largest, smallest = table["product"].max(), table["product"].min()
    assert effect("predictor_span", table) == pytest.approx(largest / smallest)
    over_all = table["product_buffers"].max() / table["product_buffers"].min()
    assert effect("predictor_span", table, theta=Buffers.ALL) == pytest.approx(over_all)


def test_the_product_explains_more_than_either_factor() -> None:
    squares = regression(lambda table: table["product"])
    r = squares[["product", "curvature", "squared_distance"]].corrwith(squares["delta"]) ** 2
    more = 1 - max(r["curvature"], r["squared_distance"])
    assert effect("explained_more", squares) == pytest.approx(more)
    assert effect("explained_more", regression(lambda table: table["curvature"])) < 0
    # One start has one curvature, which makes the product the squared distance.
    alone = MEASURES["explained_more"](regression(lambda table: table["product"], starts=1))
    assert np.isnan(alone.effect)
    assert alone.interval() is None


def test_shares_of_the_bound() -> None:
    table = regression(lambda table: 0.1 * table["product"])
    table["second_order"], table["third_order"] = 0.2 * table["product"], 0.1 * table["product"]
    assert effect("share_of_bound", table) == pytest.approx(0.1)
    assert effect("rest_over_second_order", table) == pytest.approx(0.5)
    assert effect("under_bound", table) == 1
    table.loc[0, "delta"] = 99
    assert effect("under_bound", table) == pytest.approx(1 - 1 / len(table))


def test_the_page_says_where_the_product_is_best_and_what_is_left_near_the_start() -> None:
    table = regression(lambda table: table["product"]).assign(setting="one")
    table["second_order"], table["third_order"] = table["delta"], 0.0
    near = pd.DataFrame(
        {"setting": "one", "seed": 0, "start": "PT", "scale": scale, "ratio": 1 + scale}
        for scale in (1.0, 0.25)
        for _ in PAIRS
    )
    panels = {"one": "One"}
    said = theory.curvature_seen(table, near, panels)
    assert "| choices of starts where the product has the highest R² | 3 of 3 |" in said
    assert ">25%</span> at t = 0.25" in said
    assert "| t = 0.25 |" in theory.nearer_start(near, panels)
    assert f"| pairs | {len(PAIRS)} |" in theory.nearer_start(near, panels)
    assert theory.by_starts(table, panels).count("| 1.00 |") == 3
    rows = theory.explained(table, panels).splitlines()
    assert [row.split(" | ")[1] for row in rows[2:]] == ["linear", "log"] * 2 + ["linear"]
    assert "100%" in theory.inequality(table, panels)
