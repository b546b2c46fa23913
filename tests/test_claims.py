"""Claims: every measure on tables with a known answer, and verdicts from what is stored."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, partialmethod
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_findings_averaging as averaging
import test_findings_curvature as curvature
import test_findings_editing as editing
import test_findings_paradigms as linear
from conftest import command

from ctl_helpers import cli, results, settings
from ctl_helpers.findings import claims, verdicts
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.replicates import Sample
from ctl_helpers.project import SettingError
from ctl_helpers.settings.schema import Section

SEEDS = (0, 1, 2)
PAIRS = list(combinations("abc", 2))
LAYERS = {"first": 1.0, "last": 3.0}  # layer → by what its distance is multiplied
Number = Callable[[pd.Series], float] | float

# Tables such as the notebooks store, with numbers that are set from outside.


def linearity(
    labels: Iterable[Mapping[str, object]],
    distance: Number = 0.01,
    baseline: Number = 0.2,
    coef: Number = 1.0,
) -> pd.DataFrame:
    """Rows as ``ctl.compare`` gives them, for every seed, layer and set of labels."""
    values, rows = {"distance": distance, "baseline": baseline, "coef": coef}, []
    for seed, known, layer, (metric, value) in product(SEEDS, labels, LAYERS, values.items()):
        place = {"seed": seed, **known, "layer": layer}
        found = value(pd.Series(place)) if callable(value) else value
        factor = 1 if metric == "coef" else LAYERS[layer]
        rows.append({**place, "metric": metric, "mean": found * factor})
    return pd.DataFrame(rows)


def far(row: pd.Series) -> int:
    """1, and 4 for a few pairs of one seed: a mean is not a median."""
    return 4 if row.seed == 2 and row.i == "a" else 1


def direction(**values: object) -> pd.DataFrame:
    labels = [{"i": i, "j": j, "alpha": a} for i, j in PAIRS for a in (0.25, 0.5, 0.75)]
    return linearity(labels, **values)


def controls(apart: float, other: float, coef: float) -> pd.DataFrame:
    """Real distance 0.01 and coef 1; ``apart`` and ``other`` are the controls' distances.

    A quarter of the pairs are four times as far; when pretrained apart, coef is smaller by 0.1.
    """
    distances = {
        "task vectors": 0.01, "pretrained apart": apart, "random vectors": 0.01,
        "other samples": other,
    }  # fmt: skip
    labels = [{"i": i, "j": j, "control": kind} for kind in distances for i, j in PAIRS]
    return linearity(
        labels,
        distance=lambda row: distances[row.control] * far(row),
        coef=lambda row: {"pretrained apart": coef - 0.1, "other samples": coef}.get(
            row.control, 1.0
        ),
    )


def barriers(rise: float, barrier: float = 0.0, start: float = 1.0) -> pd.DataFrame:
    """Numbers grow with the seed, 1, 2 and 5 times; rises on the first task are ``start`` times."""
    return pd.DataFrame(
        {
            "seed": seed, "i": i, "j": j, "task": task, "barrier": barrier * (1 + seed**2),
            "rise": rise * (1 + seed**2) * (start if task == "start" else 1),
        }
        for seed, (i, j) in product(SEEDS, PAIRS)
        for task in (i, j, "start")
    )  # fmt: skip


def triples(ratio: float | None = None) -> pd.DataFrame:
    """Third errors that fall as given ones grow, 2.25 times them at most; one of another ratio.

    All are linear, but for that one where its ratio is over 1.1.
    """
    table = pd.DataFrame(
        {
            "seed": seed, "i": i, "j": j, "k": k, "group": "near tasks",
            "premise": (4.0 + number) / 100, "conclusion": (9.0 - number) / 100,
        }
        for seed in SEEDS
        for number, (i, j, k) in enumerate(permutations("abc"))
    )  # fmt: skip
    if ratio is not None:
        table.loc[table.index[-1], "conclusion"] = ratio * table["premise"].iloc[-1]
    return table


def factor(name: str, curve: Mapping[float, float], baseline: float | None = None) -> pd.DataFrame:
    """Distance by a factor's value; its baseline is 0.5, or a multiple of the distance."""
    return linearity(
        [{name: value} for value in curve],
        distance=lambda row: curve[row[name]],
        baseline=(lambda row: baseline * curve[row[name]]) if baseline else 0.5,
    )


