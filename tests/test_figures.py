"""Figures show the numbers of their tables, whichever pair a reader chooses."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import ctl_helpers as ctl
from ctl_helpers.figures import (
    axes,
    choices,
    drawing,
    explained,
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
from ctl_helpers.findings.linearity import epsilon
from ctl_helpers.results.labels import Control, Metric

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


def takeaways(figure: Figure) -> list[str]:
    """What is said of each setting, in order."""
    meta = figure.layout.meta
    assert meta["alt"].startswith(". ".join([title(figure), *meta["others"]]))
    return [title(figure), *meta["others"]]


def labels(figure: Figure, menu: int = 0) -> list[str]:
    """What a menu offers."""
    return [button.label for button in figure.layout.updatemenus[menu].buttons]


# What a figure's lines of one view are called, by metric.
OF_VIEW = {"epsilon": "epsilon", "distance": "distance", "baseline": "distance", "coef": "coef"}


def lines_of(figure: Figure, metric: str) -> list:
    """A figure's traces of one metric, once its menu shows it; references and bands are none."""
    measures = next(m for m in figure.layout.updatemenus if m.buttons[0].label in MEASURES)
    place = [button.label for button in measures.buttons].index(MEASURES[OF_VIEW[metric]])
    visible = measures.buttons[place].args[0]["visible"]
    return [
        trace
        for trace, shown in zip(figure.data, visible, strict=True)
        if shown and trace.error_y.array is not None
        and trace.name.startswith("baseline") == (metric == "baseline")
    ]  # fmt: skip


MEASURES = {"epsilon": "linearity error ε", "distance": "1 − cosine", "coef": "length (coef)"} | {
    label: label for label in ("linearity error ε", "1 − cosine", "length (coef)")
}


def test_direction_shows_the_chosen_pair_and_first_the_mean(measured) -> None:
    table = measured.table()
    figure = linearity.direction(everywhere(table), PANELS)
    pairs, alphas, _ = figure.layout.updatemenus
    assert labels(figure) == ["mean over pairs", "a – b", "a – c", "b – c"]
    assert labels(figure, 1) == ["every α", "α = 0.25", "α = 0.5"]
    assert labels(figure, 2) == ["linearity error ε", "1 − cosine", "length (coef)"]
    change, moved = pairs.buttons[2].args
    known = table.set_index(["metric", "alpha", "i", "j"]).sort_index()
    for metric in Metric:
        traces = lines_of(figure, metric)
        assert len(traces) == (2 if metric == "baseline" else 4)
        for trace in traces:
            place = moved.index(next(n for n, one in enumerate(figure.data) if one is trace))
            alpha = 0.25 if metric == "baseline" else float(trace.name.removeprefix("α = "))
            rows = known.loc[metric, alpha, "a", "c"]
            assert list(trace.x) == rows["layer"].tolist()
            assert change["y"][place] == pytest.approx(rows["mean"].tolist(), rel=1e-3)
            above = (rows["q75"] - rows["mean"]).clip(0).tolist()
            assert change["error_y.array"][place] == pytest.approx(above, rel=0.05)
    look, traces = alphas.buttons[2].args
    shown = [figure.data[place].name == "α = 0.5" for place in traces]
    assert look["opacity"] == [int(one) for one in shown]
    assert look["hoveron"] == ["points" if one else "fills" for one in shown]
    assert not any(legend for legend, one in zip(look["showlegend"], shown, strict=True) if not one)
    assert not {"baseline", "ε = 1: no nearer than a part"} & {figure.data[n].name for n in traces}
    rows = table.query("metric == 'epsilon' and alpha == 0.25")
    mean = rows.groupby("layer", sort=False)["mean"].mean().tolist()
    first = next(trace for trace in figure.data if trace.visible is None and "α" in trace.name)
    assert list(first.y) == pytest.approx(mean, rel=1e-3)


