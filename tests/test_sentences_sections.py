"""What pages say: numbers of their tables, of published results, and where data decide."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import pytest
import test_findings_editing as made
import test_findings_sections as sections
from test_claims import LISTED, accuracy, barriers, controls, many

from ctl_helpers.findings.sentences import (
    architecture,
    averaging,
    batchnorm,
    cross_task,
    editing,
    factors,
    flatness,
    interactions,
    language,
    objective,
    pointing,
    random_starts,
    split_resnets,
    stitching,
    transitivity,
)
from ctl_helpers.findings.sentences import spawning as copies
from ctl_helpers.site.claim_pages import NOT_RUN
from ctl_helpers.site.pages import Page

PANEL = {"one": "Setting one"}

# What is said of edits of made-up tables: the right number at the right place.

TABLES = {
    "accuracy": made.NETWORKS,
    "addition": made.ADDED,
    "negation": made.NEGATED,
    "eq2": made.edits(made.PAIRS, 0.01, 0.3, 1),
    "eq2_controls": made.CONTROLS.query("lam == 0.4"),
    "stitched_addition": made.stitched((0.8, 0.7), 0.0),
    "stitched_negation": made.negated(0.2, 0.72),
    "theorem": made.theorem(),
    "nearest": made.NEAREST,
}
EDITS: list[tuple[Callable[..., str], list[str], list[str]]] = [
    (
        editing.networks,
        ["accuracy"],
        ["pretrained network | 40% |", "its own task | 90% |", "training answer | 20% |"],
    ),
    (
        editing.edited,
        ["addition", "negation"],
        ["mean over seeds | 0.4 |", "single tasks | 1 |", "before and after | 80%, 30% |"],
    ),
    (
        editing.nearer,
        ["eq2"],
        ["edits | 17 times |", "distance | block 2 |", "edits | 0.03 |", "block | 1.00 to 1.10 |"],
    ),
    (editing.reached, ["eq2"], ["baseline at λ = 0.4 | 0.3 |", "baseline at λ = 0.8 | 2.7 |"]),
    (
        editing.control,
        ["eq2_controls"],
        ["over random vectors | 0.33 |", "other samples | 0.53 |"],
    ),
    (
        stitching.averaged,
        ["stitched_addition"],
        [
            "at λ = 0.5",
            "averaged features | 75% |",
            "up to λ = 0.5 | 0% |",
            "averaged features gain on the task where they gain less | open: 30% |",
            "one network's features gain on its own task | open: 45% |",
        ],
    ),
    (
        stitching.forgotten,
        ["stitched_negation"],
        ["D_i$ at λ = 0 | 83% |", "left at that λ | 14% |", "D_i$ at the largest λ | 13% |"],
    ),
    (editing.many, ["theorem"], ["task vectors | 3 |", "distance, (k+1)α = 0.8 | 0.12 |"]),
    (stitching.neighbours, ["nearest"], ["| a | 80% | 20% | one | 50% | 4 |"]),
    (stitching.common, ["nearest"], ["own kind | 70% |", "classes among them | 5 |"]),
]


def read(text: str) -> str:
    """A text without its mark-up."""
    return pd.Series([text]).str.replace("<[^>]+>", "", regex=True)[0]


@pytest.mark.parametrize(("write", "names", "parts"), EDITS)
def test_a_sentence_states_the_numbers_of_its_tables(
    write: Callable[..., str], names: list[str], parts: list[str]
) -> None:
    text = read(write(*(TABLES[name].assign(setting="one") for name in names), PANEL))
    assert [part for part in parts if part not in text] == []


def test_what_a_grid_cannot_tell_is_a_dash() -> None:
    short = TABLES["stitched_addition"].query("lam <= 0.5").assign(setting="one")
    assert "| the same, larger λ | – |" in stitching.averaged(short, PANEL)


def test_a_share_of_a_gain_of_nothing_is_a_dash() -> None:
    table = TABLES["stitched_addition"].assign(setting="one")
    share = "| share of one network's gain, averaged features | – |"
    assert share not in stitching.averaged(table, PANEL)
    assert share in stitching.averaged(table.assign(D_i=0.5, D_j=0.5), PANEL)


def test_the_least_linear_block_is_the_last_one_or_not() -> None:
    rows = pd.DataFrame(
        {"seed": 0, "i": "a", "j": j, "lam": 0.4, "layer": layer, "metric": "epsilon", "mean": mean}
        for j in ("b", "c")
        for layer, mean in (("t.encoder.0", 0.3), ("t.decoder.0", 0.1), ("t.decoder.1", 0.2))
    )
    turned = rows.assign(setting="two", mean=0.4 - rows["mean"])
    both = pd.concat([rows.assign(setting="one"), turned])
    text = language.least_linear(both, {"one": "One (D)", "two": "Two (D)"})
    assert "largest at encoder 1 (One) and decoder 1 (Two)" in text
    assert text.endswith("this is the last block: not so in One and Two.")
    last = rows.query("layer != 't.encoder.0'").assign(setting="one")
    assert language.least_linear(last, {"one": "One (D)"}).endswith("last block: so in One.")


def test_decoders_and_images_are_compared_in_all_pairs() -> None:
    metrics = {"epsilon": 1.0, "distance": 0.01, "baseline": 0.1}
    rows = pd.DataFrame(
        {"seed": 0, "i": i, "j": j, "lam": 0.4, "layer": layer, "metric": metric}
        | {"mean": times * value}
        for (i, j), value in {("a", "b"): 1.0, ("a", "c"): 1.1, ("b", "c"): 1.2}.items()
        for layer in ("t.encoder.0", "t.decoder.0")
        for metric, times in metrics.items()
    )
    single = rows[rows["layer"] == "t.decoder.0"].assign(mean=lambda table: table["mean"] * 5)
    both = pd.concat([rows.assign(setting="one"), single.assign(layer="b.0", setting="two")])
    text = language.decoders(both, {"one": "One (D)", "two": "Two (D)"})
    assert "Of 1 pairs of a T5 and a network of one stack it is so in 1" in text
    images = (rows.assign(setting="three"), {"three": "Three (D)"})
    assert "Of 2 pairs of" in language.curved(both, {"one": "One", "two": "Two"}, beside=images)
    assert "is open" in language.curved(both, {"one": "One", "two": "Two"}, beside=None)


def test_texts_have_sides_and_readings() -> None:
    eq2 = TABLES["eq2"].assign(setting="one")
    sides = {"first": "states.encoder.0", "last": "states.decoder.0"}
    text = read(editing.sides(
        eq2.assign(layer=eq2["layer"].map(sides)), eq2.assign(layer="states.decoder.norm"), PANEL
    ))  # fmt: skip
    assert "| distance, encoder | 0.013 |" in text
    assert "| distance, decoder | 0.04 |" in text
    readings = {"last token of the prompt": 1, "mean over the answer": 2}
    both = [eq2.assign(reading=way, mean=eq2["mean"] / by) for way, by in readings.items()]
    text = read(editing.readings(pd.concat(both), PANEL))
    assert "| length, last token of the prompt | 1.050 |" in text
    assert "| length, mean over the answer | 0.525 |" in text


# What is said of published results.

FLATNESS = ["paths", "direction", "3/curves", "3/features", "3/control"]
SAID = [
    ("3", "", copies.barriers, ["spawning"], {}),
    ("3", "", copies.features, ["spawning"], {}),
    ("3", "", copies.predictions, ["spawning"], {}),
    ("3", "", copies.theorem, ["induced"], {}),
    ("3", "", copies.null_control, ["control", "induced"], {}),
    ("3", "", copies.summary, ["spawning", "induced"], {}),
    ("4.1", "", flatness.answer, FLATNESS, {}),
    ("4.1", "", flatness.table, FLATNESS, {}),
    ("4.1", "mlp", cross_task.loss, ["barriers"], {}),
    ("4.1", "resnet", cross_task.loss, ["barriers"], {}),
    ("4.1", "resnet", cross_task.networks, ["accuracy"], {}),
    ("4.1", "mlp", cross_task.direction, ["direction"], {}),
    ("4.1", "split-resnet", cross_task.direction, ["direction"], {"blocks": True}),
    ("4.1", "mlp", cross_task.lengths, ["direction"], {}),
    ("4.1", "split-resnet", cross_task.lengths, ["direction"], {"blocks": True}),
    ("4.1", "mlp", cross_task.what_controls_show, ["controls"], {}),
    ("4.1", "", random_starts.by_start, ["controls"], {}),
    ("4.1", "mlp", cross_task.lengths_of_controls, ["controls"], {}),
    ("4.1", "mlp", cross_task.valley_between, ["paths"], {}),
    ("4.1", "resnet", split_resnets.protocol, ["accuracy", "barriers", "controls", "common"], {}),
    ("4.1", "", split_resnets.beside_mlps, ["controls"], {}),
    ("4.1", "resnet", cross_task.common_part, ["common", "controls"], {}),
    ("4.1", "mlp", transitivity.transitivity, ["triples"], {}),
    ("4.1", "mlp", transitivity.thresholds, ["triples", "lemmas"], {}),
    ("4.1", "mlp", cross_task.summary, ["barriers", "paths", "controls", "triples"], {}),
    ("4.2", "", averaging.singles, ["accuracy"], {}),
    ("4.2", "", averaging.ensembles, ["ensembles"], {}),
    ("4.2", "", averaging.blocks, ["averaging"], {}),
    ("4.2.many", "", averaging.tasks, ["accuracy"], {}),
    ("4.2.many", "", averaging.more_networks, ["spread"], {}),
    ("4.2.many", "", averaging.second_order, ["spread", "many"], {}),
    ("4.2.many", "", averaging.summary, ["spread", "many"], {}),
    *(("4.3", "", write, tables, {}) for write, tables, _ in EDITS),
    ("4.3", "", random_starts.by_start, ["eq2_controls"], {}),
    ("4.3.text", "t5", language.least_linear, ["eq2"], {}),
    ("4.3.text", "", language.decoders, ["eq2"], {}),
    ("many-tasks", "", interactions.tasks, ["accuracy"], {}),
    ("many-tasks", "", interactions.left_over, ["shares", "share_controls"], {}),
    ("many-tasks", "", interactions.errors, ["theorem", "controls"], {}),
    ("many-tasks", "", interactions.local, ["local"], {}),
    ("many-tasks", "", interactions.answer, ["shares", "share_controls", "theorem"], {}),
    ("pointing", "", pointing.less_mean, ["pointed"], {}),
    ("objective", "", objective.answer, ["matched"], {}),
    ("objective", "", objective.table, ["matched"], {}),
    ("objective", "", objective.shaped, ["matched"], {}),
    ("objective", "", objective.predictions, ["matched"], {}),
    ("architecture", "", architecture.predictions, ["matched"], {}),
    ("4.1.batchnorm", "", batchnorm.predictions, ["features"], {}),
    ("4.1.batchnorm", "", batchnorm.against_apart, ["controls"], {}),
    ("5.epochs", "", factors.pretraining, ["pretraining"], {}),
    ("5.epochs", "", factors.finetuning, ["finetuning"], {}),
    ("5.similarity", "", factors.to_pretraining, ["to_pretraining", "apart"], {}),
    ("5.similarity", "", factors.to_each_other, ["to_each_other", "to_pretraining"], {}),
]


UNMOVED = ("denoising autoencoding", "random labels")
LACKING = {
    *("from random weights", "the same, the other network's features", "the same, larger λ"),
    "share of one network's gain, averaged features",
    "averaged features and merged weights apart, up to λ = 0.5",
    *UNMOVED,
    *(f"{one}, random vectors' change over task vectors'" for one in UNMOVED),
}
"""A control that only published networks have, shares of a gain that may be none, and objectives
whose features do not move as far as the others'."""


