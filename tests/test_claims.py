"""Claims: their file, the words that stored results give them, and that each can be told apart."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import test_architecture as parts
import test_findings_averaging as averaging
import test_findings_boundary as boundary
import test_findings_curvature as curvature
import test_findings_editing as editing
import test_findings_interactions as left
import test_findings_linearity as lengths
import test_findings_mergeability as merges
import test_findings_merging as merging
import test_findings_paradigms as linear
import test_findings_pointing as pointing
import test_findings_sections as sections
import test_objective as objective
import test_overtraining as long
from conftest import ROOT, command, refused

from ctl_helpers import cli, results, settings
from ctl_helpers.findings import claims, verdicts
from ctl_helpers.findings.finding import MEASURES, Measure
from ctl_helpers.findings.judging import WORDS, judge
from ctl_helpers.findings.replicates import Sample, rows_of
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.project import SettingError
from ctl_helpers.results.labels import Control
from ctl_helpers.settings.schema import Section

SEEDS = (0, 1, 2)
PAIRS = list(combinations("abc", 2))
Store = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Publishes tables of a section, one run a seed, in place of the book's own results."""
    folder = tmp_path / "published"
    monkeypatch.setattr(results.stored, "published_folder", lambda: folder)

    def write(section: str, setting: str, tables: Mapping[str, pd.DataFrame]) -> None:
        seeds = sorted({seed for table in tables.values() for seed in table["seed"]})
        for seed in seeds:
            run = folder / results.folder_name(section) / f"{setting}-seed-{seed}"
            recorder = results.Recorder(settings.load(setting), section, {"seed": seed}, str(run))
            for name, table in tables.items():
                own = table[table["seed"] == seed].drop(columns="seed")
                own.to_parquet(run / f"{name}.parquet")
            recorder.finish()

    return write


# Measures that no other file has: a table, its answer. Seeds are 1, 2 and 5 times as large.


