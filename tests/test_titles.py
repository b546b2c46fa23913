"""No title contradicts its evidence: headings ask, captions describe, takeaways follow numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import jupytext
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT
from plotly.graph_objects import Figure

from ctl_helpers.engine.similarity import linearity_error
from ctl_helpers.figures import (
    averaging,
    disentangled,
    editing,
    factors,
    linearity,
    many,
    paradigms,
    second_order,
    spawning,
    statistics,
    stitched,
    taylor,
)
from ctl_helpers.findings import verdicts as judged
from ctl_helpers.findings.words import linear_words
from ctl_helpers.results.labels import Control, Scheme
from ctl_helpers.site import gallery

ASSERTS = re.compile(
    r"(?<!perhaps )nearly linear|(?<!how )\b(?:are|stays?|remains?) (?:still )?linear\b"
    r"|linear all the same|\b(?:is|are) kept\b|\bas accurate as\b|\b(?:is|are|stays?) exact\b",
    re.IGNORECASE,
)
"""What a title may not say of a setting whose claim is not reproduced."""

PANELS = {"one": "Setting one", "two": "Setting two"}


@dataclass
class Verdict:
    """What of a verdict is looked at."""

    claim: str
    setting: str
    evidence: str
    word: str


def contradictions(
    takeaways: Mapping[str, str], panels: Mapping[str, str], verdicts: Iterable[Verdict]
) -> list[str]:
    """Settings of which a takeaway asserts what no claim with that evidence has reproduced.

    Args:
        takeaways: a figure's address on its page → its takeaway.
        panels: setting → what takeaways call it.
        verdicts: of the claims.
    """
    found = []
    words = {(one.evidence, one.setting): set[str]() for one in verdicts}
    for one in verdicts:
        words[one.evidence, one.setting].add(one.word)
    for (evidence, setting), said in words.items():
        text = _of_setting(takeaways.get(evidence, ""), panels, setting)
        if ASSERTS.search(text) and "reproduced" not in said:
            found.append(f"{evidence}, {setting}: {text!r} beside {sorted(said)}")
    return found


def _of_setting(text: str, panels: Mapping[str, str], setting: str) -> str:
    """The parts of a takeaway that end in a setting's name; all of it where it names none."""
    titles = "|".join(re.escape(title.split(" (")[0]) for title in panels.values())
    parts = re.split(rf"\(({titles})\)", text)
    if len(parts) == 1:
        return text
    own = panels.get(setting, "").split(" (")[0]
    return " ".join(part for part, title in zip(parts[::2], parts[1::2], strict=False)
                    if title == own)  # fmt: skip


# Made tables of networks whose ε is given, with 5 seeds that differ by a hundredth.

GRIDS: dict[str, list[dict[str, object]]] = {
    "pairs": [{"alpha": alpha} for alpha in (0.25, 0.5)],
    "edits": [{"lam": lam} for lam in (0.2, 0.4)],
    "many": [
        {"k": k, "weights": w, "draw": 0, "models": "a, b"}
        for k, w in product((2, 4), ("equal", "unequal"))
    ],
    "theorem": [
        {"k": k, "scheme": str(s), "alpha": 0.8 / (k + 1)} for k, s in product((1, 2), Scheme)
    ],
    "epochs": [{"alpha": 0.5, "pretrain_epochs": n} for n in (1, 4)],
}


def compared(grid: str, epsilon: float, step: int = 1, **labels: object) -> pd.DataFrame:
    """A comparison of two settings on a grid; distance and length go with ε.

    Seeds are in another order for each step: no number goes with another.
    """
    pair = {} if grid == "theorem" or grid == "many" else {"i": "a", "j": "b"}
    measured = {"epsilon": epsilon, "distance": epsilon**2 / 20, "baseline": 0.1}
    measured["coef"] = 1 - epsilon**2 / 4
    return pd.DataFrame(
        {
            "setting": setting, "seed": seed, **pair, **point, "layer": layer, "metric": metric,
            "mean": value * (1 + 0.01 * (step * seed % 5)), "q25": value, "q75": value,
            "std": 0.0, "n": 10, **labels,
        }
        for setting, seed, point, layer in product(PANELS, range(5), GRIDS[grid], ("x.0", "x.1"))
        for metric, value in measured.items()
    )  # fmt: skip


