"""R² on groups left out, against a naive loop in float64, and what it must not depend on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from conftest import refused

from ctl_helpers.analysis.left_out import left_out_r_squared


def naive(x: np.ndarray, y: np.ndarray, groups: Sequence[object]) -> float:
    """Sample by sample, by the normal equations of all other groups."""
    missed = spread = 0.0
    for row, group in enumerate(groups):
        rest = [n for n, other in enumerate(groups) if other != group]
        design = np.array([[1.0, *np.atleast_1d(x[n])] for n in rest])
        fit = np.linalg.solve(design.T @ design, design.T @ y[rest])
        missed += (y[row] - np.array([1.0, *np.atleast_1d(x[row])]) @ fit) ** 2
        spread += (y[row] - y[rest].mean()) ** 2
    return 1 - missed / spread


def drawn(seed: int, regressors: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    shape = (30, regressors) if regressors else 30
    x = generator.standard_normal(shape)
    y = np.reshape(x, (30, -1)).sum(1) + generator.uniform(0.1, 3) * generator.standard_normal(30)
    return x, y, [f"g{n}" for n in generator.integers(0, 5, 30)]


@pytest.mark.parametrize("regressors", [0, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_loop_over_samples(seed: int, regressors: int) -> None:
    x, y, groups = drawn(seed, regressors)
    assert left_out_r_squared(x, y, groups) == pytest.approx(naive(x, y, groups), rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_units_order_and_names_of_groups_do_not_matter(seed: int) -> None:
    x, y, groups = drawn(seed, 2)
    generator = np.random.default_rng(seed)
    expected = left_out_r_squared(x, y, groups)
    scale, order = generator.uniform(0.1, 9, 2), generator.permutation(30)
    others = {name: number for number, name in enumerate(generator.permutation(sorted({*groups})))}
    moved = left_out_r_squared(
        (x * scale - 3)[order], 7 - 2 * y[order], [others[groups[n]] for n in order]
    )
    assert moved == pytest.approx(expected, rel=1e-8)
    assert expected < 1
    assert left_out_r_squared(x, x @ scale + 1, groups) == pytest.approx(1)


def test_what_holds_within_groups_alone_predicts_none_of_them() -> None:
    """Each group has its own line: all of them rise, and the groups fall."""
    x = np.array([0.0, 1, 2, 10, 11, 12, 20, 21, 22])
    y = np.array([20.0, 21, 22, 10, 11, 12, 0, 1, 2])
    groups = list("aaabbbccc")
    assert left_out_r_squared(x, y, groups) == pytest.approx(naive(x, y, groups))
    assert left_out_r_squared(np.tile([0.0, 1, 2], 3), y, groups) < 0.1


def test_too_little_to_tell_is_no_number() -> None:
    assert np.isnan(left_out_r_squared([1, 2, 3], [1, 2, 4], "aaa"))
    assert np.isnan(left_out_r_squared([1, 2, 3], [1, 2, 4], "aab"))
    assert np.isnan(left_out_r_squared([1, 2, 3, 4, 5, 6], [1] * 6, "aaabbb"))
    assert np.isnan(left_out_r_squared([], [], []))


def test_wrong_shapes_and_values_are_refused() -> None:
    with refused(ValueError, r"shapes \(3,\) and \(2,\) for 3 names"):
        left_out_r_squared([1, 2, 3], [1, 2], "abc")
    with refused(ValueError, "x or y has NaN"):
        left_out_r_squared([1, 2, float("nan")], [1, 2, 3], "abc")