def by_seed(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table.assign(**{name: table[name] * (1 + table["seed"] ** 2) for name in columns})


def barriers(rise: float, barrier: float = 0.0, start: float = 1.0) -> pd.DataFrame:
    """Rises on the pretraining task are ``start`` times those on the tasks of a pair."""
    return pd.DataFrame(
        {
            "seed": seed, "i": i, "j": j, "task": task, "barrier": barrier,
            "rise": rise * (start if task == "start" else 1),
        }
        for seed, (i, j) in product(SEEDS, PAIRS)
        for task in (i, j, "start")
    )  # fmt: skip


def direction(distance: float, coef: float = 1.0) -> pd.DataFrame:
    """The baseline is 0.2. The last layer has three times the distance, and a coef 0.1 larger."""
    return pd.DataFrame(
        {"seed": seed, "i": i, "j": j, "alpha": alpha, "layer": layer, "metric": metric}
        | {"mean": value * (factor if metric == "distance" else 1) + (metric == "coef") * more}
        for seed, (i, j), alpha in product(SEEDS, PAIRS, (0.25, 0.5))
        for layer, factor, more in (("first", 1, 0.0), ("last", 3, 0.1))
        for metric, value in (
            ("distance", distance * (1 if alpha == 0.5 else 9)),
            ("baseline", 0.2),
            ("coef", coef),
        )
    )


def many(curve: Mapping[int, float]) -> pd.DataFrame:
    """ε and distance of equal weights by k; those of unequal ones are twice as large."""
    return pd.DataFrame(
        {
            "seed": seed, "k": k, "models": f"{k}-{draw}", "weights": weights, "draw": draw,
            "layer": layer, "metric": metric, "mean": curve[k] * factor * times,
        }
        for seed, k, (weights, times), draw in product(
            SEEDS, curve, (("equal", 1), ("unequal", 2)), (0, 1)
        )
        for layer, factor in (("first", 1), ("last", 3))
        for metric in ("epsilon", "distance")
    )  # fmt: skip


RISES = by_seed(barriers(0.2, 0.03, start=3), "rise", "barrier")
KNOWN: list[tuple[str, pd.DataFrame, dict[str, object], float]] = [
    ("loss_rise", RISES, {"tasks": "both"}, 0.2 * 8 / 3),
    ("loss_rise", RISES, {"tasks": "pretraining"}, 0.6 * 8 / 3),
    ("loss_rise", RISES, {}, 0.2 * 8 / 3),
    ("loss_barrier", RISES, {}, 0.03 * 8 / 3),
    ("loss_barrier", RISES.query("seed == 2"), {"at": "most"}, 0.15),
    ("times_nearer", direction(0.01), {"at": "least"}, 20 / 3),
    ("times_nearer", direction(0.01), {"at": "first"}, 20),
    ("length_error", direction(0.01, 0.95), {"at": "most"}, 0.05),
    ("length_error", direction(0.01, 1.1), {"at": "most"}, 0.2),
    ("length_error", direction(0.01, 1.1), {}, 0.15),
    ("broken_steps", sections.induced(0.05, (3.0, 6.0)), {}, 0),
    ("broken_steps", sections.induced(9.0, (3.0, 6.0)), {}, 1),
    ("broken_steps", sections.induced(0.05, (3.0, 6.0)).assign(jensen=0.1), {}, 1),
    ("largest_mix", many({2: 0.01, 8: 0.03}), {}, 0.03 * 3 * 2),
    ("orthogonal_doublings", linear.ANGLES, {"over": "full"}, math.log2(3)),
    ("orthogonal_doublings", linear.ANGLES, {"over": "tangent"}, 1),
    ("kept_of_baseline", sections.factor("replaced", distance=sections.FALLS,
                                         baseline={0.0: 1.0, 0.5: 1.0, 1.0: 0.5}), {}, 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "table", "arguments", "answer"), KNOWN)
def test_a_measure_gives_the_known_answer(
    name: str, table: pd.DataFrame, arguments: dict[str, object], answer: float
) -> None:
    assert MEASURES[name](table, **arguments).effect == pytest.approx(answer)
    # Neither the order of seeds nor a setting's column matters.
    turned = table.sort_values("seed", ascending=False, kind="stable").assign(setting="x")
    assert MEASURES[name](turned, **arguments).effect == pytest.approx(answer)


@pytest.mark.parametrize("value", ["seconds", "bytes"])
def test_what_a_step_saves_is_a_share_of_the_other(value: str) -> None:
    table = linear.cost(value, 2.0, 5.0, 1.6)
    ours = MEASURES["step_saved"](table, paradigm="attention-weights", value=value, over="full")
    assert ours.effect == pytest.approx(0.2)


# Verdicts of claims that are made up, on a table of numbers: what makes which word.

NEAR = """
near:
  name: Near its ideal
  section: ["4.1", "4.2"]
  tables_of: {"4.2": {levels: others}}
  statement: It is near.
  paper: Figure 2.
  evidence: 4_1.html#fig-all
  parts:
    - effect: a number
      unit: m
      measure: level
      arguments: {name: number}
      table: levels
      control: {effect: its control, measure: level, arguments: {name: control}, table: levels}
      ideal: 0
      reason: it should be small
  gates:
    - {effect: gain, measure: level, arguments: {name: gain}, table: levels, at_least: 0.05,
       says: nothing was learned}
    - {effect: loss, measure: level, arguments: {name: loss}, table: levels, at_most: 2,
       says: too much was lost}
  shown:
    - {effect: height, measure: level, arguments: {name: height}, table: levels, reason: beside}
"""
ORDERS = """
orders:
  name: Two orders
  section: "4.1"
  statement: Both are positive.
  paper: Table 1.
  evidence: 4_1.html
  parts:
    - &first {effect: one, measure: level, arguments: {name: one}, table: levels,
              paper: larger, reason: an order}
    - {<<: *first, effect: other, arguments: {name: other}}
"""
GIVEN = """
given:
  name: As in the paper
  section: "4.1"
  statement: It is 2.
  paper: Twice.
  evidence: 4_1.html
  parts:
    - {effect: ratio, measure: level, arguments: {name: number}, table: levels, control: 1,
       paper: twice, paper_number: 2, reason: 1 is no change}
"""


def level(table: pd.DataFrame, *, name: str) -> Sample:
    """The mean over networks of one of several numbers; NaN without one."""
    rows = table[table["name"] == name]
    values = rows["value"].to_numpy(float)
    return Sample(values, rows_of(rows, ["network"]), "networks", lambda few: float(few.mean()))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a file of claims in place of the book's."""
    monkeypatch.setitem(MEASURES, "level", Measure(level, "{:.2f}".format))
    monkeypatch.setattr(claims, "root", lambda: tmp_path)
    (tmp_path / "book").mkdir()

    def put(text: str) -> None:
        (tmp_path / "book" / "claims.yml").write_text(text, encoding="utf-8")

    return put


def levels(**by_seed: Sequence[float]) -> pd.DataFrame:
    """A number's values over seeds, of two networks that are as far apart in every seed."""
    return pd.DataFrame(
        {"seed": seed, "name": name, "network": network, "value": value + off}
        for name, values in by_seed.items()
        for seed, value in enumerate(values)
        for network, off in (("a", -0.01), ("b", 0.01))
    )


def only(claim: str, setting: str = "digits-mlp", section: str = "4.1") -> Verdict:
    found = verdicts.verdicts(section)
    (verdict,) = [one for one in found if (one.claim, one.setting) == (claim, setting)]
    return verdict


SURE = {"control": (1.0, 1.02, 1.01), "gain": (0.5,) * 3, "loss": (1.0,) * 3}


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        ({"number": (0.10, 0.12, 0.11)}, "reproduced"),
        ({"number": (0.50, 0.52, 0.51)}, "partly"),
        ({"number": (0.98, 1.01, 1.02)}, "contradicted"),
        ({"number": (0.20, 0.30, 0.20)}, "undecided"),
        ({"number": (0.10, 0.12, 0.11), "gain": (0.01,) * 3}, "not testable"),
        ({"number": (0.20, 0.30, 0.20), "loss": (3.0,) * 3}, "not testable"),
        ({"number": (0.01, 0.02, 0.01), "control": (0.05, 0.06, 0.05)}, "not testable"),
        ({"number": (math.nan,) * 3}, "not run"),
        ({"number": (0.10, 0.12, 0.11), "control": ()}, "not run"),
    ],
)
def test_a_word_is_that_of_the_stored_numbers(store, write, numbers, word) -> None:
    write(NEAR)
    store("4.1", "digits-mlp", {"levels": levels(**{**SURE, **numbers})})
    assert only("near").word == word
    assert only("near", "mnist-mlp").word == "not run"


