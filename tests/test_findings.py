"""Findings: one number of one setting, the same wherever it is quoted."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings import cross_task
from ctl_helpers.findings.finding import MEASURES, Measure, measure, quoted
from ctl_helpers.findings.replicates import Sample, cube, rank
from ctl_helpers.findings.sentences import live
from ctl_helpers.findings.words import by_panel, mark, quote

PANELS = {"b": "B (stand-in)", "a": "A"}


def height(table: pd.DataFrame, *, at: float = 0.0) -> Sample:
    """Mean of ``y`` where ``x`` is ``at``."""
    rows = table[table["x"] == at]
    mean = np.mean if len(rows) else lambda none: float("nan")
    return Sample(rows["y"].to_numpy(float), rows["seed"].tolist(), "rows", mean)


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [("a", 0, 0.0, 1.0), ("a", 1, 0.0, 2.0), ("b", 0, 0.0, 4.0), ("b", 0, 1.0, 8.0)]
    return pd.DataFrame(rows, columns=["setting", "seed", "x", "y"])


def test_a_finding_has_value_words_and_a_name_that_says_what_it_is_of(table: pd.DataFrame) -> None:
    heights = Measure(height, "{:.1f} m".format)
    table.attrs["table"] = "9.9/heights"
    found = heights.by_setting(table[table["y"] < 9])
    assert {name: str(one) for name, one in found.items()} == {"a": "1.5 m", "b": "4.0 m"}
    assert (found["a"].name, float(found["a"])) == ("height(9.9/heights)", 1.5)
    assert quote(PANELS, found) == f"{mark(found['b'])} (B) and {mark(found['a'])} (A)"
    assert quoted(found.values())[1]["text"] == by_panel({"b": "B"}, found)
    higher = heights.by_setting(table, at=1.0)
    # Setting a has no such row, so that there is no number to speak of.
    assert [one.name for one in higher.values()] == ["height(9.9/heights, at=1.0)"]


def test_settings_that_lack_a_table_have_no_finding(table: pd.DataFrame) -> None:
    both = Measure(lambda first, second: height(second), str)
    assert list(both.by_setting(table, table[table["setting"] == "a"])) == ["a"]


def test_measures_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(MEASURES, "height", raising=False)
    declared = measure("{:.0%}")(height)
    assert MEASURES["height"] is declared
    assert declared.write(0.5) == "50%"


def test_a_cube_averages_what_is_no_axis_and_marks_what_is_missing(table: pd.DataFrame) -> None:
    values, rows = cube(table, ["setting"], "y", x=[1.0, 0.0])
    assert (rows.seeds, rows.members) == ([0, 0, 1], [("a",), ("b",), ("a",)])
    np.testing.assert_equal(values, [[np.nan, 1], [8, 4], [np.nan, 2]])
    assert rank(np.array([1.0, 2, 2, np.nan]), np.array([3.0, 1, 1, 5])) == -1


def test_the_live_page_states_means_over_pairs_layers_and_seeds() -> None:
    rows = [
        {"setting": "digits-mlp", "seed": seed, "i": "22.5°", "j": j, "alpha": alpha,
         "layer": layer, "metric": metric, "mean": value * far * (1 + seed) * 2 * alpha}
        for seed in (0, 1)
        for j, far in (("45°", 1), ("90°", 3))
        for alpha in (0.25, 0.5)
        for layer in ("first", "last")
        for metric, value in (("distance", 0.01), ("baseline", 0.1), ("coef", 0.2))
    ]  # fmt: skip
    text = live.halfway(pd.DataFrame(rows), {"digits-mlp": "Digits MLP"})
    numbers = re.findall(r">([\d.]+)<", text)
    assert numbers == ["0.03", "0.3", "0.015", "0.15", "0.045", "0.45", "0.30", "0.90"]


def test_a_table_may_repeat_its_index(table: pd.DataFrame) -> None:
    def doubled(table: pd.DataFrame) -> Sample:
        rows = table[table["x"] == 0].assign(twice=2 * table["y"])
        return Sample(rows["twice"].to_numpy(float), rows["seed"].tolist(), "rows", np.mean)

    joined = pd.concat([table, table.assign(setting="c")])
    found = Measure(doubled, "{:g}".format).by_setting(joined)
    assert {name: one.value for name, one in found.items()} == {"a": 3, "b": 8, "c": 4.5}


def test_what_one_seed_draws_anew_are_networks_and_not_their_pairs() -> None:
    generator = np.random.default_rng(0)
    direction = pd.DataFrame(
        [
            {"seed": 0, "i": i, "j": j, "layer": "a", "alpha": 0.5, "metric": "coef", "mean": mean}
            for (i, j), mean in zip(combinations("ABCD", 2), generator.random(6), strict=True)
        ]
    )
    assert cross_task.length_error.function(direction).estimate().units == "4 networks of 1 seed"