def controls(grid: str, epsilon: float) -> pd.DataFrame:
    """Controls of networks whose ε is given; those of all others are near 1."""
    table = [
        compared(grid, epsilon if c == Control.TASK_VECTORS else 0.9, step, control=str(c))
        for step, c in enumerate(Control, 1)
    ]
    return pd.concat(table, ignore_index=True)


def stitched_sums(lam: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "setting": setting, "seed": seed, "split": split, "lam": at, "task": task,
            "accuracy": 0.5 + at / 4, "share": 0.74 + at / 4, "chosen": at == lam,
        }
        for setting, seed, split, at, task in product(
            PANELS, range(2), ("held-out", "test"), (0.0, 0.4), "ab"
        )
    )  # fmt: skip


def triples(lead: float) -> pd.DataFrame:
    """Ensembles, and averages that are ahead of them by a lead."""
    ensemble = np.linspace(0.6, 0.8, 4)
    return pd.concat(
        pd.DataFrame(
            {
                "setting": setting, "seed": seed, "models": [f"{n}, a, b" for n in range(4)],
                "averaged": ensemble + lead * (1 + seed / 10), "ensemble": ensemble,
            }
        )
        for setting, seed in product(PANELS, range(2))
    )  # fmt: skip


OF_EPSILON: dict[str, Callable[[float], Figure]] = {
    "4_1.html#fig-4-1-direction": lambda e: linearity.direction(
        compared("pairs", e), PANELS, controls=controls("pairs", e)
    ),
    "4_1.html#fig-4-1-controls": lambda e: linearity.controls(controls("pairs", e), PANELS),
    "batchnorm.html#fig-batchnorm-features": lambda e: statistics.statistics(
        pd.concat(compared("pairs", e, statistics=s) for s in ("mixed", "recomputed")), PANELS
    ),
    "4_2.html#fig-4-2-blocks": lambda e: averaging.blocks(
        compared("many", e), PANELS, controls=controls("many", e)
    ),
    "4_2.html#fig-4-2-many": lambda e: many.many(compared("many", e), PANELS),
    "4_3.html#fig-4-3-eq2": lambda e: editing.direction(
        compared("edits", e), PANELS, controls=controls("edits", e)
    ),
    "4_3.html#fig-4-3-eq3": lambda e: editing.direction(
        compared("edits", e).drop(columns="j"), PANELS
    ),
    "4_3.html#fig-4-3-lambda": lambda e: second_order.against_lambda(
        compared("edits", e), compared("edits", e).drop(columns="j"), PANELS
    ),
    "4_3.html#fig-4-3-theorem": lambda e: disentangled.theorem(compared("theorem", e), PANELS),
    "5.html#fig-5-pretraining": lambda e: factors.factor(compared("epochs", e), PANELS),
    "3.html#fig-3-spawning": lambda e: spawning.spawning(
        pd.DataFrame(
            {"setting": setting, "seed": seed, "k": k, "barrier": e, "epsilon": e, "distance": e}
            for setting, seed, k in product(PANELS, range(2), (0, 4))
        ),
        PANELS,
    ),
    "A.html#fig-a-taylor": lambda e: taylor.taylor(
        pd.concat(
            compared("edits", e).query("lam == 0.4").drop(columns=["j", "lam"]).assign(i=name)
            for name in "ab"
        ),
        compared("pairs", e).query("alpha == 0.5"),
        PANELS,
    ),
    "linear.html#fig-linear-ctl": lambda e: paradigms.linearity(
        pd.concat(compared("edits", e, paradigm=str(name)) for name in paradigms.LOOKS),
        pd.concat(
            stitched_sums(0.4).assign(paradigm=str(name), alpha=lambda t: t["lam"])
            for name in paradigms.LOOKS
        ),
        PANELS,
    ),
}
"""A figure's address → how it is drawn of networks that have an ε."""