def test_a_measure_brings_its_axis_along(measured) -> None:
    figure = linearity.direction(everywhere(measured.table()), PANELS)
    epsilon, distance, coef = (button.args[1] for button in figure.layout.updatemenus[2].buttons)
    largest = measured.table().query("metric == 'epsilon'")["mean"].max()
    top = pytest.approx(1.5 * max(1, largest), rel=0.05)
    assert figure.layout.yaxis.title.text == "linearity error ε"
    assert list(figure.layout.yaxis.range) == [0, top]
    for axis in ("yaxis", "yaxis2"):
        assert [look[f"{axis}.type"] for look in (epsilon, distance, coef)] == [
            "linear", "log", "linear",
        ]  # fmt: skip
        assert epsilon[f"{axis}.range"] == [0, top]
        assert distance[f"{axis}.autorange"] is coef[f"{axis}.autorange"] is True
        assert epsilon[f"{axis}.dtick"] is None
    assert distance["yaxis.title"] == {"text": "E[1 − cosine]"}
    assert "yaxis2.title" not in distance
    levels = {t.name: set(t.y) for t in figure.data if t.name.startswith(("ε", "coef"))}
    assert levels == {
        "ε = 0: linear": {0.0}, "ε = 1: no nearer than a part": {1.0},
        "coef = 1: equal length": {1.0},
    }  # fmt: skip


def controlled(table: pd.DataFrame) -> pd.DataFrame:
    """A comparison's rows as every control has them, of which each has 1 more than the last."""
    more = {control: number for number, control in enumerate(Control)}
    return pd.concat(table.assign(control=str(c), mean=table["mean"] + n) for c, n in more.items())


def test_controls_are_bands_between_quartiles_over_pairs(measured) -> None:
    table = everywhere(measured.table())
    middle = table[table["alpha"] == 0.5]
    figure = linearity.direction(table, PANELS, controls=controlled(middle))
    wanted = middle.query("metric == 'epsilon' and setting == 'one'").groupby("layer", sort=False)
    low, mid, high = (wanted["mean"].quantile(share).tolist() for share in (0.25, 0.5, 0.75))
    drawn = [control for control in Control if control != Control.OTHER_SAMPLES]
    for number, control in enumerate(drawn[1:], 1):
        band, line = [t for t in figure.data if t.name == control and t.visible is None][:2]
        assert (list(band.x), band.fill) == (["1", "4", "4", "1"], "toself")
        upper = [value + number for value in reversed(high)]
        assert list(band.y) == pytest.approx([value + number for value in low] + upper, rel=1e-3)
        assert list(line.y) == pytest.approx([value + number for value in mid], rel=1e-3)
    # Told apart without their colours.
    controls = [t for t in figure.data if t.name in list(Control) and t.fill is None]
    assert {t.line.dash for t in controls} == {"dash", "dashdot", "longdash", "longdashdot"}
    assert {t.name for t in controls} == set(map(str, list(Control)[1:]))
    # The ε of other samples is too large for one axis with the others.
    shown = {t.name for t in controls if t.visible is None}
    assert shown == set(map(str, drawn[1:]))
    assert "pretrained apart, mean over all pairs (Setting one)" in title(figure)
    without = linearity.direction(table, PANELS)
    assert not {str(control) for control in Control} & {trace.name for trace in without.data}


def test_a_figure_of_pairs_offers_them_with_their_mean(measured) -> None:
    table = measured.table()
    figure = linearity.direction(everywhere(table), PANELS)
    pairs, slider, measures = figure.layout.meta["controls"]
    assert slider == {"kind": "slider", "label": "α"}
    assert measures == {"kind": "menu", "label": "measure"}
    assert (pairs["kind"], pairs["label"]) == ("pairs", "pair")
    assert [one["title"] for one in pairs["maps"]] == list(PANELS.values())
    assert [one["names"] for one in pairs["maps"]] == [["a", "b", "c"]] * 2
    rows = table[(table.metric == "epsilon") & (table.alpha == 0.5)]
    means = rows.groupby(["i", "j"])["mean"].mean()
    buttons = figure.layout.updatemenus[0].buttons
    for one in pairs["maps"]:
        shown = {
            buttons[cell["option"]].label: cell["mean"] for row in one["cells"] for cell in row
        }
        assert list(shown) == ["a – b", "a – c", "b – c"]
        assert list(shown.values()) == pytest.approx(means.tolist(), rel=0.05)
    # Several menus do not widen a figure of one panel.
    alone = linearity.direction(table.assign(setting="one", seed=0), ONE)
    assert len(alone.layout.updatemenus) == 3
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
    assert figure.layout.xaxis.range == pytest.approx((0.924, 1.01225))
    trace = figure.data[0]
    drawn = {round(x, 4): y for x, y in zip(trace.x, trace.y, strict=True) if y}
    assert drawn == {0.9125: 0.005, 0.9375: 0.295, 0.9625: 0.7}
    assert len(trace.x) < 8


