"""Intervals against their formulas, and a simulation of how often they cover."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from ctl_helpers.findings.intervals import jackknife, over_seeds
from ctl_helpers.findings.replicates import Replicates, Sample, jointly, whole

DRAWS = 1500


def test_an_interval_over_seeds_is_students() -> None:
    values = [0.3, 0.5, 0.1, 0.4]
    low, high = over_seeds(values).interval() or (0, 0)
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert over_seeds(values).units == "4 seeds"


def test_a_zero_width_is_no_interval_and_nor_is_one_seed() -> None:
    assert over_seeds([0.2, 0.2, 0.2]).interval() is None
    assert over_seeds([0.2]).interval() is None
    assert math.isnan(over_seeds([]).value)
    assert over_seeds([0.2]).doubt(0.9) == 1


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.array([0.3, 0.5, 0.1, 0.4, 0.8])
    left_out = [np.delete(values, n).mean() for n in range(5)]
    estimate = jackknife(values.mean(), left_out, "tasks")
    assert estimate.error == pytest.approx(stats.sem(values))
    assert (estimate.freedom, estimate.units) == (4, "5 tasks of 1 seed")
    assert jackknife(0.1, [0.1, 0.1, math.nan], "tasks").interval() is None


def test_needed_draws_are_those_whose_interval_ends_at_the_border() -> None:
    estimate = over_seeds([0.0, 0.2, 0.4, 0.6, 0.8])
    spread = np.std([0.0, 0.2, 0.4, 0.6, 0.8], ddof=1)
    count = estimate.needed(0.25)
    assert count is not None
    reach = [stats.t.ppf(0.975, n - 1) * spread / n**0.5 for n in (count - 1, count)]
    assert reach[1] < 0.15 <= reach[0]
    assert estimate.needed(0.4) is None


def pairs(generator: np.random.Generator, seeds: int, networks: int, spreads) -> Sample:
    """Pairs of networks: a seed's effect, two networks', and noise of the pair."""
    of_seed, of_network, of_pair = spreads
    values, replicates, members = [], [], []
    for seed in range(seeds):
        middle = 1 + of_seed * generator.standard_normal()
        own = of_network * generator.standard_normal(networks)
        for i, j in combinations(range(networks), 2):
            values.append(middle + own[i] + own[j] + of_pair * generator.standard_normal())
            replicates.append(seed)
            members.append((i, j))
    rows = Replicates(replicates, members)
    return Sample(np.array(values), rows, "networks", lambda few: float(np.mean(few)))


@pytest.mark.parametrize("spreads", [(1, 0, 0), (0, 1, 0), (0.5, 0.5, 1)])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_over_seeds_cover_at_least_nine_times_in_ten(seeds: int, spreads) -> None:
    generator = np.random.default_rng(seeds)
    inside = 0
    for _ in range(DRAWS):
        low, high = pairs(generator, seeds, 4, spreads).interval() or (0, 0)
        inside += low <= 1 <= high
    # Three standard errors of the simulation itself.
    assert inside / DRAWS >= 0.95 - 3 * (0.95 * 0.05 / DRAWS) ** 0.5


@pytest.mark.parametrize("networks", [4, 6, 8])
@pytest.mark.parametrize("spreads", [(0, 1, 0), (0, 0.5, 1), (0, 0.1, 1)])
def test_intervals_of_one_seed_cover_at_least_nine_times_in_ten(networks: int, spreads) -> None:
    generator = np.random.default_rng(networks)
    inside = 0
    for _ in range(DRAWS):
        low, high = pairs(generator, 1, networks, spreads).interval() or (0, 0)
        inside += low <= 1 <= high
    assert inside / DRAWS >= 0.9


def test_pairs_drawn_as_if_they_shared_no_network_would_cover_too_seldom() -> None:
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(DRAWS):
        values = pairs(generator, 1, 6, (0, 1, 0)).values
        low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
        inside += low <= 1 <= high
    assert inside / DRAWS < 0.8


def test_a_joint_number_takes_the_same_unit_out_of_every_sample() -> None:
    rows = Replicates([0, 0, 0], [("a", "b"), ("a", "c"), ("b", "c")])

    def mean(values: np.ndarray) -> float:
        return float(values.mean())

    own = Sample(np.array([1.0, 2.0, 3.0]), rows, "networks", mean)
    control = Sample(np.array([2.0, 4.0, 6.0]), rows, "networks", mean)
    ratio = jointly([own, control], lambda number, of_control: number / of_control)
    # The ratio is ½ whichever network is left out, so that nothing varies.
    assert (ratio.value, ratio.error, ratio.interval()) == (0.5, 0, None)
    assert own.interval() is not None


@pytest.mark.parametrize("shape", [(4,), (4, 2), (4, 2, 3)])
def test_rows_that_lack_a_value_are_left_out_and_no_row_at_all_is_no_number(shape) -> None:
    def largest(rows: np.ndarray) -> Sample:
        one_seed = [0] * len(rows)
        return whole(rows, one_seed, "networks", lambda few: float(few.max()))

    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    assert largest(values).of_seed(0) == values.max()
    values[3, ...] = math.nan
    assert largest(values).of_seed(0) == values[:3].max()
    assert largest(values[3:]).seeds == largest(values[:0]).seeds == []
    assert math.isnan(jointly([largest(values[:0])], lambda number: number).value)
