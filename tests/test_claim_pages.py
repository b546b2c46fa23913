"""What pages show of verdicts: the grid, its dot plots, the page of claims and the command."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from typing import get_args

import pytest
from conftest import ROOT
from made_verdicts import claim_rows, part, verdict

from ctl_helpers import cli, settings
from ctl_helpers.findings import verdicts
from ctl_helpers.findings.judging import Word
from ctl_helpers.findings.sentences import found
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.site import claim_grid, claim_marks, claim_pages, claim_strips
from ctl_helpers.site.stacked_tables import stacked_table

WORDS: tuple[Word, ...] = get_args(Word)
CSS = (ROOT / "book" / "_static" / "custom.css").read_text(encoding="utf-8")
# Every word on one claim; two claims more, of which one is decided in two sections of a setting.
MADE = [
    *(
        verdict("ctl", setting, word)
        for setting, word in zip(
            ["mnist-mlp", "digits-mlp", "scenes-resnet", "small-clip", "small-t5", "llama-2-13b"],
            WORDS,
            strict=True,
        )
    ),
    verdict("special", "mnist-mlp", "reproduced", section="4.1"),
    verdict("special", "mnist-mlp", "contradicted", 1.3, section="4.2"),
    verdict("cost", "clip8-vit-b-32", "not run", section="linear",
            second=part("not run", None, control=None, effect="Peak memory")),
    verdict("cost", "scenes-clip", "partly", section="linear",
            second=part("partly", 0.7, effect="Peak memory")),
]  # fmt: skip


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Verdict]], None]:
    """Puts the claims of verdicts, and one that no setting runs, in place of the book's."""

    def put(judged: Sequence[Verdict]) -> None:
        claims = claim_rows(list(judged), "lonely")
        for module in (claim_grid, claim_pages):
            monkeypatch.setattr(module, "load", lambda: claims)

    put(MADE)
    return put


