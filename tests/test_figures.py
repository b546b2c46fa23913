"""Figures show the numbers of their tables, whichever pair a reader chooses."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import ctl_helpers as ctl
from ctl_helpers.figures import (
    axes,
    drawing,
    factors,
    linearity,
    many,
    paths,
    spawning,
    statistics,
    theory,
)
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.figures.frame import PANEL
from ctl_helpers.findings import words
from ctl_helpers.results.labels import Control

PANELS = {"one": "Setting one", "two": "Setting two"}
ONE = {"one": "Setting one"}


@pytest.fixture
def measured(net, around, inputs) -> ctl.Linearity:
    return ctl.measure(
        net, around(net, "abc"), ctl.pairs("abc", [0.25, 0.5]), [inputs(30)], ["1", "4"]
    )


def everywhere(table: pd.DataFrame) -> pd.DataFrame:
    """A table as if it came from two settings with two seeds each."""
    copies = [table.assign(setting=s, seed=seed) for s in PANELS for seed in (0, 1)]
    return pd.concat(copies, ignore_index=True)


def title(figure: Figure) -> str:
    """A figure's title, of a figure that speaks and whose parts have the heights it tells."""
    meta, text = figure.layout.meta, figure.layout.title.text.replace("<br>", " ")
    assert meta["alt"].startswith(f"{text}. ")
    assert meta["takeaway"] == text
    assert meta["min_width"] >= PANEL
    heights = meta["heights"]
    assert figure.layout.height == sum(heights.values())
    above = heights["title"] + heights["controls"]
    assert figure.layout.margin.t == meta["margin"]["t"] + above
    assert bool(heights["controls"]) == bool(meta["controls"])
    return text


def labels(figure: Figure, menu: int = 0) -> list[str]:
    """What a menu offers."""
    return [button.label for button in figure.layout.updatemenus[menu].buttons]


def test_direction_shows_the_chosen_pair_and_first_the_mean(measured) -> None:
    table = measured.table()
    figure = linearity.direction(everywhere(table), PANELS)
    pairs, alphas = figure.layout.updatemenus
    assert labels(figure) == ["mean over pairs", "a – b", "a – c", "b – c"]
    assert labels(figure, 1) == ["every α", "α = 0.25", "α = 0.5"]
    (change,) = pairs.buttons[2].args
    for trace, y, above in zip(figure.data, change["y"], change["error_y.array"], strict=True):
        metric, alpha = ("baseline", 0.25) if trace.name == "baseline" else ("distance", None)
        wanted = (metric, alpha or float(trace.name.removeprefix("α = ")), "a", "c")
        rows = table.set_index(["metric", "alpha", "i", "j"]).sort_index().loc[wanted]
        assert list(trace.x) == rows["layer"].tolist()
        assert y == pytest.approx(rows["mean"].tolist(), rel=1e-3)
        assert above == pytest.approx((rows["q75"] - rows["mean"]).clip(0).tolist(), rel=1e-2)
    visible = alphas.buttons[2].args[0]["visible"]
    assert visible == [trace.name in ("α = 0.5", "baseline") for trace in figure.data]
    rows = table.query("metric == 'distance' and alpha == 0.25")
    mean = rows.groupby("layer", sort=False)["mean"].mean().tolist()
    assert list(figure.data[0].y) == pytest.approx(mean, rel=1e-3)


def test_a_figure_of_pairs_offers_them_with_their_mean(measured) -> None:
    table = measured.table()
    figure = linearity.direction(everywhere(table), PANELS)
    pairs, slider = figure.layout.meta["controls"]
    assert slider == {"kind": "slider", "label": "α"}
    assert (pairs["kind"], pairs["label"], pairs["names"]) == ("pairs", "pair", ["a", "b", "c"])
    rows = table[(table.metric == "distance") & (table.alpha == 0.5)]
    means = rows.groupby(["i", "j"])["mean"].mean()
    buttons = figure.layout.updatemenus[0].buttons
    shown = {buttons[cell["option"]].label: cell["mean"] for row in pairs["cells"] for cell in row}
    assert shown == {f"{i} – {j}": pytest.approx(mean, rel=0.05) for (i, j), mean in means.items()}
    assert list(shown) == ["a – b", "a – c", "b – c"]
    # Two menus do not widen a figure of one panel.
    alone = linearity.direction(table.assign(setting="one", seed=0), ONE)
    assert len(alone.layout.updatemenus) == 2
    assert alone.layout.meta["min_width"] == PANEL


