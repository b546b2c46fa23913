"""Figures that compare ways to fine-tune show the numbers of their tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from test_figures import ONE, PANELS, everywhere, labels, title

from ctl_helpers.engine.disentangle import GRID
from ctl_helpers.figures import heatmaps, paradigms, taylor
from ctl_helpers.figures.drawing import Figure
from ctl_helpers.results.labels import PARADIGM_NAMES, Metric

WAYS = {"full": 0.0, "tangent": -0.1, "attention-weights": 0.02}


def named(figure: Figure, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


def accuracies(ways: dict[str, float]) -> pd.DataFrame:
    """Networks right on 0.8 of task a and 0.6 of task b, and more or less by paradigm."""
    rows = [
        {"paradigm": name, "network": n, "task": t, "accuracy": 0.6 + 0.2 * (t == "a") + more}
        for name, more in ways.items()
        for n, t in product("ab", repeat=2)
    ]
    rows += [{"paradigm": "full", "network": "PT", "task": t, "accuracy": 0.3} for t in "ab"]
    return pd.DataFrame(rows)


def added(ways: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "paradigm": name, "split": split, "alpha": alpha, "task": task,
            "share": alpha + 0.3 + more, "accuracy": alpha + more, "chosen": alpha == 0.4,
        }
        for name, more in ways.items()
        for split, alpha, task in product(("held-out", "test"), (0.0, 0.4, 0.6), "ab")
    )  # fmt: skip


def test_single_shows_each_tasks_own_network_and_their_mean() -> None:
    table = everywhere(accuracies({**WAYS, "block": 0.1}))
    table.loc[(table["seed"] == 1) & (table["task"] == "a"), "accuracy"] -= 0.1
    figure = paradigms.single(table, PANELS)
    kinds = ["pretrained", *list(PARADIGM_NAMES.values())[:3]]
    assert [trace.name for trace in figure.data] == 2 * kinds
    first = named(figure, "all parameters")[0]
    assert list(first.text) == ["a", "b", "mean over tasks"]
    assert list(first.x) == pytest.approx([0.75, 0.6, 0.675])
    assert list(first.error_x.array) == pytest.approx([0.05, 0, 0.025])
    assert [round(y) for y in first.y] == [0, 1, 2]
    assert list(figure.layout.yaxis.ticktext) == ["a", "b", "mean over tasks"]
    text = title(figure)
    assert "linear layers only +2.0 points (undecided), the tangent" in text
    assert "the tangent space −10.0 points (undecided) (mean over tasks) (Setting one)" in text
    table["accuracy"] += 0.001 * table["seed"] * (table["paradigm"] == "full")
    assert "linear layers only +2.0 points, the tangent" in title(paradigms.single(table, PANELS))


@pytest.mark.parametrize(
    ("more", "text"),
    [(-0.012, "−1.2 points"), (0, "0.0 points"), (0.05, "+5.0 points")],
)
def test_singles_title_has_the_sign_of_the_table(more: float, text: str) -> None:
    table = accuracies({**WAYS, "attention-weights": more}).assign(setting="one", seed=0)
    figure = paradigms.single(table, ONE)
    said = f"linear layers only {text} (undecided), the tangent space −10.0 points"
    assert said in title(figure)
    assert all(trace.error_x.array is None for trace in figure.data)


def test_tasks_of_one_setting_are_not_drawn_in_another() -> None:
    table = everywhere(accuracies(WAYS))
    table = table[(table["setting"] == "one") | (table["task"] != "b")]
    figure = paradigms.single(table, PANELS)
    axes = [figure.layout.yaxis, figure.layout.yaxis2]
    assert [list(axis.ticktext)[:-1] for axis in axes] == [["a", "b"], ["a"]]


def test_addition_is_held_out_in_curves_and_test_in_stars() -> None:
    table = everywhere(added(WAYS))
    table.loc[table["split"] == "test", "share"] += 0.01
    figure = paradigms.addition(table, PANELS)
    traces = [trace for trace in named(figure, "tangent space") if trace.xaxis == "x"]
    area, curve, star = traces
    assert area.fill == "toself"
    assert (list(curve.x), list(curve.y)) == ([0.0, 0.4, 0.6], pytest.approx([0.2, 0.6, 0.8]))
    assert (list(star.x), list(star.y)) == ([0.4, 0.4], pytest.approx([0.61, 0.61]))
    assert star.marker.symbol == "star"
    shown, absolute = figure.layout.updatemenus[0].buttons
    assert (shown.label, absolute.label) == ("normalized accuracy", "absolute accuracy")
    change, moved = absolute.args
    place = next(n for n, trace in enumerate(figure.data) if trace is star)
    assert change["y"][moved.index(place)] == pytest.approx([0.3, 0.3])
    assert len(figure.data) - 1 not in moved
    assert "73% with linear layers only, 71%" in title(figure)


def test_additions_title_begins_with_the_best() -> None:
    table = added({**WAYS, "tangent": 0.1}).assign(setting="one", seed=0)
    figure = paradigms.addition(table, ONE)
    said = "80% in the tangent space, 72% with linear layers only and 70% with all parameters"
    assert title(figure).endswith(said)
    assert [trace.fill for trace in figure.data] == [None] * len(figure.data)


def test_additions_title_says_where_nothing_was_added() -> None:
    table = added(WAYS).assign(setting="one", seed=0)
    full = table["paradigm"] == "full"
    table["chosen"] = np.where(full, table["alpha"] == 0, table["chosen"])
    end = "; with all parameters the chosen α is 0, which adds nothing"
    assert title(paradigms.addition(table, ONE)).endswith(end)


def equation_two(errors: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "paradigm": name, "i": "a", "j": "b", "lam": lam, "layer": layer, "metric": metric,
            "mean": lam * error * (1 + (layer == "4")) * (1 + 2 * (metric == "epsilon"))
            if metric in ("distance", "epsilon") else 0.1,
        }
        for name, error in errors.items()
        for lam, layer in product((0.2, 0.4), ("1", "4"))
        for metric in Metric
    )  # fmt: skip


def test_linearity_of_the_tangent_space_is_exact() -> None:
    errors = {"full": 0.1, "tangent": 1e-15, "attention-weights": 0.01}
    figure = paradigms.linearity(everywhere(equation_two(errors)), everywhere(added(WAYS)), PANELS)
    tangent = [trace for trace in named(figure, "tangent space") if trace.text is not None]
    epsilon, _, distance, _ = tangent[:4]
    assert (list(epsilon.x), list(epsilon.text)) == (["1", "2"], ["exact", "exact"])
    assert list(distance.y) == [1e-6, 1e-6]
    ticks = figure.layout.updatemenus[0].buttons[1].args[1]["yaxis.ticktext"]
    assert list(ticks) == ["exact", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]
    assert figure.layout.yaxis.ticktext is None
    full = named(figure, "all parameters")
    assert list(full[0].y) == pytest.approx([0.12, 0.24])
    points = [trace for trace in full if trace.mode == "markers"]
    assert [list(trace.x) for trace in points] == [[0.7, 0.7]] * 6
    assert list(points[0].y) == pytest.approx([0.18, 0.18])
    assert len(named(figure, "baseline, all parameters")) == 2
    text = title(figure)
    assert "0 in the tangent space, 0.018" in text
    assert text.endswith(
        "the sum of task vectors is best with no one paradigm for sure (Setting one)"
    )


def test_without_exact_errors_the_axis_is_plain() -> None:
    errors = {"full": 0.1, "tangent": 0.2, "attention-weights": 0.01}
    tables = (equation_two(errors), added({**WAYS, "full": 0.3}))
    figure = paradigms.linearity(*(t.assign(setting="one", seed=0) for t in tables), ONE)
    distance = figure.layout.updatemenus[0].buttons[1]
    assert (distance.label, "exact" in distance.args[1]["yaxis.ticktext"]) == ("1 − cosine", False)
    text = title(figure)
    assert "0.018 with linear layers only, 0.18 with all parameters and 0.36 in the" in text
    assert "the sum of task vectors is best with no one paradigm for sure" in text


def planes(tasks: str, grid: tuple[float, ...], errors: dict[str, float]) -> Iterator[dict]:
    random = np.random.default_rng(0)
    for (name, error), (i, j) in product(errors.items(), combinations(tasks, 2)):
        for a, b in product(grid, repeat=2):
            for measure, factor in (("representation", 0.0123), ("classification", 0.5)):
                value = factor * error * abs(a * b) * random.uniform(0.8, 1.2)
                place = {"paradigm": name, "i": i, "j": j, "alpha_i": a, "alpha_j": b}
                yield {**place, "measure": measure, "error": value}


ERRORS = {"full": 0.4, "tangent": 0.1, "attention-weights": 0.2}
SMALL = (-2.0, 0.0, 1.0)


def test_maps_show_the_chosen_pair() -> None:
    table = pd.DataFrame(planes("abc", SMALL, ERRORS)).assign(setting="one", seed=0)
    figure = heatmaps.maps(table, ONE)
    (menu,) = figure.layout.updatemenus
    assert labels(figure) == ["mean over pairs", "a – b", "a – c", "b – c"]
    assert [trace.coloraxis for trace in figure.data] == ["coloraxis"] * 3 + ["coloraxis2"] * 3
    (change,) = menu.buttons[2].args
    assert (change["x"], change["y"]) == ([list(SMALL)], [list(SMALL)])
    known = table.set_index(["measure", "paradigm", "i", "j", "alpha_j", "alpha_i"])["error"]
    known = known.sort_index()
    keys = product(("representation", "classification"), paradigms.LOOKS)
    for (measure, name), z in zip(keys, change["z"], strict=True):
        rows = known[measure, name, "a", "c"].unstack().to_numpy()
        factor = 100 if measure == "classification" else 1000
        assert np.array(z) == pytest.approx(rows * factor, rel=0.05, abs=0.05)
    bar = figure.layout.coloraxis.colorbar
    assert bar.title.text == "distance of outputs, nats"
    assert float(bar.ticktext[-1].removeprefix("≥ ")) == pytest.approx(bar.tickvals[-1] / 1000)
    assert figure.layout.coloraxis2.colorbar.ticktext[-1].startswith("≥ ")
    boxes = {(shape.x0, shape.x1, shape.y0, shape.y1) for shape in figure.layout.shapes}
    assert boxes == {(0, 1, 0, 1)}
    assert len(figure.layout.shapes) == 2 * len(figure.data)


def test_maps_of_predictions_end_at_all_of_them() -> None:
    table = pd.DataFrame(planes("ab", SMALL, dict.fromkeys(ERRORS, 3.0)))
    figure = heatmaps.maps(table.assign(setting="one", seed=0), ONE)
    assert figure.layout.coloraxis2.cmax == 100
    assert figure.layout.coloraxis2.colorbar.ticktext == ("0", "50", "≥ 100")


def test_maps_title_tells_the_mean_inside_the_box() -> None:
    table = pd.DataFrame(planes("ab", SMALL, ERRORS)).assign(setting="one", seed=0)
    inside = table[(table["alpha_i"] >= 0) & (table["alpha_j"] >= 0)]
    means = inside.query("measure == 'classification'").groupby("paradigm")["error"].mean()
    text = title(heatmaps.maps(table, ONE))
    assert f"is {means['tangent']:.1%} in the tangent space, " in text
    assert text.endswith(f"{means['full']:.1%} with all parameters, mean over all pairs")
    turned = table.assign(error=table["error"].where(table["paradigm"] != "full", 0))
    assert "is 0.0% with all parameters, " in title(heatmaps.maps(turned, ONE))


def test_maps_of_several_settings_are_chosen_in_one_menu() -> None:
    table = everywhere(pd.DataFrame(planes("ab", SMALL, ERRORS)))
    table = table[(table["setting"] == "one") | (table["alpha_i"] != 1) & (table["alpha_j"] != 1)]
    figure = heatmaps.maps(table, {**PANELS, "two": "Setting two (stand-in)"})
    assert labels(figure)[1:3] == ["Setting one: a – b", "Setting two: mean over pairs"]
    assert figure.layout.updatemenus[0].buttons[-1].args[0]["x"] == [[-2.0, 0.0]]


def test_maps_of_a_whole_setting_stay_light() -> None:
    table = pd.DataFrame(planes("abcdef", GRID, ERRORS)).assign(setting="one", seed=0)
    figure = heatmaps.maps(table, ONE)
    assert len(figure.layout.updatemenus[0].buttons) == 16
    assert len(figure.to_json().encode()) < 110_000


def similar(apart: dict[str, float], tasks: str = "abc") -> pd.DataFrame:
    return pd.DataFrame(
        {"paradigm": name, "i": i, "j": j, "cosine": 1.0 if i == j else cosine}
        for name, cosine in apart.items()
        for i, j in product(tasks, repeat=2)
    )


def test_cosines_are_written_in_their_cells() -> None:
    table = similar({"full": 0.12, "tangent": -0.03, "attention-weights": 0.01})
    figure = heatmaps.cosines(everywhere(table), PANELS)
    assert len(figure.data) == 6
    assert figure.data[1].z[0] == pytest.approx([1, -0.03, -0.03])
    assert list(figure.data[0].x) == list(figure.data[0].y) == list("abc")
    assert figure.data[0].texttemplate == "%{text}"
    assert [list(map(list, one.text)) for one in figure.data[:2]] == [
        [["1" if i == j else text for i in range(3)] for j in range(3)] for text in (".12", "−.03")
    ]
    axis = figure.layout.coloraxis
    assert (axis.cmin, axis.cmax) == (-0.18, 0.18)
    assert axis.colorbar.ticktext == ("−0.18", "0", "≥ 0.18")
    said = "0.01 with linear layers only, 0.03"
    assert said in title(figure)
    table = similar({"full": 0.0, "tangent": 0.2, "attention-weights": 0.1}, "ab")
    figure = heatmaps.cosines(table.assign(setting="one", seed=0), ONE)
    said = "0 with all parameters, 0.1 with linear layers only and 0.2 in the tangent space"
    assert title(figure).endswith(said)


def expansions(distances: tuple[float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Distances of the Taylor model in two blocks, and 0.01 between pairs; the baseline is 0.1."""
    linearized = pd.DataFrame(
        {"i": i, "layer": layer, "metric": metric, "mean": value}
        for i in "ab"
        for layer, distance in zip(("x.0", "x.1"), distances, strict=True)
        for metric, value in (("distance", distance), ("baseline", 0.1))
    )
    mixed = pd.DataFrame(
        {"i": "a", "j": "b", "alpha": 0.5, "layer": layer, "metric": metric, "mean": value}
        for layer in ("x.0", "x.1")
        for metric, value in (("distance", 0.01), ("baseline", 0.1), ("coef", 1.0))
    )
    return linearized, mixed


