"""What is said of many task vectors: known shares, words, and figures that show them."""

from __future__ import annotations

import re
from itertools import product

import pandas as pd
import pytest

from ctl_helpers.analysis.interactions import TERMS
from ctl_helpers.figures import interactions as figures
from ctl_helpers.findings.interactions import sufficient, unexplained
from ctl_helpers.findings.sentences import interactions as sentences
from ctl_helpers.results import declared
from ctl_helpers.results.labels import Control, Scope, Terms

SEEDS, LAYERS = range(5), {"first": 1.0, "last": 1.2}
ONE, TWO = {"one": "Setting one"}, {"one": "Setting one", "two": "Setting two"}


def shares(singles: float, pairs: float, triples: float, most: int = 4) -> pd.DataFrame:
    """Shares of all sums, as they are at the largest one; a fifth larger at the last layer."""
    left = dict(zip(Terms, (singles, pairs, triples), strict=True))
    return pd.DataFrame(
        {
            "seed": seed, "k": k, "models": ", ".join("abcdefgh"[:k]), "draw": 0, "lam": 0.4,
            "layer": layer, "terms": str(terms), "n": 10, "moved": 0.5,
            "unexplained": left[terms] * k / most * factor,
        }
        for seed, (layer, factor), k, (number, terms) in product(
            SEEDS, LAYERS.items(), range(2, most + 1), enumerate(Terms, 1)
        )
        if k > number
    )  # fmt: skip


def controlled(own: float, random: float, apart: float) -> pd.DataFrame:
    """Shares that pairs leave, by control."""
    named = {Control.TASK_VECTORS: own, Control.RANDOM: random, Control.APART: apart}
    return pd.concat(
        [shares(1.0, left, 0.0).assign(control=str(name)) for name, left in named.items()],
        ignore_index=True,
    ).query("terms != 'and triples'")


def theorem(first: float, last: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "seed": seed, "k": k, "models": "ab" if k == 2 else "abcd", "alpha": 0.8 / (k + 1),
            "draw": 0, "comparison": 0, "layer": layer, "metric": metric, "n": 10, "std": 0.1,
            "mean": value * (1 + seed * k / 400), "median": value, "q25": value / 2,
            "q75": value * 2,
        }
        for seed, layer, (k, value), metric in product(
            SEEDS, LAYERS, ((2, first), (4, last)), ("epsilon", "distance", "baseline", "coef")
        )
    )  # fmt: skip


def by_control(own: float, random: float) -> pd.DataFrame:
    named = {Control.TASK_VECTORS: own, Control.RANDOM: random}
    parts = [theorem(e, e).assign(control=str(name)) for name, e in named.items()]
    return pd.concat(parts, ignore_index=True)


def test_tables_bear_the_labels_that_are_measured() -> None:
    assert tuple(map(str, Terms)) == TERMS
    declared.check("many-tasks", "shares", shares(0.5, 0.1, 0.02).drop(columns="seed"))
    declared.check("many-tasks", "share_controls", controlled(0.1, 0.2, 0.3).drop(columns="seed"))


def test_shares_are_of_the_worst_layer_and_the_largest_sum() -> None:
    table = shares(0.5, 0.1, 0.02)
    known = {Terms.SINGLES: 0.5, Terms.PAIRS: 0.1, Terms.TRIPLES: 0.02}
    for terms, share in known.items():
        assert unexplained(table, terms=terms).effect == pytest.approx(1.2 * share)
        assert unexplained(table, terms=terms, at="mean").effect == pytest.approx(1.1 * share)
    fewest = unexplained(table, terms=Terms.PAIRS, k="fewest")
    assert fewest.effect == pytest.approx(1.2 * 0.1 * 3 / 4)
    control = {"terms": Terms.PAIRS, "control": Control.RANDOM}
    assert unexplained(controlled(0.1, 0.3, 2.0), **control).effect == pytest.approx(1.2 * 0.3)
    # At the layer where that of task vectors is largest.
    other = controlled(0.1, 0.3, 2.0)
    random = (other["control"] == Control.RANDOM) & (other["layer"] == "first")
    other.loc[random, "unexplained"] = 9.0
    assert unexplained(other, **control).effect == pytest.approx(1.2 * 0.3)


def test_a_share_that_is_not_there_is_none() -> None:
    table = shares(0.5, 0.1, 0.02).query("terms != 'and triples'").assign(setting="one")
    assert unexplained.by_setting(table, terms=Terms.TRIPLES) == {}
    control = {"terms": Terms.PAIRS, "control": Control.SCRATCH}
    assert unexplained.by_setting(controlled(1, 1, 1).assign(setting="one"), **control) == {}