def test_a_verdict_shows_what_decided_it(store, write) -> None:
    write(NEAR)
    table = levels(**SURE, number=(0.10, 0.12, 0.11), height=(7.0, 8.0, 9.0))
    store("4.1", "digits-mlp", {"levels": table})
    verdict = only("near")
    (part,) = verdict.parts
    assert (part.measure, part.unit, part.units) == (
        "level(4.1/levels, name=number)",
        "m",
        "3 seeds",
    )
    reach = 4.3027 * 0.01 / 3**0.5
    assert part.number.value == pytest.approx(0.11)
    assert part.number.interval == pytest.approx((0.11 - reach, 0.11 + reach), abs=1e-5)
    assert (part.control_effect, part.control.value) == ("its control", pytest.approx(1.01))
    ratios = np.array([0.1 / 1, 0.12 / 1.02, 0.11 / 1.01])
    assert verdict.position == part.position == pytest.approx(1 - ratios.mean())
    low, high = part.position_interval
    assert high - low == pytest.approx(2 * 4.3027 * ratios.std(ddof=1) / 3**0.5, abs=1e-5)
    assert (verdict.needed, verdict.missed, verdict.gate) == (None, None, None)
    assert [shown.number.value for shown in verdict.shown] == [pytest.approx(8)]
    assert (verdict.grade, verdict.evidence) == ("D", "4_1.html#fig-all")


def test_a_closed_gate_is_named_and_the_control_is_one_by_itself(store, write) -> None:
    write(NEAR)
    store(
        "4.1", "digits-mlp", {"levels": levels(**{**SURE, "gain": (0.01,) * 3}, number=(0.1, 0.2))}
    )
    gates = only("near").gates
    assert [gate.closed for gate in gates] == [True, False, False]
    assert [gate.threshold for gate in gates[:2]] == ["at least 0.05", "at most 2"]
    assert only("near").gate == "nothing was learned"
    ideal = {**SURE, "control": (0.05, 0.06, 0.05)}
    store("4.1", "mnist-mlp", {"levels": levels(**ideal, number=(0.01, 0.02, 0.01))})
    assert only("near", "mnist-mlp").gate == "the control (its control) is as good as the ideal"


def test_a_gate_that_is_not_known_is_not_closed(store, write) -> None:
    write(NEAR)
    table = levels(control=SURE["control"], number=(0.10, 0.12, 0.11))
    store("4.1", "digits-mlp", {"levels": table})
    verdict = only("near")
    assert verdict.word == "reproduced"
    assert [gate.closed for gate in verdict.gates] == [None, None, False]


def test_what_is_undecided_says_what_would_decide(store, write) -> None:
    write(NEAR)
    store("4.1", "digits-mlp", {"levels": levels(**SURE, number=(0.20, 0.30, 0.20))})
    assert only("near").needed.startswith("about ")
    assert only("near").needed.endswith(" seeds")
    one = {name: values[:1] for name, values in SURE.items()}
    store("4.1", "mnist-mlp", {"levels": levels(**one, number=(0.1,))})
    # Two networks are too few to leave one out.
    assert only("near", "mnist-mlp").needed == "more seeds than one"
    same = {name: (number,) * 3 for name, number in (("control", 1.0), ("number", 0.1))}
    store("4.1", "scenes-resnet", {"levels": levels(**same)})
    # An interval of no width is none, however many such seeds there are.
    assert only("near", "scenes-resnet").word == "undecided"
    assert only("near", "scenes-resnet").needed == "more seeds than these, whose numbers are alike,"