def test_paths_and_triples_are_drawn(net, around, inputs, measured) -> None:
    targets = inputs(30)[:, :3].argmax(1)
    lines = [p for i, j in ("ab", "bc") for p in ctl.path(i, j, [0.0, 0.5, 1.0])]
    curves = ctl.evaluate(net, around(net, "abc"), lines, [(inputs(30), targets)])
    barriers = everywhere(ctl.barriers(curves))
    curves = everywhere(curves.assign(role="D_i"))
    table = measured.table()
    triples = ctl.triples(table).assign(group="near")
    drawn = [
        paths.paths(curves, barriers, PANELS),
        linearity.transitivity(everywhere(triples), PANELS),
    ]
    assert {trace.name for trace in drawn[0].data} == {"on task i"}
    points = [sum(len(trace.y) for trace in figure.data) for figure in drawn]
    assert points == [2 * 2 * 3, 2 * (2 + 2 * 3)]
    assert all(map(title, drawn))


def test_controls_are_told_beside_task_vectors(measured) -> None:
    table = controlled(everywhere(measured.table().query("alpha == 0.5")))
    figure = linearity.controls(table, PANELS)
    for metric in ("epsilon", "distance", "coef"):
        assert [trace.name for trace in lines_of(figure, metric)] == 2 * list(map(str, Control))
    one = table[table["setting"] == "one"]
    numbers = [epsilon(one, control=control, at="worst").effect for control in Control]
    assert (
        f"it is {numbers[0]:.2f} for task vectors, {numbers[1]:.2f} pretrained apart, "
        f"{numbers[2]:.2f} from random weights, {numbers[3]:.2f} for random vectors, "
        f"{numbers[4]:.2f} for other samples (Setting one)"
    ) in title(figure)


def test_controls_of_very_different_error_stand_on_a_log_axis(measured) -> None:
    table = controlled(everywhere(measured.table().query("alpha == 0.5")))
    figure = linearity.controls(table, PANELS)
    assert figure.layout.yaxis.type == "log"
    drawn = [trace.name for trace in figure.data]
    assert "ε = 0: linear" not in drawn
    assert "ε = 1: no nearer than a part" in drawn


def test_statistics_states_error_and_length_of_each_setting(measured) -> None:
    table = measured.table().query("alpha == 0.5")
    longer = table.assign(mean=table["mean"].where(table["metric"] != "coef", 0.875))
    both = [table.assign(statistics="mixed"), longer.assign(statistics="recomputed")]
    figure = statistics.statistics(everywhere(pd.concat(both)), PANELS)
    last = table[(table["layer"] == "4") & (table["metric"] == "coef")]["mean"].mean()
    assert f"the length at the output from {last:.2f} to 0.88" in figure.layout.meta["alt"]
    errors = table[table["metric"] == "epsilon"]["mean"].mean()
    assert f"takes ε from {errors:.2f} to {errors:.2f}, mean" in figure.layout.meta["alt"]
    traces = lines_of(figure, "coef")
    assert [trace.name for trace in traces] == 2 * ["mixed", "recomputed"]
    assert list(traces[1].y) == [0.875, 0.875]


# Against a number: epochs, or a share of samples.


def grid(**columns: list) -> pd.DataFrame:
    """A row for each combination of values."""
    return pd.MultiIndex.from_product(columns.values(), names=columns).to_frame(index=False)


def with_baseline(table: pd.DataFrame, distance: pd.Series) -> pd.DataFrame:
    """Baselines of twice the distance, ε of three times it, and coef 1."""
    value = distance.where(table["metric"] != "baseline", 2 * distance)
    value = value.where(table["metric"] != "epsilon", 3 * distance)
    value = value.where(table["metric"] != "coef", 1.0)
    return table.assign(mean=value, q25=value / 2, median=value, q75=value * 2, n=10)