def spawning(barrier: Sequence[float], distance: Sequence[float]) -> pd.DataFrame:
    rows = zip((0, 5, 20), barrier, distance, strict=True)
    return pd.DataFrame(
        {"seed": seed, "k": k, "barrier": b, "rise": b + 0.01, "distance": d}
        for k, b, d in rows
        for seed in SEEDS
    )


def induced(gap: Callable[[float], float], jensen: float = -0.1) -> pd.DataFrame:
    """Errors of (k + 1)(α − α²); both ends are exact."""
    points = product(SEEDS, (0, 1, 5), np.linspace(0, 1, 6))
    table = pd.DataFrame(points, columns=["seed", "k", "alpha"])
    error = (table["k"] + 1) * table["alpha"] * (1 - table["alpha"])
    return table.assign(error=error, gap=error.map(gap), jensen=jensen)


def many(curve: Mapping[int, float], coef: float = 1.0) -> pd.DataFrame:
    """Distances of equal weights; those of unequal ones are twice as large."""
    return linearity(
        [
            {"k": k, "weights": weights, "draw": draw}
            for k, weights, draw in product(curve, ("equal", "unequal"), range(3))
        ],
        distance=lambda row: curve[row.k] * (2 if row.weights == "unequal" else 1),
        coef=coef,
    )


def averages(gap: float, distance: float, coef: float) -> dict[str, pd.DataFrame]:
    """Section 4.2's tables: accuracies ``gap`` apart, the more so for every second triple."""
    ensemble = np.linspace(0.5, 0.9, 10)
    averaged = ensemble + gap * (-1) ** np.arange(10)
    return {
        "ensembles": pd.concat(averaging.triples(averaged, ensemble, seed=seed) for seed in SEEDS),
        "averaging": linearity(
            [{"models": pair} for pair in ("a, b", "a, c")], distance, 0.3, coef
        ),
    }


FEWER = {0: 0.4, 1: 0.3, 5: 0.2, 20: 0.05}
PEAK = {0.0: 0.1, 0.5: 0.3, 1.0: 0.2}
MORE = {2: 0.01, 3: 0.02, 8: 0.03}
LOG5 = np.log2(5)
FINETUNED = factor("finetune_epochs", {0: 0.0, 1: 0.1, 20: 0.2})
FALLING = spawning((1.0, 0.5, 0.1), (0.2, 0.1, 0.06))
RISING = direction(distance=lambda row: 0.04 * row.alpha * far(row))
UNEVEN = direction(distance=lambda row: 0.02 * far(row) * (2 if row.layer == "last" else 1))
LONGER = direction(coef=lambda row: 1 + 0.1 * (row.alpha - 0.5))
LONGER_AT_LAST = direction(coef=lambda row: 1 + (row.layer == "last") * 0.1 * (row.alpha - 0.5))