def test_the_part_that_asks_for_most_says_what_would_decide(store, write) -> None:
    write(ORDERS)
    near, far = (-0.5, 2.0, 1.0), (-0.1, 2.0, 2.1)
    asked = []
    for setting, two in {"digits-mlp": (near, far), "mnist-mlp": (far, near)}.items():
        store("4.1", setting, {"levels": levels(one=two[0], other=two[1])})
        verdict = only("orders", setting)
        assert [part.word for part in verdict.parts] == ["undecided"] * 2
        asked.append(verdict.needed)
    counts = [judge(Sample(np.array(of), [0, 1, 2], "seeds", np.mean), 0.0).draws
              for of in (near, far)]  # fmt: skip
    assert counts[0] > counts[1]
    assert asked == [f"about {counts[0]} seeds"] * 2


def test_a_section_may_call_a_table_otherwise(store, write) -> None:
    write(NEAR)
    table = levels(**SURE, number=(0.10, 0.12, 0.11))
    store("4.2", "scenes-clip", {"others": table, "levels": table.assign(value=9.0)})
    verdict = only("near", "scenes-clip", "4.2")
    assert (verdict.word, verdict.section) == ("reproduced", "4.2")
    assert verdict.parts[0].measure == "level(4.2/others, name=number)"


def test_orders_are_signs_and_parts_are_judged_together(store, write) -> None:
    write(ORDERS)
    # One alone would be decided at 95%; of two it is not.
    weak = (0.5, 1.5, 1.0, 2.2)
    store("4.1", "digits-mlp", {"levels": levels(one=weak, other=weak)})
    assert [part.word for part in only("orders").parts] == ["undecided"] * 2
    store("4.1", "mnist-mlp", {"levels": levels(one=weak, other=(1.0, 1.01, 1.02, 1.03))})
    verdict = only("orders", "mnist-mlp")
    assert [part.word for part in verdict.parts] == ["reproduced"] * 2
    assert (verdict.word, verdict.position) == ("reproduced", None)
    store("4.1", "scenes-resnet", {"levels": levels(one=(1, 1.1, 1.2), other=(-1, -1.1, -1.2))})
    verdict = only("orders", "scenes-resnet")
    assert (verdict.word, verdict.missed) == ("partly", verdict.parts[1])
    assert verdict.missed.word == "contradicted"


def test_the_papers_number_is_an_ideal_that_85_percent_of_is_enough(store, write) -> None:
    write(GIVEN)
    store("4.1", "digits-mlp", {"levels": levels(number=(1.8, 1.82, 1.81))})
    store("4.1", "mnist-mlp", {"levels": levels(number=(1.5, 1.52, 1.51))})
    assert only("given").word == "reproduced"
    assert only("given").position == pytest.approx(0.81)
    assert only("given", "mnist-mlp").word == "partly"


def test_json_has_no_infinity(store, write) -> None:
    write(NEAR)
    table = levels(**{**SURE, "gain": (math.inf,) * 3}, number=(0.1, 0.2, 0.1))
    store("4.1", "digits-mlp", {"levels": table})
    found = only("near").to_json()
    assert found["gates"][0]["number"]["value"] is None
    assert found["gates"][0]["closed"] is False
    assert found["gate"] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_what_was_computed_is_kept_until_tables_or_claims_change(store, write, monkeypatch) -> None:
    write(NEAR)
    store("4.1", "digits-mlp", {"levels": levels(**SURE, number=(0.10, 0.12, 0.11))})
    found = verdicts.verdicts("4.1")
    with monkeypatch.context() as without:
        without.delattr(verdicts, "_verdict")
        assert verdicts.verdicts("4.1") == found
    store("4.1", "digits-mlp", {"levels": levels(**SURE, number=(0.50, 0.52, 0.51))})
    assert only("near").word == "partly"
    write(NEAR.replace("ideal: 0", "ideal: 0.5"))
    assert only("near").word == "reproduced"


def test_verdicts_need_no_place_to_be_kept(store, write, monkeypatch) -> None:
    write(NEAR)
    store("4.1", "digits-mlp", {"levels": levels(**SURE, number=(0.50, 0.52, 0.51))})
    usual = verdicts.verdicts("4.1")
    monkeypatch.setenv("CTL_STORE", "/dev/null/nowhere")
    assert verdicts.verdicts("4.1") == usual