def factor_table(layers=("first", "last"), settings=("one",), seeds=(0, 1)) -> pd.DataFrame:
    """Distances of 0 at epoch 0, else 0.1 · epochs, half of it in layers but the last."""
    table = grid(
        setting=list(settings), seed=list(seeds), pretrain_epochs=[0, 1, 4], i=["a"], j=["b", "c"],
        alpha=[0.25, 0.5], layer=list(layers), metric=list(Metric),
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
    menu, _ = figure.layout.updatemenus
    assert labels(figure) == ["mean over layers", "first", "last"]
    one, two = lines_of(figure, "distance")
    change, moved = menu.buttons[2].args
    places = {id(trace): place for place, trace in enumerate(figure.data)}
    second = moved.index(places[id(two)])
    # At epoch 0 there is nothing to see on a log scale.
    assert list(one.x) == list(change["x"][second]) == [1, 4]
    assert list(one.y) == pytest.approx([0.075, 0.3])
    assert list(change["y"][second]) == pytest.approx([0.1, 0.4])
    assert list(change["error_y.array"][second]) == pytest.approx([0.1, 0.4])
    assert list(change["error_y.arrayminus"][second]) == pytest.approx([0.05, 0.2])
    area = figure.data[places[id(one)] - 1]
    assert (area.fill, area.name) == ("toself", one.name)
    last = moved.index(places[id(area)])
    assert list(change["x"][last]) == [1, 4, 4, 1]
    assert list(change["y"][last]) == pytest.approx([0.09, 0.36, 0.44, 0.11])
    assert list(lines_of(figure, "baseline")[0].y) == pytest.approx([0.15, 0.6])
    epsilon, coef = lines_of(figure, "epsilon")[0], lines_of(figure, "coef")[0]
    assert list(epsilon.y) == pytest.approx([0, 0.225, 0.9])
    assert (list(coef.x), list(coef.y)) == ([0, 1, 4], [1, 1, 1])
    end = "is under one millionth and not drawn at epochs of pretraining 0."
    assert figure.layout.meta["alt"].endswith(end)


def test_controls_are_level_beside_a_number_and_follow_the_layer() -> None:
    table = factor_table()
    controls = table.query("pretrain_epochs == 4 and alpha == 0.5").drop(columns="pretrain_epochs")
    figure = factors.factor(table, ONE, controls=controls.assign(control="random vectors"))
    line = next(t for t in figure.data if t.name == "random vectors" and t.fill is None)
    assert list(line.x) == [0, 4]
    assert list(line.y) == pytest.approx([0.9] * 2)
    change, moved = figure.layout.updatemenus[0].buttons[1].args
    place = next(n for n, trace in enumerate(figure.data) if trace is line)
    assert change["y"][moved.index(place)] == pytest.approx([0.6] * 2)


def test_a_factors_title_says_how_the_distance_goes() -> None:
    def said(table: pd.DataFrame, panels: dict[str, str]) -> str:
        return "; ".join(takeaways(factors.factor(table, panels)))

    table = factor_table()
    panel = {"one": "Setting one (stand-in)"}
    start = "Epochs of pretraining from 0 to 4: the linearity error ε "
    assert said(table, panel) == f"{start}may fall or rise, from 0 to 0.9, mean over layers"
    later = table[table["pretrain_epochs"] > 0].assign(setting="two")
    mirrored = later.assign(pretrain_epochs=5 - later["pretrain_epochs"])
    both = pd.concat([later.assign(setting="one"), mirrored])
    assert said(both, panel | {"two": "Other"}) == (
        "Epochs of pretraining from 1 to 4: the linearity error ε may fall or rise, from 0.23 to "
        "0.9, mean over layers (Setting one); "
        "Epochs of pretraining from 1 to 4: the linearity error ε may fall or rise, from 0.9 to "
        "0.23, mean over layers (Other)"
    )
    # Settings that are not shown have no say in it.
    assert said(both, panel).endswith("rise, from 0.23 to 0.9, mean over layers")


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
    assert [len(lines_of(figure, metric)) for metric in Metric] == [1] * 4


SPAWNED = {0: 1.0, 2: 0.5, 8: 0.001}


def spawned() -> pd.DataFrame:
    table = grid(setting=list(PANELS), seed=[0, 1], k=list(SPAWNED))
    barrier = table["k"].map(SPAWNED) * np.where(table["seed"] == 0, 0.5, 1.5)
    return table.assign(barrier=barrier, distance=barrier / 10, baseline=0.5, epsilon=barrier / 2)


def test_spawning_shows_the_barrier_and_the_distance() -> None:
    figure = spawning.spawning(spawned(), PANELS)
    (place, _) = named(figure, "loss barrier")
    assert figure.data[place].visible is None
    assert list(figure.data[place].y) == pytest.approx(list(SPAWNED.values()))
    (menu,) = figure.layout.updatemenus
    assert [button.label for button in menu.buttons] == ["linearity error ε", "1 − cosine"]
    epsilon, distance = named(figure, "at α = 0.5")[:2]
    for place, scale in ((epsilon, 0.5), (distance, 0.1)):
        assert list(figure.data[place].x) == [0, 2, 8]
        assert list(figure.data[place].y) == pytest.approx([scale * v for v in SPAWNED.values()])
    (band, _) = named(figure, "loss barrier", filled=True)
    assert list(figure.data[band].y) == [0.5, 0.25, 0.0005, 0.0015, 0.75, 1.5]
    assert takeaways(figure) == [
        "Epochs before spawning from 0 to 8: the loss barrier (nats) may fall or rise, from 1 to "
        "0.001; the linearity error ε of the features may fall or rise, from 0.5 to 0.0005 "
        f"({setting})"
        for setting in PANELS.values()
    ]
    table = spawned()
    flat = table.assign(barrier=table["barrier"].where(table["setting"] == "one", 0.001))
    one, two = takeaways(spawning.spawning(flat, PANELS))
    assert "(nats) may fall or rise, from 1 to 0.001;" in one
    assert "(nats) is under 0.01 throughout;" in two


def test_curves_are_chosen_by_epoch() -> None:
    table = grid(setting=["one"], seed=[0, 1], k=list(SPAWNED), alpha=[0.0, 0.5, 1.0])
    height = table["k"].map(SPAWNED) * np.where(table["seed"] == 0, 0.5, 1.5)
    table["loss"] = 0.1 + 4 * table["alpha"] * (1 - table["alpha"]) * height
    figure = spawning.curves(table, spawned(), ONE)
    assert list(figure.data[1].y) == pytest.approx([0.1, 0.6, 0.1])
    (menu,) = figure.layout.updatemenus
    assert labels(figure) == ["every k", "k = 0", "k = 2", "k = 8"]
    assert menu.buttons[2].args[0]["opacity"] == [0, 1, 0]
    assert "may fall or rise, from 1 to 0.001, mean over seeds" in title(figure)
    assert len({trace.line.color for trace in figure.data}) == 3


def test_induced_counts_what_is_over_the_bound() -> None:
    table = grid(setting=["one"], seed=[0], k=[0, 4], alpha=[0.0, 0.25, 0.5, 1.0])
    error = np.where(table["alpha"].isin([0, 1]), 1e-9, 0.1)
    table = table.assign(error=error, gap=error * math.sqrt(2) / 4)
    figure = spawning.induced(table, ONE)
    said = "in all 4 cases; it is 25.0% of that bound in the median and 25.0% at most"
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
        layer=["first", "last"], metric=list(Metric),
    )  # fmt: skip
    value = 0.1 * table["k"] * np.where(table["weights"] == "equal", 1, 0.5)
    value = value * np.where(table["layer"] == "last", 1.5, 0.5)
    return with_baseline(table, value * np.where(table["draw"] == 0, 0.9, 1.1))


