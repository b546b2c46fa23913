"""R² against its formula, and bootstrap intervals against what is known of their samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.regression import bootstrap, explained, r_squared


def mean(frame: pd.DataFrame) -> float:
    return float(frame.x.mean())


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


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        ([1, 2], [1, 2, 3], r"shapes \(2,\) and \(3,\); pass"),
        ([1], [1], "pass two sequences"),
        ([[1, 2]], [[1, 2]], "pass two sequences"),
        ([1, np.nan], [1, 2], "NaN or infinite values; drop"),
        ([1, 2], [np.inf, 2], "NaN or infinite values; drop"),
    ],
)
def test_r_squared_refuses(x, y, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        r_squared(x, y)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(40):
        frame = pd.DataFrame({"x": 5 + generator.standard_normal(40)})
        low, high = bootstrap(mean, frame, resamples=100, seed=seed, level=0.9)
        hits += low < 5 < high
    assert 31 <= hits <= 39  # 36 expected


def test_the_interval_of_a_mean_has_the_textbooks_width() -> None:
    frame = pd.DataFrame({"x": np.random.default_rng(1).standard_normal(200)})
    low, high = bootstrap(mean, frame, resamples=2000)
    assert high - low == pytest.approx(2 * 1.96 * frame.x.std() / 200**0.5, rel=0.08)
    assert (low + high) / 2 == pytest.approx(frame.x.mean(), abs=0.02)
    inner = bootstrap(mean, frame, resamples=2000, level=0.5)
    assert low < inner[0] < inner[1] < high


def test_resamples_are_drawn_row_by_row_with_replacement() -> None:
    frame, seen = pd.DataFrame({"x": range(6)}, index=list("aabbcc")), []

    def keep(drawn: pd.DataFrame) -> float:
        seen.append(drawn)
        return 0.0

    bootstrap(keep, frame, resamples=50)
    assert len(seen) == 50
    for drawn in seen:
        assert drawn.index.tolist() == list(range(6))
        assert set(drawn.x) <= set(range(6))
    assert any(drawn.x.duplicated().any() for drawn in seen)
    assert {x for drawn in seen for x in drawn.x} == set(range(6))


@pytest.mark.parametrize("shuffled", [False, True])
def test_groups_are_drawn_whole(shuffled: bool) -> None:
    frame = pd.DataFrame({"seed": list("aabbbbc"), "x": range(7)})
    frame = frame.sample(frac=1, random_state=3) if shuffled else frame
    rows = {name: sorted(part.x) for name, part in frame.groupby("seed")}
    counts = set()

    def check(drawn: pd.DataFrame) -> float:
        times = 0
        for name, part in drawn.groupby("seed"):
            copies, rest = divmod(len(part), len(rows[name]))
            assert rest == 0
            assert sorted(part.x) == sorted(rows[name] * copies)
            times += copies
        counts.add(times)
        return 0.0

    bootstrap(check, frame, "seed", resamples=100)
    assert counts == {3}


def test_copies_within_a_group_add_no_certainty() -> None:
    x = np.random.default_rng(2).standard_normal(20)
    single = pd.DataFrame({"seed": range(20), "x": x})
    many = pd.concat([single] * 50)
    honest = bootstrap(mean, single, resamples=200)
    assert bootstrap(mean, many, "seed", resamples=200) == pytest.approx(honest)
    low, high = bootstrap(mean, many, resamples=200)
    assert high - low < 0.3 * (honest[1] - honest[0])


def test_the_seed_decides() -> None:
    frame = pd.DataFrame({"x": np.arange(30.0)})
    before = frame.copy()
    assert bootstrap(mean, frame, seed=1) == bootstrap(mean, frame, seed=1)
    assert bootstrap(mean, frame, seed=1) != bootstrap(mean, frame, seed=2)
    pd.testing.assert_frame_equal(frame, before)


def test_a_statistic_that_is_nan_now_and_then_is_left_out() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 3.0]})
    assert bootstrap(lambda f: r_squared(f.x, f.y), frame) == pytest.approx((1, 1))


@pytest.mark.parametrize(
    ("frame", "options", "error", "sentence"),
    [
        (pd.DataFrame({"x": []}), {}, ValueError, "no rows"),
        (pd.DataFrame({"x": [1]}), {"groups": "seed"}, KeyError, "no column 'seed'"),
        (pd.DataFrame({"x": [1, None]}), {"groups": "x"}, ValueError, "rows without 'x'; drop"),
        (pd.DataFrame({"x": [1]}), {"resamples": 0}, ValueError, "0 resamples"),
        (pd.DataFrame({"x": [1]}), {"level": 1}, ValueError, "level 1 .* between 0 and 1"),
        (pd.DataFrame({"x": [np.nan]}), {}, ValueError, "NaN on every resample; check"),
    ],
)
def test_what_makes_no_interval_is_refused(frame, options, error, sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        bootstrap(mean, frame, **options)


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