def test_length_shows_shares_of_samples(measured) -> None:
    bins = measured.histogram("coef", np.linspace(0, 2, 21).tolist())
    figure = linearity.length(everywhere(bins), PANELS)
    for y in figure.layout.updatemenus[0].buttons[1].args[0]["y"]:
        assert sum(y) == pytest.approx(1, abs=0.02)


def test_length_leaves_out_what_lies_outside_its_axis() -> None:
    edges = np.linspace(0, 1.5, 61)
    shares = np.zeros(60)
    shares[36:39] = 0.005, 0.295, 0.7  # from 0.9, 0.925 and 0.95 on
    bins = {"low": edges[:-1], "high": edges[1:], "share": shares}
    table = pd.DataFrame({"i": "a", "j": "b", "alpha": 0.5, "layer": "1", **bins})
    figure = linearity.length(everywhere(table), PANELS)
    assert figure.layout.xaxis.range == pytest.approx((0.925, 1))
    trace = figure.data[0]
    drawn = {round(x, 4): y for x, y in zip(trace.x, trace.y, strict=True) if y}
    assert drawn == {0.9125: 0.005, 0.9375: 0.295, 0.9625: 0.7}
    assert len(trace.x) < 8


def test_paths_controls_and_triples_are_drawn(net, around, inputs, measured) -> None:
    targets = inputs(30)[:, :3].argmax(1)
    lines = [p for i, j in ("ab", "bc") for p in ctl.path(i, j, [0.0, 0.5, 1.0])]
    curves = ctl.evaluate(net, around(net, "abc"), lines, [(inputs(30), targets)])
    barriers = everywhere(ctl.barriers(curves))
    curves = everywhere(curves.assign(role="D_i"))
    table = measured.table()
    kinds = pd.concat([table.assign(control=kind) for kind in Control])
    triples = ctl.triples(table).assign(group="near")
    drawn = [
        paths.paths(curves, barriers, PANELS),
        linearity.controls(everywhere(kinds), PANELS),
        linearity.transitivity(everywhere(triples), PANELS),
    ]
    points = [sum(len(trace.y) for trace in figure.data) for figure in drawn]
    assert points == [2 * 2 * 3, 2 * 4 * 2 * 2, 2 * (2 + 2 * 3)]
    assert all(map(title, drawn))


def test_statistics_states_the_output_of_each_setting(measured) -> None:
    table = measured.table().query("alpha == 0.5")
    longer = table.assign(mean=table["mean"].where(table["metric"] != "coef", 0.875))
    both = [table.assign(statistics="mixed"), longer.assign(statistics="recomputed")]
    figure = statistics.statistics(everywhere(pd.concat(both)), PANELS)
    last = table[(table["layer"] == "4") & (table["metric"] == "coef")]["mean"].mean()
    assert f"the length from {last:.2f} to 0.88" in figure.layout.meta["alt"]
    names = [trace.name for trace in figure.data[:4]]
    assert names == ["mixed", "mixed", "recomputed", "recomputed"]
    lower = [trace for trace in figure.data if trace.name == "recomputed"][1]
    assert list(lower.y) == [0.875, 0.875]


# Against a number: epochs, or a share of samples.


def grid(**columns: list) -> pd.DataFrame:
    """A row for each combination of values."""
    return pd.MultiIndex.from_product(columns.values(), names=columns).to_frame(index=False)