def test_many_networks_are_shown_by_weights_and_layer() -> None:
    figure = many.many(mixed_by_many(), PANELS)
    menu, _ = figure.layout.updatemenus
    assert labels(figure) == ["mean over layers", "first", "last"]
    equal, unequal, *_ = lines_of(figure, "distance")
    assert [equal.name, unequal.name] == ["equal weights", "unequal weights"]
    assert list(equal.x) == [2, 4]
    assert list(equal.y) == pytest.approx([0.2, 0.4])
    assert list(unequal.y) == pytest.approx([0.1, 0.2])
    assert list(lines_of(figure, "baseline")[1].y) == pytest.approx([0.2, 0.4])
    assert list(lines_of(figure, "coef")[0].y) == [1, 1]
    assert list(lines_of(figure, "epsilon")[0].y) == pytest.approx([0.6, 1.2])
    change, moved = menu.buttons[2].args
    place = moved.index(next(n for n, trace in enumerate(figure.data) if trace is unequal))
    assert list(change["y"][place]) == pytest.approx([0.15, 0.3])
    assert list(change["error_y.array"][place]) == pytest.approx([0.15, 0.3])
    assert takeaways(figure) == [
        "Networks in the mix from 2 to 4: with equal weights, the linearity error ε goes from 0.6 "
        f"to 1.2, mean over layers ({setting})"
        for setting in PANELS.values()
    ]