LINEAR = (
    "4_1.html#fig-4-1-direction", "4_2.html#fig-4-2-blocks",
    "4_3.html#fig-4-3-eq2", "4_3.html#fig-4-3-eq3",
)  # fmt: skip
"""Those whose takeaway says how linear networks are."""

GOOD, HALF, BAD = 0.05, 0.5, 0.95


def said(figure: Figure) -> str:
    return "; ".join([figure.layout.meta["takeaway"], *figure.layout.meta["others"]])


def listed(word: str) -> list[Verdict]:
    """A verdict on every figure and setting."""
    return [Verdict("claim", setting, name, word) for name in OF_EPSILON for setting in PANELS]


@pytest.mark.parametrize(
    ("epsilon", "word"), [(GOOD, "reproduced"), (HALF, "partly"), (BAD, "contradicted")]
)
@pytest.mark.parametrize("name", OF_EPSILON)
def test_a_takeaway_agrees_with_the_verdict_on_its_numbers(
    name: str, epsilon: float, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged, "verdicts", lambda: listed(word))
    takeaway = said(OF_EPSILON[name](epsilon))
    assert contradictions({name: takeaway}, PANELS, judged.verdicts()) == []
    if name in LINEAR:
        wanted = {GOOD: "are nearly linear", HALF: "are partly linear", BAD: "are not linear"}
        assert wanted[epsilon] in takeaway


@pytest.mark.parametrize("name", LINEAR)
def test_a_takeaway_that_is_better_than_its_verdict_is_found(name: str) -> None:
    takeaway = said(OF_EPSILON[name](GOOD))
    found = contradictions({name: takeaway}, PANELS, listed("contradicted"))
    assert len(found) == len(PANELS)
    verdicts = [
        Verdict("claim", "one", name, "reproduced"), Verdict("claim", "two", name, "undecided"),
    ]  # fmt: skip
    (other,) = contradictions({name: takeaway}, PANELS, verdicts)
    assert f"{name}, two: " in other


def test_what_an_interval_leaves_open_is_not_asserted() -> None:
    table = compared("pairs", 0.2)
    wide = table.assign(mean=table["mean"] * (1 + 0.5 * (table["seed"] - 2)))
    takeaway = said(linearity.direction(wide, PANELS))
    assert "are nearly or partly linear" in takeaway
    name = "4_1.html#fig-4-1-direction"
    assert contradictions({name: takeaway}, PANELS, listed("undecided")) == []


def test_a_control_that_is_as_linear_takes_the_word_away() -> None:
    table = compared("pairs", 0.2)
    name = "4_1.html#fig-4-1-direction"
    alike = controls("pairs", 0.2)
    alike["mean"] = alike["mean"].where(alike["control"] == Control.TASK_VECTORS, 0.21)
    assert "are not linear" in said(linearity.direction(table, PANELS, controls=alike))
    assert "are nearly linear" in said(OF_EPSILON[name](0.2))


@pytest.mark.parametrize(
    ("epsilon", "control", "words"),
    [
        (0.0, None, "nearly linear"), (0.249, None, "nearly linear"), (0.25, None, "partly linear"),
        (0.749, None, "partly linear"), (0.75, None, "not linear"), (3.0, None, "not linear"),
        (0.2, 0.5, "partly linear"), (0.2, 0.25, "not linear"), (0.1, 0.5, "nearly linear"),
        (0.9, 5.0, "partly linear"), (3.8, 5.0, "not linear"), (0.2, float("nan"), "nearly linear"),
    ],
)  # fmt: skip
def test_words_are_quarters_between_linear_and_the_control(
    epsilon: float, control: float | None, words: str
) -> None:
    assert linear_words(epsilon, control) == words