@pytest.mark.parametrize(("section", "networks", "write", "tables", "options"), SAID)
def test_published_results_give_every_number(section, networks, write, tables, options) -> None:
    text = Page(section, networks).say(write, *tables, **options).data
    if not Page(section, networks).panels:
        assert text == NOT_RUN
        return
    assert "nan" not in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:2] == "| "]
    assert {name for name, *numbers in rows if "–" in numbers} <= LACKING
    # A setting's numbers alone are enough, too.
    page = Page(section, networks)
    first = dict([next(iter(page.panels.items()))])
    parts = [page.table(name) for name in tables]
    assert write(*(part[part["setting"].isin(first)] for part in parts), first, **options)


def one(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(setting="one")


def test_a_barrier_that_never_was_is_explained() -> None:
    rising = one(sections.spawned((1.0, 0.5, 0.2), (0.8, 0.5, 0.4)))
    assert "have no barrier" not in copies.barriers(rising, PANEL)
    assert "| flat from | no k |" in copies.barriers(rising, PANEL)
    flat = rising.assign(barrier=0.001, rise=0.001)
    assert "start** (Setting one)" in copies.barriers(flat, PANEL)


def test_a_broken_step_of_the_proof_is_told() -> None:
    kept = one(sections.induced(0.05, (3.0, 6.0))).assign(excess=-0.1)
    broken = one(sections.induced(9.0, (3.0, 6.0))).assign(excess=-0.1)
    assert "hold in all 18 cases." in copies.theorem(kept, PANEL)
    assert "hold in all 18 cases but" in copies.theorem(broken, PANEL)


def test_rates_are_spoken_of_where_they_are_known() -> None:
    names = [f"rate {rate}, seed {n}" for rate in (1e-5, 1e-4) for n in range(3)]
    rows = {"models": ["; ".join(names[:3]), "; ".join(names[1:4]), "; ".join(names[3:])]}
    table = one(pd.DataFrame(rows).assign(seed=0, averaged=[0.6, 0.5, 0.4], ensemble=0.5))
    text = averaging.ensembles(table, PANEL)
    assert re.search(r"\| difference with fewest [^|]*\| [^|]*\+10\.0 points</span> \|", text)
    assert re.search(r"\| difference with most [^|]*\| [^|]*−10\.0 points</span> \|", text)
    assert "learning rate" not in averaging.ensembles(table.assign(models="a; b; c"), PANEL)


@pytest.mark.parametrize(
    ("far", "told"), [(0.03, "in 0 of 1 settings**."), (0.05, "in 1 of 1 settings**: Setting one.")]
)
def test_an_error_piles_up_where_it_grows_beyond_second_order(far: float, told: str) -> None:
    # From two networks to four second order allows (¾ / ½)² = 2.25 times the distance.
    table = one(many({2: 0.02, 4: far}))
    rows = table.query("metric == 'distance'").rename(columns={"mean": "distance"})
    spread = rows.assign(baseline=1.0, coef=1.0, spread=1 - 1 / rows["k"])
    assert averaging.second_order(spread, table, PANEL).endswith(f"beyond that limit {told}")


def test_a_reading_that_was_not_run_leaves_its_prediction_open() -> None:
    listed, masked = [0.2] * len(LISTED), "tinyimagenet-resnet18"
    common = pd.DataFrame({"network": ["a", "b", "c"], "seed": 0, "share": [0.1, 0.2, 0.15]})
    far = pd.DataFrame(
        {"network": ["a", "b", "c"], "task": "s", "accuracy": [0.4, 0.5, 0.44], "seed": 0}
    )
    scores = pd.concat([accuracy(), far])
    tables = (scores, barriers(0.2), controls(listed, listed), common)
    one = [table.assign(setting=masked) for table in tables]
    assert split_resnets.protocol(*one, {masked: "Set"}).endswith("is open.")
    usual = [table.assign(setting=f"{masked}-usual") for table in tables]
    usual[0] = usual[0].assign(accuracy=lambda table: table["accuracy"] / 10)
    usual[3] = usual[3].assign(share=[0.6, 0.75, 0.6])
    both = [pd.concat(pair) for pair in zip(one, usual, strict=True)]
    text = read(split_resnets.protocol(*both, {masked: "Set", f"{masked}-usual": "Usual"}))
    assert "lost on the pretraining task is right: " in text
    assert "common to all images is right: 65% against 15%" in text
    assert "Features are not told apart by ε at the block" in text


def test_a_number_that_results_cannot_give_is_a_dash() -> None:
    single = one(many({2: 0.01})).query("metric == 'distance'")
    spread = single.rename(columns={"mean": "distance"}).assign(baseline=1.0, coef=1.0, spread=1.0)
    assert "grows –" in averaging.summary(spread, single, PANEL)
    assert "0.20 nats" in cross_task.loss(one(barriers(0.2)), PANEL)
