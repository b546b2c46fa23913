"""What the probe says of its own word on linearity."""

from __future__ import annotations

import pandas as pd
import pytest

from ctl_helpers.findings import probe_record
from ctl_helpers.probing import track_record
from ctl_helpers.probing.curves import Curve, remarks

KNOWN = [
    {"setting": "S", "grade": "D", "level": "linear", "merges": 10, "kept": 4},
    {"setting": "S", "grade": "D", "level": "broken", "merges": 5, "kept": 1},
    {"setting": "S", "grade": "D", "level": "not linear", "merges": 5, "kept": 0},
    {"setting": "T", "grade": "B", "level": "linear", "merges": 2, "kept": 2},
]


def test_the_package_knows_what_is_published() -> None:
    assert track_record.rows() == probe_record.published(), (
        "published merges have changed: run `ctl publish --section mergeability`"
    )
    assert sum(row["merges"] for row in track_record.rows()) >= 300


def test_averages_are_counted_by_what_the_probe_says_of_their_error() -> None:
    merges = pd.DataFrame(
        {
            "setting": "digits-mlp",
            "k": [2, 2, 2, 4, 2, 2],
            "lam": [0.5, 0.5, 0.5, 0.25, 0.3, 0.5],  # the fifth is no average
            "epsilon_worst": [0.5, 0.51, 1.0, 0.2, 0.1, None],
            "normalized": [0.9, 0.89, 0.95, 0.1, 1.0, 1.0],
        }
    )
    rows = probe_record.counted(merges)
    told = {row["level"]: (row["merges"], row["kept"]) for row in rows}
    assert told == {"linear": (2, 1), "not linear": (1, 0), "broken": (1, 1)}
    assert {(row["setting"], row["grade"]) for row in rows} == {("Digits MLP", "D")}


@pytest.mark.parametrize(
    ("said", "share"),
    [
        (
            "linear",
            "40% of 10 worked on S (10% of 10 with an ε outside this range); "
            "100% of 2 worked on T.",
        ),
        ("broken", "20% of 5 worked on S (27% of 15 with an ε outside this range)."),
    ],
)
def test_a_word_has_its_record_setting_by_setting(said: track_record.Level, share: str) -> None:
    remark = track_record.remark("A + B", said, KNOWN)
    assert remark is not None
    assert (remark.grade, remark.remedy) == ("note", "")
    assert share in remark.fact
    assert track_record.remark("A + B", said, []) is None


@pytest.mark.parametrize("worst", [0.3, 0.7, 1.2])
def test_a_probe_says_it_beside_its_word(worst: float, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = Curve("A + B", 2, [0.5], [worst], ["block"], "")
    monkeypatch.setattr(track_record, "rows", lambda: KNOWN)
    word, record = remarks([curve])
    assert (word.rule, record.rule) == ("linear", "record")
    (row,) = [r for r in KNOWN if r["level"] == track_record.level(worst) and r["setting"] == "S"]
    assert f"{row['kept'] / row['merges']:.0%} of {row['merges']} worked on S" in record.fact