@pytest.mark.parametrize(
    ("distances", "text"),
    [
        ((0.02, 0.08), "is 2.0 times that of Equation 1, at the block"),
        ((0.002, 0.004), "is 0.2 times that of Equation 1, at the block"),
    ],
)
def test_taylors_error_is_told_against_equation_one(distances: tuple, text: str) -> None:
    tables = [table.assign(setting="one", seed=0) for table in expansions(distances)]
    figure = taylor.taylor(*tables, ONE)
    assert text in title(figure)
    (line,) = [t for t in named(figure, "Taylor model and network") if t.mode == "lines+markers"]
    assert list(line.y) == pytest.approx([10 * distance for distance in distances])
    assert list(line.text) == ["block 1", "block 2"]
    assert list(figure.layout.xaxis.ticktext) == ["1", "2"]


def test_taylor_has_a_panel_a_setting_and_leaves_out_blocks_without_a_baseline() -> None:
    linearized, mixed = expansions((0.02, 0.03))
    first = (linearized["layer"] == "x.0") & (linearized["metric"] == "baseline")
    linearized.loc[first, "mean"] = 0
    figure = taylor.taylor(everywhere(linearized), everywhere(mixed), PANELS)
    assert "is 3.0 times that of" in title(figure)


def test_taylor_accuracy_is_told_against_what_fine_tuning_gains() -> None:
    networks = accuracies({"full": 0.0}).drop(columns="paradigm").assign(model="network")
    models = networks[networks["network"] != "PT"].assign(model="taylor")
    for change, text in ((-0.1, "30.0 of 40.0 points"), (-0.5, "−10.0 of 40.0 points")):
        table = pd.concat([networks, models.assign(accuracy=models["accuracy"] + change)])
        figure = taylor.taylor_accuracy(table.assign(setting="one", seed=0), ONE)
        assert text in title(figure)
    names = ["pretrained", "fine-tuned network", "its Taylor model"]
    assert [trace.name for trace in figure.data] == names
    assert list(figure.data[1].x) == pytest.approx([0.8, 0.6, 0.7])
