"""Measures of averaged networks against their definitions, and intervals that draw networks."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings import averaging


def triples(averaged, ensemble, names="abcde", seed: int = 0) -> pd.DataFrame:
    models = ["; ".join(triple) for triple in combinations(names, 3)]
    table = {"models": models, "averaged": averaged, "ensemble": ensemble}
    return pd.DataFrame(table).assign(seed=seed)


GAPS = np.arange(10) / 100


def test_the_correlation_is_over_triples() -> None:
    generator = np.random.default_rng(0)
    x = generator.random(10)
    y = x + 0.3 * generator.random(10)
    sample = averaging.ensemble_correlation(triples(x, y))
    assert sample.effect == pytest.approx(np.corrcoef(x, y)[0, 1])
    low, high = sample.interval(200)
    assert -1 <= low <= sample.effect <= high <= 1
    assert sample.replicates == "5 networks of 1 seed"
    assert averaging.ensemble_correlation(triples(x, 2 * x + 1)).interval(100) == pytest.approx(
        (1, 1)
    )
    assert np.isnan(averaging.ensemble_correlation(triples(x, 0 * x)).effect)


def test_a_triple_counts_as_often_as_its_networks_are_drawn() -> None:
    sample = averaging.ensemble_gap(triples(GAPS, 0 * GAPS))
    assert sample.effect == pytest.approx(GAPS.mean())
    # a twice, b, c and d once: of abc, abd and acd (two each) and bcd (one).
    place = {"".join(t): n for n, t in enumerate(combinations("abcde", 3))}
    weights = {"abc": 2, "abd": 2, "acd": 2, "bcd": 1}
    expected = sum(w * GAPS[place[t]] for t, w in weights.items()) / 7
    assert sample.statistic(np.array([0.0, 0, 1, 2, 3])) == pytest.approx(expected)
    assert np.isnan(sample.statistic(np.array([0.0, 0, 0, 1, 1])))


def test_networks_of_two_seeds_are_told_apart() -> None:
    both = pd.concat([triples(GAPS, 0 * GAPS, seed=seed) for seed in (0, 1)])
    sample = averaging.ensemble_gap(both)
    assert sample.effect == pytest.approx(GAPS.mean())
    assert sample.replicates == "10 networks of 2 seeds"


def test_a_seed_that_is_drawn_twice_counts_twice() -> None:
    parts = [
        triples([gap] * 10, [0] * 10, seed=seed) for seed, gap in enumerate([0.01, 0.04, 0.04])
    ]
    sample = averaging.ensemble_gap(pd.concat(parts))
    first, second = np.arange(5.0), np.arange(5.0, 10.0)
    drawn = np.concatenate([first, first, second])
    assert sample.statistic(drawn) == pytest.approx((0.01 + 0.01 + 0.04) / 3)


def test_blocks_are_judged_where_they_are_worst() -> None:
    values = {
        "a, b": {"distance": [0.01, 0.02], "baseline": [0.1, 0.1], "coef": [1.0, 0.8]},
        "a, c": {"distance": [0.01, 0.04], "baseline": [0.2, 0.2], "coef": [1.0, 1.1]},
    }
    table = pd.DataFrame(
        {"seed": 0, "models": models, "layer": f"block {n}", "metric": metric, "mean": value}
        for models, metrics in values.items()
        for metric, layers in metrics.items()
        for n, value in enumerate(layers)
    )
    assert averaging.average_nearer(table, at="least").effect == pytest.approx(5)
    assert averaging.average_worst_distance(table).effect == pytest.approx(0.03)
    assert averaging.average_worst_length(table).effect == pytest.approx(0.15)
    assert averaging.average_worst_length(table).replicates == "2 averages of 1 seed"
