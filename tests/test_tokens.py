"""Tokens and batches: marks, padding, cutting, and what a tokenizer does not know."""

from __future__ import annotations

import pytest
import torch
from conftest import refused

from ctl_helpers.data import tokens
from ctl_helpers.data.texts import Texts
from ctl_helpers.data.tokens import ANSWER, END, MARKS, NO_TARGET, PAD, START, Coder, framed

TEXTS = Texts(("b a", "c", "a b c"), ("c", "a b", "b"))
A, B, C = (len(MARKS) + number for number in range(3))
PADDING, ENDING, BEGIN, ASK = (MARKS.index(mark) for mark in (PAD, END, START, ANSWER))


@pytest.fixture
def words() -> tokens.Tokenizer:
    return tokens.by_words(["c", "b", "a", "c"])


def test_words_are_numbered_after_the_marks(words) -> None:
    assert [words.token_to_id(word) for word in (*MARKS, *"abc")] == list(range(len(MARKS) + 3))
    assert PADDING == 0  # which T5 starts an answer with


def test_a_t5_batch_is_padded_on_the_right(words) -> None:
    keywords, targets = Coder(framed(words, after=[END]), "right").batches(TEXTS, 3)[0]
    assert {name: value.tolist() for name, value in keywords.items()} == {
        "input_ids": [[B, A, ENDING, 0], [C, ENDING, 0, 0], [A, B, C, ENDING]],
        "attention_mask": [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]],
        "answer_ids": [[C, 0], [A, B], [B, 0]],
    }
    assert targets.tolist() == [[C, ENDING, NO_TARGET], [A, B, ENDING], [B, ENDING, NO_TARGET]]
    assert all(value.dtype == torch.long for value in (*keywords.values(), targets))


def test_a_llama_batch_is_padded_on_the_left_and_says_where_answers_are(words) -> None:
    coder = Coder(framed(words, [START], [ANSWER]), "left")
    keywords, targets = coder.batches(TEXTS[1:], 2)[0]
    assert {name: value.tolist() for name, value in keywords.items()} == {
        "input_ids": [[0, 0, BEGIN, C, ASK], [BEGIN, A, B, C, ASK]],
        "attention_mask": [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]],
        "answer_ids": [[A, B], [B, 0]],
        "answer_mask": [[1, 1], [1, 0]],
    }
    assert targets.tolist() == [[A, B, ENDING], [B, ENDING, NO_TARGET]]


def test_answers_of_one_token_leave_nothing_to_give(words) -> None:
    coder = Coder(words, "left")
    keywords, targets = coder.padded([([A, B], [C]), ([A], [B])])
    assert keywords["answer_ids"].shape == keywords["answer_mask"].shape == (2, 0)
    assert targets.tolist() == [[C], [B]]


def test_a_long_prompt_is_cut_and_keeps_its_marks(words) -> None:
    long = Texts(("a b c a b c",), ("a b c a",))
    ((prompt, answer),) = Coder(framed(words, [START], [ANSWER]), "left", longest=4).rows(long)
    assert prompt == [BEGIN, A, B, ASK]
    assert len(answer) == 5


def test_batches_are_made_in_order_and_can_be_read_twice(words) -> None:
    batches = Coder(words, "right").batches(TEXTS, 2)
    assert [len(targets) for _, targets in batches] == [2, 1]
    assert torch.equal(batches[-1][0]["input_ids"], batches[1][0]["input_ids"])
    first, again = ([b[0]["input_ids"] for b in batches] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(IndexError, match="there are 2 batches, and no number 2"):
        batches[2]


def test_framing_changes_no_other_tokenizer(words) -> None:
    framed(words, [START], [ANSWER])
    Coder(words, "right", longest=1)
    assert words.encode("a b").ids == [A, B]


def test_byte_pairs_know_every_text() -> None:
    texts = ["the cat sat on the mat", "the dog sat on the log"] * 5
    tokenizer = tokens.byte_pairs(texts, len(MARKS) + 256 + 20)
    assert [tokenizer.token_to_id(mark) for mark in MARKS] == list(range(len(MARKS)))
    assert len(tokenizer.encode("the cat").ids) < 4
    for text in ("the cat", "ångström ☃", f"a {END} b"):
        ids = Coder(tokenizer, "right").plain([text])[0]
        assert tokenizer.decode(ids, skip_special_tokens=False).strip() == text
    again = tokens.byte_pairs(texts, len(MARKS) + 256 + 20)
    assert again.to_str() == tokenizer.to_str()


def test_a_file_of_a_tokenizer_serves_as_well(words, tmp_path) -> None:
    framed(words, after=[END]).save(str(tmp_path / "tokenizer.json"))
    read = tokens.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert Coder(read, "right").rows(TEXTS)[0] == ([B, A, ENDING], [C, ENDING])


def test_what_a_tokenizer_does_not_have_is_named(words) -> None:
    with refused(ValueError, r"does not know 'd' in 'a d'.*; use its words"):
        Coder(words, "right").rows(Texts(("a d",), ("b",)))
    with pytest.raises(ValueError, match="no token '<end>'; name one that it has"):
        Coder(words, "right", end="<end>")
