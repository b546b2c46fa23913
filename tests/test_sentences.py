"""Generated texts: what answers them, splits that share nothing, and bad input."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ctl_helpers.data.sets import sentences
from ctl_helpers.data.texts import Texts, majority
from ctl_helpers.data.tokens import Coder

SPLITS = ("pretrain", "train", "held-out", "test")
NUMBERS = sentences._NUMBERS


def right(kind: str, text: str) -> str:
    """The answer, found from the text alone and in another way than it was made."""
    words = text.split()
    if kind == "sentiment":
        good = sum(word in sentences._FEELINGS["good"] for word in words)
        bad = sum(word in sentences._FEELINGS["bad"] for word in words)
        assert {good, bad} == {1, 2}
        return "good" if good > bad else "bad"
    if kind == "topic":
        counts = {
            topic: sum(word in own for word in words) for topic, own in sentences._TOPICS.items()
        }
        assert sorted(counts.values()) == [0, 0, 0, 2, 3]
        return max(counts, key=counts.__getitem__)
    if kind == "colour":
        things = {thing: colour for colour, own in sentences._COLOURS.items() for thing in own}
        (colour,) = (things[word] for word in words if word in things)
        return colour
    if kind == "opposite":
        (word,) = (word for word in words if word in sentences._OPPOSITES)
        return sentences._OPPOSITES[word]
    a, b, c = (NUMBERS.index(word) for word in words if word in NUMBERS)
    assert c - b == b - a in (1, 2)
    return NUMBERS[c + c - b]


@pytest.mark.parametrize("kind", sentences.KINDS)
def test_each_text_has_the_answer_that_it_asks_for(kind: str) -> None:
    for split in SPLITS:
        texts = sentences.load(kind, split)
        for source, target in zip(texts.sources, texts.targets, strict=True):
            task, _, text = source.partition(" : ")
            assert (task, right(kind, text)) == (kind, target)


def test_documents_close_with_what_is_true_of_them() -> None:
    documents = sentences.pretraining()
    closings = {closing: kind for kind, closing in sentences._CLOSINGS.items()}
    closed = 0
    for document in documents:
        *words, closing, answer = document.split()
        if closing in closings:
            closed += 1
            assert right(closings[closing], " ".join(words)) == answer
    assert 0.58 < closed / len(documents) < 0.62


@pytest.mark.parametrize("kind", sentences.KINDS)
def test_no_text_is_in_two_splits(kind: str) -> None:
    bodies = [
        {source.partition(" : ")[2] for source in sentences.load(kind, split).sources}
        for split in SPLITS
    ]
    assert sum(map(len, bodies)) == len(set.union(*bodies))
    closing = f" {sentences._CLOSINGS[kind]} "
    seen = {document.partition(closing)[0] for document in sentences.pretraining()}
    assert not seen & set.union(*bodies[1:])


@pytest.mark.parametrize("kind", sentences.KINDS)
def test_no_answer_is_most_of_them(kind: str) -> None:
    train, test = (sentences.load(kind, split) for split in ("train", "test"))
    assert set(test.targets) == set(train.targets)
    assert majority(train, test) < 0.55


def test_texts_are_the_same_in_another_process() -> None:
    """Whatever order its hashes put sets in."""
    code = (
        "from ctl_helpers.data.sets.sentences import load; print(load('topic', 'train', 3).sources)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(sentences.load("topic", "train").sources[:3])


def test_the_tokenizer_knows_every_word() -> None:
    coder = Coder(sentences.tokenizer(), "right")
    coder.plain(sentences.pretraining())
    for kind in sentences.KINDS:
        for split in SPLITS:
            coder.rows(sentences.load(kind, split, 200))


def test_the_majority_answer_comes_from_training() -> None:
    train = Texts(("a", "b", "c"), ("x", "y", "y"))
    test = Texts(("d", "e", "f", "g"), ("x", "x", "x", "y"))
    assert majority(train, test) == 0.25
    assert majority(test, train) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match=r"3 training and 0 test examples; .* some of both"):
        majority(train, test.first(0))
    assert test.first(2) == Texts(("d", "e"), ("x", "x"))
    assert test.first(None) == test