def test_controls_of_several_k_are_drawn_where_they_were_taken() -> None:
    table = mixed_by_many()
    equal = table[table["weights"] == "equal"].assign(control="pretrained apart")
    figure = many.many(table, PANELS, controls=equal)
    line = next(t for t in figure.data if t.name == "pretrained apart" and t.fill is None)
    assert (list(line.x), list(line.y)) == ([2, 4], pytest.approx([0.6, 1.2]))


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
    buttons = figure.layout.updatemenus[0].buttons
    told = [button.args[1]["xaxis.title.text"][-4:] for button in buttons]
    assert told == 2 * [f"{value:.2f}" for value in expected.values()]
    assert figure.layout.xaxis.title.text.endswith(f"‖²: R² = {expected['product']:.2f}")
    assert title(figure) == (
        "δ is explained best by the bound, R² = 1.00, or perhaps the curvature, R² = "
        f"{expected['curvature']:.2f}"
    )
    fitted = figure.data[named(figure, "least squares, one per seed")[0]]
    assert list(fitted.y) == pytest.approx([0.5 * x + 0.01 for x in fitted.x], rel=1e-3)
    assert [list(figure.data[place].y) for place in named(figure, "B")] == [
        pytest.approx(table.query("start == 'B'")["delta"].tolist(), rel=1e-3)
    ] * 3
    assert [button.label for button in buttons] == [
        "the bound", "the curvature", "the squared distance", "the bound, linear axes",
        "the curvature, linear axes", "the squared distance, linear axes",
    ]  # fmt: skip
    kinds = [[button.args[1][f"{axis}axis.type"] for axis in "xy"] for button in buttons]
    assert kinds == 3 * [["log", "log"]] + 3 * [["linear", "linear"]]
    # Each shows its own points and fit: two starts and a line, the first ones from the beginning.
    shown = [np.flatnonzero(button.args[0]["visible"]).tolist() for button in buttons]
    assert shown == 2 * [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [n for n, trace in enumerate(figure.data) if trace.visible is None] == shown[0]
    assert {button.method for button in buttons} == {"update"}


def test_regression_compares_settings_and_survives_a_single_start() -> None:
    table = pairs_of_starts()
    # One start: the curvature is constant, and the product is the distance.
    single = table[table["start"] == "A"].assign(setting="two")
    figure = theory.regression(pd.concat([table, single]), PANELS)
    buttons = figure.layout.updatemenus[0].buttons[:3]
    told = [button.args[1]["xaxis2.title.text"][-4:] for button in buttons]
    assert told == ["1.00", " = –", "1.00"]
    first = "δ is explained best by the bound, R² = 1.00, or perhaps the curvature, R² = 0.65"
    assert takeaways(figure) == [
        f"{first} (Setting one)",
        "δ is explained best by the bound, R² = 1.00, or perhaps the squared distance, R² = 1.00 "
        "(Setting two)",
    ]
    other = table.assign(setting="two", delta=table["curvature"])
    assert takeaways(theory.regression(pd.concat([table, other]), PANELS)) == [
        f"{first} (Setting one)",
        "δ is explained best by the curvature, R² = 1.00, or perhaps the bound, R² = 0.65 "
        "(Setting two)",
    ]


def test_regression_has_a_line_for_each_seed_and_says_whose_mean_is_told() -> None:
    table = pairs_of_starts()
    steep = table.assign(seed=1, delta=2 * table["delta"] + 0.1 * table["squared_distance"])
    both = pd.concat([table, steep]).replace({"start": {"A": "1 epochs", "B": "10 epochs"}})
    figure = theory.regression(both, ONE)
    assert title(figure).endswith(", mean of the fits seed by seed")
    lines = [figure.data[place] for place in named(figure, "least squares, one per seed")]
    assert len(lines) == 3 * 2
    assert list(lines[0].y) == pytest.approx([0.5 * x + 0.01 for x in lines[0].x], rel=1e-3)
    names = [trace.name for trace in figure.data[:2]]
    assert names == ["1 epoch", "10 epochs"]
    assert len({trace.marker.color for trace in figure.data[:2]}) == 2


def test_explained_has_the_papers_row_and_one_for_each_reading() -> None:
    both = pairs_of_starts().rename(columns={"delta": "δ"})
    known = {f"{name}_buffers": both[name] for name in ("curvature", "squared_distance")}
    # Statistics that move make δ what the other reading's product says.
    table = both.assign(**known, product_buffers=both["curvature"], delta=both["curvature"])
    plain = pairs_of_starts().assign(setting="two")
    plain = plain.assign(product_buffers=plain["product"])
    figure = explained.explained(pd.concat([table, plain]), PANELS)
    rows = list(figure.layout.yaxis.ticktext)
    assert rows == [
        "the paper, ResNet-20<br>on CIFAR-10", "Setting one",
        "Setting one,<br>with running statistics", "Setting two",
    ]  # fmt: skip
    assert [trace.x[0] for trace in figure.data] == [0.903, 0.782, 0.839]
    bound = figure.data[0]
    assert bound.x[2] == pytest.approx(1)
    assert bound.x[1] < 0.9
    paper = "in the paper, on other networks, by the bound, R² = 0.903"
    assert takeaways(figure)[1].endswith(f"{paper} (Setting two)")


def test_inequality_counts_what_is_over_the_bound() -> None:
    table = pairs_of_starts().assign(delta=lambda t: 0.5 * t["product"])
    said = title(theory.inequality(table, ONE))
    assert "stays under the bound for all pairs" in said
    assert "it is 50% of the bound, the second-order term alone 40%" in said
    table.loc[0, "delta"] = 10.0
    figure = theory.inequality(table, ONE)
    assert "for 83% of the pairs" in title(figure)
    assert [len(trace.x) for trace in figure.data] == [2, 6, 6]
    assert figure.data[1].text[0] == "start A, j b"  # all have one i and seed


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
        figure = drawing.draw([choices.Line("a", drawing.BLUE, {"": {"x": [], "y": []}})], "", "")
        axes.number_axis(figure, values, "epochs", row=1, col=1)
        return figure.layout.xaxis.tickvals

    assert ticks([4, 0, 2, 2]) == (0, 2, 4)
    assert ticks([0, 1, 100]) is None
    assert ticks([3]) is None


def test_beside_others_a_panel_leaves_out_ticks_that_would_touch() -> None:
    tenths = [n / 10 for n in range(11)]
    for panels, kept in ((1, tenths), (3, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])):
        figure = drawing.empty_panels(["accuracy"], ["a"] * panels)
        axes.number_axis(figure, tenths, "λ", row=1, col=1)
        assert list(figure.layout.xaxis.tickvals) == kept