def with_baseline(table: pd.DataFrame, distance: pd.Series) -> pd.DataFrame:
    """Baselines of twice the distance, and coef 1."""
    value = distance.where(table["metric"] != "baseline", 2 * distance)
    value = value.where(table["metric"] != "coef", 1.0)
    return table.assign(mean=value, q25=value / 2, median=value, q75=value * 2, n=10)


def factor_table(layers=("first", "last"), settings=("one",), seeds=(0, 1)) -> pd.DataFrame:
    """Distances of 0 at epoch 0, else 0.1 · epochs, half of it in layers but the last."""
    table = grid(
        setting=list(settings), seed=list(seeds), pretrain_epochs=[0, 1, 4], i=["a"], j=["b", "c"],
        alpha=[0.25, 0.5], layer=list(layers), metric=["distance", "baseline", "coef"],
    )  # fmt: skip
    value = 0.1 * table["pretrain_epochs"] * np.where(table["layer"] == layers[-1], 1, 0.5)
    value = value * np.where(table["seed"] == 0, 0.9, 1.1)
    table = with_baseline(table, value)
    return table.assign(mean=table["mean"].where(table["alpha"] == 0.5, 77.0))


def named(figure, name: str, filled: bool = False) -> list[int]:
    """Places of the traces of that name, the lines or the bands."""
    return [
        place
        for place, trace in enumerate(figure.data)
        if trace.name == name and (trace.fill == "toself") is filled
    ]


def test_a_factor_is_shown_by_layer() -> None:
    table = factor_table(settings=["one", "two"])
    figure = factors.factor(table, PANELS)
    (menu,) = figure.layout.updatemenus
    assert labels(figure) == ["mean over layers", "first", "last"]
    one, two = named(figure, "1 − cosine at α = 0.5")
    (change,) = menu.buttons[2].args
    # At epoch 0 there is nothing to see on a log scale.
    assert list(figure.data[one].x) == list(change["x"][two]) == [1, 4]
    assert list(figure.data[one].y) == pytest.approx([0.075, 0.3])
    assert list(change["y"][two]) == pytest.approx([0.1, 0.4])
    assert list(change["error_y.array"][two]) == pytest.approx([0.1, 0.4])
    assert list(change["error_y.arrayminus"][two]) == pytest.approx([0.05, 0.2])
    band, _ = named(figure, "1 − cosine at α = 0.5", filled=True)
    assert list(change["x"][band]) == [1, 4, 4, 1]
    assert list(change["y"][band]) == pytest.approx([0.09, 0.36, 0.44, 0.11])
    assert list(figure.data[named(figure, "baseline")[0]].y) == pytest.approx([0.15, 0.6])
    coef = figure.data[named(figure, "coef at α = 0.5")[0]]
    assert (list(coef.x), list(coef.y)) == ([0, 1, 4], [1, 1, 1])
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis3.type is None
    assert [note.text for note in figure.layout.annotations].count("≈ 0") == 2
    assert figure.layout.meta["alt"].endswith("under one millionth: epochs of pretraining 0.")


def test_a_factors_title_says_how_the_distance_goes() -> None:
    def said(table: pd.DataFrame, panels: dict[str, str]) -> str:
        return title(factors.factor(table, panels))

    table = factor_table()
    panel = {"one": "Setting one (stand-in)"}
    start = "Epochs of pretraining from 0 to 4: the distance "
    assert said(table, panel) == f"{start}rises from 0 to 0.3, mean over layers"
    later = table[table["pretrain_epochs"] > 0].assign(setting="two")
    mirrored = later.assign(pretrain_epochs=5 - later["pretrain_epochs"])
    both = pd.concat([later.assign(setting="one"), mirrored])
    assert said(both, panel | {"two": "Other"}) == (
        "Epochs of pretraining from 1 to 4: the distance rises from 0.075 to 0.3 (Setting one) and "
        "falls from 0.3 to 0.075 (Other), mean over layers"
    )
    # Settings that are not shown have no say in it.
    assert said(both, panel).endswith("rises from 0.075 to 0.3, mean over layers")


