"""What is read off a run of fine-tuning where it has gone so far."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.analysis import levels

SEEDS = range(20)


def naive(places: list[float], values: list[float], level: float) -> float:
    """In float64 and logarithms to base ten, pair by pair from the first snapshot on."""
    for n in range(len(places) - 1):
        low, high = sorted(places[n : n + 2])
        if low <= level <= high:
            x0, x1, x = (math.log10(one) for one in (places[n], places[n + 1], level))
            y0, y1 = (math.log10(one) for one in values[n : n + 2])
            return 10 ** (y0 if x1 == x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0))
    raise AssertionError


@pytest.mark.parametrize("seed", SEEDS)
def test_a_value_is_that_of_the_naive_reading(seed: int) -> None:
    random = np.random.default_rng(seed)
    places, values = (np.exp(random.normal(size=6)).tolist() for _ in range(2))
    level = float(np.exp(random.uniform(*sorted(np.log(places[:2])))))
    assert levels.at_level(places, values, level) == pytest.approx(naive(places, values, level))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_law_is_met_exactly(seed: int) -> None:
    random = np.random.default_rng(seed)
    factor, power = np.exp(random.normal()), random.normal()
    places = np.sort(np.exp(random.normal(size=5)))[:: random.choice([1, -1])]
    level = float(random.uniform(places.min(), places.max()))
    found = levels.at_level(places.tolist(), (factor * places**power).tolist(), level)
    assert found == pytest.approx(factor * level**power, rel=1e-12)


def test_at_a_snapshot_it_is_the_snapshots_own() -> None:
    assert levels.at_level([0.1, 0.2, 0.4], [0.3, 0.5, 0.6], 0.2) == pytest.approx(0.5)


def test_the_first_time_counts() -> None:
    places, values = [0.1, 0.4, 0.1, 0.4], [1.0, 1.0, 7.0, 7.0]
    assert levels.at_level(places, values, 0.2) == pytest.approx(1)


@pytest.mark.parametrize("level", [0.09, 0.5])
def test_nothing_is_read_off_beyond_the_snapshots(level: float) -> None:
    with pytest.raises(ValueError, match=r"reach from 0\.1 to 0\.4; take snapshots that do") as it:
        levels.at_level([0.1, 0.2, 0.4], [0.3, 0.5, 0.6], level)
    assert "\n" not in str(it.value)


@pytest.mark.parametrize(
    ("places", "values", "level", "says"),
    [
        ([0.0, 0.2], [0.3, 0.5], 0.1, "not a positive number"),
        ([0.1, 0.2], [0.3, math.nan], 0.15, "not a positive number"),
        ([0.1, 0.2], [0.3, 0.5], -1.0, "not a positive number"),
        ([0.1, 0.2], [0.3], 0.15, "2 places and 1 values"),
        ([], [], 0.15, "no two snapshots"),
    ],
)
def test_other_numbers_are_refused(places, values, level: float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        levels.at_level(places, values, level)


def compared(epsilons: dict[str, list[float]], moved: list[float]) -> pd.DataFrame:
    """Two layers; the second one moves three times as far as the first."""
    rows = [
        {"steps": 2**n, "layer": layer, "metric": metric, "mean": mean}
        for layer, far in (("stem", 0.5), ("head", 1.5))
        for n, distance in enumerate(moved)
        for metric, mean in (("epsilon", epsilons[layer][n]), ("baseline", far * distance))
    ]
    return pd.DataFrame(rows)


def scored(accuracies: list[float], n: int = 100) -> pd.DataFrame:
    """Both tasks alike."""
    return pd.DataFrame(
        {"steps": 2**place, "task": task, "accuracy": accuracy, "n": n}
        for place, accuracy in enumerate(accuracies)
        for task in "ij"
    )


EPSILONS = {"stem": [0.1, 0.2, 0.9], "head": [0.2, 0.3, 0.4]}


def test_a_curve_has_the_worst_layer_and_the_last() -> None:
    along = levels.curve(compared(EPSILONS, [0.1, 0.2, 0.4]), scored([0.5, 0.75, 1.0]))
    assert along["moved"].tolist() == pytest.approx([0.1, 0.2, 0.4])
    assert along["wrong"].tolist() == pytest.approx([0.5, 0.25, 0.0025])
    assert along["worst layer"].tolist() == [0.2, 0.3, 0.9]
    assert along["last layer"].tolist() == [0.2, 0.3, 0.4]
    assert levels.nearest(along, 0.15) == 2
    assert levels.nearest(along, 0.13) == 1


def test_runs_are_compared_where_they_have_gone_equally_far() -> None:
    along = levels.curve(compared(EPSILONS, [0.1, 0.2, 0.4]), scored([0.5, 0.75, 0.9]))
    table = levels.matched(along, 0.2, 0.75).set_index(["at", "where"])["epsilon"]
    assert table.tolist() == pytest.approx([0.3] * 4)
    assert levels.matched(along, 0.05, 0.95)["epsilon"].isna().all()


def test_what_fine_tuning_gains_is_over_the_start() -> None:
    assert levels.gain(scored([0.2, 0.5, 0.75]).assign(steps=lambda rows: rows["steps"] - 1)) == (
        pytest.approx(0.55)
    )


def test_the_two_snapshots_around_a_displacement() -> None:
    along = pd.DataFrame({"moved": [0.01, 0.2, 0.05, 0.4]}, index=[1, 2, 4, 8])
    assert levels.around(along, 0.1) == [1, 2]
    assert levels.around(along, 0.3) == [4, 8]
    assert levels.around(along, 0.9) == [8]
    assert levels.around(along, 0.001) == [1]


def test_where_features_have_moved_equally_far_is_one_of_both_levels() -> None:
    along = pd.DataFrame(
        {"moved": [0.01, 0.16], "worst layer": [0.1, 0.4], "last layer": [0.1, 0.1]}, index=[1, 2]
    )
    found = levels.equally_moved(along, 0.04).set_index("where")["epsilon"]
    assert found["worst layer"] == pytest.approx(0.2)
    assert found["last layer"] == pytest.approx(0.1)
    both = levels.matched(along.assign(wrong=[0.5, 0.1]), 0.04, 0.7)
    alike = both[both["at"] == levels.DISPLACEMENT].set_index("where")["epsilon"]
    assert alike.equals(found)
    assert levels.equally_moved(along, 0.5)["epsilon"].isna().all()
