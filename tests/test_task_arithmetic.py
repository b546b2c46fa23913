"""What Section 4.3's experiments share: roles, and the λ that negation may take."""

from __future__ import annotations

import pandas as pd
import pytest

from ctl_helpers.analysis.task_arithmetic import roles, strongest


def test_roles_are_the_own_task_and_the_mean_of_the_others_that_stand_for_pretraining() -> None:
    scores = pd.DataFrame(
        {
            "i": ["a"] * 4 + ["b"] * 4,
            "task": ["a", "b", "c", "d"] * 2,
            "lam": 0.5,
            "accuracy": [0.1, 0.5, 0.7, 0.0, 0.4, 0.2, 0.6, 0.0],
        }
    )
    found = roles(scores, ["a", "b", "c"]).set_index(["i", "lam", "role"])["accuracy"]
    assert found.to_dict() == pytest.approx(
        {
            ("a", 0.5, "D_i"): 0.1,
            ("a", 0.5, "D_PT"): 0.6,
            ("b", 0.5, "D_i"): 0.2,
            ("b", 0.5, "D_PT"): 0.5,
        }
    )


def by_lambda(accuracies: dict[float, float], i: str = "a") -> pd.DataFrame:
    right = pd.DataFrame({"lam": accuracies.keys(), "accuracy": accuracies.values()})
    other = right.assign(role="D_i", accuracy=0.0)
    return pd.concat([right.assign(role="D_PT"), other]).assign(i=i)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({0.0: 0.8, 0.5: 0.79, 1.0: 0.765, 2.0: 0.75}, 1.0),
        ({0.0: 0.8, 0.5: 0.7, 1.0: 0.8}, 0.0),
        ({1.0: 0.7, 0.5: 0.6, 0.0: 0.6}, 1.0),
        ({0.0: 0.0, 0.5: 0.0}, 0.5),
    ],
    ids=["the last that keeps enough", "no way around a gap", "in any order", "nothing to lose"],
)
def test_negation_takes_the_largest_lambda_that_keeps_enough(accuracies, expected) -> None:
    scores = pd.concat([by_lambda(accuracies), by_lambda({0.0: 1.0, 3.0: 1.0}, "b")])
    assert strongest(scores) == {"a": expected, "b": 3.0}
