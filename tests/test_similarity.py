"""Inner products, cosines, coefficients and summaries against numpy and pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from ctl_helpers.engine.similarity import (
    coef,
    cosine,
    inner_products,
    linearity_error,
    summarize,
    summarize_rows,
)


@pytest.mark.parametrize(
    ("samples", "width"),
    [
        (1, 1),
        (7, 13),
        (0, 5),
        (5, 2**16),  # chunks of four rows and of one
        (4, 2**17),  # chunks of two
        (3, 2**18 + 1),  # wider than a chunk
        (2**18 // 3 + 2, 3),  # two rows over one chunk
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_inner_products_agree_with_numpy(samples: int, width: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(samples)
    a, b, c = (torch.randn(samples, width, generator=generator).to(dtype) for _ in range(3))
    found = inner_products(a, [b, a, c])
    wide = [tensor.double().numpy() for tensor in (a, b, a, c)]
    expected = [np.einsum("nd,nd->n", wide[0], other) for other in wide[1:]]
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, np.reshape(expected, (3, samples)), rtol=1e-11, atol=1e-10)


def test_half_precision_products_neither_overflow_nor_round() -> None:
    a = torch.full((1, 300), 300.0, dtype=torch.float16)
    assert inner_products(a, [a]).item() == 300 * 300.0**2


@pytest.mark.parametrize(
    ("left", "right", "direction", "length"),
    [
        ((2, 0), (1, 0), 1, 2),
        ((-3, 0), (6, 0), -1, -0.5),
        ((0, 5), (1, 0), 0, 0),
        ((1, 1), (1, 0), 0.5**0.5, 1),
        ((0, 0), (1, 0), np.nan, np.nan),
        ((1, 0), (0, 0), np.nan, np.nan),
        ((0, 0), (0, 0), np.nan, np.nan),
    ],
)
def test_cosine_and_coef_are_signed_and_nan_without_a_direction(
    left: tuple[int, int], right: tuple[int, int], direction: float, length: float
) -> None:
    l_, r_ = (torch.tensor([v], dtype=torch.float64) for v in (left, right))
    lr, ll, rr = (inner_products(a, [b])[0] for a, b in ((l_, r_), (l_, l_), (r_, r_)))
    np.testing.assert_allclose(cosine(lr, ll, rr), [direction], rtol=1e-15)
    np.testing.assert_allclose(coef(lr, ll, rr), [length], rtol=1e-15)


def test_cosine_is_clipped_and_coef_is_not() -> None:
    one = torch.ones(2, dtype=torch.float64)
    over = torch.tensor([1 + 1e-9, -1 - 1e-9], dtype=torch.float64)
    assert cosine(over, one, one).tolist() == [1, -1]
    assert coef(over, one, one).tolist() == over.tolist()


@pytest.mark.parametrize(
    ("left_off", "parts_off", "right", "expected"),
    [
        (0, 4, 100, 0),
        (4, 4, 100, 1),
        (9, 4, 100, 1.5),
        (-1e-18, 4, 100, 0),  # rounding
        (0, 0, 100, np.nan),
        (1, 0, 0, np.nan),
        (1, 1e-12, 100, np.nan),  # equal but for a float32's rounding
        (1, 1e-10, 100, 1e5),
    ],
)
def test_the_linearity_error_is_a_ratio_of_lengths(left_off, parts_off, right, expected) -> None:
    squares = (torch.tensor([v], dtype=torch.float64) for v in (left_off, parts_off, right))
    np.testing.assert_allclose(linearity_error(*squares), [expected], rtol=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 101])
@pytest.mark.parametrize("undefined", [0, 3])
def test_summaries_agree_with_pandas(n: int, undefined: int) -> None:
    values = np.random.default_rng(n).lognormal(size=n + undefined)
    values[:undefined] = np.nan
    series = pd.Series(values)
    expected = {"n": series.count(), "mean": series.mean(), "std": series.std(ddof=1)}
    quartiles = series.quantile([0.25, 0.5, 0.75], interpolation="linear")
    expected |= dict(zip(("q25", "median", "q75"), quartiles, strict=True))
    found = summarize(torch.from_numpy(values))
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-14, nan_ok=True)
    assert np.isnan(found["std"]) == (n < 2)


def test_rows_are_summarized_as_numpy_does_to_the_last_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = [1, 2, 3, 4, 5, 64, 64, 64, 101, 10_000, 0, 7, 7]
    rows = [torch.randn(n, generator=generator, dtype=torch.float64) for n in lengths]
    rows[-2][3] = torch.nan
    rows[-1][:] = torch.nan
    for row, found in zip(rows, summarize_rows(rows), strict=True):
        known = row[~row.isnan()].numpy()
        assert found["n"] == len(known)
        quartiles = np.quantile(known, (0.25, 0.5, 0.75)) if len(known) else [np.nan] * 3
        assert np.array_equal([found[q] for q in ("q25", "median", "q75")], quartiles, True)
        assert np.array_equal(found["mean"], known.mean() if len(known) else np.nan, True)
        std = known.std(ddof=1) if len(known) > 1 else np.nan
        assert np.array_equal(found["std"], std, True)