# Measure, the tables it takes, its answer. Layers weigh 1 and 3, so a mean over layers is twice,
# and a median the mean of 1 and 3 likewise.
KNOWN = [
    ("loss_rise", [barriers(0.2)], 0.4),
    ("loss_rise", [barriers(0.2, start=3)], 1.2, {"tasks": "pretraining"}),
    ("loss_rise", [barriers(0.2, start=3)], 0.4, {"tasks": "both"}),
    ("loss_barrier", [barriers(0.2, 0.03)], 0.06),
    ("times_nearer", [RISING], 10),
    ("times_nearer", [UNEVEN], 5, {"at": "least"}),
    ("worst_distance", [RISING], 0.09),
    ("length_error", [LONGER], 0.05 / 3),
    ("length_error", [LONGER_AT_LAST], 0.025, {"at": "most"}),
    ("times_farther", [controls(0.07, 0.05, 0.5)], 5),
    ("length_drop", [controls(0.07, 0.05, 0.7)], 0.3),
    ("worst_ratio", [triples(8)], 8),
    ("worst_ratio", [triples()], 2.25),
    ("counterexamples", [triples()], 0),
    ("counterexamples", [triples(2)], 1 / 18),
    ("nonlinear_thirds", [triples(2)], 1 / 18),
    ("premise_rank", [triples()], -1),
    ("share_left", [FALLING], 0.3),
    ("share_left", [spawning((1.0, 0.5, 0.2), (0.2, 0.1, 0.01))], 0.2),
    ("share_left", [spawning((0.005, 0.02, 0.009), (0.2, 0.1, 0.01))], 0.05),
    ("spawned", [FALLING], 1, {"name": "barrier", "at": "first"}),
    ("spawned", [FALLING], 0.11, {"name": "rise", "at": "last"}),
    ("spawned", [FALLING], 0.06, {"name": "distance", "at": "last"}),
    ("gap_rank", [induced(lambda error: error**2)], 1),
    ("gap_rank", [induced(lambda error: 2 - error)], -1),
    ("broken_steps", [induced(lambda error: 2**0.5 * error)], 0),
    ("broken_steps", [induced(lambda error: 2 * error)], 1),
    ("broken_steps", [induced(lambda error: error, jensen=0.1)], 1),
    ("growth", [many(MORE)], 3),
    ("largest_mix", [many(MORE)], 0.18),
    ("largest_mix_length", [many(MORE, coef=0.95)], 0.05),
    ("kept", [factor("pretrain_epochs", FEWER)], 0.125),
    ("kept", [factor("replaced", PEAK)], 2),
    ("kept_of_baseline", [factor("pretrain_epochs", FEWER)], 0.125),
    ("kept_of_baseline", [factor("pretrain_epochs", FEWER, baseline=7)], 1),
    ("trend", [factor("pretrain_epochs", FEWER)], -1),
    ("trend", [factor("replaced", PEAK)], 0.5),
    ("change", [factor("finetune_epochs", {0: 0.0, 1: 0.1, 5: 0.2, 20: 0.5})], LOG5),
    ("change", [factor("replaced", {0.0: 0.5, 1.0: 0.1})], LOG5),
    ("change_against", [FINETUNED, factor("pretrain_epochs", {0: 0.8, 20: 0.05})], 0.25),
    ("change", [factor("replaced", {0.0: 0.1, 0.5: 0.5, 1.0: 0.1})], LOG5),
]


@pytest.mark.parametrize(
    ("name", "tables", "answer", "arguments"), [(*known, {})[:4] for known in KNOWN]
)
def test_a_measure_gives_the_known_answer_inside_its_interval(
    name: str, tables: list[pd.DataFrame], answer: float, arguments: dict[str, str]
) -> None:
    sample = MEASURES[name](*tables, **arguments)
    assert sample.effect == pytest.approx(answer)
    low, high = sample.interval(200)
    assert low - 1e-9 <= sample.effect <= high + 1e-9
    assert MEASURES[name](*tables, **arguments).interval(200) == (low, high)
    # Neither the order of rows nor a setting's column matters.
    turned = [table[::-1].assign(setting="x") for table in tables]
    if name not in ("times_farther", "length_drop"):  # these know layers by their order
        assert MEASURES[name](*turned, **arguments).effect == pytest.approx(answer)


def test_an_interval_draws_seeds_and_within_them_their_replicates() -> None:
    def interval(spread_seeds: float, spread_within: float) -> float:
        seeds = np.repeat(SEEDS, 6)
        values = spread_seeds * seeds + spread_within * np.tile(range(6), 3)
        low, high = Sample(values, seeds.tolist(), "pairs", np.mean).interval()
        assert low <= values.mean() <= high
        return high - low

    # Three seeds drawn again are all the first one time in 27, more often than one in 40.
    assert interval(1, 0) == pytest.approx(2)
    # Eighteen replicates within seeds make the mean far surer.
    assert interval(0, 1) == pytest.approx(4 * 1.708 / 18**0.5, rel=0.1)


def test_gaps_of_noise_and_given_pairs_that_are_not_linear_give_no_number() -> None:
    assert np.isnan(MEASURES["gap_rank"](induced(lambda error: error / 200)).effect)
    table = triples()
    assert np.isnan(MEASURES["counterexamples"](table.assign(premise=0.2)).effect)


def test_a_layer_that_is_not_defined_everywhere_is_left_out_of_a_curve() -> None:
    table = factor("replaced", {0.0: 0.4, 1.0: 0.1})
    table["mean"] *= np.where(table["layer"] == "last", 100 - 99 * table["replaced"], 1)
    gone = (table["layer"] == "last") & (table["replaced"] == 1) & (table["metric"] == "distance")
    assert MEASURES["kept"](table.assign(mean=table["mean"].mask(gone))).effect == 0.25