def test_an_axis_of_powers_of_ten_is_written_in_digits_where_these_are_few() -> None:
    few = axes.log_axis([0.1, 3, 2000])
    assert set(few["ticktext"]) >= {"0.1", "1", "10", "100", "1,000"}
    assert axes.log_axis([1e-5, 1]) is axes.LOG_AXIS


def test_an_axis_of_logarithms_has_the_ticks_of_the_numbers() -> None:
    rates = [0.003, 0.01, 0.03, 0.1]
    taken, full = axes.axis_of_logarithms(rates), axes.log_axis(rates)
    assert taken["ticktext"] == full["ticktext"]
    assert taken["type"] == "linear"
    assert [10**place for place in taken["tickvals"]] == pytest.approx(full["tickvals"], rel=1e-4)


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 1.2), (0.52, 1.5), (0.2, 3.4), (0.09, 150), (1e-9, 1), (0.95, 1.02)]
)
def test_a_log_axis_has_three_ticks_that_say_their_number(low: float, high: float) -> None:
    form = axes.log_axis([low, high, 0])
    if form is axes.LOG_AXIS:  # a tick a power of ten, each written in full
        assert math.log10(high / low) >= 2
        return
    ticks, texts = form["tickvals"], form["ticktext"]
    assert sum(low <= tick <= high for tick in ticks) >= 3
    assert min(ticks) <= low
    assert max(ticks) >= high
    assert [float(text.replace(",", "")) for text in texts] == pytest.approx(ticks)
    assert len(set(texts)) == len(texts)


def test_shares_that_are_close_have_a_decimal() -> None:
    assert axes.percent_axis([0.881, 0.893]) == {"tickformat": ".1%"}
    assert axes.percent_axis([0.1, 0.9, float("nan")]) == {"tickformat": ".0%"}
    assert axes.percent_axis([]) == {"tickformat": ".0%"}