class Links(HTMLParser):
    """Each mark of a grid that is a link, with the row and the column it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.columns: list[str] = []
        self.found: list[dict[str, str]] = []
        self._row, self._column, self._in_names = "", -1, False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {key: value or "" for key, value in attrs}
        if tag == "tr":
            self._row, self._column = known.get("id", ""), -1
        elif tag == "td":
            self._column += 1
        elif tag == "a" and "verdict" in known.get("class", ""):
            self.found.append({**known, "row": self._row, "column": str(self._column)})
        self._in_names = tag == "span" and "title" in known

    def handle_data(self, data: str) -> None:
        if self._in_names:
            self.columns.append(data)
        elif self.found and "mark" not in self.found[-1]:
            self.found[-1]["mark"] = data

    def handle_endtag(self, tag: str) -> None:
        self._in_names = False


def test_every_verdict_has_one_cell_and_the_cell_is_a_link(rows) -> None:
    links = Links(claim_grid.dashboard(MADE).data)
    assert len(links.found) == len(MADE)
    for each in MADE:
        title = settings.describe(each.setting).title
        own = [
            link
            for link in links.found
            if link["row"] == f"row-{each.claim}"
            and links.columns[int(link["column"])] == title
            and each.section in link["title"]
        ]
        assert len(own) == 1, (each.claim, each.setting, each.section)
        (link,) = own
        assert link["href"] == each.evidence
        assert link["class"] == f"verdict {each.word.replace(' ', '-')}"
        assert link["mark"] == claim_marks.MARKS[each.word]
        assert title in link["aria-label"]
        assert each.word in link["aria-label"]


def test_settings_are_grouped_by_grade_with_those_not_run_last_and_folded(rows) -> None:
    text = claim_grid.dashboard(MADE).data
    shown = [settings.describe(each.setting) for each in MADE]
    columns = Links(text).columns
    assert sorted(columns) == sorted({setting.title for setting in shown})
    grades = {setting.title: setting.grade for setting in shown}
    assert [grades[title] for title in columns] == sorted(grades[title] for title in columns)
    assert columns[0] == "MNIST MLP"
    folded = re.findall(r'<th class="never" scope="col"><span title="[^"]*">([^<]*)', text)
    assert folded == [settings.describe(name).title for name in ("clip8-vit-b-32", "llama-2-13b")]
    letters = re.findall(r'([^>]*)</span><b class="grade">(.)</b></th>', text)
    assert letters == [(title, grades[title]) for title in columns]
    # A checkbox before the box, so that a style sheet alone can fold.
    assert re.search(r'<input type="checkbox" id="show-not-run">.*<div class="verdict-box">', text)
    assert "#show-not-run:not(:checked) ~ .verdict-box" in CSS
    assert "#show-missed:not(:checked) ~ .verdict-box .missed" in CSS
    assert '<input type="checkbox" id="show-missed">' in text
    assert "<script" not in text


def test_words_differ_by_mark_and_class_and_each_class_has_a_style(rows) -> None:
    assert set(claim_marks.MARKS) == set(WORDS)
    assert len(set(claim_marks.MARKS.values())) == len(WORDS)
    for word in WORDS:
        assert f".verdict.{claim_marks.css_class(word)}" in CSS
    assert "style=" not in claim_grid.dashboard(MADE).data


def contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours such as ``#0067a3``."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("word", ["reproduced", "partly", "contradicted", "undecided"])
def test_marks_can_be_read_on_their_colours(word: str) -> None:
    (colour,) = re.findall(rf"--ctl-{word}: (#\w{{6}});", CSS)
    white = re.search(rf"\.verdict\.{word} {{[^}}]*color: white", CSS)
    assert contrast(colour, "#ffffff" if white else "#14181d") > 4.5


def test_a_cell_tells_number_interval_control_and_position_or_what_is_missing(rows) -> None:
    titles = {link["mark"]: link["title"] for link in Links(claim_grid.dashboard(MADE).data).found}
    by_word = {each.word: claim_marks.described(each) for each in MADE[:6]}
    assert by_word["reproduced"] == (
        "MNIST MLP (A, paper's own), 4.1: reproduced. Error ε of the worst layer: 0.4 [0.3, 0.5]; "
        "Networks pretrained apart: 1.2 [1.1, 1.3]; p = 0.667 [0.617, 0.717]."
    )
    assert by_word["undecided"].endswith(
        "Error ε of the worst layer; it takes about 9 seeds to decide."
    )
    assert by_word["not testable"].endswith(" No barrier to begin with.")
    assert by_word["not run"].endswith("4.1: not run.")
    assert titles["∅"] == by_word["not testable"]


def test_a_row_that_fails_shows_the_part_that_was_missed(rows) -> None:
    text = claim_grid.dashboard(MADE).data
    ctl, special, cost, lonely = (
        text.partition(f'<tr id="row-{name}">')[2].partition('<tr id="row-')[0]
        for name in ("ctl", "special", "cost", "lonely")
    )
    lines = re.findall("<li>([^<]*)</li>", ctl)
    assert lines == [
        "◐ partly in Digits MLP: Error ε of the worst layer",
        "✗ contradicted in Scenes ResNet: Error ε of the worst layer",
        "? undecided in Small CLIP, trained here: Error ε of the worst layer",
    ]
    assert re.findall("<li>([^<]*)</li>", special) == [
        "✗ contradicted in MNIST MLP: Error ε of the worst layer"
    ]
    assert "◐ partly in Scenes CLIP: Peak memory" in cost
    assert 'class="missed"' not in lonely
    assert '<a href="claims.html#claim-lonely">The lonely claim</a>' in lonely
    good = [verdict("fine", "mnist-mlp", "reproduced")]
    rows(good)
    assert 'class="missed"' not in claim_grid.dashboard(good).data


def test_the_part_that_is_missed_has_the_verdicts_word() -> None:
    words: tuple[Word, ...] = ("reproduced", "undecided", "contradicted")
    parts = tuple(part(word, 0.4) for word in words)
    judged = {
        word: dataclasses.replace(verdict("c", "mnist-mlp", word), parts=parts)
        for word in words[1:]
    }
    assert judged["contradicted"].missed is parts[2]
    assert judged["undecided"].missed is parts[1]
    assert dataclasses.replace(judged["undecided"], word="partly").missed is parts[1]
    assert dataclasses.replace(judged["undecided"], parts=parts[:1]).missed is None


def test_the_legend_counts_every_word_and_grade(rows) -> None:
    text = claim_grid.dashboard(MADE).data
    ran = sum(made.word != "not run" for made in MADE)
    assert f"<strong>4 claims, {ran} verdicts</strong>" in text
    assert f"({len(MADE) - ran} more were not run)" in text
    for word in WORDS:
        assert f"</span> {word}: {sum(each.word == word for each in MADE)}</li>" in text
    assert '<b class="grade">A</b> the paper\'s own' in text
    assert '<b class="grade">B</b>' not in text


def test_the_front_page_s_answers_are_those_of_the_sentences() -> None:
    assert claim_grid.answers(MADE).data == found.found(MADE)
    assert claim_grid.answer(MADE).data == found.between_tasks(MADE)


# Dot plots.


def at(*positions: float | None) -> list[Verdict]:
    return [verdict("x", "mnist-mlp", "partly", position=each, control=None) for each in positions]


def test_a_dot_lies_where_its_position_is() -> None:
    zero, one = claim_strips.place(0), claim_strips.place(1)
    assert 0 < zero < one < claim_strips.WIDTH
    (dot,) = claim_strips.dots(at(0.25))
    assert dot.x == pytest.approx(zero + (one - zero) / 4)
    assert dot.low == pytest.approx(zero + (one - zero) * 0.2)
    assert dot.high == pytest.approx(zero + (one - zero) * 0.3)
    assert dot.beyond == ""


def test_what_lies_outside_is_drawn_at_the_edge_with_an_arrow() -> None:
    left, right = claim_strips.dots(at(-3.0, 7.0))
    assert (left.beyond, right.beyond) == ("‹", "›")
    assert 5 < left.low <= left.x < claim_strips.place(0)
    assert claim_strips.place(1) < right.x <= right.high < claim_strips.WIDTH - 5
    text = claim_strips.strip(at(-3.0, 7.0))
    assert ">‹</text>" in text
    assert ">›</text>" in text
    for x in map(float, re.findall(r' (?:x|cx|x1|x2)="([^"]*)"', text)):
        assert 0 <= x <= claim_strips.WIDTH


def test_dots_that_would_touch_lie_in_lanes() -> None:
    dots = claim_strips.dots(at(0.5, 0.52, 0.95, 0.51))
    for place, dot in enumerate(dots):
        for other in dots[:place]:
            apart = max(abs(dot.x - other.x) / 11, abs(dot.y - other.y) / 11)
            assert apart >= 1
    assert len({dot.y for dot in dots}) == 3
    assert dots[-1].y == dots[0].y


def test_a_strip_has_borders_letters_whiskers_and_words() -> None:
    text = claim_strips.strip(MADE)
    known = [each for each in MADE if each.position is not None]
    assert text.count("<circle") == text.count('class="whisker"') == len(known)
    assert text.count('class="grade-letter"') == len(known)
    assert text.count('class="border"') == text.count('class="end"') == 2
    label = re.search(r'aria-label="([^"]*)"', text)[1]
    for each in known:
        title = settings.describe(each.setting).title
        assert f"{title} ({each.grade}) {claim_marks.position(each.parts[0])}" in label
    assert '<g class="not-testable">' in text
    assert claim_strips.strip([]) == claim_strips.strip(at(None)) == ""


# The pages.


def plain(text: str) -> str:
    """A page's text with plain blanks."""
    return text.replace("\u00a0", " ")


