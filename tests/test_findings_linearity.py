"""ε, lengths and gates against loops over seeds, units and layers in plain float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
import torch

from ctl_helpers.engine.similarity import summarize
from ctl_helpers.findings import gates, linearity
from ctl_helpers.findings.finding import Measure
from ctl_helpers.results.labels import Control, Metric

SEEDS = (0, 1, 2)
LAYERS = ("stem", "block", "head")  # not in the order of their names
OWN, APART = Control.TASK_VECTORS, Control.APART
Unit = tuple[tuple[str, str], ...]
Numbers = dict[tuple[int, Unit, Control, str], float]


def units(kind: str) -> list[Unit]:
    """What is compared: pairs (i, j), single networks (i), or mixes of several (models)."""
    if kind == "pairs":
        return [(("i", i), ("j", j)) for i, j in combinations("abcd", 2)]
    if kind == "singles":
        return [(("i", name),) for name in "abcd"]
    return [(("models", names),) for names in ("a, b", "a, c, d", "b, d", "c, d")]


KINDS = ("pairs", "singles", "mixes")


def numbers(kind: str, seeds: Sequence[int] = SEEDS) -> Numbers:
    """Between 0.1 and 1.1; where they are largest differs by seed and control."""
    generator = np.random.default_rng(3)
    keys = product(seeds, units(kind), Control, LAYERS)
    return {key: 0.1 + float(generator.random()) for key in keys}


def stored(found: Mapping[tuple[int, Unit, Control, str], object], metric: str) -> pd.DataFrame:
    """A table of controls, beside rows of another metric that should not count."""
    rows = []
    for (seed, unit, control, layer), value in found.items():
        place = {"seed": seed, **dict(unit), "control": control, "layer": layer}
        statistics = value if isinstance(value, dict) else {"n": 9, "mean": value, "std": 0.1}
        rows.append({**place, "metric": metric, **statistics})
        rows.append({**place, "metric": Metric.DISTANCE, "n": 9, "mean": 99.0, "std": 9.0})
    return pd.DataFrame(rows)


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def over_units(found: Numbers, seed: int, control: Control, layer: str) -> float:
    return mean(v for (s, _, c, at), v in found.items() if (s, c, at) == (seed, control, layer))


def worst_layer(found: Numbers, seed: int) -> str:
    return max(LAYERS, key=lambda layer: over_units(found, seed, OWN, layer))


def placed(found: Numbers, control: Control, at: str) -> float:
    """The number of a control by loops: over units, then at a layer, then over seeds."""
    by_seed = []
    for seed in sorted({key[0] for key in found}):
        if at == "mean":
            by_seed.append(mean(over_units(found, seed, control, layer) for layer in LAYERS))
        else:
            layer = worst_layer(found, seed) if at == "worst" else LAYERS[-1]
            by_seed.append(over_units(found, seed, control, layer))
    return mean(by_seed)


@pytest.mark.parametrize("at", ["worst", "last", "mean"])
@pytest.mark.parametrize("control", list(Control))
@pytest.mark.parametrize("kind", KINDS)
def test_epsilon_is_that_of_each_seed_at_its_layer(kind: str, control: Control, at: str) -> None:
    found = numbers(kind)
    table = stored(found, Metric.EPSILON)
    expected = pytest.approx(placed(found, control, at))
    assert linearity.epsilon(table, control=control, at=at).effect == expected
    if control is OWN:
        assert linearity.epsilon(table, at=at).effect == expected


def test_a_control_is_read_where_task_vectors_are_worst() -> None:
    found = numbers("pairs")
    own = [worst_layer(found, seed) for seed in SEEDS]
    assert len(set(own)) > 1
    largest = mean(max(over_units(found, seed, APART, layer) for layer in LAYERS) for seed in SEEDS)
    table = stored(found, Metric.EPSILON)
    assert linearity.epsilon(table, control=APART, at="worst").effect < largest


def test_a_layer_whose_parts_do_not_differ_has_no_error() -> None:
    found = numbers("pairs")
    still = {key: math.nan if key[3] == "stem" else value for key, value in found.items()}
    table = stored(still, Metric.EPSILON)
    changed = {key: value for key, value in found.items() if key[3] != "stem"}
    per_layer = [mean(over_units(changed, s, OWN, layer) for s in SEEDS) for layer in LAYERS[1:]]
    assert linearity.epsilon(table, at="mean").effect == pytest.approx(mean(per_layer))
    assert linearity.epsilon(table, at="worst").effect >= max(per_layer)
    assert math.isnan(linearity.epsilon(table.assign(mean=math.nan), at="worst").effect)


@pytest.mark.parametrize("kind", KINDS)
def test_with_one_seed_a_network_is_left_out_with_all_that_has_it(kind: str) -> None:
    found = numbers(kind, seeds=(0,))
    sample = linearity.epsilon(stored(found, Metric.EPSILON), control=APART, at="worst")
    left = []
    for name in "abcd":
        without = {
            key: value
            for key, value in found.items()
            if all(name not in text.split(", ") for _, text in key[1])
        }
        left.append(placed(without, APART, "worst"))
    squares = sum((value - mean(left)) ** 2 for value in left)
    estimate = sample.estimate()
    assert (estimate.value, estimate.units) == (sample.effect, "4 networks of 1 seed")
    assert estimate.error == pytest.approx(math.sqrt(3 / 4 * squares))


def test_with_several_seeds_they_are_what_is_drawn() -> None:
    found = numbers("pairs")
    alone = [
        placed({key: value for key, value in found.items() if key[0] == seed}, OWN, "mean")
        for seed in SEEDS
    ]
    estimate = linearity.epsilon(stored(found, Metric.EPSILON), at="mean").estimate()
    spread = math.sqrt(sum((value - mean(alone)) ** 2 for value in alone) / 2)
    assert (estimate.units, estimate.freedom) == ("3 seeds", 2)
    assert estimate.error == pytest.approx(spread / math.sqrt(3))


@pytest.mark.parametrize("at", ["worst", "last", "mean"])
@pytest.mark.parametrize("control", [OWN, APART])
def test_the_spread_of_lengths_is_that_of_samples(control: Control, at: str) -> None:
    generator = np.random.default_rng(5)
    exact: Numbers = {}
    summaries = {}
    for key in numbers("pairs"):
        coefs = 0.7 + 0.6 * generator.random(7)
        exact[key] = math.sqrt(mean((coef - 1) ** 2 for coef in coefs))
        # A sample without a direction has no coefficient.
        summaries[key] = summarize(torch.tensor([*coefs, math.nan], dtype=torch.float64))
    table = stored(summaries, Metric.COEF)
    found = linearity.length_spread(table, control=control, at=at)
    assert found.effect == pytest.approx(placed(exact, control, at))


def test_one_sample_spreads_by_how_far_it_is_from_1() -> None:
    one = summarize(torch.tensor([0.7], dtype=torch.float64))
    table = stored(dict.fromkeys(numbers("singles"), one), Metric.COEF)
    assert linearity.length_spread(table, at="worst").effect == pytest.approx(0.3)


@pytest.mark.parametrize("kind", KINDS)
def test_task_vectors_are_held_against_random_ones_by_means(kind: str) -> None:
    found = numbers(kind)
    ratios = []
    for seed in SEEDS:
        own, random = (
            mean(over_units(found, seed, control, layer) for layer in LAYERS)
            for control in (OWN, Control.RANDOM)
        )
        ratios.append(own / random)
    sample = linearity.special_ratio(stored(found, Metric.EPSILON))
    assert sample.effect == pytest.approx(mean(ratios))


# λ of half linearity: ε = scale · λ^power has a closed form.

GRID = (0.1, 0.2, 0.4, 0.8)


def powers(
    curves: Mapping[str, tuple[float, float]], kind: str = "pairs", seeds: Sequence[int] = SEEDS
) -> pd.DataFrame:
    """Layer → (scale, power); units are spread around the scale, which grows by a tenth a seed."""
    listed = units(kind)
    middle = (len(listed) - 1) / 2
    return pd.DataFrame(
        {
            "seed": seed, **dict(unit), "layer": layer, "lam": lam, "metric": metric,
            "mean": value * (1 + 0.1 * (number - middle)) * (1 + 0.1 * seed) * scale * lam**power,
        }
        for seed, (number, unit), (layer, (scale, power)), lam in product(
            seeds, enumerate(listed), curves.items(), GRID
        )
        for metric, value in ((Metric.EPSILON, 1), (Metric.DISTANCE, 50))
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["pairs", "singles"])
def test_half_of_linearity_is_met_on_a_line_of_logarithms(kind: str) -> None:
    # The last layer is the worst where both are near ½, though not for a small λ.
    curves = {"stem": (0.3, 0.5), "head": (0.9, 1.5)}
    expected = mean((0.5 / (0.9 * (1 + 0.1 * seed))) ** (1 / 1.5) for seed in SEEDS)
    assert linearity.half_linear(powers(curves, kind)).effect == pytest.approx(expected)


def test_half_of_linearity_at_an_end_of_the_grid() -> None:
    assert linearity.half_linear(powers({"stem": (0.1, 1)})).effect == pytest.approx(0.8)
    assert linearity.half_linear(powers({"stem": (60, 1)})).effect == pytest.approx(0.1)


def test_the_first_crossing_counts_and_a_layer_without_error_does_not() -> None:
    table = powers({"stem": (1, 1)}, seeds=(0,))
    table.loc[table["lam"] == 0.8, "mean"] = 0.01
    table.loc[table["lam"] == 0.4, "mean"] *= 2
    expected = math.exp(  # from 0.2 at λ = 0.2 to 0.8 at 0.4
        math.log(0.2) + (math.log(0.5) - math.log(0.2)) / math.log(4) * math.log(2)
    )
    assert linearity.half_linear(table).effect == pytest.approx(expected)
    still = table.assign(layer="nothing", mean=math.nan)
    assert linearity.half_linear(pd.concat([still, table])).effect == pytest.approx(expected)


# Growth with the number of networks, and how far random vectors move features.


def mixes(sizes: Sequence[int]) -> pd.DataFrame:
    generator = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "seed": seed, "k": k, "models": f"{k} of {draw}", "draw": draw, "weights": weights,
            "layer": layer, "metric": metric, "mean": k ** 0.5 * generator.random(),
        }
        for seed, k, weights, layer in product(SEEDS, sizes, ("equal", "unequal"), LAYERS)
        for draw in range(1 if k == max(sizes) else 3)
        for metric in (Metric.EPSILON, Metric.DISTANCE)
    )  # fmt: skip


def test_growth_is_from_fewest_to_most_of_equal_weights() -> None:
    table = mixes((2, 4, 8))
    doublings = []
    for seed in SEEDS:
        few, most = (
            mean(
                row["mean"]
                for row in table.to_dict("records")
                if (row["seed"], row["k"]) == (seed, k)
                and (row["weights"], row["metric"]) == ("equal", "epsilon")
            )
            for k in (2, 8)
        )
        doublings.append(math.log2(most / few))
    sample = linearity.epsilon_growth(table)
    assert sample.effect == pytest.approx(mean(doublings))
    assert sample.estimate().units == "3 seeds"
    assert linearity.epsilon_growth(table[table["seed"] == 0]).interval() is None


def test_mixes_of_one_size_do_not_grow() -> None:
    assert math.isnan(linearity.epsilon_growth(mixes((2,))).effect)


def test_random_vectors_are_off_where_they_are_farthest_from_1() -> None:
    generator = np.random.default_rng(9)
    rows = [
        {"seed": seed, "i": name, "layer": layer, "moved": 0.5 + generator.random()}
        for seed, name, layer in product(SEEDS, "abcd", LAYERS)
    ]
    expected = mean(
        max(
            mean(
                abs(row["moved"] - 1)
                for row in rows
                if (row["seed"], row["layer"]) == (seed, layer)
            )
            for layer in LAYERS
        )
        for seed in SEEDS
    )
    table = pd.DataFrame(rows)
    assert linearity.displacement_off(table).effect == pytest.approx(expected)
    # Nothing moves a layer before the first one that is trained.
    still = table[table["layer"] == "stem"].assign(layer="patches", moved=math.nan)
    assert linearity.displacement_off(pd.concat([still, table])).effect == pytest.approx(expected)
    assert linearity.displacement_off(table).units(0) == list("abcd")


# Gates.


def accuracies() -> list[dict[str, object]]:
    """Every network on every task, and on one that none was fine-tuned on."""
    generator = np.random.default_rng(11)
    return [
        {
            "seed": seed, "network": network, "task": task, "n": 100 * (1 + number),
            "accuracy": float(generator.random()), "majority": (0.1, 0.3, 0.5, 0.6, 0.2)[number],
        }
        for seed, network in product(SEEDS, ("PT", *"abcd"))
        for number, task in enumerate((*"abcd", "other"))
    ]  # fmt: skip


def gate(number: Callable[[dict[str, object], dict[str, object]], float]) -> float:
    """Mean over seeds and tasks of a number of the own network's row and the pretrained one's."""
    rows = {(row["seed"], row["network"], row["task"]): row for row in accuracies()}
    found = [
        mean(number(rows[seed, task, task], rows[seed, "PT", task]) for task in "abcd")
        for seed in SEEDS
    ]
    return mean(found)


def test_what_is_learned_is_over_the_pretrained_network() -> None:
    expected = gate(lambda own, start: own["accuracy"] - start["accuracy"])
    sample = gates.learned(pd.DataFrame(accuracies()))
    assert sample.effect == pytest.approx(expected)
    assert sample.units(0) == list("abcd")


def test_the_majority_is_beaten_by_standard_errors() -> None:
    def errors(own: dict[str, object], start: dict[str, object]) -> float:
        share = own["majority"]
        return (own["accuracy"] - share) / math.sqrt(share * (1 - share) / own["n"])

    table = pd.DataFrame(accuracies())
    assert gates.over_majority(table).effect == pytest.approx(gate(errors))


def test_a_majority_of_no_example_counts_as_one() -> None:
    table = pd.DataFrame(accuracies()).assign(n=100, accuracy=0.02, majority=0.0)
    assert gates.over_majority(table).effect == pytest.approx(0.01 / math.sqrt(0.01 * 0.99 / 100))


@pytest.mark.parametrize("number", [gates.learned, gates.over_majority])
def test_networks_that_know_what_they_knew_close_the_gate(number: Measure) -> None:
    table = pd.DataFrame(accuracies()).assign(accuracy=0.5, majority=0.5)
    assert number(table).effect == 0
