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
    assert sample.estimate().units == "5 networks of 1 seed"
    assert np.isnan(averaging.ensemble_correlation(triples(x, 0 * x)).effect)


def test_networks_are_left_out_with_all_their_triples() -> None:
    sample = averaging.ensemble_gap(triples(GAPS, 0 * GAPS))
    assert sample.effect == pytest.approx(GAPS.mean())
    without = {
        name: np.mean(
            [g for g, t in zip(GAPS, combinations("abcde", 3), strict=True) if name not in t]
        )
        for name in "abcde"
    }
    deviations = np.array(list(without.values())) - np.mean(list(without.values()))
    assert sample.estimate().error == pytest.approx((4 / 5 * np.sum(deviations**2)) ** 0.5)


def test_seeds_are_drawn_where_there_are_several() -> None:
    gaps = [0.01, 0.04, 0.04]
    parts = [triples([gap] * 10, [0] * 10, seed=seed) for seed, gap in enumerate(gaps)]
    estimate = averaging.ensemble_gap(pd.concat(parts)).estimate()
    assert (estimate.value, estimate.units) == (pytest.approx(0.03), "3 seeds")
    assert estimate.error == pytest.approx(0.01)


def test_the_ensembles_gain_is_the_unit_of_the_gap() -> None:
    """Single networks reach 0.5, but one 0.65, which is in six of ten triples."""
    names = pd.Series(list("abcde"))
    single = pd.DataFrame({"network": names, "accuracy": 0.5 + 0.15 * (names == "a"), "seed": 0})
    both = triples([0.59] * 10, [0.63] * 10)
    sample = averaging.ensemble_behind(both, single)
    assert sample.effect == pytest.approx(0.04 / 0.1)
    assert averaging.ensemble_gain(both, single).effect == pytest.approx(0.1)
    assert np.isnan(averaging.ensemble_behind(both.assign(ensemble=0.5), single).effect)


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
    assert averaging.average_worst_distance(table).units(0) == ["a", "b", "c"]
