"""The sentence on published networks beside the same from random weights."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from test_findings_editing import CONTROLS

from ctl_helpers.findings.sentences.random_starts import from_random
from ctl_helpers.results.labels import Control, Metric
from ctl_helpers.site.pages import Page

PANELS = {"one": "One (B)", "other": "Other (D)"}


def rows(text: str) -> dict[str, list[str]]:
    bare = re.sub(r"<[^>]*>", "", text)
    lines = [line.strip("| ").split(" | ") for line in bare.splitlines() if line[:2] == "| "]
    return {name: cells for name, *cells in lines if name[0] in "εf"}


def test_random_weights_stand_beside_published_ones_where_there_are_some() -> None:
    own = CONTROLS[(CONTROLS["control"] == Control.TASK_VECTORS) & (CONTROLS["lam"] == 0.4)]
    doubled = own["metric"].isin([Metric.EPSILON, Metric.BASELINE])
    scratch = own.assign(control=Control.SCRATCH, mean=own["mean"].where(~doubled, 2 * own["mean"]))
    published = pd.concat([own, scratch]).assign(setting="one")
    table = rows(from_random(pd.concat([published, own.assign(setting="other")]), PANELS))
    last = own[own["layer"] == own["layer"].iloc[-1]].groupby("metric")["mean"].mean()
    assert len(table) == 4
    assert table["ε, published weights"] == [f"{last[Metric.EPSILON]:.2f}"]
    assert table["ε, random weights"] == [f"{2 * last[Metric.EPSILON]:.2f}"]
    apart = "features apart (1 − cosine), random weights"
    assert table[apart] == [f"{2 * last[Metric.BASELINE]:.2g}"]


@pytest.mark.parametrize(
    ("error", "apart", "told"),
    [
        (2.0, 0.5, "published weights are more linear"),  # nearer, and less linear still
        (2.0, 2.0, "not equally far, so this is open"),
        (0.5, 2.0, "random weights are more linear"),
        (0.5, 0.5, "not equally far, so this is open"),
        (1.0, 1.0, "neither is more linear for sure"),
    ],
)
def test_a_start_is_more_linear_only_where_its_features_are_as_far(error, apart, told) -> None:
    published = {Metric.EPSILON: 0.4, Metric.BASELINE: 0.2}
    scratch = {Metric.EPSILON: 0.4 * error, Metric.BASELINE: 0.2 * apart}
    table = pd.DataFrame(
        {"seed": seed, "i": i, "j": j, "layer": "block", "control": str(control)}
        | {"metric": str(metric), "mean": mean * (1 + 0.01 * (seed - 1) * sign)}
        for seed in range(3)
        for i, j in (("a", "b"), ("a", "c"), ("b", "c"))
        for control, means, sign in (
            (Control.TASK_VECTORS, published, 1),
            (Control.SCRATCH, scratch, -1),
        )
        for metric, mean in means.items()
    )
    text = from_random(table.assign(setting="one"), {"one": "One (B)"})
    assert text.endswith(f"One: {told}.")


def test_without_a_published_network_it_says_so() -> None:
    assert from_random(CONTROLS.assign(setting="one"), PANELS).startswith("No setting with a")


def test_published_results_have_every_number() -> None:
    page = Page("4.3")
    text = from_random(page.table("eq2_controls"), page.panels)
    assert all("–" not in cells for cells in rows(text).values())
    assert "nan" not in text
