"""Pages stand beside the paper, and answer their question from verdicts alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from made_verdicts import verdict

from ctl_helpers.findings.sentences.answers import OURS, answered, nearest
from ctl_helpers.site.beside_paper import strip

PANELS = {"mnist-mlp": "MNIST MLP (A)", "digits-mlp": "Digits MLP (D)"}


def test_each_claim_has_the_setting_nearest_to_the_paper_that_could_tell() -> None:
    judged = [
        verdict("one", "digits-mlp", "reproduced"), verdict("one", "mnist-mlp", "partly"),
        verdict("two", "digits-mlp", "partly"), verdict("two", "mnist-mlp", "not testable"),
        verdict("three", "digits-mlp", "reproduced"), verdict("three", "mnist-mlp", "not run"),
        verdict("four", "scenes-clip", "reproduced"),
    ]  # fmt: skip
    assert [(each.claim, each.setting) for each in nearest(judged, PANELS)] == [
        ("one", "mnist-mlp"), ("two", "digits-mlp"), ("three", "digits-mlp"),
    ]  # fmt: skip


@pytest.mark.parametrize(("claim", "paper"), [("llo-sum", "2407.07089"), ("lmc", "2402.03660")])
def test_a_strip_has_the_paper_our_number_and_the_verdict(claim: str, paper: str) -> None:
    judged = [verdict(claim, "mnist-mlp", "partly")]
    head, ruler, row = strip(judged, PANELS).data.splitlines()[2:-2]
    columns = [cell.strip() for cell in head.strip("|").split("|")]
    assert columns == ["claim", "the paper", "ours, with its 95% interval", "agrees?"]
    assert ruler == "| :-- | :-- | :-- | :-- |"
    asked, there, here, agrees = row.strip("|").split(" | ")
    assert f'<a href="claims.html#claim-{claim}">' in asked
    assert "Figure 2; no number." in there
    assert f'<a href="https://arxiv.org/abs/{paper}">' in there
    assert here == "Error ε of the worst layer: 0.4 [0.3, 0.5] (MNIST MLP)"
    assert '<a href="4_1.html#fig-4-1-direction">◐&nbsp;partly</a>' in agrees


def test_without_a_run_there_is_no_strip_and_no_answer() -> None:
    judged = [verdict("one", "mnist-mlp", "not run")]
    assert strip(judged, PANELS) is None
    assert answered(judged, PANELS) == "Nothing was run yet."


def said(*judged: tuple[str, str, str]) -> str:
    return answered([verdict(*each) for each in judged], PANELS)


def test_an_answer_has_three_sentences_and_says_what_was_missed() -> None:
    assert said(("one", "mnist-mlp", "reproduced"), ("two", "mnist-mlp", "partly")) == (
        "**In part.** Reproduced in every setting that could test it: *The one claim*. *The one "
        "claim*: reproduced on MNIST MLP (error ε of the worst layer: 0.4; networks pretrained "
        "apart: 1.2). Of the rest, not reproduced in the setting nearest to the paper's that could "
        "test it: partly *The two claim*."
    )


@pytest.mark.parametrize(
    ("judged", "start"),
    [
        (
            [("one", "mnist-mlp", "reproduced")],
            "**Yes.** Reproduced in every setting that could test it: *The one claim*. ",
        ),
        ([("one", "mnist-mlp", "contradicted")], "**No.** No claim of this page is"),
        ([("one", "mnist-mlp", "not testable")], "**Not testable here.** No claim of this page co"),
        # Reproduced on one setting is not reproduced everywhere.
        (
            [("one", "mnist-mlp", "reproduced"), ("one", "digits-mlp", "undecided")],
            "**In part.** No claim of this page is",
        ),
    ],
)
def test_an_answer_says_no_more_than_the_verdicts(judged: list, start: str) -> None:
    assert said(*judged).startswith(start)


def test_what_no_setting_could_test_is_named() -> None:
    assert "Of the rest" not in said(("one", "mnist-mlp", "reproduced"))
    assert "Of the rest" not in said(("one", "mnist-mlp", "partly"))  # said once
    both = said(("one", "mnist-mlp", "reproduced"), ("two", "mnist-mlp", "not testable"))
    assert both.startswith("**Yes, as far as it could be tested.** Reproduced in every")
    assert "*The one claim*. No setting could test *The two claim*. " in both
    assert said(("one", "mnist-mlp", "not testable")).endswith("could be judged.")


def test_a_paper_s_claim_comes_before_ours_and_few_are_named() -> None:
    text = said(("null", "mnist-mlp", "partly"), *((n, "mnist-mlp", "partly") for n in "abcde"))
    assert "*The a claim*: partly on MNIST MLP" in text
    assert text.endswith("partly *The b claim*, *The c claim*, *The d claim* and 2 more.")
    text = said(*((name, "mnist-mlp", "partly") for name in "abcde"))
    assert text.endswith("*The c claim*, *The d claim*, *The e claim*.")  # one more has room


def test_a_claim_of_two_words_has_its_sections_beside_it() -> None:
    judged = [
        verdict("main", "mnist-mlp", "reproduced"),
        verdict("two", "mnist-mlp", "partly", section="4.2"),
        verdict("two", "mnist-mlp", "undecided", section="4.2.many"),
    ]
    text = answered(judged, PANELS)
    assert text.endswith(
        "partly *The two claim* (4.2); undecided *The two claim* (4.2 many networks)."
    )


def test_what_is_contradicted_is_named_before_what_is_open() -> None:
    judged = [("open", "undecided"), ("half", "partly"), ("wrong", "contradicted")]
    text = said(*((name, "mnist-mlp", word) for name, word in [("one", "reproduced"), *judged]))
    assert text.endswith(
        "contradicted *The wrong claim*; partly *The half claim*; undecided *The open claim*."
    )


def test_a_page_s_own_question_comes_before_those_of_all_pages() -> None:
    text = said(("special", "mnist-mlp", "partly"), ("boundary", "mnist-mlp", "undecided"))
    assert "*The boundary claim*: undecided on MNIST MLP" in text
    assert text.endswith("in the nearest setting that could test it: partly *The special claim*.")


def test_what_no_paper_asks_stands_beside_none() -> None:
    assert strip([verdict(claim, "mnist-mlp", "partly") for claim in OURS], PANELS) is None


def test_a_bar_in_a_number_s_name_does_not_end_its_cell() -> None:
    one = verdict("llo-angles", "mnist-mlp", "partly")
    judged = [replace(one, parts=(replace(one.parts[0], effect="Mean |cosine|"),))]
    row = strip(judged, PANELS).data.splitlines()[-3]
    assert r"Mean \|cosine\|: 0.4" in row
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
