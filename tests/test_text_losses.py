"""Losses of text networks: what is asked for, span corruption, and bad input."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import refused
from torch import Tensor, nn

from ctl_helpers.data import tokens
from ctl_helpers.data.texts import Texts
from ctl_helpers.data.tokens import ANSWER, END, MARKS, SENTINELS, START, Coder, framed
from ctl_helpers.training.text_losses import Corruption, answering, continuing, corrupted, filling

TEXTS = Texts(("b a", "c", "a b c"), ("c", "a b", "b"))
EXAMPLES = Texts(("c c",), ("a",))
DOCUMENTS = ("a b c a b", "c b", "b b b a c c a b")
A, B, C = (len(MARKS) + number for number in range(3))
ENDING, BEGIN, ASK = (MARKS.index(mark) for mark in (END, START, ANSWER))
MASKS = [MARKS.index(mark) for mark in SENTINELS]
WORDS = tokens.by_words("abc")
LEFT = Coder(framed(WORDS, [START], [ANSWER]), "left")
RIGHT = Coder(framed(WORDS, after=[END]), "right")


class Recorder(nn.Module):
    """Keeps what it is given; its logits depend on the place in an answer alone."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.table = torch.randn(20, len(MARKS) + 3, generator=generator, dtype=torch.float64)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, answer_ids: Tensor, **_) -> Tensor:
        self.prompts = [
            row[kept.bool()].tolist() for row, kept in zip(input_ids, attention_mask, strict=True)
        ]
        self.given = answer_ids.tolist()
        return self.table[: answer_ids.shape[1] + 1].expand(len(input_ids), -1, -1)


def mean_loss(model: Recorder, answers: list[list[int]]) -> float:
    """Mean cross-entropy over all tokens of answers, in numpy."""
    rows = model.table.numpy()
    logs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
    return -np.mean([logs[place, token] for ids in answers for place, token in enumerate(ids)])


def test_fine_tuning_asks_for_answers_alone() -> None:
    model = Recorder()
    loss = answering(LEFT, TEXTS)(model, torch.tensor([2, 1]))
    assert model.prompts == [[BEGIN, A, B, C, ASK], [BEGIN, C, ASK]]
    assert model.given == [[B, 0], [A, B]]
    assert loss.item() == pytest.approx(mean_loss(model, [[B, ENDING], [A, B, ENDING]]), rel=1e-12)


def test_continuing_asks_for_every_token_of_documents_and_examples() -> None:
    model = Recorder()
    loss = continuing(LEFT, DOCUMENTS, EXAMPLES)(model, torch.tensor([3, 1]))
    answers = [[C, C, ASK, A, ENDING], [C, B, ENDING]]
    assert model.prompts == [[BEGIN], [BEGIN]]
    assert loss.item() == pytest.approx(mean_loss(model, answers), rel=1e-12)
    with pytest.raises(ValueError, match="does not begin with '<s>'; frame the tokenizer"):
        continuing(RIGHT, DOCUMENTS, EXAMPLES)


@pytest.mark.parametrize("length", [2, 3, 7, 12, 60])
@pytest.mark.parametrize("corruption", [Corruption(), Corruption(0.25, 1.5), Corruption(0.9, 1)])
def test_corrupted_documents_can_be_restored(length: int, corruption: Corruption) -> None:
    rng = np.random.default_rng(0)
    masks = list(range(100, 200))
    for _ in range(20):
        ids = rng.integers(200, 300, length).tolist()
        prompt, answer = corrupted(ids, corruption, masks, 1, rng)
        spans = sum(token in masks for token in prompt)
        assert len(answer) - spans - 2 == max(1, min(round(length * corruption.rate), length - 1))
        assert prompt[0] == ids[0]
        assert prompt[-2] == masks[spans - 1]
        assert not any(a in masks and b in masks for a, b in pairwise(prompt))
        given = {mask: [] for mask in masks}
        for token in answer[:-1]:
            if token in masks:
                last = given[token]
            else:
                last.append(token)
        whole = [part for token in prompt[:-1] for part in given.get(token, [token])]
        assert whole == ids


def test_every_division_into_spans_is_as_likely() -> None:
    """Six tokens, three of them taken out in two spans: 2 · 2 ways."""
    rng = np.random.default_rng(0)
    found = Counter(
        tuple(corrupted([5, 6, 7, 8, 9, 10], Corruption(0.5, 1.5), MASKS, 1, rng)[0])
        for _ in range(4000)
    )
    assert len(found) == 4
    assert all(900 < count < 1100 for count in found.values())


def test_filling_asks_for_spans_anew_but_the_same_for_the_same_samples() -> None:
    model, corruption = Recorder(), Corruption(0.4, 1)
    loss = filling(RIGHT, DOCUMENTS, EXAMPLES, corruption, seed=0)
    prompts = []
    for chosen in ([2, 3], [2, 3], [2, 0], [2, 1]):
        loss(model, torch.tensor(chosen))
        prompts.append(model.prompts)
    assert prompts[0] == prompts[1]
    assert prompts[0][1] == [C, C, ENDING]
    assert len({tuple(rows[0]) for rows in prompts}) > 1
    by_seed = set()
    for seed in range(5):
        filling(RIGHT, DOCUMENTS, EXAMPLES, corruption, seed)(model, torch.tensor([2, 3]))
        by_seed.add(tuple(model.prompts[0]))
    assert len(by_seed) > 1


@pytest.mark.parametrize("document", ["a", " ".join("a" * 400)])
def test_documents_that_cannot_be_corrupted_are_refused(document: str) -> None:
    with refused(ValueError, r"the document 'a.* tokens: span corruption needs"):
        filling(RIGHT, (*DOCUMENTS, document), EXAMPLES, Corruption(), 0)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0.0, 3.0), "rate is 0.0 .* between 0 and 1"),
        ((1.0, 3.0), "rate is 1.0"),
        ((0.15, 0.5), "mean_span is 0.5 .* 1 or more"),
        ((0.15, float("nan")), "mean_span is nan"),
    ],
)
def test_a_corruption_names_what_is_wrong(numbers: tuple[float, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Corruption(*numbers)
