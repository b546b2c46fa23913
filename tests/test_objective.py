"""What pretraining shapes, on tables with a known answer."""

from __future__ import annotations

import re
from itertools import product

import pandas as pd
import pytest

from ctl_helpers.figures import objective as figures
from ctl_helpers.findings.objective import (
    directions,
    objective_doublings,
    objective_halvings,
    objectives_of,
    probe_over_none,
    reached,
)
from ctl_helpers.findings.sentences import objective as sentences
from ctl_helpers.results import declared
from ctl_helpers.results.labels import Control, Where
from ctl_helpers.training.pretrained_for import Objective

PANEL = {"one": "Setting one (D)"}
LEARNED = [one for one in Objective if one not in (Objective.NONE, Objective.RANDOM_LABELS)]


def matched(
    own: float, random: float, probe: float = 0.8, seeds: int = 3, blind: str = ""
) -> pd.DataFrame:
    """ε over that of a random start, after each objective that learns; random labels change none.

    ε grows with the seed, ratios spread a little, and the last layer's is half.

    Args:
        own, random: the ratio of task vectors and of random ones.
        probe: accuracy of the heads after these objectives, 0.4 otherwise.
        blind: an objective after which heads are no better than at the start.
    """
    ratios = {Control.TASK_VECTORS: own, Control.RANDOM: random}
    return pd.DataFrame(
        {
            "setting": "one", "seed": seed, "objective": str(one), "control": str(kind),
            "where": str(where),
            "epsilon": 0.2 * (1 + seed) / (1 + (where == Where.LAST))
            * (ratio ** (1 + 0.02 * (seed - 1)) if one in LEARNED else 1.0),
            "probe": probe if one in LEARNED and one != blind else 0.4, "gain": 0.1,
        }
        for seed, one, (kind, ratio), where in product(
            range(seeds), Objective, ratios.items(), Where
        )
    )  # fmt: skip


def plain(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def test_an_objective_is_told_by_its_ratio_to_the_random_start() -> None:
    table = matched(0.5, 0.8)
    for where in Where:
        found = objective_doublings.by_setting(table, objective="SimCLR", where=where)["one"]
        assert (found.value, found.words) == (pytest.approx(-1), "0.50×")
    low, high = found.sample.interval()
    assert -1.2 < low < -1 < high < -0.8
    halved = objective_halvings.by_setting(table, objective="SimCLR")["one"]
    assert (halved.value, halved.words) == (pytest.approx(1), "0.50×")
    beside = directions.by_setting(table, objective="SimCLR")["one"]
    assert (beside.value, beside.words) == (pytest.approx(0.678, abs=1e-3), "1.60×")
    assert probe_over_none.by_setting(table, objective="SimCLR")["one"].words == "+40%"
    assert objectives_of(table) == list(Objective)[1:]
    gone = table.assign(epsilon=table["epsilon"].mask(table["objective"] == "SimCLR"))
    assert objective_doublings.by_setting(gone, objective="SimCLR") == {}
    lone = table.assign(epsilon=table["epsilon"].mask(table["seed"] == 0))
    shares = [
        reached.by_setting(one, objective="SimCLR")["one"].value for one in (gone, lone, table)
    ]
    assert shares == pytest.approx([0, 2 / 3, 1])


@pytest.mark.parametrize(
    ("own", "random", "words"),
    [
        (0.5, 0.5, ["random vectors are more linear after supervision, captions"]),
        (
            0.5,
            1.0,
            ["task vectors are more linear after supervision", "than for random ones after sup"],
        ),
        (
            2.0,
            1.2,
            ["random vectors are less linear", "does less for task vectors than for random"],
        ),
        (1.0, 1.0, ["Neither surroundings nor directions differ"]),
    ],
)
def test_the_answer_tells_surroundings_from_directions(own, random, words) -> None:
    text = plain(sentences.answer(matched(own, random), PANEL))
    assert [part for part in words if part not in text] == []
    assert ("than for random ones" in text) == (own != random)
    assert "After each of them a head reads features better" in text
    assert "random labels" not in text


def test_an_objective_whose_heads_read_nothing_is_named_and_not_counted() -> None:
    table = matched(0.5, 0.5, blind="captions")
    text = plain(sentences.answer(table, PANEL))
    assert "no better than a random start's: captions." in text
    assert "more linear after supervision, SimCLR, masked" in text
    assert "Too few objectives" in sentences.answer(matched(0.5, 0.5, probe=0.42), PANEL)


def test_tables_have_every_objective() -> None:
    table = matched(0.5, 0.8)
    text = plain(sentences.table(table, PANEL))
    assert "| ε from a random start | 0.40 |" in text
    assert re.search(r"\| SimCLR \| 0\.50× \(0\.4\d× to 0\.5\d×\) \|", text)
    assert "| random labels | 1.00× |" in text
    text = plain(sentences.table(table, PANEL, control="random vectors"))
    assert "| captions | 0.80× (" in text
    text = plain(sentences.shaped(table, PANEL))
    assert "| captions, random vectors' change over task vectors' | 1.60× (" in text
    assert "| none, accuracy of the heads | 40% |" in text


def test_an_objective_that_teaches_nothing_is_named_as_such_in_its_row() -> None:
    table = matched(0.5, 0.8)
    masked = table["objective"] == str(Objective.MASKED)
    start = table.loc[table["objective"] == str(Objective.NONE), "probe"].max()
    figure = figures.ratios(table.assign(probe=table["probe"].mask(masked, start)), PANEL)
    named = [name.replace("<br>", " ") for name in figure.layout.yaxis.ticktext]
    assert [name for name in named if "not testable" in name] == [
        "masked autoencoding (not testable)"
    ]


def test_figures_show_both_kinds_of_vectors() -> None:
    figure = figures.ratios(matched(0.5, 0.8), PANEL)
    title = figure.layout.title.text.replace("<br>", " ")
    assert "After supervision, the worst layer's ε is 0.50× that of a random start" in title
    assert "and 0.80× for random vectors" in title
    named = [name.replace("<br>", " ") for name in figure.layout.yaxis.ticktext]
    assert named == [str(one) for one in list(Objective)[1:]]
    dots = {trace.name: trace for trace in figure.data if trace.showlegend}
    for kind, ratio in (("task vectors", 0.5), ("random vectors", 0.8)):
        values = dict(zip(dots[kind].text, dots[kind].x, strict=True))
        assert values["captions"] == pytest.approx(ratio, rel=1e-3)
        assert values["random labels"] == pytest.approx(1)
    snapshots = pd.DataFrame(
        {
            "setting": "one", "seed": 0, "objective": str(one), "steps": steps, "layer": "a",
            "metric": metric, "mean": steps * (0.1 if metric == "baseline" else 0.2),
        }
        for one, steps, metric in product(Objective, (1, 2, 4), ("baseline", "epsilon"))
    )  # fmt: skip
    figure = figures.runs(snapshots, PANEL)
    assert "explains 100% of how log ε varies over objectives" in figure.layout.title.text.replace(
        "<br>", " "
    )
    assert {trace.name for trace in figure.data} == set(map(str, Objective))


def test_the_tables_are_as_they_are_declared() -> None:
    declared.check("objective", "matched", matched(1, 1).drop(columns=["setting", "seed"]))