def test_verdicts_are_in_the_order_of_claims_and_of_settings_that_run_them(store, write) -> None:
    write(ORDERS + NEAR)
    found = [(one.claim, one.section) for one in verdicts.verdicts()]
    assert list(dict.fromkeys(found)) == [("orders", "4.1"), ("near", "4.1"), ("near", "4.2")]
    running = [name for name in settings.names() if "4.2" in settings.describe(name).sections]
    assert [one.setting for one in verdicts.verdicts("4.2")] == running
    with refused(SettingError, r"no claim has a section '9'; there are \['4.1', '4.2'\]"):
        verdicts.verdicts("9")


# The file of claims.

BROKEN = [
    ("measure: level", "measure: nearness", r"'near.parts.0.*': no measure 'nearness'; there are"),
    ("ideal: 0", "ideal: low", "'near.parts.0.ideal': input should be a valid number"),
    ("at_least: 0.05", "at_least: 0, at_most: 1", "'near.gates.0': a gate has at_least or at_most"),
    ("at_least: 0.05,", "", "'near.gates.0': a gate has at_least or at_most, one of them"),
    ("reason: it should be small", "", "'near.parts.0.reason': field required"),
    ("table: levels", "table: [a, b]", "'near.parts.0.*': measure 'level' takes 1 tables, not 2"),
    ("  section:", "  sektion:", "'near.section': field required"),
    ("says: nothing was learned", "says: ''", "'near.gates.0.says': string should have at least 1"),
    ("evidence: 4_1.html", "evidence: javascript", "'near.evidence': string should match pattern"),
    ("  name: Near", "  title: Near", "'near.name': field required"),
    ("near:", "near: {[", r"claims.yml is not YAML that can be read: while parsing"),
    ("near:", "- near:", r"claims.yml: '': input should be a valid dictionary"),
]


@pytest.mark.parametrize(("right", "wrong", "sentence"), BROKEN)
def test_a_mistake_in_the_file_is_one_sentence(
    write, right: str, wrong: str, sentence: str
) -> None:
    write(NEAR)
    assert list(claims.load()) == ["near"]
    assert right in NEAR
    write(NEAR.replace(right, wrong, 1))
    with refused(SettingError, "^claims.yml", sentence):
        claims.load()


def test_a_missing_file_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(claims, "root", lambda: tmp_path)
    with refused(SettingError, r"claims\.yml cannot be read: .*No such file"):
        claims.load()


