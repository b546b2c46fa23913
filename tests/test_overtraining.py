"""Long fine-tuning: sharpness-aware steps, and what is read off runs with a known answer."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from conftest import same
from test_boundary_networks import START, images, small
from torch import Tensor

from ctl_helpers.data.images import Images
from ctl_helpers.figures import overtraining as figures
from ctl_helpers.findings import claims
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.judging import holm, judge
from ctl_helpers.findings.sentences import overtraining as sentences
from ctl_helpers.results import declared
from ctl_helpers.training.by_steps import along as trained

MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
PANEL = {"one": "Setting one (D)"}


# Sharpness-aware steps.


def stepped(weights: dict[str, Tensor], batch: Images, lr: float, radius: float) -> dict:
    """A step of sharpness-aware descent in float64, from its formula."""

    def gradient(at: dict[str, Tensor]) -> dict[str, Tensor]:
        own = {name: value.detach().double().requires_grad_() for name, value in at.items()}
        logits = torch.func.functional_call(small().double(), own, (batch.inputs.double(),))
        parts = torch.autograd.grad(F.cross_entropy(logits, batch.targets), list(own.values()))
        return dict(zip(own, parts, strict=True))

    first = gradient(weights)
    length = sum(part.square().sum() for part in first.values()).sqrt()
    second = gradient({n: w.double() + radius * first[n] / length for n, w in weights.items()})
    return {name: value.double() - lr * second[name] for name, value in weights.items()}


def test_a_sharpness_aware_step_is_that_of_its_formula() -> None:
    batch, wanted = images(4), START
    kept = trained(small(), START, batch, [1, 2], lr=0.5, batch_size=4, seed=0, radius=0.3)
    for number in (1, 2):
        wanted = stepped(wanted, batch, 0.5, 0.3)
        for name, value in kept[number].items():
            torch.testing.assert_close(value.double(), wanted[name], rtol=1e-4, atol=1e-6)
    plain = stepped(START, batch, 0.5, 0.0)
    assert max((plain[name] - kept[1][name]).abs().max() for name in plain) > 1e-3


def test_a_radius_of_zero_is_plain_descent_and_a_tiny_one_nearly() -> None:
    how = {"lr": 0.5, "batch_size": 4, "seed": 0}
    plain, none, tiny = (
        trained(small(), START, images(8), [5], **how, radius=radius)[5]
        for radius in (0.0, 0.0, 1e-7)
    )
    assert same(plain, none)
    for name, value in plain.items():
        torch.testing.assert_close(tiny[name], value, rtol=1e-4, atol=1e-5)


# What is read off.


def along(
    linearity: float = 4.0,
    merging: float = 32.0,
    epsilon: float = 0.5,
    sharpness: float = 0.25,
    gain: float = 0.1,
    seeds: int = 5,
    spread: float = 0.02,
) -> pd.DataFrame:
    """Runs in which ε doubles at one multiple and merged accuracy is 5 points lower at another.

    Sharpness-aware steps go twice as fast. Where features are equally far apart they have so much
    of the ε and of the sharpness, and so much more merged accuracy. The multiples grow with seeds.
    """
    rows = []
    for seed in range(seeds):
        late = 1 + spread * (seed - (seeds - 1) / 2)
        power, fall = np.log(2) / np.log(linearity * late), np.log(0.95) / np.log(merging / late)
        for recipe, fast in (("plain SGD", 1.0), ("sharpness-aware", 2.0)):
            aware = fast > 1
            for multiple in MULTIPLES:
                far = fast * multiple
                kept = far**fall if far > 1 else 1.0
                rows += [
                    {
                        "seed": seed, "recipe": recipe, "multiple": multiple, "tasks": "90° apart",
                        "rate": 0.1, "steps": int(100 * multiple), "layer": layer,
                        "epsilon": share * 0.2 * far**power * (epsilon if aware else 1),
                        "apart": share * 0.2 * far**0.3, "moved": 0.1, "distance": 0.05,
                        "coef": 0.9, "cosine": 0.3, "weights_apart": far,
                        "curvature": 20 * far**-0.4 * (sharpness if aware else 1),
                        "merged": 0.7 - 0.1 * (far < 1) - (1 - kept) + gain * aware,
                        "own": 0.9, "start": 0.5,
                    }
                    for layer, share in (("first", 0.5), ("last", 1.0))
                ]  # fmt: skip
    return pd.DataFrame(rows)


def effect(measure: str, table: pd.DataFrame, **arguments: object) -> float:
    return MEASURES[measure](table, **arguments).effect


def test_where_each_leaves_is_read_off_between_snapshots() -> None:
    table = along(linearity=3.0, merging=20.0, spread=0)
    assert effect("left_at", table, what="linearity") == pytest.approx(3)
    assert effect("left_at", table, what="merging") == pytest.approx(20)
    assert effect("linearity_first", table) == pytest.approx(np.log2(20 / 3))
    assert effect("merged_lost", table) == pytest.approx(1 - 128 ** (np.log(0.95) / np.log(20)))
    assert effect("own_gained", table) == pytest.approx(0.4)
    assert effect("run_epsilon", table, after="usual") == pytest.approx(0.2)
    assert effect("run_epsilon", table, after="most") == pytest.approx(
        0.2 * 128 ** (np.log(2) / np.log(3))
    )


def test_what_never_leaves_counts_as_the_longest() -> None:
    never = along(linearity=1e6, merging=16, spread=0)
    assert np.isnan(effect("left_at", never, what="linearity"))
    assert effect("linearity_first", never) == pytest.approx(np.log2(16 / 128))
    assert effect("linearity_first", along(1e6, 1e6, spread=0)) == 0


def test_accuracy_that_comes_back_is_held_against_its_best_so_far() -> None:
    table = along(merging=np.inf, spread=0)
    dip = table["multiple"] == 8
    table.loc[dip, "merged"] -= 0.06
    assert effect("merged_lost", table) == pytest.approx(0.06, abs=1e-3)
    assert 4 < effect("left_at", table, what="merging") < 8
    # What was better before the usual length does not count.
    table.loc[table["multiple"] < 1, "merged"] = 0.99
    assert effect("merged_lost", table) == pytest.approx(0.06, abs=1e-3)


def test_recipes_are_compared_after_equal_steps_and_equally_far() -> None:
    table = along(linearity=4, merging=32, spread=0)
    at = {"at": "equal displacement"}
    assert effect("aware_halvings", table, of="epsilon", **at) == pytest.approx(1)
    assert effect("aware_halvings", table, of="curvature", **at) == pytest.approx(2)
    assert effect("aware_gain", table, **at) == pytest.approx(0.1)
    # In as many steps they go twice as far, where ε is √2 times as large.
    assert effect("aware_halvings", table, of="epsilon") == pytest.approx(0.5)
    assert effect("aware_halvings", table, of="curvature") == pytest.approx(2.4)
    assert effect("aware_gain", table) == pytest.approx(0.1 - 1 + 0.95 ** (1 / 5))
    assert effect("aware_gain", table, of="own") == 0
    assert effect("aware_gain", table, **at, after="most") == pytest.approx(0.1)
    far, farther = (0.95 ** (np.log(m) / np.log(32)) for m in (128, 256))
    assert effect("aware_gain", table, after="most") == pytest.approx(0.1 + farther - far)
    slow = table.assign(apart=table["apart"] / (1 + 99 * (table["recipe"] == "sharpness-aware")))
    assert np.isnan(effect("aware_halvings", slow, of="epsilon", **at))


@pytest.mark.parametrize(
    ("linearity", "merging", "spread", "word"),
    [
        (3, 30, 0.02, "reproduced"),
        (30, 3, 0.02, "contradicted"),
        (1e6, 30, 0.02, "contradicted"),
        (9.9, 10, 0.3, "undecided"),
    ],
)
def test_the_order_gives_the_word(linearity: float, merging: float, spread: float, word) -> None:
    table = along(linearity, merging, spread=spread)
    judged = judge(MEASURES["linearity_first"](table), 0.0)
    assert holm([judged]) == [word]


@pytest.mark.parametrize(
    ("table", "gate"),
    [
        (along(merging=1e9), "merging loses nothing that counts"),
        (along().assign(own=0.52), "fine-tuning taught less than 5 points of accuracy"),
        (along(), None),
    ],
)
def test_a_gate_closes_where_nothing_can_be_told(table: pd.DataFrame, gate: str | None) -> None:
    gates = claims.load()["overtraining"].gates
    closed = [one.says for one in gates if not one.is_open(effect(one.measure, table))]
    assert closed == ([gate] if gate else [])


def plain(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def test_the_answer_says_when_each_leaves_and_in_how_many_seeds() -> None:
    table = along(spread=0).assign(setting="one")
    text = plain(sentences.answer(table, PANEL))
    assert "It has doubled after 4.0 times the usual length." in text
    assert "has fallen 5 points under its best after 32 times the usual length." in text
    assert "multiply ε by 0.50× and change merged accuracy by +10.0 points" in text
    both = pd.concat([along(1e6, seeds=1), along(seeds=1).assign(seed=1)]).assign(setting="one")
    assert "4.0 times the usual length, in 1 of 2 seeds." in plain(sentences.answer(both, PANEL))
    never = along(linearity=1e6, spread=0).assign(setting="one")
    assert "after no length that was tried." in plain(sentences.answer(never, PANEL))
    told = plain(sentences.recipes(table, PANEL))
    assert "| plain SGD: ε of the worst layer | 0.20 → 2.26 |" in told
    assert "| sharpness, equal displacement | 0.25× |" in told


def test_the_figures_have_a_line_for_each_recipe() -> None:
    table = along(spread=0).assign(setting="one")
    lines = [trace for trace in figures.along(table, PANEL).data if trace.mode != "lines"]
    assert [trace.name for trace in lines] == ["plain SGD", "sharpness-aware"] * 4
    assert list(lines[0].x) == list(MULTIPLES)
    assert lines[0].y[2] == pytest.approx(0.2)
    figure = figures.displaced(table, PANEL)
    assert "multiply ε by 0.50×" in figure.layout.title.text.replace("<br>", " ")
    assert len(figure.data) == 6
    assert figure.data[0].x[2] == pytest.approx(0.15)  # mean over layers


def test_the_table_is_as_it_is_declared() -> None:
    declared.check("overtraining", "along", along().drop(columns="seed"))