@pytest.mark.parametrize("lengths", [(0.999, 1.04), (0.8, 1.001), (1.02, 1.1), (0.5, 0.6)])
def test_the_mark_at_equal_length_stands_inside_the_axis(lengths: tuple[float, float]) -> None:
    low, high = lengths
    edges = np.linspace(low, high, 9)
    bins = {"low": edges[:-1], "high": edges[1:], "share": np.full(8, 1 / 8)}
    table = pd.DataFrame({"i": "a", "j": "b", "alpha": 0.5, "layer": "1", **bins})
    left, right = linearity.length(everywhere(table), PANELS).layout.xaxis.range
    assert left < low
    assert right > high
    # Far enough from either end to be told from the frame.
    assert left + 0.1 * (right - left) < 1 < right - 0.1 * (right - left)


# Panels of networks that have other layers and other numbers of tasks.

DEPTHS = {
    "one": [f"states.{number}" for number in range(30)],
    "two": ["stem", *(f"blocks.{number}" for number in range(7)), "pooled"],
}


def of_depths(**columns: list) -> pd.DataFrame:
    """Comparisons of four tasks in one setting and of three in the other."""
    tables = [
        grid(setting=[setting], seed=[0], i=["a"], j=list(names), alpha=[0.5], layer=layers,
             metric=list(Metric), **columns)
        for (setting, layers), names in zip(DEPTHS.items(), ("bcd", "bc"), strict=True)
    ]  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    return with_baseline(table, pd.Series(0.1, table.index))


def test_panels_name_their_own_layers_and_of_many_some() -> None:
    figure = linearity.direction(of_depths(), PANELS)
    one, two = (lines_of(figure, "epsilon")[n] for n in (0, 1))
    assert list(one.x) == [str(number) for number in range(1, 31)]
    assert list(two.x) == DEPTHS["two"]
    first, second = figure.layout.xaxis, figure.layout.xaxis2
    assert (first.title.text, first.type, second.title.text) == ("block", "category", None)
    assert 30 / first.dtick <= axes.MOST_NUMBERS
    assert second.dtick == 1
    controls = linearity.controls(of_depths(control=["task vectors", "random vectors"]), PANELS)
    assert controls.layout.xaxis.dtick == first.dtick


def test_a_pair_that_a_setting_lacks_leaves_its_panel_empty() -> None:
    figure = linearity.direction(of_depths(), PANELS)
    pairs = ["a – b", "a – c", "a – d (only Setting one)"]
    assert labels(figure) == ["mean over pairs", *pairs]
    change, moved = figure.layout.updatemenus[0].buttons[-1].args
    drawn = {figure.data[place].xaxis: y for place, y in zip(moved, change["y"], strict=True)}
    assert len(drawn["x"]) == 30
    assert drawn["x2"] == []
    one, two = figure.layout.meta["controls"][0]["maps"]
    assert (one["names"], two["names"]) == (list("abcd"), list("abc"))


def test_numbered_tasks_are_named_on_the_sides_of_a_map() -> None:
    table = of_depths()
    table.attrs["tasks"] = {"two": {"a": "MNIST", "b": "SVHN"}}
    one, two = linearity.direction(table, PANELS).layout.meta["controls"][0]["maps"]
    assert (one["names"][:2], two["names"]) == (["a", "b"], ["a MNIST", "b SVHN", "c"])


def test_lengths_of_networks_of_other_layers_share_their_rows() -> None:
    bins = pd.DataFrame({"low": [0.9, 1.0], "high": [1.0, 1.1], "share": [0.5, 0.5]})
    table = of_depths().query("metric == 'coef'").drop(columns=["metric", "mean"])
    figure = linearity.length(table.merge(bins, how="cross"), PANELS, last=2)
    rows = [axis.title.text for axis in figure.select_yaxes() if axis.title.text]
    assert rows == ["last but 1", "last"]
    assert len(figure.data) == 4
    alone = linearity.length(table.query("setting == 'one'").merge(bins, how="cross"), ONE)
    assert len(alone.data) == 12


def test_long_titles_of_panels_are_broken() -> None:
    line = choices.Line("a", drawing.BLUE, {"": {"x": [1], "y": [1]}})
    short, long = (
        drawing.draw([line], "T", "A.", columns=[name] * 3)
        for name in ("One (A)", "EfficientNet-Lite0 on six kinds of image (B)")
    )
    assert "<br>" in long.layout.annotations[0].text
    assert max(map(len, long.layout.annotations[0].text.split("<br>"))) <= 28
    assert long.layout.margin.t > short.layout.margin.t