@pytest.mark.parametrize(
    ("pairs", "enough"), [(0.05, 6), (0.25 / 1.2, 6), (0.3, 4), (0.4, 3), (0.6, 2), (9.0, 2)]
)
def test_pairs_suffice_up_to_a_quarter(pairs: float, enough: int) -> None:
    table = shares(1.0, pairs * 6 / 6, 0.0, most=6)
    assert sufficient(table, terms=Terms.PAIRS).effect == enough


def test_what_fails_once_does_not_suffice_again() -> None:
    table = shares(1.0, 0.1, 0.0, most=6)
    table.loc[table["k"] == 4, "unexplained"] = 0.5
    assert sufficient(table, terms=Terms.PAIRS).effect == 3


def read(text: str) -> str:
    """A text without its mark-up."""
    return re.sub("<[^>]+>", "", text)


def test_the_answer_is_three_sentences_with_the_tables_numbers() -> None:
    tables = (shares(0.5, 0.4, 0.02), controlled(0.4, 0.5, 2.0), theorem(0.3, 0.9))
    text = read(sentences.answer(*(table.assign(setting="one") for table in tables), ONE))
    assert text.startswith("Pairs suffice up to 2 of 4 task vectors. ")
    said = "at the worst layer is 0.6 with single vectors, 0.48 with pairs, and 0.6 with pairs of"
    assert said in text
    assert text.endswith("the linearity error ε rises from 0.3 to 0.92.")
    assert len(re.findall(r"\.(?= |$)", text)) == 3


def test_the_pretrained_network_is_no_task() -> None:
    accuracy = pd.DataFrame(
        {"setting": "one", "network": ["a", "PT", "b"], "task": ["a", "a", "b"]}
    )
    assert read(sentences.tasks(accuracy, ONE)).endswith(" tasks: a, b (Setting one).")


def test_tables_tell_every_number() -> None:
    both = [shares(0.5, 0.1, 0.02), controlled(0.1, 0.5, 2.0)]
    text = read(sentences.left_over(*(table.assign(setting="one") for table in both), ONE))
    for line in (
        "| task vectors | 4 |", "| left by single vectors | 0.6 |",
        "| left by single vectors and pairs | 0.12 |", "worst layer | 0.6 |",
        "apart, worst layer | 2.4 |", "triples were looked at | 4 |",
        "triples of those | 0.024 |", "so many task vectors | 4 |",
    ):  # fmt: skip
        assert line in text, line
    few = both[0].query("terms != 'and triples'")
    text = read(
        sentences.left_over(*(table.assign(setting="one") for table in (few, both[1])), ONE)
    )
    assert "triples were looked at | – |" in text
    assert "triples of those | – |" in text
    both = [theorem(0.3, 0.6), by_control(0.3, 0.6)]
    text = read(sentences.errors(*(table.assign(setting="one") for table in both), ONE))
    assert "| ε with two task vectors | 0.3 |" in text
    assert "| ε with all of them | 0.61 |" in text
    assert "random vectors | 0.50 |" in text


def everywhere(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table.assign(setting=name) for name in TWO], ignore_index=True)


def test_the_figure_shows_the_shares_of_its_table() -> None:
    table, controls = shares(0.5, 0.1, 0.02), controlled(0.1, 0.3, 2.0)
    figure = figures.shares(everywhere(table), TWO, controls=everywhere(controls))
    meta = figure.layout.meta
    assert meta["takeaway"] == (
        "Task vectors from 2 to 4: of what all of them change, the share left unexplained is 0.55 "
        "with single vectors, and 0.11 with pairs, mean over layers (Setting one)"
    )
    assert len(meta["others"]) == 1
    assert "Broken lines are of random vectors." in meta["alt"]
    lines = {trace.name: trace for trace in figure.data if trace.mode and "markers" in trace.mode}
    assert {*lines} == set(map(str, Terms))
    assert lines["and pairs"].x == (3, 4)
    assert lines["and pairs"].y == pytest.approx((0.11 * 3 / 4, 0.11))
    random = [trace for trace in figure.data if trace.name == "and pairs, random vectors"]
    assert [trace.y[-1] for trace in random] == pytest.approx([0.33, 0.33])
    menu = figure.layout.updatemenus[0]
    assert [button.label for button in menu.buttons] == ["mean over layers", "first", "last"]
    assert figure.layout.yaxis.type == "log"


