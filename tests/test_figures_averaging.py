"""Figures of averaged networks: what is drawn where, and what the takeaway says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from test_figures import labels, lines_of, takeaways, title
from test_findings_averaging import triples as made

from ctl_helpers.figures import averaging

PANELS = {"one": "One CLIP", "two": "Another CLIP (stand-in)"}


@pytest.fixture
def triples() -> pd.DataFrame:
    ensemble = np.linspace(0.6, 0.9, 10)
    averaged = {"one": ensemble, "two": np.roll(ensemble, 1)}
    return pd.concat(made(averaged[name], ensemble).assign(setting=name) for name in PANELS)


@pytest.fixture
def averages() -> pd.DataFrame:
    means = {"epsilon": 0.1, "distance": 0.01, "baseline": 0.2, "coef": 1.02}
    return pd.DataFrame(
        {
            "setting": setting, "seed": seed, "k": k, "models": f"the first {k}",
            "layer": f"block {n}", "metric": metric, "mean": mean * k / 2,
            "q25": 0.9 * mean * k / 2, "q75": 1.1 * mean * k / 2,
        }
        for setting, seed, k, n in product(PANELS, (0, 1), (2, 4), range(3))
        for metric, mean in means.items()
    )  # fmt: skip


def test_a_point_a_triple_and_the_line_of_equal_accuracy(triples: pd.DataFrame) -> None:
    figure = averaging.ensembles(triples, PANELS)
    line, points, *_ = figure.data
    assert list(line.x) == list(line.y)
    assert len(points.x) == len(points.y) == len(points.text) == 10
    assert list(points.x) == pytest.approx(list(points.y), abs=1e-4)
    bent = triples[triples.setting == "two"]
    found = bent["averaged"].corr(bent["ensemble"])
    one, two = takeaways(figure)
    assert one.endswith("correlate at 1.00 (One CLIP)")
    assert two.endswith(f"correlate at {found:.2f} (Another CLIP)")
    assert "is 0.0 points (which is ahead is undecided), mean" in one


def test_blocks_are_drawn_for_each_number_of_networks(averages: pd.DataFrame) -> None:
    figure = averaging.blocks(averages, PANELS)
    baseline, distance, coef, epsilon = (
        lines_of(figure, metric)[0] for metric in ("baseline", "distance", "coef", "epsilon")
    )
    assert (baseline.name, distance.name) == ("baseline", "averaged network")
    assert list(distance.x) == [1, 2, 3]
    # The most networks come first.
    assert list(distance.y) == pytest.approx([0.02] * 3)
    assert list(baseline.y) == pytest.approx([0.4] * 3)
    assert list(coef.y) == pytest.approx([2.04] * 3)
    assert list(epsilon.y) == pytest.approx([0.2] * 3)
    menu, _ = figure.layout.updatemenus
    assert labels(figure) == ["all networks", "2 networks"]
    change, moved = menu.buttons[1].args
    place = moved.index(next(n for n, trace in enumerate(figure.data) if trace is distance))
    assert change["y"][place] == pytest.approx([0.01] * 3)
    assert "are perhaps nearly linear, ε = 0.20 at the worst layer; those" in title(figure)


def test_settings_with_other_numbers_of_networks_share_a_menu(averages: pd.DataFrame) -> None:
    more = (averages["setting"] == "two") & (averages["k"] == 4)
    figure = averaging.blocks(averages.assign(k=averages["k"].mask(more, 8)), PANELS)
    assert labels(figure) == ["all networks", "2 networks"]
    assert all(len(trace.y) == 3 for trace in lines_of(figure, "epsilon"))


def test_with_controls_the_figure_opens_on_the_averages_that_its_takeaway_tells(
    averages: pd.DataFrame,
) -> None:
    controls = averages[averages["k"] == 2].assign(control="task vectors")
    figure = averaging.blocks(averages, PANELS, controls=controls)
    assert labels(figure) == ["2 networks", "all networks"]
    assert "averages of two networks" in title(figure)