def test_a_seed_that_lacks_a_point_is_left_out_of_a_ratio() -> None:
    table = spawning((1.0, 0.5, 0.5), (0.2, 0.1, 0.1))
    table.loc[table["seed"] == 1, ["barrier", "distance"]] *= 5
    last = (table["seed"] == 1) & (table["k"] == table["k"].max())
    assert MEASURES["share_left"](table[~last]).effect == pytest.approx(0.5)
    assert MEASURES["share_left"](table[~last]).replicates == "2 seeds"
    first = table[table["k"] == table["k"].min()]
    assert np.isnan(MEASURES["share_left"](first).effect)


def test_few_results_give_no_number_or_no_interval() -> None:
    one = factor("finetune_epochs", {0: 0.0, 1: 0.1})
    assert np.isnan(MEASURES["change"](one).effect)
    sample = MEASURES["share_left"](FALLING.query("seed == 0"))
    assert (sample.interval(), sample.replicates) == (None, "1 seed")
    assert MEASURES["times_nearer"](direction()).replicates == "9 pairs of 3 seeds"
    # Layers of one pair of networks are no replicates.
    assert MEASURES["kept"](factor("replaced", {0.0: 0.4, 1.0: 0.1})).replicates == "3 seeds"


# Verdicts from what is stored.

