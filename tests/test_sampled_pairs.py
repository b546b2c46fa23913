"""Some of all pairs: which are drawn, and how sure their mean is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import refused

import ctl_helpers as ctl
from ctl_helpers.analysis.sampled_pairs import mean_over_all_pairs

NAMES = [f"n{number:02}" for number in range(30)]


def drawn(partners: int | None, seed: int = 0) -> list[tuple[str, str]]:
    asked = ctl.pairs(NAMES, 0.5, partners=partners, seed=seed)
    return [(str(one.params["i"]), str(one.params["j"])) for one in asked]


@pytest.mark.parametrize("partners", [2, 6, 28])
def test_each_checkpoint_has_as_many_partners(partners: int) -> None:
    found = drawn(partners)
    assert len(set(found)) == len(found) == len(NAMES) * partners // 2
    assert set(found) < set(combinations(NAMES, 2))
    assert set(Counter(name for pair in found for name in pair).values()) == {partners}
    assert found == sorted(found) == drawn(partners)
    assert found != drawn(partners, seed=1)


def test_all_partners_are_all_pairs_and_odd_numbers_are_refused() -> None:
    assert drawn(29) == drawn(None) == list(combinations(NAMES, 2))
    for partners in (0, 3, 30):
        with refused(ValueError, f"partners is {partners}; give an even number from 2 to 29"):
            drawn(partners)


def values(noise: float, seed: int) -> Callable[[str, str], float]:
    draw = np.random.default_rng(seed)
    own = dict(zip(NAMES, draw.normal(size=len(NAMES)), strict=True))
    between = {pair: noise * draw.normal() for pair in combinations(NAMES, 2)}
    return lambda i, j: 3 + own[i] + own[j] + between[i, j]


def table(value: Callable[[str, str], float], pairs: list[tuple[str, str]]) -> pd.DataFrame:
    return pd.DataFrame([{"i": i, "j": j, "value": value(i, j)} for i, j in pairs])


def test_what_checkpoints_have_of_their_own_leaves_no_doubt() -> None:
    value = values(noise=0.0, seed=0)
    found = mean_over_all_pairs(table(value, drawn(4)), "value")
    assert found.value == pytest.approx(table(value, drawn(None))["value"].mean(), abs=1e-12)
    assert found.high - found.low < 1e-12
    assert (found.measured, found.whole) == (60, 435)


def test_the_interval_covers_as_often_as_it_says_and_is_narrower_than_that_of_any_pairs() -> None:
    hits, reach, plain = 0, [], []
    for seed in range(300):
        value = values(noise=0.5, seed=seed)
        sample = table(value, drawn(6, seed))
        found = mean_over_all_pairs(sample, "value", level=0.9)
        hits += found.low < table(value, drawn(None))["value"].mean() < found.high
        reach.append(found.high - found.low)
        plain.append(2 * 1.66 * sample["value"].std() / len(sample) ** 0.5)
    assert 0.86 < hits / 300 < 0.94
    assert np.mean(reach) < 0.5 * np.mean(plain)


def test_all_pairs_leave_no_doubt_and_unequal_ones_are_refused() -> None:
    whole = table(values(noise=0.5, seed=0), drawn(None))
    found = mean_over_all_pairs(whole, "value")
    assert found.low == found.high == whole["value"].mean()
    with refused(ValueError, "have from 28 to 29 partners; measure ctl.pairs"):
        mean_over_all_pairs(whole[1:], "value")
    with refused(ValueError, "have from 2 to 2 partners"):
        mean_over_all_pairs(table(values(0.5, 0), drawn(2)), "value")
    with refused(ValueError, "a pair twice"):
        mean_over_all_pairs(pd.concat([whole, whole[:1]]), "value")
