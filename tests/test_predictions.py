"""What became of predictions: a word by the whole interval, and by nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.objective import that_teach
from ctl_helpers.findings.replicates import Sample
from ctl_helpers.findings.sentences.predictions import Prediction, came, pairwise
from ctl_helpers.findings.words import mark
from ctl_helpers.training.pretrained_for import Objective

PANELS = {"one": "One (A)", "other": "Other (D)"}


def finding(*by_seed: float) -> dict[str, Finding]:
    values = np.array(by_seed)
    sample = Sample(values, range(len(values)), "seeds", lambda rows: float(rows.mean()))
    return {"one": Finding("number", "one", sample, "{:.1f}".format)}


@pytest.mark.parametrize(
    ("by_seed", "sign", "border", "word"),
    [
        ((1.0, 1.1, 1.2), 1, 0.0, "right"),
        ((1.0, 1.1, 1.2), -1, 0.0, "wrong"),
        ((1.0, 1.1, 1.2), 0, 0.0, "wrong"),
        ((-1.0, -1.1, -1.2), -1, 0.0, "right"),
        ((1.0, 1.1, 1.2), -1, 2.0, "right"),
        ((-1.0, 1.1, 1.2), 1, 0.0, "open"),
        ((-1.0, 1.1, 1.2), 0, 0.0, "open"),
        ((1.0,), 1, 0.0, "open"),  # one seed has no interval
    ],
)
def test_a_prediction_is_right_or_wrong_by_the_whole_interval(by_seed, sign, border, word) -> None:
    expected = finding(*by_seed)
    text = came(PANELS, [Prediction("it grows", expected, sign, border)])
    (line,) = (line for line in text.splitlines() if line.startswith("| it grows |"))
    first, second = line.strip("| ").split(" | ")[1:]
    assert first.startswith(f"{word}: {mark(expected['one'])}")
    assert ("(" in first) == (len(by_seed) > 1)
    assert second == "not measured"


def test_an_objective_teaches_where_its_heads_are_better_than_a_random_starts() -> None:
    probes = {
        Objective.NONE: 0.5, Objective.SUPERVISION: 0.6, Objective.MASKED: 0.52,
        Objective.RANDOM_LABELS: 0.9,
    }  # fmt: skip
    table = pd.DataFrame(
        {"setting": "one", "seed": seed, "objective": str(one), "probe": probe}
        for seed in range(3)
        for one, probe in probes.items()
    )
    assert that_teach(table, "one") == [Objective.SUPERVISION]
    assert that_teach(table, "other") == []


def test_two_groups_are_compared_pair_by_pair() -> None:
    low, high, wide = (
        finding(*values)["one"]
        for values in ((0.1, 0.12, 0.11), (0.9, 0.95, 0.91), (-0.5, 0.9, 0.5))
    )
    told = pairwise({"a": low}, {"b": high, "c": wide}, "a cat and a dog")
    assert told == (
        "Of 2 pairs of a cat and a dog it is so in 1, the other way round in 0, and open in 1."
    )
    assert "so in 0, the other way round in 1" in pairwise({"a": high}, {"b": low}, "two")
    assert pairwise({}, {"b": high}, "two") == "That is open: there is no pair of two yet."
