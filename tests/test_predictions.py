"""What became of predictions: a word by the whole interval, and by nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.objective import that_teach
from ctl_helpers.findings.replicates import Sample
from ctl_helpers.findings.sentences.predictions import Prediction, came
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
