"""Figures show the numbers of their tables, whichever pair a reader chooses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import ctl_helpers as ctl
from ctl_helpers import figures

PANELS = {"one": "Setting one", "two": "Setting two"}


@pytest.fixture
def linearity(net, around, inputs) -> ctl.Linearity:
    return ctl.measure(
        net, around(net, "abc"), ctl.pairs("abc", [0.25, 0.5]), [inputs(30)], ["1", "4"]
    )


def everywhere(table: pd.DataFrame) -> pd.DataFrame:
    """A table as if it came from two settings with two seeds each."""
    copies = [table.assign(setting=s, seed=seed) for s in PANELS for seed in (0, 1)]
    return pd.concat(copies, ignore_index=True)


def test_direction_shows_the_chosen_pair(linearity) -> None:
    table = linearity.table()
    figure = figures.direction(everywhere(table), PANELS)
    pairs, alphas = figure.layout.updatemenus
    assert [button.label for button in pairs.buttons] == [
        "mean over pairs",
        "a – b",
        "a – c",
        "b – c",
    ]
    assert [button.label for button in alphas.buttons] == ["every α", "α = 0.25", "α = 0.5"]
    (change,) = pairs.buttons[2].args
    for trace, y, above in zip(figure.data, change["y"], change["error_y.array"], strict=True):
        metric, alpha = ("baseline", 0.25) if trace.name == "baseline" else ("distance", None)
        wanted = (metric, alpha or float(trace.name.removeprefix("α = ")), "a", "c")
        rows = table.set_index(["metric", "alpha", "i", "j"]).sort_index().loc[wanted]
        assert list(trace.x) == rows["layer"].tolist()
        assert y == pytest.approx(rows["mean"].tolist(), rel=1e-3)
        assert above == pytest.approx((rows["q75"] - rows["mean"]).clip(0).tolist(), rel=1e-3)
    (visible,) = [
        button.args[0]["visible"] for button in alphas.buttons if button.label == "α = 0.5"
    ]
    assert visible == [trace.name in ("α = 0.5", "baseline") for trace in figure.data]


def test_the_first_choice_is_the_mean_over_pairs(linearity) -> None:
    table = linearity.table()
    figure = figures.direction(everywhere(table), PANELS)
    rows = table.query("metric == 'distance' and alpha == 0.25")
    expected = rows.groupby("layer", sort=False)["mean"].mean().tolist()
    assert list(figure.data[0].y) == pytest.approx(expected, rel=1e-3)


def test_length_shows_shares_of_samples(linearity) -> None:
    bins = linearity.histogram("coef", np.linspace(0, 2, 21).tolist())
    figure = figures.length(everywhere(bins), PANELS)
    for y in figure.layout.updatemenus[0].buttons[1].args[0]["y"]:
        assert sum(y) == pytest.approx(1, abs=0.02)


def test_paths_controls_and_triples_are_drawn(net, around, inputs, linearity) -> None:
    targets = inputs(30)[:, :3].argmax(1)
    lines = [p for i, j in ("ab", "bc") for p in ctl.path(i, j, [0.0, 0.5, 1.0])]
    curves = ctl.evaluate(net, around(net, "abc"), lines, [(inputs(30), targets)])
    curves = everywhere(curves.assign(role="D_i"))
    table = linearity.table()
    kinds = pd.concat([table.assign(control=kind) for kind in ("shared", "apart", "permuted")])
    triples = ctl.triples(table).assign(group="near")
    drawn = [
        figures.paths(curves, PANELS),
        figures.controls(everywhere(kinds), PANELS),
        figures.transitivity(everywhere(triples), PANELS),
    ]
    points = [sum(len(trace.y) for trace in figure.data) for figure in drawn]
    assert points == [2 * 2 * 3, 2 * 3 * 2 * 2, 2 * (2 + 2 * 3)]
    for figure in drawn:
        assert figure.layout.meta["alt"].startswith(figure.layout.title.text.split("<br>")[0])


def test_times_nearer_is_the_median_of_ratios() -> None:
    rows = [
        ("x", "distance", 1.0),
        ("x", "baseline", 4.0),
        ("y", "distance", 1.0),
        ("y", "baseline", 8.0),
    ]
    table = pd.DataFrame(rows, columns=["layer", "metric", "mean"])
    assert figures.times_nearer(table) == 6.0