def test_the_page_of_claims_has_every_number_of_every_part(rows) -> None:
    text = plain(claim_pages.all_claims(MADE).data)
    figure = '<a href="4_1.html#fig-4-1-direction"><b>{}</b></a>'
    assert "(claim-ctl)=\n## The ctl claim\n" in text
    assert (
        "1. **Error ε of the worst layer**. A worst layer decides for *every layer*. *p* is 0 at "
        "the control, Networks pretrained apart, and 1 at 0. *The paper*: under its baseline."
    ) in text
    assert (
        '| MNIST MLP <abbr class="grade" title="paper&#x27;s own">A</abbr> | '
        f"{figure.format('✓ reproduced')} | (1) ✓ | 0.4 [0.3, 0.5] | 1.2 [1.1, 1.3] | "
        "0.667 [0.617, 0.717] | 5 seeds |"
    ) in text
    assert f"{figure.format('? undecided')}; it takes about 9 seeds to decide |" in text
    closed = ": no barrier to begin with (0.02, asked for at least 0.1) |"
    assert figure.format("∅ not testable") + closed in text
    waits = (
        '– not run: Llama 2 of 13 billion <abbr class="grade" title="paper&#x27;s own">A</abbr>.'
    )
    assert waits in text
    ctl, special, cost, lonely = (
        text.partition(f"(claim-{name})=")[2].partition("(claim-")[0]
        for name in ("ctl", "special", "cost", "lonely")
    )
    assert re.findall(r'">([A-D])</abbr> \| ', ctl) == ["A", "C", "C", "D", "D"]
    assert re.findall(r"</abbr>( [\d.]+) \|", special) == [" 4.1", " 4.2"]
    assert f"| {figure.format('◐ partly')} | (1) ✓ |" in cost
    gate = "only where this is at least 0.1: barrier. Otherwise: no barrier to begin with."
    assert f"- *Testable* {gate}" in cost.splitlines()
    assert "|  |  | (2) ◐ | 0.7 [0.6, 0.8] |" in cost
    assert "2. **Peak memory**" in cost
    assert "no setting has this section" in lonely
    assert "None" not in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.count(" |") == 7


