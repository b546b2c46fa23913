"""Section 4.3's figures show the numbers of their tables, whichever edit a reader chooses."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from test_figures import PANELS, everywhere, labels, lines_of, title

import ctl_helpers as ctl
from ctl_helpers.figures import disentangled, editing, second_order, stitched
from ctl_helpers.figures.lengths import last_layers
from ctl_helpers.findings.editing import blocks
from ctl_helpers.results.labels import Metric

LAMBDAS = [0.2, 0.4, 0.8]


@pytest.fixture
def measure(net, around, inputs):
    """Measures comparisons on a small network with fine-tuned copies a, b and c."""
    checkpoints = {"PT": net.state_dict(), **around(net, "abc")}

    def run(comparisons: list[ctl.Comparison]) -> ctl.Linearity:
        all_samples = [replace(each, tasks=None) for each in comparisons]
        return ctl.measure(net, checkpoints, all_samples, [inputs(30)], ["1", "4"])

    return run


@pytest.fixture
def eq2(measure) -> ctl.Linearity:
    return measure(ctl.addition("PT", "abc", LAMBDAS))


@pytest.fixture
def eq3(measure) -> ctl.Linearity:
    return measure(ctl.negation("PT", "abc", LAMBDAS))


def test_direction_starts_at_the_papers_lambda_and_shows_the_chosen_pair(eq2) -> None:
    table = eq2.table()
    figure = editing.direction(everywhere(table), PANELS)
    pairs, scalings, _ = figure.layout.updatemenus
    assert labels(figure) == ["mean over pairs", "a + b", "a + c", "b + c"]
    assert scalings.buttons[scalings.active].label == "λ = 0.4"
    grouped = [trace for trace in figure.data if "λ = " in trace.name]
    assert [t.opacity for t in grouped] == [int(t.name.endswith("= 0.4")) for t in grouped]
    change, moved = pairs.buttons[2].args
    known = table.set_index(["metric", "lam", "i", "j"]).sort_index()
    places = {id(trace): place for place, trace in enumerate(figure.data)}
    for metric in Metric:
        traces = lines_of(figure, metric)
        assert len(traces) == 2 * len(LAMBDAS)
        for trace in traces:
            rows = known.loc[metric, float(trace.name.split("= ")[1]), "a", "c"]
            assert list(trace.x) == ["1", "2"]
            y = change["y"][moved.index(places[id(trace)])]
            assert y == pytest.approx(rows["mean"].tolist(), rel=1e-3)
    rows = table.query("metric == 'epsilon' and lam == 0.4")
    worst = rows.groupby("layer")["mean"].mean().max()
    assert (
        f"ε = {worst:.2f} at the worst layer, mean over all pairs (Setting one)"
        in figure.layout.meta["alt"]
    )
    alone = editing.direction(everywhere(table), PANELS, lam=0.8)
    shown = {t.name for metric in Metric for t in lines_of(alone, metric)}
    assert shown == {"λ = 0.8", "baseline, λ = 0.8"}
    assert "At λ = 0.8" in alone.layout.meta["alt"]


@pytest.mark.parametrize("equation", ["eq2", "eq3"])
def test_controls_stand_behind_the_edits(equation: str, request: pytest.FixtureRequest) -> None:
    table = everywhere(request.getfixturevalue(equation).table())
    apart = table[table["lam"] == 0.4].assign(control="pretrained apart")
    figure = editing.direction(table, PANELS, controls=apart)
    names = [trace.name for trace in figure.data if trace.visible is None]
    assert names.index("pretrained apart") < names.index("λ = 0.2")
    line = next(t for t in figure.data if t.name == "pretrained apart" and t.fill is None)
    wanted = apart.query("setting == 'one' and metric == 'epsilon'").groupby("layer", sort=False)
    assert list(line.x) == ["1", "2"]
    assert list(line.y) == pytest.approx(wanted["mean"].median().tolist(), rel=1e-3)


def test_direction_and_length_of_single_task_vectors(eq3) -> None:
    figure = editing.direction(everywhere(eq3.table()), PANELS)
    assert labels(figure) == ["mean over tasks", "a", "b", "c"]
    bins = everywhere(eq3.histogram("coef", np.linspace(0, 2, 41).tolist()))
    figure, last = editing.length(bins, PANELS), editing.length(bins, PANELS, last=1)
    (change,) = figure.layout.updatemenus[0].buttons[1].args
    assert all(sum(y) == pytest.approx(1, abs=0.03) for y in change["y"])
    assert {trace.name for trace in figure.data} == {"λ = 0.4"}
    titles = [axis.title.text for axis in (last.layout.yaxis, figure.layout.yaxis)]
    assert titles == ["block 2", "block 1"]
    assert 2 * len(last.data) == len(figure.data)


def test_a_menu_offers_every_edit_and_says_which_settings_have_it(eq2, eq3) -> None:
    def fewer(measured: ctl.Linearity) -> pd.DataFrame:
        table = everywhere(measured.table())
        without = (table[["i", "j"]] if "j" in table else table[["i"]]).ne("b").all(axis=1)
        return table[(table["setting"] == "one") | without]

    found = editing.by_edit(fewer(eq3), ["lam", "metric", "layer"], PANELS)
    assert list(found) == ["mean over tasks", "a", "b", "c"]
    alone = found["a"].query("setting == 'two' and metric == 'distance' and lam == 0.4")
    wanted = eq3.table().query("i == 'a' and metric == 'distance' and lam == 0.4")
    assert alone["mean"].tolist() == pytest.approx(wanted["mean"].tolist())
    figure = editing.direction(fewer(eq3), PANELS)
    assert labels(figure) == ["mean over tasks", "a", "b (only Setting one)", "c"]
    change, moved = figure.layout.updatemenus[0].buttons[2].args
    axes = [figure.data[place].xaxis or "x" for place in moved]
    shown = [len(y) for y in change["y"]]
    assert {axis for axis, count in zip(axes, shown, strict=True) if not count} == {"x2"}
    assert {axis for axis, count in zip(axes, shown, strict=True) if count} == {"x"}
    # A heat map's cell leads to its pair, whatever the menu adds to its name.
    figure = editing.direction(fewer(eq2), PANELS)
    named = ["a + b (only Setting one)", "a + c", "b + c (only Setting one)"]
    assert labels(figure) == ["mean over pairs", *named]
    one, two = figure.layout.meta["controls"][0]["maps"]
    assert [[cell["option"] for cell in row] for row in one["cells"]] == [[1], [2, 3]]
    assert [[cell["option"] for cell in row] for row in two["cells"]] == [[2]]


def test_distance_against_lambda_has_a_row_an_equation(eq2, eq3) -> None:
    figure = second_order.against_lambda(everywhere(eq2.table()), everywhere(eq3.table()), PANELS)
    rows = eq3.table().query("metric == 'distance'").groupby("lam")["mean"].mean()
    last = lines_of(figure, "distance")[-1]
    assert (list(last.x), last.name) == (LAMBDAS, "both sides")
    assert list(last.y) == pytest.approx(rows.tolist(), rel=1e-3)
    assert labels(figure) == ["mean over layers", "block 1", "block 2"]


def test_theorem_has_a_line_for_each_scheme(measure) -> None:
    schemes = {
        "α = 0.1": dict.fromkeys((1, 2, 3), 0.1),
        "(k+1)α = 0.8": {k: 0.8 / (k + 1) for k in (1, 2, 3)},
    }
    asked = [
        each
        for scheme, alphas in schemes.items()
        for each in ctl.disentangled("PT", "abc", alphas, params={"scheme": scheme})
    ]
    table = measure(asked).table()
    figure = disentangled.theorem(everywhere(table), PANELS)
    trace = next(t for t in lines_of(figure, "distance") if t.name == "α = 0.1")
    rows = table[(table["scheme"] == "α = 0.1") & (table["metric"] == "distance")]
    assert list(trace.y) == pytest.approx(rows.groupby("k")["mean"].mean().tolist(), rel=1e-3)


def test_added_marks_the_chosen_lambda() -> None:
    table = pd.DataFrame(
        {
            "split": split, "lam": lam, "task": task, "accuracy": lam, "share": lam + 0.1,
            "chosen": lam == 0.4,
        }
        for split, lam, task in product(("held-out", "test"), (0.0, 0.4, 0.8), "ab")
    )  # fmt: skip
    figure = stitched.added(everywhere(table), PANELS)
    assert "reaches 50% of their accuracy at λ = 0.4, the pretrained network 10%; λ was" in title(
        figure
    )
    assert [shape.x0 for shape in figure.layout.shapes] == [0.4, 0.4]
    assert list(figure.data[2].y) == [0.0, 0.4, 0.8]
    worse = table.assign(share=0.5 - table["lam"] / 2)
    assert "λ = 0.4, the pretrained network 50%, so that adding does harm" in title(
        stitched.added(everywhere(worse), PANELS)
    )
    nothing = table.assign(chosen=table["lam"] == 0)
    assert "at λ = 0, which adds nothing; λ was" in title(
        stitched.added(everywhere(nothing), PANELS)
    )


def test_stitched_models_are_curves_from_the_pretrained_network_on() -> None:
    ends = {
        "averaged features": (0.75, 0.8),
        "merged weights": (0.7, 0.8),
        "features of i": (0.9, 0.3),
        "features of j": (0.5, 0.94),
    }
    table = pd.DataFrame(
        {
            "i": "a", "j": j, "lam": lam, "model": model,
            "D_i": one if lam else 0.5, "D_j": other if lam else 0.4,
        }
        for j, (model, (one, other)), lam in product("bc", ends.items(), (0.5, 0.0))
    )  # fmt: skip
    figure = stitched.addition(everywhere(table), PANELS)
    first = figure.data[0]
    assert (list(first.x), list(first.y)) == ([0.5, 0.75], [0.4, 0.8])
    alt = figure.layout.meta["alt"]
    assert "78% of both tasks' samples, one network's on 92% of its own and 40% of" in alt


def test_negation_says_where_both_accuracies_go() -> None:
    table = pd.DataFrame(
        {
            "i": i, "lam": lam, "role": role, "model": model, "accuracy": 0.8 - lam * fall,
            "split": "test", "chance": 0.1, "chosen": lam == 1,
        }
        for i, model in product("ab", ("feature subtracted", "weights subtracted"))
        for (role, fall), lam in product((("D_i", 0.3), ("D_PT", 0.05)), (0.0, 1.0, 2.0))
    )  # fmt: skip
    table = pd.concat([table, table.assign(split="held-out", accuracy=0.5)])
    figure = stitched.negation(everywhere(table), PANELS)
    alt = figure.layout.meta["alt"]
    assert "from 80% to 50% on the vector's task and from 80% to 75% on the pretraining" in alt
    assert len(figure.data) == 2 * 2 * 2
    assert list(figure.data[0].x) == [0.0, 1.0, 2.0]


def test_distance_against_baseline_has_a_point_a_block_and_lambda(eq2) -> None:
    table = everywhere(eq2.table())
    figure = second_order.against_baseline(table, PANELS)
    means = table.groupby(["metric", "layer", "lam"])["mean"].mean()
    assert [trace.name for trace in figure.data] == list(PANELS.values())
    for trace in figure.data:
        assert len(set(trace.text)) == len(trace.text) == 2 * len(LAMBDAS)
        places = zip(trace.text, trace.x, trace.y, strict=True)
        for text, x, y in places:
            block, lam = text.removeprefix("block ").split(", λ = ")
            key = ({"1": "1", "2": "4"}[block], float(lam))
            assert x == pytest.approx(means[("baseline", *key)], rel=5e-3)
            assert y == pytest.approx(means[("distance", *key)], rel=5e-3)
    still = table.assign(mean=table["mean"].where(table["setting"] == next(iter(PANELS)), 1e-12))
    first, second = second_order.against_baseline(still, PANELS).data
    assert len(first.x) == 2 * len(LAMBDAS)
    assert len(second.x) == 0  # nothing moves, so that there is nothing to draw
    excess = np.exp(np.log(means["distance"] / means["baseline"] ** 2).median())
    assert f"is {excess:.2g} (Setting one and Setting two), median" in title(figure)


def test_last_blocks_of_networks_of_unequal_depth_share_their_rows() -> None:
    rows = [("one", "a.0"), ("one", "a.1"), ("one", "a.2"), ("two", "b.0"), ("two", "b.1")]
    table = pd.DataFrame(rows, columns=["setting", "layer"])
    found = last_layers(blocks(table), 2)
    assert found["setting"].tolist() == ["one", "one", "two", "two"]
    assert found["layer"].tolist() == ["last but 1", "last"] * 2
    alike = last_layers(blocks(table.query("setting == 'two'")), 1)
    assert alike["layer"].tolist() == ["block 2"]