def test_a_figure_without_controls_or_seeds_has_none() -> None:
    table = shares(0.5, 0.1, 0.02).query("seed == 0").assign(setting="one")
    figure = figures.shares(table, ONE)
    assert not any("random" in (trace.name or "") or trace.fill for trace in figure.data)
    assert "Broken" not in figure.layout.meta["alt"]


def test_sums_show_the_error_of_the_theorem() -> None:
    table = theorem(0.3, 0.9).assign(setting="one")
    figure = figures.sums(table, ONE, controls=by_control(0.3, 0.5).assign(setting="one"))
    assert figure.layout.meta["takeaway"] == (
        "Task vectors from 2 to 4: with (k+1)α = 0.8, as Theorem 4.3 has it, the linearity error "
        "ε rises from 0.3 to 0.92, mean over layers"
    )
    (line,) = [t for t in figure.data if t.name == "(k+1)α = 0.8" and t.visible is not False
               and t.mode and "markers" in t.mode]  # fmt: skip
    assert line.y == pytest.approx((0.303, 0.918))


def local(errors: dict[Scope, tuple[float, ...]] | None = None) -> pd.DataFrame:
    """ε of three layers: it rises and falls with all mixed; the last one has no parameters."""
    errors = errors or {Scope.ALL: (0.2, 0.6, 0.4), Scope.ALONE: (0.2, 0.1, float("nan"))}
    return pd.DataFrame(
        {
            "setting": "one", "seed": seed, "k": 4, "models": "abcd", "alpha": 0.16, "draw": 0,
            "comparison": 0, "layer": layer, "metric": metric, "n": 10, "std": 0.1, "mean": error,
            "median": error, "q25": error, "q75": error, "scope": str(scope),
        }
        for seed, (scope, by_layer), metric in product(
            SEEDS, errors.items(), ("epsilon", "distance", "coef")
        )
        for layer, error in zip(("one", "two", "three"), by_layer, strict=True)
    )  # fmt: skip


def test_a_layers_own_error_stands_beside_that_of_all() -> None:
    table = local()
    declared.check("many-tasks", "local", table.drop(columns=["setting", "seed"]))
    text = read(sentences.local(table, ONE))
    for line in (
        "| ε with all layers mixed, mean over layers | 0.40 |",
        "| ε with the layer alone mixed, mean over layers | 0.15 |",
        "at the last layer | 0.40 |", "that has parameters | 0.10 |", "| layers | 3 |",
        "than at the one before | 1 |",
    ):  # fmt: skip
        assert line in text, line
    figure = figures.local(table, ONE)
    assert figure.layout.meta["takeaway"] == (
        "All task vectors: ε is 0.40 with all layers mixed, and 0.15 with each layer alone mixed, "
        "mean over layers"
    )
    lines = {t.name: t.y for t in figure.data if t.visible is not False and t.mode != "lines"}
    assert lines["all layers mixed"] == pytest.approx((0.2, 0.6, 0.4))


def test_attention_and_mlp_stand_beside_the_whole() -> None:
    def inside(attention: float, mlp: float) -> pd.DataFrame:
        parts = {Scope.ATTENTION: attention, Scope.MLP: mlp, Scope.NORM: 1e-8}
        return local({Scope.ALL: (0.2, 0.6, 0.4), **{part: (e,) * 3 for part, e in parts.items()}})

    table = inside(0.1, 0.05)
    declared.check("many-tasks", "local", table.drop(columns=["setting", "seed"]))
    text = read(sentences.parts(table, ONE))
    assert (
        "with all layers mixed, on Setting one. The more linear one of the two is the MLP on"
        in text
    )
    for row in ("all layers mixed | 0.40", "attention alone | 0.10", "norm alone | 0.00"):
        assert f"| {row} |" in text
    assert (
        "mixed, on no setting. The more linear one of the two is attention on Setting one"
        in read(sentences.parts(inside(0.1, 0.5), ONE))
    )
    # Of a network that has no such parts nothing is said, beside one that has.
    both = pd.concat([table, local().assign(setting="two")])
    assert read(sentences.parts(both, {**ONE, "two": "Setting two"})) == text
    assert sentences.parts(local(), ONE) == ""
    drawn = {t.name for t in figures.local(table, ONE).data if t.mode != "lines"}
    assert drawn == {"all layers mixed", "attention alone", "MLP alone"}