def test_numbers_that_are_shown_beside_are_said_to_decide_nothing(rows) -> None:
    beside = part("reproduced", 0.01, control=None, effect="The paper's own distance")
    made = [dataclasses.replace(MADE[0], shown=(beside,))]
    rows(made)
    text = plain(claim_pages.all_claims(made).data)
    assert re.search(
        r"2\. \*\*The paper's own distance\*\*\. .* It is shown, but does not decide\.", text
    )
    assert text.count("It is shown, but does not decide.") == 1
    assert "|  |  | (2) | 0.01 [−0.09, 0.11] |  |" in text


def cells(line: str) -> list[str]:
    """A row's texts."""
    return [text.strip() for text in re.split(r"(?<!\\)\|", plain(line))[1:-1]]


def test_a_table_of_blocks_is_marked() -> None:
    table = stacked_table(["claim", "a|b"], [["one", "yes"], ["two", ""]])
    opened, _, head, ruler, one, two, _, closed = table.splitlines()
    assert (opened, closed) == ('<div class="stacked-table">', "</div>")
    flowing = stacked_table(["claim"], [], flowing=True)
    assert flowing.splitlines()[0] == '<div class="stacked-table flowing">'
    assert (head, ruler) == (r"| claim | a\|b |", "| :-- | :-- |")
    assert (cells(one), cells(two)) == (["one", "yes"], ["two", ""])