def test_averages_behind_their_ensembles_are_said_to_be() -> None:
    ahead, behind = (said(averaging.ensembles(triples(lead), PANELS)) for lead in (0.02, -0.02))
    assert "is −2.1 points (the ensemble is ahead), mean" in behind
    assert "is +2.1 points (averaged weights are ahead), mean" in ahead
    alike = said(averaging.ensembles(triples(0.0), PANELS))
    assert "is 0.0 points (which is ahead is undecided), mean" in alike
    assert not ASSERTS.search(behind)


def test_a_sum_of_nothing_is_said_to_be() -> None:
    nothing, some = (said(stitched.added(stitched_sums(lam), PANELS)) for lam in (0.0, 0.4))
    assert "at λ = 0, which adds nothing;" in nothing
    assert "nothing" not in some


# Texts that no number changes assert nothing.


def pages() -> Sequence[str]:
    return sorted(path.stem for path in (ROOT / "book").glob("*.md"))


@pytest.mark.parametrize("name", pages())
def test_headings_of_a_page_ask_or_name(name: str) -> None:
    lines = (ROOT / "book" / f"{name}.md").read_text().splitlines()
    headings = [line for line in lines if re.match(r"#+ ", line)]
    assert headings
    asserting = re.compile(
        rf"{ASSERTS.pattern}|\b(?:fails?|holds?|works?|loses?|stays?|edits?)\b|: (?:no|close|linear"
        r"|kept|better)\b",
        re.IGNORECASE,
    )
    owned_elsewhere = ("# What holds", "## What holds", "## Claims that fail somewhere")
    assert [
        line for line in headings
        if asserting.search(line) and not line.endswith("?") and line not in owned_elsewhere
    ] == []  # fmt: skip


def cells() -> list[tuple[str, str, str]]:
    """Page, figure and its caption, of pages and notebooks."""
    found = []
    for path in sorted([*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.md")]):
        for cell in jupytext.read(path).cells:
            figure = cell.metadata.get("mystnb", {}).get("figure")
            if figure and "name" in figure:
                found.append((path.stem, figure["name"], figure["caption"]))
    return found


def test_captions_and_names_of_figures_assert_nothing() -> None:
    captions = cells()
    assert len(captions) > 40
    assert [(page, name) for page, name, text in captions if ASSERTS.search(text)] == []
    titles = {name: figure.title for name, figure in gallery.load().figures.items()}
    assert [name for name, title in titles.items() if ASSERTS.search(title)] == []


def test_claims_lead_to_figures_that_are_declared() -> None:
    declared = {f"{page}.html#{name}" for page, name, _ in cells()}
    claims = yaml.safe_load((ROOT / "book" / "claims.yml").read_text())
    links = {
        link
        for claim in claims.values()
        for link in (claim["evidence"], *claim.get("evidence_of", {}).values())
    }
    assert {link for link in links if "#fig-" in link} <= declared
    assert set(LINEAR) <= links


def test_eight_times_under_the_baseline_is_most_of_the_way() -> None:
    """The worked example of the page on theory, for a small angle between two features."""
    angle = 0.1
    parts = torch.tensor([[np.cos(a), np.sin(a)] for a in (-angle / 2, angle / 2)])
    right = parts.mean(0)
    baseline = 1 - np.cos(angle)
    off = np.arccos(1 - baseline / 8)
    left = torch.tensor([np.cos(off), np.sin(off)]) * right.norm()
    size = (right**2).sum()
    squares = ((left - right) ** 2).sum(), ((parts - right) ** 2).sum(1).mean()
    assert float(linearity_error(*squares, size)) == pytest.approx(1 / np.sqrt(2), abs=0.001)
    copied = ((parts[0] - right) ** 2).sum(), squares[1]
    assert float(linearity_error(*copied, size)) == pytest.approx(1)
