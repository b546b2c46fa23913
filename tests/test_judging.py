"""Words from intervals: quarters between control and ideal, orders, and several parts at once."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ctl_helpers.findings.intervals import over_seeds
from ctl_helpers.findings.judging import Judged, holm, judge, together
from ctl_helpers.findings.replicates import Sample


def sample(*by_seed: float) -> Sample:
    values = np.array(by_seed)
    return Sample(values, range(len(values)), "seeds", lambda rows: float(rows.mean()))


def word(judged: Judged) -> str:
    return holm([judged])[0]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.10, 0.12, 0.11, 0.10, 0.12), "reproduced"),
        ((0.50, 0.52, 0.51, 0.50, 0.52), "partly"),
        ((0.95, 0.97, 0.96, 0.95, 0.97), "contradicted"),
        ((1.40, 1.42, 1.41, 1.40, 1.42), "contradicted"),
        ((0.20, 0.30, 0.25, 0.20, 0.30), "undecided"),
        ((0.10,), "undecided"),
        ((0.10, 0.10, 0.10), "undecided"),
    ],
)
def test_a_word_needs_the_whole_interval_of_the_position(numbers, expected) -> None:
    judged = judge(sample(*numbers), 1.0, ideal=0.0)
    assert judged.estimate.value == pytest.approx(1 - np.mean(numbers))
    assert word(judged) == expected


def test_a_measured_control_is_paired_with_the_number_seed_by_seed() -> None:
    # Number and control rise together from seed to seed, so that the position hardly varies.
    number, control = sample(0.1, 0.2, 0.3), sample(1.0, 2.0, 3.03)
    judged = judge(number, control, ideal=0.0)
    low, high = judged.estimate.interval() or (0, 0)
    assert high - low < 0.01
    assert judged.estimate.value == pytest.approx(0.9, abs=0.001)
    assert word(judged) == "reproduced"


def test_the_ideal_may_be_above_the_control() -> None:
    assert word(judge(sample(0.9, 0.95, 0.92), 0.0, ideal=1.0)) == "reproduced"
    assert word(judge(sample(0.1, 0.05, 0.02), 0.0, ideal=1.0)) == "contradicted"


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0.01, 0.02, 0.015), "reproduced"),
        ((-0.01, -0.02, -0.015), "contradicted"),
        ((0.01, -0.02, 0.015), "undecided"),
    ],
)
def test_an_order_is_judged_by_the_sign_of_its_difference(numbers, expected) -> None:
    assert word(judge(sample(*numbers), 0.0)) == expected


def test_fifteen_percent_less_than_the_papers_number_is_enough() -> None:
    near = judge(sample(0.79, 0.80, 0.785, 0.80), 0.0, paper=0.903)
    assert near.borders == pytest.approx((0.25, 0.85))
    assert word(near) == "reproduced"
    assert word(judge(sample(0.70, 0.71, 0.705, 0.70), 0.0, paper=0.903)) == "partly"


def test_holm_asks_more_of_several_parts() -> None:
    # Alone it is decided at 95%, as one of two it is not.
    weak = judge(sample(0.5, 1.5, 1.0, 2.2), 0.0)
    assert 0.025 < weak.doubt < 0.05
    assert word(weak) == "reproduced"
    assert holm([weak, weak]) == ["undecided", "undecided"]
    sure = judge(sample(1.0, 1.01, 1.02), 0.0)
    assert holm([weak, sure]) == ["reproduced", "reproduced"]


def test_what_is_undecided_says_how_many_seeds_would_decide() -> None:
    # t · 0.0577 / √n < 0.0167, the distance to the border, from n = 49 on.
    assert judge(sample(0.20, 0.30, 0.2), 1.0, ideal=0.0).needed == "about 49 seeds"
    assert judge(sample(0.25, 0.25, 0.26), 1.0, ideal=0.0).needed.startswith("about")
    assert judge(sample(0.3), 1.0, ideal=0.0).needed == "more seeds than one"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["reproduced", "reproduced"], "reproduced"),
        (["contradicted"], "contradicted"),
        (["reproduced", "contradicted"], "partly"),
        (["reproduced", "partly"], "partly"),
        (["reproduced", "undecided"], "undecided"),
        (["contradicted", "undecided"], "undecided"),
        (["partly", "undecided"], "partly"),
        (["reproduced", "contradicted", "undecided"], "partly"),
        (["undecided", "undecided"], "undecided"),
        (["reproduced", "not run"], "not run"),
    ],
)
def test_a_claim_is_as_its_parts_are(words, expected) -> None:
    assert together(words) == expected


def test_a_control_at_the_ideal_gives_no_position() -> None:
    judged = judge(sample(0.1, 0.2), 0.0, ideal=0.0)
    assert math.isnan(judged.estimate.value)
    assert over_seeds([]).units == "0 seeds"


def test_a_count_decides_by_its_value() -> None:
    count = judge(sample(2.0, 2.0), 1.0, paper=2.0)
    assert holm([count]) == ["undecided"]
    assert holm([replace(count, exact=True)]) == ["reproduced"]