def test_failures_are_those_contradicted_or_met_in_part(rows) -> None:
    lines = claim_pages.failures(MADE).data.splitlines()[4:-2]
    failing = [each for each in MADE if each.word in ("partly", "contradicted")]
    assert len(lines) == len(failing)
    claim, missed, setting, word, shown, control = cells(lines[-1])
    assert claim == '<a href="claims.html#claim-cost">The cost claim</a> (linear layers only)'
    assert setting.startswith("Scenes CLIP ")
    assert word.endswith(">◐ partly</a>")
    assert (shown, control, missed) == ("0.7 [0.6, 0.8]", "1.2 [1.1, 1.3]", "Peak memory")
    assert cells(lines[1])[2].startswith("Scenes ResNet ")


def test_the_tally_counts_claims_by_how_far_they_go(rows) -> None:
    made = [
        *MADE,
        verdict("fine", "mnist-mlp", "reproduced"),
        verdict("bad", "mnist-mlp", "contradicted"),
        verdict("bad", "small-t5", "not testable"),
    ]
    rows(made)
    assert claim_pages.tally(made).data.startswith(
        "Of 6 claims, 1 are reproduced wherever they could be judged, 2 in some settings but not "
        "in all, and 2 in none; the others could not be judged."
    )


def test_a_page_closes_with_the_verdicts_of_its_own_settings(monkeypatch) -> None:
    monkeypatch.setattr(claim_pages, "verdicts", lambda section: MADE)
    panels = {"mnist-mlp": "MNIST MLP (A)", "small-clip": "Small CLIP (C)"}
    head, _, *lines = claim_pages.verdict_lines(panels, "4.1").data.splitlines()[2:-2]
    assert cells(head) == ["claim", "MNIST MLP (A)", "Small CLIP (C)", "what was missed"]
    assert cells(lines[0]) == [
        '<a href="claims.html#claim-ctl">The ctl claim</a>', "✓ reproduced",
        "? undecided, it takes about 9 seeds to decide", "Error ε of the worst layer",
    ]  # fmt: skip
    other = verdict("ctl", "mnist-mlp", "partly", second=part("partly", effect="Another error"))
    both = [other, *(each for each in MADE if (each.claim, each.setting) == ("ctl", "small-clip"))]
    monkeypatch.setattr(claim_pages, "verdicts", lambda section: both)
    (line,) = claim_pages.verdict_lines(panels, "4.1").data.splitlines()[4:-2]
    assert cells(line)[-1] == "MNIST MLP: Another error; Small CLIP: Error ε of the worst layer"
    monkeypatch.setattr(claim_pages, "verdicts", lambda section: MADE)
    # A claim that two sections decide has a row for each.
    assert [cells(line)[1] for line in lines] == ["✓ reproduced", "✓ reproduced", "✗ contradicted"]
    alone = claim_pages.verdict_lines({"small-t5": "Small T5 (C)"}, "4.1").data.splitlines()
    assert cells(alone[-3])[1:] == ["∅ not testable", "no barrier to begin with"]
    assert claim_pages.verdict_lines({"llama-2-13b": "Llama"}, "4.1").data == "*Not run yet.*"


# The command.


def call(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr(verdicts, "verdicts", lambda section: MADE)
    monkeypatch.setattr(sys, "argv", ["ctl", "claims", *arguments])
    monkeypatch.setattr(cli.console, "width", 150)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    return capsys.readouterr().out


def test_the_command_prints_what_decides(monkeypatch, capsys) -> None:
    text = call(monkeypatch, capsys)
    assert re.search(r"ctl .* mnist-mlp +│ A .* reproduced .* 0\.4 \[0\.3, 0\.5\] .* 1\.2 \[", text)
    assert re.search(r"ctl .* small-t5 +│ C .* not testable .* no barrier to begin with", text)
    assert re.search(r"ctl .* llama-2-13b +│ A .* not run +│ +– ", text)
    assert "5 seeds" in text


def test_the_command_prints_every_verdict_as_json(monkeypatch, capsys) -> None:
    found = json.loads(call(monkeypatch, capsys, "--json"))
    assert [each["word"] for each in found] == [each.word for each in MADE]
    assert {"name", "grade", "parts", "gates", "evidence"} <= found[0].keys()
