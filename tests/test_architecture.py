"""What each part of a network does to ε, on tables with a known answer."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.figures import architecture as figures
from ctl_helpers.findings.architecture import (
    ORDER,
    explained_by_displacement,
    part_doublings,
    part_halvings,
    variants_of,
)
from ctl_helpers.findings.sentences import architecture as sentences
from ctl_helpers.project import TableError
from ctl_helpers.results import declared
from ctl_helpers.results.labels import Control, Level, Variant, Where

PANEL = {"one": "Setting one (D)"}
NAMES = ("no residual connections", "no normalization", "no activation")
ALSO = {"twice as deep": NAMES[0], "half as wide": NAMES[0]}
"""Variants that do half of what another one does."""


def matched(*ratios: float, gain: float = 0.4, seeds: int = 3) -> pd.DataFrame:
    """ε of :data:`NAMES` over the centre's, which grows with the seed; the last layer's is half.

    At equal accuracy every ε is twice as large. Ratios spread a little over seeds.
    """
    known = {"centre": 1.0, **dict(zip(NAMES, ratios, strict=True))}
    known |= {name: known[like] ** 0.5 for name, like in ALSO.items()}
    return pd.DataFrame(
        {
            "setting": "one", "seed": seed, "variant": name, "at": str(at), "where": str(where),
            "epsilon": 0.2 * (1 + seed) * ratio ** (1 + 0.02 * (seed - 1))
            * (1 + (at == Level.ACCURACY)) / (1 + (where == Where.LAST)),
            "gain": gain,
        }
        for seed, (name, ratio), at, where in product(range(seeds), known.items(), Level, Where)
    )  # fmt: skip


TABLE = matched(2.0, 1.25, 0.5)


def test_a_part_is_told_by_its_ratio_to_the_centre() -> None:
    for at, where in product(Level, Where):
        found = part_doublings.by_setting(TABLE, variant=NAMES[0], at=at, where=where)["one"]
        assert found.value == pytest.approx(1)
        assert found.words == "2.00×"
        low, high = found.sample.interval()
        assert low < 1 < high < 1.2
    halved = part_halvings.by_setting(TABLE, variant=NAMES[2])["one"]
    assert (halved.value, halved.words) == (pytest.approx(1), "0.50×")


def test_a_variant_that_learns_nothing_or_never_gets_there_has_no_ratio() -> None:
    idle = TABLE.assign(gain=TABLE["gain"].where(TABLE["variant"] != NAMES[1], 0.04))
    assert part_doublings.by_setting(idle, variant=NAMES[1]) == {}
    assert part_doublings.by_setting(idle, variant=NAMES[0])
    far = TABLE.assign(epsilon=TABLE["epsilon"].where(TABLE["at"] != Level.DISPLACEMENT))
    assert part_doublings.by_setting(far, variant=NAMES[0]) == {}
    assert part_doublings.by_setting(far, variant=NAMES[0], at=Level.ACCURACY)
    assert "| no normalization | – |" in plain(sentences.table(idle, PANEL))
    assert part_doublings.by_setting(TABLE, variant="tanh") == {}


def plain(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def test_a_seed_in_which_the_run_gets_there_counts_alone() -> None:
    gaps = (TABLE["seed"] == 2) & (TABLE["variant"] == NAMES[0])
    table = TABLE.assign(epsilon=TABLE["epsilon"].mask(gaps))
    found = part_doublings.by_setting(table, variant=NAMES[0])["one"]
    assert found.sample.estimate().units == "2 seeds"


def test_the_answer_names_most_and_least_and_which_way_each_goes() -> None:
    text = plain(sentences.answer(TABLE, PANEL))
    assert "is 2.00× the centre's with “no residual connections”, which is least linear" in text
    assert "and 0.50× with “no activation”, which is most linear" in text
    assert "ε is larger without residual connections, without normalization, in" in text
    assert "half as wide, and smaller without an activation." in text
    assert "the same way in 5 of 5 cases" in text
    assert text.count("\n- **") == 2
    more = TABLE.assign(setting="two")
    assert "an activation (in 2 of 2 settings)" in plain(
        sentences.answer(pd.concat([TABLE, more]), PANEL)
    )
    one_seed = plain(sentences.answer(matched(2.0, 1.25, 0.5, seeds=1), PANEL))
    assert "is undecided without residual connections" in one_seed
    turned = TABLE.assign(
        epsilon=TABLE["epsilon"].where(
            (TABLE["at"] == Level.DISPLACEMENT) | (TABLE["variant"] != NAMES[2]), 5.0
        )
    )
    assert "the same way in 4 of 5 cases" in plain(sentences.answer(turned, PANEL))
    alone = TABLE[TABLE["variant"] == "centre"]
    assert "Too few variants" in sentences.answer(alone, PANEL)


def test_the_table_has_ratios_with_intervals() -> None:
    text = plain(sentences.table(TABLE, PANEL))
    assert "| ε of the centre | 0.40 |" in text
    assert re.search(r"\| no residual connections \| 2\.00× \(1\.\d\d× to 2\.\d\d×\) \|", text)
    accurate = plain(sentences.table(TABLE, PANEL, at="equal own accuracy"))
    assert "at equal own accuracy" in accurate
    assert "| ε of the centre | 0.80 |" in accurate
    single = plain(sentences.table(matched(2, 1, 1, seeds=1), PANEL))
    assert "| no residual connections | 1.97× |" in single


def controls() -> pd.DataFrame:
    kinds = {Control.TASK_VECTORS: 0.2, Control.APART: 1.1, Control.RANDOM: 0.5}
    return pd.DataFrame(
        {
            "setting": "one", "seed": seed, "variant": variant, "control": str(kind), "i": "a",
            "j": "b", "layer": layer, "metric": "epsilon", "mean": mean,
        }
        for seed, variant, (kind, mean), layer in product(
            range(2), ("centre", NAMES[0]), kinds.items(), ("stem", "head")
        )
    )  # fmt: skip


def test_each_variant_stands_beside_random_vectors() -> None:
    text = plain(sentences.against_controls(controls(), PANEL))
    assert "| ε of the centre, pretrained apart | 1.10 |" in text
    assert "| ε over that of random vectors, centre | 0.40 |" in text
    assert "| ε over that of random vectors, no residual connections | 0.40 |" in text


def test_variants_come_part_by_part() -> None:
    assert variants_of(TABLE) == [one for one in ORDER if one in (*NAMES, *ALSO)]
    assert set(ORDER) == set(Variant) - {Variant.CENTRE}


def test_the_figure_has_a_row_for_each_variant() -> None:
    figure = figures.ratios(TABLE, PANEL)
    title = figure.layout.title.text.replace("<br>", " ")
    assert "0.50× the centre's with “no activation” and 2.00× with “no residual connect" in title
    rows = [str(one) for one in variants_of(TABLE)]
    assert [name.replace("<br>", " ") for name in figure.layout.yaxis.ticktext] == rows
    dots = {trace.name: trace for trace in figure.data if trace.showlegend}
    for level in Level:
        trace = dots[str(level)]
        values = dict(zip(trace.text, trace.x, strict=True))
        assert values[NAMES[0]] == pytest.approx(2, rel=1e-3)
        assert values[NAMES[2]] == pytest.approx(0.5, rel=1e-3)
        assert min(trace.error_x.array) > 0
    assert figure.layout.xaxis.type == "log"
    single = figures.ratios(matched(2, 1.25, 0.5, seeds=1), PANEL)
    assert set(next(t for t in single.data if t.showlegend).error_x.array) == {0}


def snapshots(height: float) -> pd.DataFrame:
    """ε is the root of the displacement, in one variant times a height."""
    return pd.DataFrame(
        {
            "setting": "one", "seed": seed, "variant": variant, "steps": steps, "layer": layer,
            "metric": metric, "mean": mean,
        }
        for seed, variant, steps, layer in product(
            range(2), ("centre", NAMES[0]), (1, 2, 4, 8), ("stem", "head")
        )
        for metric, mean in (
            ("baseline", 0.01 * steps),
            ("epsilon", (0.01 * steps) ** 0.5 * (height if variant != "centre" else 1)),
        )
    )  # fmt: skip


def test_displacement_explains_all_where_all_runs_lie_on_one_line() -> None:
    found = explained_by_displacement.by_setting(snapshots(1.0))["one"]
    assert found.words == "100%"
    x, y = np.log([1, 2, 4, 8] * 2), np.log([1, 2, 4, 8] * 2) / 2 + np.log([1] * 4 + [4] * 4)
    apart = explained_by_displacement.by_setting(snapshots(4.0))["one"]
    assert apart.value == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    figure = figures.runs(snapshots(4.0), PANEL)
    assert f"explains {apart.words} of" in figure.layout.title.text.replace("<br>", " ")
    lines = {trace.name: trace for trace in figure.data}
    assert lines["centre"].x == pytest.approx([0.01, 0.02, 0.04, 0.08])
    ratio = np.array(lines[NAMES[0]].y) / np.array(lines["centre"].y)
    assert ratio == pytest.approx([4] * 4, rel=1e-3)


def test_the_tables_are_as_they_are_declared() -> None:
    table = TABLE.drop(columns=["setting", "seed"])
    declared.check("architecture", "matched", table)
    with pytest.raises(TableError, match="'at'"):
        declared.check("architecture", "matched", table.assign(at="equal steps"))