def test_networks_of_other_layers_are_compared_by_depth() -> None:
    names = [f"layer {n}" for n in range(7)]
    tables = [factor_table(names, ["one"]), factor_table(("x", "y"), ["two"])]
    choices = factors.layer_choices(pd.concat(tables), PANELS)
    assert list(choices) == ["mean over layers", "early layers", "middle layers", "late layers"]
    thirds = [part["one"] for part in choices.values()]
    assert thirds == [names, names[:2], names[2:4], names[4:]]
    assert [part["two"] for part in choices.values()] == [["x", "y"], ["x"], ["x"], ["y"]]


def test_one_seed_has_no_band() -> None:
    figure = factors.factor(factor_table(seeds=[3]), ONE)
    assert [trace.name for trace in figure.data if trace.fill] == []
    assert len(figure.data) == 3


SPAWNED = {0: 1.0, 2: 0.5, 8: 0.001}


def spawned() -> pd.DataFrame:
    table = grid(setting=list(PANELS), seed=[0, 1], k=list(SPAWNED))
    barrier = table["k"].map(SPAWNED) * np.where(table["seed"] == 0, 0.5, 1.5)
    return table.assign(barrier=barrier, distance=barrier / 10, baseline=0.5)


def test_spawning_shows_the_barrier_and_the_distance() -> None:
    figure = spawning.spawning(spawned(), PANELS)
    lines = [named(figure, name) for name in ("loss barrier", "1 − cosine at α = 0.5", "baseline")]
    for (place, _), scale in zip(lines, (1, 0.1), strict=False):
        assert list(figure.data[place].x) == [0, 2, 8]
        assert list(figure.data[place].y) == pytest.approx([scale * v for v in SPAWNED.values()])
    (band, _) = named(figure, "loss barrier", filled=True)
    assert list(figure.data[band].y) == [0.5, 0.25, 0.0005, 0.0015, 0.75, 1.5]
    assert title(figure) == (
        "Epochs before spawning from 0 to 8: the loss barrier falls from 1 to 0.001 nats (Setting "
        "one) and falls from 1 to 0.001 nats (Setting two); the distance of the features falls by "
        "1000 times"
    )
    # Where the distance does not fall, nothing is said of it.
    rising = spawning.spawning(spawned().assign(distance=0.1), PANELS)
    assert "distance" not in title(rising)


def test_curves_are_chosen_by_epoch() -> None:
    table = grid(setting=["one"], seed=[0, 1], k=list(SPAWNED), alpha=[0.0, 0.5, 1.0])
    height = table["k"].map(SPAWNED) * np.where(table["seed"] == 0, 0.5, 1.5)
    table["loss"] = 0.1 + 4 * table["alpha"] * (1 - table["alpha"]) * height
    figure = spawning.curves(table, spawned(), ONE)
    assert list(figure.data[1].y) == pytest.approx([0.1, 0.6, 0.1])
    (menu,) = figure.layout.updatemenus
    assert labels(figure) == ["every k", "k = 0", "k = 2", "k = 8"]
    assert menu.buttons[2].args[0]["visible"] == [False, True, False]
    assert "falls from 1 to 0.001 nats" in title(figure)
    assert len({trace.line.color for trace in figure.data}) == 3


def test_induced_counts_what_is_over_the_bound() -> None:
    table = grid(setting=["one"], seed=[0], k=[0, 4], alpha=[0.0, 0.25, 0.5, 1.0])
    error = np.where(table["alpha"].isin([0, 1]), 1e-9, 0.1)
    table = table.assign(error=error, gap=error * math.sqrt(2) / 4)
    figure = spawning.induced(table, ONE)
    said = "in all 4 cases; it is 25.0% of that bound in the median, 25.0% at most"
    assert said in title(figure)
    bound, *points = figure.data
    assert np.divide(bound.y, bound.x) == pytest.approx([math.sqrt(2)] * 2)
    assert [len(trace.x) for trace in points] == [2, 2]
    table.loc[1, "gap"] = 1.0
    assert "in 3 of 4 cases" in title(spawning.induced(table, ONE))


