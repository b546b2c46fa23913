"""Failure signatures: the ratio of ε with and without a condition, and what is said of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import test_claims as made
import test_findings_boundary as boundary
import test_objective as objective
from made_verdicts import part, verdict

from ctl_helpers.figures.signatures import dots
from ctl_helpers.findings.claims import load
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.sentences import signatures as sentences
from ctl_helpers.findings.signatures import CLAIMS, CONDITIONS, SIGNATURES
from ctl_helpers.findings.verdict import Number, Verdict
from ctl_helpers.results.labels import Control
from ctl_helpers.site import claim_pages, signatures


def ends(table: pd.DataFrame, condition: str) -> tuple[float, float, float]:
    """ε without it and with it, and the doublings between them."""
    before, after, doublings = (
        MEASURES[f"signature_{name}"](table, condition=condition).effect
        for name in ("before", "after", "doublings")
    )
    assert doublings == pytest.approx(math.log2(after / before)) or math.isnan(doublings)
    return before, after, doublings


def naive(rows: pd.DataFrame, keys: list[str], column: str, two: list[object]) -> list[float]:
    """Geometric means of ε at two values of a column, one row after the other; rows of both."""
    logs: list[list[float]] = [[], []]
    for _, row in rows.groupby(keys):
        means = [row.loc[row[column] == value, "epsilon"].mean() for value in two]
        if not np.isnan(means).any():
            for log, mean in zip(logs, means, strict=True):
                log.append(math.log(mean))
    return [math.exp(sum(log) / len(log)) for log in logs]


@pytest.mark.parametrize(
    ("condition", "keys", "column", "two"),
    [
        ("farthest rotations", ["rate", "steps"], "tasks", ["30° apart", "90° apart"]),
        ("contradicting labels", ["rate", "steps"], "tasks", ["30° apart", "50% of labels"]),
        ("least fine-tuning", ["rate", "tasks"], "steps", [1000, 10]),
    ],
)
def test_cells_are_compared_with_those_of_the_same_rate(condition, keys, column, two) -> None:
    plane = boundary.plane(boundary.noisy).query("seed == 0")
    plane = plane.drop(plane[(plane["rate"] == 1) & (plane[column] == two[1])].index)
    before, after, _ = ends(plane, condition)
    assert [before, after] == pytest.approx(naive(plane, keys, column, two))
    assert math.isnan(ends(plane[plane[column] != two[1]], condition)[2]) or column == "steps"


def test_pairs_of_networks_are_compared_with_themselves() -> None:
    table = made.with_scratch(made.controls((0.1, 0.4, 0.9, 1.4), (0.0,) * 4))
    table.loc[table["control"] == Control.SCRATCH, "mean"] /= 8
    assert ends(table, "pretrained apart") == pytest.approx((0.095, 0.38, 2))
    assert ends(table, "from random weights") == pytest.approx((0.095, 0.0475, -1))
    none = table[table["control"] != Control.SCRATCH]
    assert math.isnan(ends(none, "from random weights")[2])
    lone = MEASURES["signature_doublings"](
        made.varied(table).query("seed == 0"), condition="pretrained apart"
    )
    assert lone.estimate().units == "4 networks of 1 seed"


def test_random_labels_are_compared_with_the_right_ones() -> None:
    table = objective.matched(0.5, 0.8)
    second = ends(table.query("seed == 1"), "random labels")
    assert second == pytest.approx((0.2, 0.4, 1))
    spread = MEASURES["signature_doublings"](table, condition="random labels")
    assert (spread.effect, spread.estimate().units) == (pytest.approx(1), "3 seeds")


def test_epochs_without_an_error_are_no_end() -> None:
    table = made.curve("finetune_epochs", (9.0, 0.1, 0.15, 0.2, 0.4))
    none = (table["finetune_epochs"] == 0) & (table["metric"] == "epsilon")
    table["mean"] = table["mean"].mask(none)
    assert ends(table, "least fine-tuning") == pytest.approx((0.8, 0.2, -2))
    longer = made.curve("pretrain_epochs", (0.8, 0.4, 0.2, 0.1))
    assert ends(longer, "from random weights") == pytest.approx((0.2, 1.6, 3))


def test_every_condition_has_a_claim_and_both_errors_beside_it() -> None:
    rows = load()
    listed = [named for claim in CLAIMS for named in rows[claim].parts]
    assert [named.arguments["condition"] for named in listed] == list(CONDITIONS)
    for claim in CLAIMS:
        beside = [(one.measure, one.arguments) for one in rows[claim].shown]
        assert beside == [
            (f"signature_{name}", named.arguments)
            for named in rows[claim].parts
            for name in ("before", "after")
        ]


def judged(claim: str, setting: str, word: str, doublings: float = 1.0, **more: str) -> Verdict:
    """A verdict with ε from 0.2 on."""
    base = verdict(claim, setting, word, doublings, control=0.0, position=doublings, **more)
    errors = Number(0.2), Number(0.2 * 2**doublings)
    shown = tuple(replace(part("not run"), number=error) for error in errors)
    count = len(load()[claim].parts)
    return replace(base, parts=base.parts * count, shown=shown * count)


MADE = [
    judged("failure-scratch", "real-minilm", "contradicted", -1.0),
    judged("failure-scratch", "scenes-resnet", "not testable", 0.5, section="5.epochs"),
    judged("failure-apart", "digits-mlp", "reproduced", 2.0),
    judged("failure-apart", "mnist-mlp", "not run"),
]


def plain(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text)


def test_each_signature_is_answered_as_its_verdicts_do() -> None:
    said = sentences.answers(MADE).splitlines()
    assert len(said) == len(SIGNATURES) == 5
    assert "Random weights break linearity: **No**" in said[0]
    assert "Separate pretraining breaks linearity: **Yes**." in said[0]
    assert all(line.endswith(("Not run yet.", "**Not run yet**.")) for line in said[1:])
    told = sentences.signature(MADE, "pretraining")
    assert "“CTL may fail if: Models are trained from scratch without pretraining.”" in told
    assert (
        "contradicted in MiniLM (4.1); not testable in Scenes ResNet (length of pretraining)."
        in told
    )
    assert "reproduced in Digits MLP (4.1)." in told
    assert "*Missing parts break linearity*: not run." in sentences.signature(MADE, "parts")


def test_a_row_has_both_errors_the_ratio_and_a_link_to_the_figure() -> None:
    text = plain(signatures.table(MADE, "pretraining").data)
    assert "| from random weights | 0.20 | 0.10 | 0.50× (0.47 to 0.54) |" in text
    assert "0.50× (0.47 to 0.54) | ✗ contradicted | 4.1 |" in text
    assert text.count("∅ not testable") == 1
    assert 'href="4_1.html#fig-4-1-direction"' in signatures.table(MADE, "pretraining").data
    for made_of in (signatures.table, signatures.figure):
        assert made_of(MADE, "knowledge").data == claim_pages.NOT_RUN


def test_the_figure_has_a_dot_for_each_case_and_hollow_ones_where_nothing_is_to_break() -> None:
    figure = dots(sentences.cases(MADE, "pretraining"))
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert [list(trace.x) for trace in points] == [[0.5], [pytest.approx(2**0.5, abs=1e-3)], [4]]
    assert [trace.marker.symbol for trace in points] == ["circle", "circle-open", "square"]
    assert points[0].error_x.array[0] == pytest.approx(2**-0.9 - 0.5, abs=1e-3)
    assert points[0].error_x.arrayminus[0] == pytest.approx(0.5 - 2**-1.1, abs=1e-3)
    takeaway = figure.layout.meta["takeaway"]
    assert takeaway == (
        "Broken in 1 of 2 testable verdicts; ε is at most 0.50× (from random weights) and "
        "4.00× (pretrained apart)"
    )
    assert [one["text"] for one in figure.layout.meta["findings"]] == ["0.50×", "4.00×"]


def test_other_pages_do_not_tell_them(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: Callable[..., object] = claim_pages.verdict_lines
    both = [*MADE, verdict("special", "digits-mlp", "reproduced")]
    monkeypatch.setattr(claim_pages, "verdicts", lambda section: both)
    text = lines({"digits-mlp": "Digits MLP (D)"}, "4.1").data
    assert "The special claim" in text
    assert "failure" not in text
