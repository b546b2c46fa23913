"""What the page on running at scale says of tables, and the tables that it says it of."""

from __future__ import annotations

import pandas as pd
import pytest

from ctl_helpers.findings.sentences import scale
from ctl_helpers.results import benchmark, benchmark_provenance


def case(network: str, count: int, partners: int, **measured: float) -> dict[str, object]:
    pairs = count * partners // 2
    return {
        "network": network,
        "checkpoints": count,
        "partners": partners,
        "pairs": pairs,
        "all_pairs": count * (count - 1) // 2,
        "comparisons": pairs * (3 if network == "MLP" else 1),
        **measured,
    }


GROWTH = pd.DataFrame(
    [
        case("small", 10, 9, ratio=1.0, mib=2.5),
        case("small", 1000, 8, ratio=1.4, mib=80.0),
        case("MLP", 4, 3, ratio=1.0, mib=50.0),
        case("MLP", 16, 15, ratio=0.9, mib=60.0),
    ]
)
PLANS = pd.DataFrame(
    [(100, 4, 200, 0.9, 0.04, 0.5), (100, 8, 400, 0.955, 0.025, 0.6)],
    columns=["checkpoints", "partners", "pairs", "covered", "reach", "against_any"],
)


def test_the_answer_has_the_numbers_of_the_tables() -> None:
    memory, time, pairs, intervals = scale.answer(GROWTH, PLANS).splitlines()
    assert "All pairs of 16 MLPs are 20 times as many comparisons as those of 4." in memory
    assert memory.endswith("They took 1.2 times the memory.")
    assert "Among 1,000 small networks a comparison took 1.4 times as long as among 10." in time
    assert "1,000 checkpoints have 499,500 pairs. A plan of a few partners each has 4,000." in pairs
    assert "known, 96% of the plans with 8 partners had the mean over all pairs" in intervals


def test_tables_have_a_row_a_case() -> None:
    costs = scale.costs(GROWTH).splitlines()
    assert costs[2] == "| small | 10 | all pairs | 45 | 45 | 1.00 | 2 |"
    assert costs[3] == "| small | 1,000 | 8 partners each | 4,000 | 4,000 | 1.40 | 80 |"
    assert costs[5] == "| MLP | 16 | all pairs | 120 | 360 | 0.90 | 60 |"
    assert scale.intervals(PLANS).splitlines()[3] == "| 8 | 400 | 96% | ±2.5% | 0.60 |"
    shares = pd.DataFrame([{"workers": 4, "busiest": 0.31, "sum": 1.22, "passes": 600_000}])
    assert scale.workers(shares).splitlines()[2] == "| 4 | 31% | 1.22 |"


def test_the_published_tables_are_those_of_the_script() -> None:
    facts = benchmark_provenance("scale").facts
    assert facts["script"] == "benchmarks/scale.py"
    growth, plans, shares = (benchmark("scale", name) for name in ("growth", "plans", "shares"))
    assert all(scale.answer(growth, plans).splitlines())
    wanted = {("small", 1000), ("MLP", 72)}
    assert wanted <= set(zip(growth["network"], growth["checkpoints"], strict=True))
    assert growth.set_index(["network", "checkpoints"]).loc[("MLP", 72), "comparisons"] == 2556 * 3
    assert shares["busiest"][0] == shares["sum"][0] == 1
    assert shares["busiest"].is_monotonic_decreasing
    assert shares["passes"].unique().tolist() == [600_000]
    assert growth.groupby("network")["ratio"].first().tolist() == pytest.approx([1, 1])