def mixed_by_many() -> pd.DataFrame:
    """Distances of 0.1 · k, half of it for unequal weights, and more in the last layer."""
    table = grid(
        setting=list(PANELS), seed=[0, 1], k=[2, 4], weights=["equal", "unequal"], draw=[0, 1],
        layer=["first", "last"], metric=["distance", "baseline", "coef"],
    )  # fmt: skip
    value = 0.1 * table["k"] * np.where(table["weights"] == "equal", 1, 0.5)
    value = value * np.where(table["layer"] == "last", 1.5, 0.5)
    return with_baseline(table, value * np.where(table["draw"] == 0, 0.9, 1.1))


def test_many_networks_are_shown_by_weights_and_layer() -> None:
    figure = many.many(mixed_by_many(), PANELS)
    (menu,) = figure.layout.updatemenus
    assert labels(figure) == ["mean over layers", "first", "last"]
    equal, coef, *_ = named(figure, "equal weights")
    unequal, *_ = named(figure, "unequal weights")
    baseline, _ = named(figure, "baseline, unequal weights")
    assert list(figure.data[equal].x) == [2, 4]
    assert list(figure.data[equal].y) == pytest.approx([0.2, 0.4])
    assert list(figure.data[unequal].y) == pytest.approx([0.1, 0.2])
    assert list(figure.data[baseline].y) == pytest.approx([0.2, 0.4])
    assert list(figure.data[coef].y) == [1, 1]
    (change,) = menu.buttons[2].args
    assert list(change["y"][unequal]) == pytest.approx([0.15, 0.3])
    assert list(change["error_y.array"][unequal]) == pytest.approx([0.15, 0.3])
    assert title(figure) == (
        "Networks in the mix from 2 to 4: the distance rises from 0.2 to 0.4 (Setting one) and "
        "rises from 0.2 to 0.4 (Setting two), equal weights, mean over layers"
    )
    assert figure.layout.yaxis.type == "log"


def pairs_of_starts() -> pd.DataFrame:
    table = grid(setting=["one"], seed=[0], start=["A", "B"], i=["a"], j=["b", "c", "d"])
    distance = table["j"].map({"b": 1.0, "c": 2.0, "d": 3.0})
    curvature = table["start"].map({"A": 1.0, "B": 5.0})
    product = distance * curvature / 8
    return table.assign(
        squared_distance=distance, curvature=curvature, product=product,
        delta=0.5 * product + 0.01, second_order=0.4 * product,
    )  # fmt: skip


def test_regression_states_r_squared() -> None:
    table = pairs_of_starts()
    figure = theory.regression(table, ONE)
    expected = {
        name: np.corrcoef(table[name], table["delta"])[0, 1] ** 2
        for name in ("product", "curvature", "squared_distance")
    }
    cells = [note.text for note in figure.layout.annotations]
    assert [cell[-4:] for cell in cells] == [f"{value:.2f}" for value in expected.values()]
    assert title(figure) == (
        "δ is explained best by the bound: R² = 1.00, against "
        f"{expected['curvature']:.2f} with the curvature λ_max and "
        f"{expected['squared_distance']:.2f} with the squared distance"
    )
    fitted = figure.data[named(figure, "least squares")[0]]
    assert list(fitted.y) == pytest.approx([0.5 * x + 0.01 for x in fitted.x], rel=1e-3)
    assert [list(figure.data[place].y) for place in named(figure, "B")] == [
        pytest.approx(table.query("start == 'B'")["delta"].tolist(), rel=1e-3)
    ] * 3
    linear, log = (button.args[0] for button in figure.layout.updatemenus[0].buttons)
    assert {key for key in log if key.endswith("type")} == {
        f"{axis}axis{number}.type" for axis in "xy" for number in ("", 2, 3)
    }
    assert (linear["xaxis.type"], log["xaxis.type"]) == ("linear", "log")


