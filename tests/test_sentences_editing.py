"""What Section 4.3's pages say of made-up tables: the right number at the right place."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
import test_findings_editing as made

from ctl_helpers.findings.sentences import editing as sentences

ONE = {"x": "Setting x"}
TABLES = {
    "accuracy": made.NETWORKS,
    "addition": made.ADDED,
    "negation": made.NEGATED,
    "eq2": made.edits(made.PAIRS, 0.01, 0.3, 1),
    "controls": made.CONTROLS,
    "stitched_addition": made.stitched((0.8, 0.7), 0.0),
    "stitched_negation": made.negated(0.2, 0.72),
    "theorem": made.theorem(),
    "nearest": made.NEAREST,
}
SAID: list[tuple[Callable[..., str], list[str], list[str]]] = [
    (sentences.networks, ["accuracy"], ["right on 40% of", "90% of its", "would be right on 20%"]),
    (sentences.edited, ["addition", "negation"], ["choose λ = 0.4", "is 1 for", "80% to 30%"]),
    (sentences.nearer, ["eq2"], ["10 times nearer", "at block 2: 0.03", "1.00 and 1.10"]),
    (sentences.reached, ["eq2"], ["λ = 0.4 to λ = 0.8", "from 0.3 to 2.7"]),
    (sentences.control, ["controls"], ["7 times the length", "3.0 times that"]),
    (sentences.averaged, ["stitched_addition"], ["At λ = 0.5", "right on 75% of both", "by 0.0%"]),
    (sentences.forgotten, ["stitched_negation"], ["from 80% to 20%", "at λ = 2 they are 10%"]),
    (sentences.many, ["theorem"], ["With 3 task vectors", "0.12 for a factor that shrinks"]),
    (sentences.neighbours, ["nearest"], ["| a | 80% | 20% | one | 50% | 4 |"]),
    (sentences.common, ["nearest"], ["70% are of the task vector's own kind", "5 classes"]),
]


def read(text: str) -> str:
    """A text without its mark-up."""
    return pd.Series([text]).str.replace("<[^>]+>", "", regex=True)[0]


@pytest.mark.parametrize(("write", "names", "parts"), SAID)
def test_a_sentence_states_the_numbers_of_its_tables(
    write: Callable[..., str], names: list[str], parts: list[str]
) -> None:
    text = read(write(*(TABLES[name].assign(setting="x") for name in names), ONE))
    assert [part for part in parts if part not in text] == []


def test_what_a_grid_cannot_tell_is_a_dash() -> None:
    short = TABLES["stitched_addition"].query("lam <= 0.5").assign(setting="x")
    assert "by – beyond" in sentences.averaged(short, ONE)


def test_texts_have_sides_and_readings() -> None:
    eq2 = TABLES["eq2"].assign(setting="x")
    sides = {"first": "states.encoder.0", "last": "states.decoder.0"}
    text = read(sentences.sides(
        eq2.assign(layer=eq2["layer"].map(sides)), eq2.assign(layer="states.decoder.norm"), ONE
    ))  # fmt: skip
    assert "farther apart: 0.04 against 0.013" in text
    readings = {"last token of the prompt": 1, "mean over the answer": 2}
    both = [eq2.assign(reading=way, mean=eq2["mean"] / by) for way, by in readings.items()]
    text = read(sentences.readings(pd.concat(both), ONE))
    assert "Lengths are 1.050 and 0.525." in text
