"""The front page's sentences: each answers as its verdicts do, in any constellation."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

import pytest
from made_verdicts import verdict

from ctl_helpers.findings.judging import Word
from ctl_helpers.findings.sentences import found
from ctl_helpers.findings.verdict import Verdict

SETTINGS = ("mnist-mlp", "small-clip", "digits-mlp", "scenes-clip")
SENTENCES: dict[Callable[[Sequence[Verdict]], str], tuple[str, ...]] = {
    found.between_tasks: ("ctl-direction",),
    found.linear: ("ctl-direction", "avg-direction", "add-direction", "neg-direction"),
    found.special: ("special",),
    found.merged: ("avg-ensemble", "add-stitch", "neg-stitch"),
    found.pretrained: ("pretrain-epochs", "similar-to-pretrain", "curvature-bound"),
    found.linear_layers: ("llo-single", "llo-addition", "llo-cost"),
}


def judged(claims: Sequence[str], *words: Word) -> list[Verdict]:
    """Each claim on as many settings as there are words."""
    return [
        verdict(claim, setting, word)
        for claim in claims
        for setting, word in zip(SETTINGS, words, strict=False)
    ]


def numbers(sentence: str) -> list[str]:
    """A sentence's numbers; a share and a range are one each, the numbers of names none."""
    bare = re.sub(r"\(Theorem 5\.1\)|T5", "", sentence)
    return re.findall(r"\d+ of \d+|[\d.]*\d to [\d.]*\d|\d[\d.]*", bare)


ANSWERS: list[tuple[tuple[Word, ...], str]] = [
    (("reproduced", "reproduced"), "Yes"),
    (("reproduced", "reproduced", "not testable"), "Yes"),
    (("reproduced", "reproduced", "contradicted"), "Mostly"),
    (("reproduced", "contradicted"), "In part"),
    (("partly", "partly"), "In part"),
    (("partly", "contradicted"), "In part"),
    (("contradicted", "undecided"), "Not shown"),
    (("contradicted", "contradicted"), "No"),
    (("undecided", "undecided", "not run"), "Undecided"),
    (("not testable", "not run"), "Not testable here"),
    (("not run", "not run"), "Not run yet"),
]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize(("words", "answer"), ANSWERS)
def test_an_answer_says_no_more_than_its_verdicts(sentence, words, answer) -> None:
    text = sentence(judged(SENTENCES[sentence], *words))
    question, said = re.match(r"\*\*(.+\?)\*\* (.+?)\.(?: |$)", text).groups()
    assert said == answer
    assert question.count("?") == 1
    assert len(numbers(text)) <= 3, text
    assert ("Not testable:" in text) == ("not testable" in words)
    assert "None" not in text
    assert "nan" not in text


def test_published_networks_are_told_one_by_one() -> None:
    made = [
        verdict("special", "real-minilm", "reproduced"),
        verdict("special", "real-efficientnet", "partly"),
        verdict("special", "real-efficientnet", "undecided", section="4.3"),
        verdict("special", "digits-mlp", "contradicted"),
    ]
    assert found.special(made).endswith(
        " *Published networks*: MiniLM reproduced; EfficientNet-Lite0 partly or undecided."
    )
    assert "*Published networks*" not in found.special(made[-1:])


def test_no_verdict_at_all_is_not_run() -> None:
    for sentence in SENTENCES:
        assert "** Not run yet." in sentence([])


def test_the_short_answer_says_what_its_verdicts_mean() -> None:
    made = [
        verdict("ctl-direction", "mnist-mlp", "undecided", 0.4, control=1.1),
        verdict("ctl-direction", "digits-mlp", "partly", 0.5, control=1.3),
        verdict("ctl-direction", "small-clip", "not run"),
    ]
    assert found.between_tasks(made) == (
        "**Is it true?** In part. In the settings that could test it the verdicts are *partly* "
        "(more linear than networks pretrained apart, but not nearly linear) or *undecided*. With "
        "two networks mixed, ε at the worst layer (zero is linear) goes from 0.4 to 0.5; with "
        "networks pretrained apart it is at least 1.1."
    )
    one = found.between_tasks(made[1:2])
    assert "In the setting that could test it the verdict is *partly* (more" in one
    assert "(zero is linear) is 0.5; with networks pretrained apart it is 1.3." in one