def test_regression_compares_settings_and_survives_a_single_start() -> None:
    table = pairs_of_starts()
    # One start: the curvature is constant, and the product is the distance.
    single = table[table["start"] == "A"].assign(setting="two")
    figure = theory.regression(pd.concat([table, single]), PANELS)
    cells = [note.text for note in figure.layout.annotations]
    assert [cell[-4:] for cell in cells[3:]] == ["1.00", " = –", "1.00"]
    assert title(figure) == (
        "δ is explained best by the bound: R² = 1.00 (Setting one) and R² = 1.00 (Setting two)"
    )
    other = table.assign(setting="two", delta=table["curvature"])
    assert title(theory.regression(pd.concat([table, other]), PANELS)) == (
        "δ is explained best by the bound, R² = 1.00 (Setting one) and by the curvature λ_max, "
        "R² = 1.00 (Setting two)"
    )


def test_inequality_counts_what_is_over_the_bound() -> None:
    table = pairs_of_starts().assign(delta=lambda t: 0.5 * t["product"])
    said = title(theory.inequality(table, ONE))
    assert "stays under the bound for all pairs" in said
    assert "it is 50% of the bound, the second-order term alone 40%" in said
    table.loc[0, "delta"] = 10.0
    figure = theory.inequality(table, ONE)
    assert "for 83% of the pairs" in title(figure)
    assert [len(trace.x) for trace in figure.data] == [2, 6, 6]
    assert figure.data[1].text[0] == "start A, i a, j b, seed 0"


# Words and colours.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1e-9, "0"), (0.0123, "0.012"), (-0.5, "−0.5"), (1.0, "1"), (12.34, "12"),
        (1234.5, "1234"), (2.5e-5, "2.5·10⁻⁵"), (0.00021, "0.00021"),
    ],
)  # fmt: skip
def test_numbers_in_sentences(value: float, text: str) -> None:
    assert words.plain(value) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.3, 0.02], "falls from 0.3 to 0.02"),
        ([0.3, 0.31], "stays at about 0.3"),
        ([0.0, 0.01], "stays at about 0.005"),
        ([0.1, 0.9, 0.2], "rises from 0.1 to 0.2, with a peak of 0.9 at 1"),
        ([1.0, 0.1, 1.0], "stays at about 1, with a low of 0.1 at 1"),
    ],
)
def test_a_trend_in_words(values: list[float], text: str) -> None:
    assert words.trend(pd.Series(values), small=0.02) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"one": 0.25, "two": 0.5, "three": 1}, "0.2 (A), 0.5 (B) and 1.0 (C)"),
        ({"three": 1, "one": 0.25}, "0.2 (A) and 1.0 (C)"),
        ({"two": 0.5}, "0.5 (B)"),
    ],
)
def test_one_phrase_for_all_panels(values: dict[str, float], text: str) -> None:
    titles = {"one": "A", "two": "B (stand-in)", "three": "C"}
    assert words.by_panel(titles, values, "{:.1f}") == text
    assert words.by_panel({"two": "B"}, {"two": 0.5}, "{:.1f}") == "0.5"


def test_a_sequence_of_colours_starts_and_ends_in_the_palette() -> None:
    assert drawing.sequence(1) == [drawing.BLUE]
    assert drawing.sequence(3) == [drawing.BLUE, drawing.PURPLE, drawing.ORANGE]
    assert len(set(drawing.sequence(9))) == 9


def test_ticks_stand_at_the_values_where_they_fit() -> None:
    def ticks(values: list[float]) -> tuple | None:
        figure = drawing.draw([drawing.Line("a", drawing.BLUE, {"": {"x": [], "y": []}})], "", "")
        axes.number_axis(figure, values, "epochs", row=1, col=1)
        return figure.layout.xaxis.tickvals

    assert ticks([4, 0, 2, 2]) == (0, 2, 4)
    assert ticks([0, 1, 100]) is None
    assert ticks([3]) is None