def test_the_command_says_the_sentence_and_ends(write, monkeypatch, capsys) -> None:
    write(NEAR.replace("  name: Near its ideal\n", ""))
    monkeypatch.setattr(sys, "argv", ["ctl", "claims", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert (
        capsys.readouterr().out
        == "ctl: claims.yml: 'near.name': field required (book/errors.html#book)\n"
    )


@pytest.mark.parametrize(
    ("claim", "section", "setting", "place"),
    [
        ("ctl-direction", "4.1", "digits-mlp", "4_1.html#fig-4-1-direction"),
        ("ctl-direction", "4.1", "scenes-resnet", "4_1_resnets.html#fig-4-1-resnets-direction"),
        ("special", "4.3.text", "text-llama", "4_3_text.html#fig-llama-eq2"),
        ("add-direction", "4.3", "scenes-clip", "4_3_clip.html#fig-4-3-clip-eq2"),
        ("add-direction", "4.3", "clip8-vit-b-32", "4_3.html#fig-4-3-eq2"),
        ("special", "4.1", "real-efficientnet", "4_1_pretrained.html#fig-4-1-published-controls"),
        ("special", "4.3", "real-efficientnet", "4_3.html#fig-4-3-eq2"),
    ],
)
def test_networks_and_sections_of_another_kind_have_their_own_figure(
    claim: str, section: str, setting: str, place: str
) -> None:
    assert claims.load()[claim].figure(section, setting) == place


# Whether every claim of the book can be told from its opposite.

PLACES = {"alpha", "lam", "alpha_i", "alpha_j", "replaced", "chance", "rate", "multiple"}
"""Columns of floating numbers that are places and no results."""


def varied(table: pd.DataFrame) -> pd.DataFrame:
    """Results a few thousandths off, differently in every row and seed."""
    generator = np.random.default_rng(0)
    numbers = [name for name in table.select_dtypes("float") if name not in PLACES]
    every = [table] if table["seed"].nunique() > 1 else [table.assign(seed=s) for s in SEEDS]
    joined = pd.concat(every, ignore_index=True)
    off = 1 + 0.004 * generator.standard_normal((len(joined), len(numbers)))
    return joined.assign(**dict(zip(numbers, (joined[numbers].to_numpy() * off).T, strict=True)))


LISTED = [one for one in Control if one != Control.SCRATCH]


def with_scratch(table: pd.DataFrame) -> pd.DataFrame:
    """The table with networks from random weights that are as those pretrained apart."""
    apart = table[table["control"] == Control.APART]
    return pd.concat([table, apart.assign(control=Control.SCRATCH)])


def controls(
    epsilons: Sequence[float], spreads: Sequence[float], kind: str = "pairs", **point: object
) -> pd.DataFrame:
    """ε and the deviation of coef from 1 by control, in the order of its labels."""
    return pd.DataFrame(
        {"seed": seed, **dict(unit), **point, "control": control, "layer": layer, "metric": metric}
        | {"n": 9, "mean": value * factor if metric == "epsilon" else 1 + value, "std": 0.0}
        for seed, unit in product(SEEDS, lengths.units(kind))
        for control, epsilon, spread in zip(LISTED, epsilons, spreads, strict=True)
        for layer, factor in (("first", 0.9), ("last", 1.0))
        for metric, value in (("epsilon", epsilon), ("coef", spread))
    )


DISPLACEMENT = pd.DataFrame(
    {"seed": seed, "i": name, "layer": layer, "moved": 1.0}
    for seed, name, layer in product(SEEDS, "abcd", ("first", "last"))
)


def accuracy(tasks: str = "abc", own: float = 0.9, start: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        {"seed": seed, "network": network, "task": task, "n": 1000}
        | {"accuracy": own if network == task else start}
        for seed, network, task in product(SEEDS, ("PT", *tasks), tasks)
    )


def of_line(kind: str) -> pd.DataFrame:
    """An ε that is in proportion to λ."""
    return lengths.powers({"last": (1.0, 1.0)}, kind).query("metric == 'epsilon'")


def triples(squared: float) -> pd.DataFrame:
    """Third errors whose squares are so many times the given ones; most of them are over ½."""
    return pd.DataFrame(
        {"seed": seed, "i": i, "j": j, "k": k, "group": "near tasks"}
        | {"premise": given, "conclusion": given * squared**0.5}
        for seed, (i, j, k) in product(SEEDS, permutations("abc"))
        for given in [0.3 if j == "a" else 0.6]
    )


def ensembles(averaged: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    accurate = np.linspace(0.6, 0.9, 10)
    parts = (averaging.triples(averaged(accurate), accurate, seed=seed) for seed in SEEDS)
    return pd.concat(parts, ignore_index=True)


def exchanged(numbers: Sequence[float]) -> list[float]:
    """The second but last and the third but last in each other's places."""
    return [*numbers[:-3], numbers[-2], numbers[-3], numbers[-1]]


def curve(name: str, epsilons: Sequence[float]) -> pd.DataFrame:
    """ε against a factor. In one seed two points are in the other order."""
    places = range(len(epsilons)) if "epochs" in name else np.linspace(0, 1, len(epsilons))
    straight = dict(zip(places, epsilons, strict=True))
    swapped = dict(zip(straight, exchanged(epsilons), strict=True))
    flat = dict.fromkeys(straight, 0.5)
    parts = [
        sections.factor(name, epsilon=shape, distance=shape, baseline=flat, coef=flat)
        .query(f"seed == {seed}")
        for seed, shape in ((0, straight), (1, swapped), (2, straight))
    ]  # fmt: skip
    return pd.concat(parts)


def induced(rising: bool) -> pd.DataFrame:
    """Gaps that rise with the logits' errors or fall; in one seed, two are in the other order."""
    errors = (6.0, 5.0, 4.0, 3.0, 2.0, 1.0)
    gaps = errors if rising else errors[::-1]
    straight, swapped = (sections.induced(0.06, few)["gap"] for few in (gaps, exchanged(gaps)))
    table = sections.induced(0.06, errors)
    return table.assign(gap=straight.where(table["seed"] != 1, swapped))


DOWN, UP = (0.8, 0.6, 0.4, 0.3, 0.2, 0.1), (0.2, 0.22, 0.25, 0.3, 0.35, 0.45)
# So that fine-tuning changes little beside pretraining, and its fewest epochs break linearity.
DEEP, FEW = (0.9, 0.5, 0.1, 0.05, 0.02, 0.01), (0.4, 0.35, 0.3, 0.28, 0.25, 0.2)
LITTLE, MUCH = (0.2, 0.201, 0.202, 0.203, 0.204, 0.205), (0.05, 0.1, 0.2, 0.4, 0.8, 0.9)
# Linear to begin with, so that there is something to break.
LOW, LONG = ([epsilon / 4 for epsilon in shape] for shape in (UP, MUCH))
NULL_IS_FAR = ((0.05, 1.2, 0.9, 1.4), (0.02, 0.5, 0.4, 0.6))
NULL_IS_NEAR = ((0.2, 0.2, 0.2, 0.2), (0.3, 0.3, 0.3, 0.3))


def measured(said: bool) -> dict[str, dict[str, pd.DataFrame]]:
    """Tables of each section: with what the paper says, or with the opposite."""

    def either(one: Any, other: Any) -> Any:
        return one if said else other

    epsilons, spreads = either(NULL_IS_FAR, NULL_IS_NEAR)
    control = partial(controls, epsilons, spreads)
    edits = {
        "accuracy": accuracy().assign(majority=0.1),
        "displacement": DISPLACEMENT,
        "eq2": pd.concat([editing.edits(editing.PAIRS, 0.01, 0.3, 1), of_line("pairs")]),
        "eq3": of_line("singles"),
        "eq2_controls": with_scratch(control(lam=0.4)),
        "eq3_controls": control("singles", lam=0.4),
        "theorem_controls": control("mixes", k=3).assign(models="a, b, c"),
    }  # fmt: skip
    growing = {"many": many(either({2: 0.3, 8: 0.31}, {2: 0.3, 8: 0.9}))}
    null = {"controls": control(alpha=0.5), "displacement": DISPLACEMENT}
    mixed = {"controls": control("mixes"), "displacement": DISPLACEMENT}
    sums = linear.addition(
        *either((0.5, 0.6, 0.7, 0.72, 0.71, 0.73), (0.8, 0.7, 0.6, 0.5, 0.52, 0.51))
    )
    alone = linear.taylor_single()
    linearized = (alone["model"] == "taylor") & (alone["network"] != "PT")
    return {
        "3": {
            "spawning": sections.spawned(
                *either(((1.0, 0.5, 0.02), (1.2, 0.5, 0.05)), ((1.0, 1.0, 1.1), (0.5, 0.5, 0.6)))
            ),
            "induced": induced(said),
        },
        "4.1": null | {
            "controls": with_scratch(null["controls"]),
            "accuracy": accuracy(),
            "barriers": barriers(either(0.2, 0.005)),
            "paths": sections.paths((3.0, 1.0), 0.5),
            "direction": direction(0.01),
            "triples": triples(either(1.2, 3.8)),
        },
        "4.1.batchnorm": null | {
            "controls": pd.concat([
                control(alpha=0.5).assign(statistics="recomputed"),
                controls([0.9 * each if said else 1.1 * each for each in epsilons], spreads,
                         alpha=0.5).assign(statistics="mixed"),
            ]),
        },
        "4.2": mixed | {
            "accuracy": accuracy("abcde", 0.5, 0.5).query("network != 'PT'"),
            "ensembles": ensembles(either(lambda x: x - 0.005, lambda x: 0.55 - x / 10)),
            "averaging": direction(0.01).assign(models=lambda rows: rows["i"] + ", " + rows["j"]),
        },
        "4.2.many": mixed | growing,
        "4.3": edits | {
            "stitched_addition": editing.stitched(
                *either(((0.85, 0.85), 0.0), ((0.55, 0.45), 0.45)), merged=either(0.0, 0.3)),
            "stitched_negation": editing.negated(
                *either((0.15, 0.79), (0.75, 0.4)), apart=either(0.0, -0.5)),
        },
        "4.3.text": edits | growing,
        "5.epochs": {
            "pretraining": curve("pretrain_epochs", either(DEEP, LOW)),
            "finetuning": curve("finetune_epochs", (9.0, *either(FEW, LONG))),
        },
        "5.similarity": {
            "to_pretraining": curve("replaced", either(DOWN, UP)),
            "to_each_other": curve("replaced", either(LITTLE, MUCH)),
        },
        "5.curvature": {
            "regression": curvature.regression(
                lambda table: table["product"] if said else 9 - table["curvature"])
        },
        "A": null | {
            "single": alone.assign(
                accuracy=alone["accuracy"].where(~linearized, alone["accuracy"] + either(0, 0.15))),
            "taylor": pd.concat(linear.features(0.1, 0.2, i=task) for task in "abc"),
            "ctl": pd.concat(linear.features(0.01, 0.1, i=i, j=j) for i, j in PAIRS),
        },
        "many-tasks": {
            "accuracy": accuracy(),
            "shares": left.shares(*either((0.5, 0.1, 0.02), (0.99, 0.95, 0.9))),
            "share_controls": left.controlled(0.4, 0.5, 1.2),
            "theorem": many(either({2: 0.3, 8: 0.31}, {2: 0.3, 8: 0.9})).drop(columns="weights"),
            "displacement": DISPLACEMENT,
        },
        "overtraining": {
            "along": long.along(*either((2, 32, 0.2, 0.1, 0.1), (64, 4, 3, 9, -0.1)), seeds=3),
            "controls": control(alpha=0.5).merge(pd.DataFrame({"multiple": [1, 100]}), "cross"),
            "displacement": DISPLACEMENT,
        },
        "pointing": {
            "accuracy": accuracy(),
            "pointed": pointing.pointed(*either((0.85, 0.87), (0.21, 0.1))),
            "probes": pointing.probes(0.9, 0.3, either(0.88, 0.31)),
        },
        "merging": {
            "merges": merging.merges(
                dict.fromkeys(("TIES", "DARE", "Breadcrumbs", "RegMean"), either(0.97, 0.8))
                | {"strength by ε": either(0.88, 0.55)}
                | {"strength per layer by ε": either(0.93, 0.5)}),
        },
        "mergeability": {"merges": merges.merges(either("epsilon_worst", "sum_length"))},
        "boundary": null | {
            "plane": boundary.broken() if said else boundary.plane(boundary.slowly),
        },
        "architecture": {
            "matched": parts.matched(*either((2.2, 2.1, 0.5), (0.7, 0.8, 1.4))).drop(
                columns="setting"
            ),
            "controls": control(alpha=0.5).assign(variant="centre"),
        },
        "objective": {
            "matched": objective.matched(*either((0.5, 0.9), (2.0, 1.2)))
            .drop(columns="setting")
            .assign(epsilon=lambda table: table["epsilon"] / 2),
            "displacement": DISPLACEMENT,
        },
        "linear": {"controls": control(lam=0.4), "displacement": DISPLACEMENT} | {
            "common_single": linear.single(0.9, *either((0.7, 0.88), (0.88, 0.7))),
            "common": sums,
            "addition": sums,
            "maps": linear.maps(*either((0.4, 0.3, 0.1), (0.1, 0.3, 0.4)),
                                scale_free=either(0.1, 0.95), classification=0.5),
            "cosines": linear.cosines(*either((0.3, 0.2, 0.1), (0.1, 0.2, 0.3))),
            "interference": linear.moved(0.5, 0.3, 0.2),
            "cost": linear.cost("seconds", 1.0, *either((2.5, 0.8), (1.05, 1.3))).merge(
                linear.cost("bytes", 1.0, *either((2.0, 0.8), (1.05, 1.3)))),
        },
    }  # fmt: skip


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One setting that runs all sections that claims have."""
    plain = settings.load("digits-mlp")
    numbers = dict.fromkeys(number for row in claims.load().values() for number in row.sections)
    every = plain.model_copy(update={"sections": {number: Section() for number in numbers}})
    monkeypatch.setattr(settings, "names", lambda: ["digits-mlp"])
    monkeypatch.setattr(settings, "describe", lambda name: every)
    return list(numbers)


@pytest.mark.parametrize("word", ["reproduced", "contradicted"])
def test_every_claim_can_be_reproduced_and_contradicted(store, everywhere, word: str) -> None:
    found = measured(word == "reproduced")
    assert set(found) == set(everywhere)
    for section, tables in found.items():
        store(section, "digits-mlp", {name: varied(table) for name, table in tables.items()})
    judged = verdicts.verdicts()
    rows = claims.load()
    assert {(one.claim, one.section) for one in judged} == {
        (name, section) for name, row in rows.items() for section in row.sections
    }
    others = {
        (one.claim, one.section, part.effect, part.word, one.gate)
        for one in judged
        for part in one.parts
        if word not in (one.word, part.word) or one.word != part.word
    }
    assert others == set()
    unknown = [
        (one.claim, shown.effect)
        for one in judged
        for shown in [*one.parts, *one.shown, *one.gates]
        if shown.number.value is None and "over_majority" not in shown.measure
    ]
    assert unknown == []
    json.dumps([one.to_json() for one in judged], allow_nan=False)


@pytest.mark.slow
def test_the_command_prints_json_and_nothing_else(checkout: Path) -> None:
    done = command(checkout, "claims", "--section", "4.1", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    keys = {"claim", "setting", "word", "grade", "gate", "paper", "evidence", "parts", "gates"}
    assert all(keys <= each.keys() for each in found)
    assert {each["word"] for each in found} <= set(WORDS)
    assert {each["setting"] for each in found} >= {"digits-mlp", "mnist-mlp"}
    for each in found:
        for part in each["parts"]:
            decided = each["word"] not in ("not run", "not testable", "undecided")
            assert not decided or isinstance(part["number"]["value"], float)
            assert len(part["number"]["interval"] or (0, 0)) == 2


def test_a_claim_that_another_one_refers_to_is_there() -> None:
    sources = ["book/claims.yml", "ctl_helpers/findings/sentences/spawning.py"]
    text = "".join((ROOT / path).read_text(encoding="utf-8") for path in sources)
    named = re.findall(r"(?:As for|claim) \*([^*]+)\*", text)
    assert len(set(named)) == 4
    assert set(named) <= {claim.name for claim in claims.load().values()}
