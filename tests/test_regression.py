"""R² against its formula, and bootstrap intervals against what is known of their samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.analysis.regression import bootstrap, explained, r_squared

mean = partial(bootstrap, np.mean)


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_r_squared_is_one_less_the_share_of_residuals(noise: float, scale: float) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal(50)
    y = 3 - 2 * x + noise * generator.standard_normal(50)
    design = np.stack([np.ones(50), x], 1)
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    expected = 1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum()
    assert r_squared(x * scale, y / scale) == pytest.approx(expected, rel=1e-9)


def test_r_squared_by_hand() -> None:
    assert r_squared([1, 2, 3], [1, 3, 2]) == pytest.approx(0.25)
    assert r_squared([1, 2], [5, 3]) == pytest.approx(1)
    assert r_squared([-1, 0, 1], [1, 0, 1]) == pytest.approx(0)
    assert r_squared(np.float32([0.1, 0.2, 0.4]), pd.Series([1, 2, 4])) == pytest.approx(1)
    assert np.isnan(r_squared([1, 1, 1], [1, 2, 3]))
    assert np.isnan(r_squared([0.1, 0.3, 0.2], [0.1, 0.1, 0.1]))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(40):
        x = 5 + generator.standard_normal(40)
        low, high = mean(x, resamples=100, seed=seed, level=0.9)
        hits += low < 5 < high
    assert 31 <= hits <= 39  # 36 expected


def test_the_interval_of_a_mean_has_the_textbooks_width() -> None:
    x = np.random.default_rng(1).standard_normal(200)
    low, high = mean(x, resamples=2000)
    assert high - low == pytest.approx(2 * 1.96 * x.std(ddof=1) / 200**0.5, rel=0.08)
    assert (low + high) / 2 == pytest.approx(x.mean(), abs=0.02)
    inner = mean(x, resamples=2000, level=0.5)
    assert low < inner[0] < inner[1] < high


def test_resamples_are_drawn_row_by_row_with_replacement() -> None:
    seen = []

    def keep(drawn: np.ndarray) -> float:
        seen.append(drawn)
        return 0.0

    bootstrap(keep, [[x, 10 * x] for x in range(6)], resamples=50)
    assert len(seen) == 50
    for drawn in seen:
        assert drawn.shape == (6, 2)
        assert (drawn[:, 1] == 10 * drawn[:, 0]).all()
        assert set(drawn[:, 0]) <= set(range(6))
    assert any(len(set(drawn[:, 0])) < 6 for drawn in seen)
    assert {x for drawn in seen for x in drawn[:, 0]} == set(range(6))


@pytest.mark.parametrize("order", [range(7), [3, 0, 6, 2, 5, 1, 4]])
def test_groups_are_drawn_whole(order: Sequence[int]) -> None:
    names = ["aabbbbc"[x] for x in order]
    rows = {name: sorted(x for x in order if "aabbbbc"[x] == name) for name in "abc"}
    counts = set()

    def check(drawn: np.ndarray) -> float:
        times = 0
        for own in rows.values():
            part = sorted(x for x in drawn if x in own)
            copies, rest = divmod(len(part), len(own))
            assert rest == 0
            assert part == sorted(own * copies)
            times += copies
        counts.add(times)
        return 0.0

    bootstrap(check, order, names, resamples=100)
    assert counts == {3}


def test_copies_within_a_group_add_no_certainty() -> None:
    x = np.random.default_rng(2).standard_normal(20)
    many = np.concatenate([x] * 50)
    honest = mean(x, resamples=200)
    assert mean(many, [*range(20)] * 50, resamples=200) == pytest.approx(honest)
    low, high = mean(many, resamples=200)
    assert high - low < 0.3 * (honest[1] - honest[0])


def test_the_seed_decides() -> None:
    x = np.arange(30.0)
    assert mean(x, seed=1) == mean(x, seed=1)
    assert mean(x, seed=1) != mean(x, seed=2)
    assert (x == np.arange(30)).all()


def test_a_statistic_that_is_nan_now_and_then_is_left_out() -> None:
    rows = [[1.0, 1.0], [2.0, 3.0]]
    found = bootstrap(lambda drawn: r_squared(drawn[:, 0], drawn[:, 1]), rows)
    assert found == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("compute", "given", "options", "sentence"),
    [
        (r_squared, ([1, 2], [1, 2, 3]), {}, r"shapes \(2,\) and \(3,\); pass"),
        (r_squared, ([1], [1]), {}, "pass two sequences"),
        (r_squared, ([[1, 2]], [[1, 2]]), {}, "pass two sequences"),
        (r_squared, ([1, np.nan], [1, 2]), {}, "NaN or infinite values; drop"),
        (r_squared, ([1, 2], [np.inf, 2]), {}, "NaN or infinite values; drop"),
        (mean, ([],), {}, "0 observations"),
        (mean, ([1], ["a", "b"]), {}, "1 observations and 2 names of groups"),
        (mean, ([1, 2], ["a", None]), {}, "2 observations and 1 names of groups; .* its group"),
        (mean, ([1],), {"resamples": 0}, "0 resamples"),
        (mean, ([1],), {"level": 1}, "level 1 .* between 0 and 1"),
        (mean, ([np.nan],), {}, "NaN on every resample; check"),
    ],
)
def test_what_gives_no_number_is_refused(compute, given, options, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        compute(*given, **options)


def test_explained_is_r_squared_by_regressor_on_both_scales() -> None:
    x = np.exp(np.random.default_rng(0).normal(size=40))
    frame = pd.DataFrame({"y": x**3, "x": x, "one": 1.0, "start": np.arange(40) // 8})
    frame.index = [0] * 40
    found = explained(frame, "y", ["x", "one"], "start", resamples=50)
    found = found.set_index(["scale", "regressor"])
    assert found.loc[("linear", "x"), "r_squared"] == r_squared(x, x**3)
    assert found.loc[("log", "x")].to_numpy() == pytest.approx([1, 1, 1])
    assert found.xs("one", level="regressor").isna().all(axis=None)
    assert found.loc[("linear", "x"), "low"] <= found.loc[("linear", "x"), "high"]


def test_explained_leaves_zeros_out_of_logarithms() -> None:
    frame = pd.DataFrame({"y": [0.0, 1.0, 4.0, 9.0], "x": [0.0, 1.0, 2.0, 3.0]})
    found = explained(frame, "y", ["x"], resamples=20).set_index("scale")["r_squared"]
    assert found["log"] == pytest.approx(1)
    assert found["linear"] < 1