def test_linear_counts_settings_and_says_where_in_words() -> None:
    made = [
        verdict("ctl-direction", "mnist-mlp", "reproduced", 0.4, control=1.1),
        verdict("ctl-direction", "digits-mlp", "contradicted", 1.5, control=1.3),
        verdict("avg-direction", "small-clip", "reproduced", 0.2, section="4.2", control=None),
        verdict("neg-direction", "small-clip", "undecided", 0.7, section="4.3", control=0.9),
        verdict("add-direction", "scenes-clip", "not testable", 0.01, gate="nothing moves"),
    ]
    assert found.linear(made) == (
        "**Is a mixed network linear where pretraining is shared?** In part. The claim of linear "
        "features is reproduced in 2 of 4 cases (the others: undecided or contradicted): in some "
        "settings between two tasks, everywhere for averages and nowhere for subtracted ones. Not "
        "testable: Scenes CLIP (nothing moves)."
    )


@pytest.mark.parametrize(
    ("words", "share"),
    [
        (("reproduced", "reproduced", "reproduced"), "reproduced in all 3 settings."),
        (("reproduced",), "reproduced in the one setting that could test it."),
        (("undecided",), "not reproduced in the one setting that could test it (undecided)."),
        (("contradicted", "partly"), "reproduced in none of 2 settings (partly or contradicted)."),
        (
            ("reproduced", "partly", "reproduced"),
            "reproduced in 2 of 3 settings (the other: partly).",
        ),
    ],
)
def test_special_says_in_how_many_settings_and_the_ratio(words, share) -> None:
    text = found.special(judged(["special"], *words))
    assert f" The claim that they clearly are is {share}" in text
    # 0.4 over its control of 1.2, everywhere.
    assert "Their ε, divided by that of random vectors, is 0.33; less is more linear." in text


def test_a_setting_judged_in_two_sections_is_two_cases() -> None:
    made = [verdict("special", "mnist-mlp", "reproduced", section=one) for one in ("4.1", "4.2")]
    assert "in all 2 cases" in found.special(made)


def test_claims_of_one_sentence_are_told_apart() -> None:
    made = [
        verdict("avg-ensemble", "small-clip", "contradicted"),
        verdict("add-stitch", "small-clip", "not testable", gate="a ceiling"),
        verdict("neg-stitch", "small-clip", "not run"),
    ]
    assert found.merged(made) == (
        "**Do merged networks do what their features say?** No. *Averaging weights does what "
        "averaging outputs does*: not reproduced in the one setting that could test it "
        "(contradicted). *Two task vectors added keep both tasks, as averaged features do*: could "
        "not be tested. *Subtracting a task vector takes away its own task and spares the "
        "others*: not run. Not testable: Small CLIP, trained here (a ceiling)."
    )
    assert "Theorem 5.1)*: reproduced in all 2 settings" in found.pretrained(
        judged(SENTENCES[found.pretrained], "reproduced", "reproduced")
    )


def test_the_second_paper_s_claims_are_listed_by_how_far_they_go() -> None:
    made = [
        *judged(["llo-single", "llo-cost"], "reproduced", "reproduced"),
        *judged(["llo-addition"], "contradicted", "undecided"),
        *judged(["llo-ablation"], "not run"),
    ]
    assert found.linear_layers(made).endswith(
        "Its claims are reproduced in 4 of 6 cases (the others: undecided or contradicted). "
        "Reproduced everywhere: *The llo-single claim* and *The llo-cost claim*. Reproduced "
        "nowhere: *The llo-addition claim*."
    )


def test_what_breaks_it_is_listed_by_whether_it_does() -> None:
    made = [
        *judged(["failure-apart"], "reproduced", "reproduced"),
        *judged(["failure-scratch", "failure-short"], "contradicted", "undecided"),
        *judged(["failure-parts"], "not run"),
    ]
    assert found.broken(made) == (
        "**Does it break where it is said to?** In part. Yes: *The failure-apart claim*. Not "
        "shown: *The failure-scratch claim* and *The failure-short claim*."
    )


def test_the_front_page_numbers_six() -> None:
    made = [
        each
        for claims, word in product(SENTENCES.values(), ("reproduced",))
        for each in judged(claims, word)
    ]
    made += judged(["failure-apart"], "reproduced")
    lines = found.found(made).splitlines()
    assert [line.partition(".")[0] for line in lines] == list("123456")
    assert all("** Yes." in line for line in lines)