GOOD = {
    "barriers": barriers(0.2),
    "direction": direction(),
    "controls": controls(0.07, 0.05, 0.5),
    "triples": triples(),
}
BAD = {
    "barriers": barriers(0.01),
    "direction": direction(distance=0.1, coef=0.8),
    "controls": controls(0.02, 0.05, 0.95),
    "triples": triples(9),
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Publishes tables of a section, one run a seed, in place of the book's own results."""
    folder = tmp_path / "published"
    monkeypatch.setattr(Sample, "interval", partialmethod(Sample.interval, 100))
    monkeypatch.setattr(results.stored, "published_folder", lambda: folder)

    def write(section: str, setting: str, tables: Mapping[str, pd.DataFrame]) -> None:
        for seed in SEEDS:
            run = folder / results.folder_name(section) / f"{setting}-seed-{seed}"
            recorder = results.Recorder(settings.load(setting), section, {"seed": seed}, str(run))
            for name, table in tables.items():
                own = table[table["seed"] == seed].drop(columns="seed")
                own.to_parquet(run / f"{name}.parquet")
            recorder.finish()

    return write


def only(found: Sequence[verdicts.Verdict], claim: str) -> verdicts.Verdict:
    (verdict,) = [one for one in found if (one.claim, one.setting) == (claim, "digits-mlp")]
    return verdict


def words(found: Sequence[verdicts.Verdict], setting: str) -> dict[str, tuple[str, bool]]:
    return {each.claim: (each.verdict, each.clear) for each in found if each.setting == setting}


def test_verdicts_follow_the_stored_results(store) -> None:
    store("4.1", "digits-mlp", GOOD)
    store("4.1", "mnist-mlp", BAD)
    found = verdicts.verdicts("4.1")
    ours = ["lmc-fails", "ctl-direction", "ctl-length", "transitivity", "null"]
    assert words(found, "digits-mlp") == dict.fromkeys(ours, ("holds", True))
    # The one bad triple is in one seed of three, so that some resamples lack it.
    bad = dict.fromkeys(ours, ("fails", True)) | {"transitivity": ("fails", False)}
    assert words(found, "mnist-mlp") == bad
    assert words(found, "scenes-resnet") == dict.fromkeys(ours, ("not run", False))
    rise = only(found, "lmc-fails")
    assert rise.effect == pytest.approx(0.4)
    assert rise.interval[0] <= 0.4 <= rise.interval[1]
    assert (rise.threshold, rise.replicates) == ("at least 0.1", "9 pairs of 3 seeds")
    assert verdicts.verdicts("4.1") == found


def test_one_unmet_condition_is_enough_to_fail(store) -> None:
    # Far under the baseline, yet far from 0.
    store("4.1", "digits-mlp", {"direction": direction(distance=0.06, baseline=2.0)})
    verdict = only(verdicts.verdicts("4.1"), "ctl-direction")
    assert [check.holds for check in verdict.checks] == [True, False, None]
    assert (verdict.verdict, verdict.clear) == ("fails", True)
    # One that is not met decides, whatever else is unknown.
    store("3", "digits-mlp", {"induced": induced(lambda error: error / 200, jensen=0.1)})
    verdict = only(verdicts.verdicts("3"), "llfc-implies-lmc")
    assert [check.holds for check in verdict.checks] == [None, False]
    assert verdict.verdict == "fails"
    # A claim whose table is not there is not run, though other tables of the section are.
    assert words(verdicts.verdicts("4.1"), "digits-mlp")["null"] == ("not run", False)


def stored(holds: bool) -> dict[str, dict[str, pd.DataFrame]]:
    """Tables of each section: with what the paper says, or with the opposite."""

    def either(said: Any, opposite: Any) -> Any:
        return said if holds else opposite

    edits = partial(
        editing.edits, distance=either(0.001, 0.1), baseline=0.3, coef=either(0.95, 0.7)
    )
    near = {0.0: 0.4, 0.5: 0.2, 1.0: 0.05}
    ablated = either((0.76, 0.78, 0.78, 0.77, 0.79), (0.76, 0.7, 0.7, 0.7, 0.7))
    return {
        "3": {
            "spawning": spawning(*either(((1.0, 0.5, 0.02), (0.2, 0.1, 0.01)),
                                         ((0.1, 0.5, 1.0), (0.1, 0.1, 0.2)))),
            "induced": induced(lambda error: error if holds else 1 - error),
        },
        "4.1": either(GOOD, BAD),
        "4.2": averages(either(0.001, 0.2), either(0.01, 0.2), either(1.0, 0.5)),
        "4.2.many": {"many": many(either({2: 0.005, 8: 0.01}, {2: 0.01, 8: 0.09}))},
        "4.3": {
            "eq2": edits(editing.PAIRS),
            "eq3": edits(editing.TASKS),
            "stitched_addition": editing.stitched(
                *either(((0.8, 0.7), 0.0), ((0.55, 0.45), 0.3))),
            "stitched_negation": editing.negated(*either((0.2, 0.79), (0.7, 0.4))),
            "theorem": editing.theorem(times=either(0.4, 10)),
        },
        "5.epochs": {
            "pretraining": factor(
                "pretrain_epochs", either({0: 0.4, 5: 0.2, 20: 0.05}, {0: 0.05, 5: 0.2, 20: 0.4})),
            "finetuning": factor(
                "finetune_epochs", either({0: 0.0, 1: 0.1, 20: 0.11}, {0: 0.0, 1: 0.01, 20: 0.5})),
        },
        "5.similarity": {
            "to_pretraining": factor("replaced", either(near, {0.0: 0.2, 0.5: 0.3, 1.0: 0.4})),
            "to_each_other": factor("replaced", either({0.0: 0.1, 1.0: 0.11}, near)),
        },
        "5.curvature": {
            "regression": curvature.regression(
                lambda table: table["product"] if holds else table["curvature"] ** 3)
        },
        "A": {
            "single": linear.taylor_single(),
            "taylor": linearity([{"i": task} for task in "abc"], 0.1, 0.2),
            "ctl": direction(distance=either(0.001, 0.1), baseline=0.1),
        },
        "linear": {
            "single": linear.single(0.9, *either((0.8, 0.89), (0.89, 0.7))),
            "addition": linear.addition(either(0.7, 0.8), *ablated),
            "maps": linear.maps(*either((2, 6, 8), (8, 6, 2)), representation=either(0.05, 2.0)),
            "cosines": linear.cosines(*either((0.2, 0.3, 0.1), (0.1, 0.1, 0.3))),
            "interference": linear.moved(*either((0.5, 0.3, 0.2), (0.2, 0.3, 0.5))),
            "cost": linear.cost("seconds", 1.0, *either((2.5, 0.9), (1.5, 1.4))).merge(
                linear.cost("bytes", 1.0, *either((2.0, 0.8), (1.2, 1.3)))),
        },
    }  # fmt: skip


def test_every_claim_can_hold_and_fail(store, monkeypatch) -> None:
    """On one setting that runs all: once with what the paper says, once with the opposite."""
    plain = settings.load("digits-mlp")
    rows = claims.load().values()
    numbers = {number: Section() for row in rows for number in row.sections}
    everywhere = plain.model_copy(update={"sections": numbers})
    monkeypatch.setattr(settings, "names", lambda: ["digits-mlp"])
    monkeypatch.setattr(settings, "describe", lambda name: everywhere)
    for word in ("holds", "fails"):
        sections = stored(word == "holds")
        sections["4.3.text"] = sections["4.3"] | sections["4.2.many"]
        for section, tables in sections.items():
            store(section, "digits-mlp", tables)
        found = verdicts.verdicts()
        assert {each.claim: each.verdict for each in found} == dict.fromkeys(claims.load(), word)
        text = json.dumps([each.to_json() for each in found], allow_nan=False)
        assert len(json.loads(text)) == sum(len(row.sections) for row in claims.load().values())


def test_a_number_that_is_infinite_is_no_json_number(store) -> None:
    store("4.1", "digits-mlp", {"direction": direction(distance=0.0)})
    verdict = only(verdicts.verdicts("4.1"), "ctl-direction").to_json()
    assert (verdict["verdict"], verdict["effect"]) == ("holds", None)
    json.dumps(verdict, allow_nan=False)


# The file of claims, the page and the command.


def test_networks_of_another_kind_have_their_own_page() -> None:
    shown = claims.load()["ctl-direction"].shown
    assert shown("digits-mlp") == "4_1.html#fig-4-1-direction"
    assert shown("scenes-resnet") == "4_1_resnets.html#fig-4-1-resnets-direction"
    assert claims.load()["many-models"].shown("digits-mlp") == "4_2.html#fig-4-2-many"


BROKEN = [
    (": worst_distance", ": nearness", "no measure 'nearness'; there are ['ablation_"),
    ("at_most: 0.1", "at_most: low", "'ctl.conditions.0.at_most': input should be a valid number"),
    ("at_most: 0.1", "at_most: 0.1, at_least: 0", "has at_least or at_most, not both"),
    ("at_most: 0.1, ", "", "the first condition needs at_least or at_most"),
    ("reason: near 0, ", "", "'ctl.conditions.0.reason': field required"),
    ("table: direction", "table: [a, b]", "measure 'worst_distance' takes 1 tables, not 2"),
    ("section:", "sektion:", "'ctl.section': field required"),
    ("evidence: 4_1.html", "evidence: javascript", "'ctl.evidence': string should match pattern"),
    ("[{", "{[", "claims.yml cannot be read: while parsing"),
    ("ctl:", "- ctl:", "input should be a valid dictionary"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), BROKEN)
def test_a_mistake_in_the_file_is_one_sentence(
    tmp_path: Path, monkeypatch, old: str, new: str, sentence: str
) -> None:
    text = (
        'ctl: {section: "4.1", statement: s, paper: p, evidence: 4_1.html, conditions: '
        "[{effect: e, measure: worst_distance, at_most: 0.1, reason: near 0, table: direction}]}\n"
    )
    path = tmp_path / "book" / "claims.yml"
    path.parent.mkdir()
    monkeypatch.setattr(claims, "root", lambda: tmp_path)
    path.write_text(text)
    assert list(claims.load()) == ["ctl"]
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SettingError) as caught:
        claims.load()
    assert str(caught.value).startswith("claims.yml")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_section_that_no_claim_has(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(SettingError, match=r"no claim has a section '9'; there are \['4.1', '3'"):
        verdicts.verdicts("9")
    monkeypatch.setattr(claims, "root", lambda: tmp_path)
    with pytest.raises(SettingError, match=r"claims\.yml cannot be read: .*No such file"):
        claims.load()


@pytest.mark.slow
def test_the_command_prints_json_and_nothing_else(checkout: Path) -> None:
    done = command(checkout, "claims", "--section", "4.1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    keys = {"claim", "setting", "verdict", "effect", "interval", "paper", "evidence"}
    assert all(keys <= each.keys() for each in found)
    assert {each["verdict"] for each in found} <= {"holds", "fails", "not run"}
    assert {each["setting"] for each in found} >= {"digits-mlp", "mnist-mlp"}
    for each in found:
        known = each["verdict"] != "not run"
        assert isinstance(each["effect"], float if known else type(None))
        assert len(each["interval"] or (0, 0)) == 2


def test_a_mistake_in_the_file_is_one_sentence_of_the_command(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(claims, "root", lambda: tmp_path)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "claims.yml").write_text("null: {}")
    monkeypatch.setattr(sys, "argv", ["ctl", "claims", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out == "ctl: claims.yml: 'None': input should be a valid string\n"
