"""Texts as tokens: tokenizers, and batches as text networks take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor

from ctl_helpers.data.texts import Texts

PAD, END, START, ANSWER = "<pad>", "</s>", "<s>", "=>"
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(16))
MARKS = (PAD, END, START, ANSWER, *SENTINELS)
"""What a tokenizer made here knows besides text; a T5 takes the first for padding and to start."""

NO_TARGET = -100  # torch's cross-entropy leaves it out

Row = tuple[Sequence[int], Sequence[int]]
"""The tokens of a prompt and of its answer, marks included."""

Batch = tuple[Mapping[str, Tensor], Tensor]


def by_words(words: Iterable[str], marks: Sequence[str] = MARKS) -> Tokenizer:
    """A tokenizer whose tokens are whole words between spaces.

    Args:
        words: those that it knows; they are numbered in alphabetical order.
        marks: tokens that stand for no text; they have the first numbers.
    """
    known = [*marks, *sorted(set(words))]
    found = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}))
    found.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found.add_special_tokens(list(marks))
    return found


def byte_pairs(texts: Iterable[str], size: int, marks: Sequence[str] = MARKS) -> Tokenizer:
    """A byte-level BPE tokenizer (Radford et al. 2019), which knows every text.

    Args:
        texts: what it is trained on.
        size: tokens in all, marks among them; at least 256 more than there are marks.
        marks: as for :func:`by_words`.
    """
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(marks),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    return found


def framed(
    tokenizer: Tokenizer, before: Sequence[str] = (), after: Sequence[str] = ()
) -> Tokenizer:
    """A copy of a tokenizer that puts marks around a prompt, none around an answer."""
    found = Tokenizer.from_str(tokenizer.to_str())
    found.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", *after],
        special_tokens=[(mark, found.token_to_id(mark)) for mark in {*before, *after}],
    )
    return found


class Coder:
    """Turns texts into what a network takes.

    Args:
        tokenizer: any of the tokenizers library, as from a ``tokenizer.json``; what it adds to a
            text when it may add special tokens is added to prompts. It is copied.
        side: where prompts are padded: ``"right"`` for an encoder, ``"left"`` where the answer has
            to follow the prompt.
        longest: tokens of a prompt, marks included; longer ones are cut, at the end. None for any
            number.
        pad, end: the tokens that pad, and that end an answer.

    Raises:
        ValueError: a tokenizer without one of these tokens.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        side: Literal["left", "right"],
        longest: int | None = None,
        pad: str = PAD,
        end: str = END,
    ) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if longest is not None:
            self._tokenizer.enable_truncation(longest)
        self._side = side
        self.pad, self.end = self.number(pad), self.number(end)

    def number(self, token: str) -> int:
        """A token's number.

        Raises:
            ValueError: no such token.
        """
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"the tokenizer has no token {token!r}; name one that it has")
        return found

    def prompts(self, texts: Iterable[str]) -> list[list[int]]:
        """The tokens of prompts, with the tokenizer's own marks around them.

        Raises:
            ValueError: a word that the tokenizer does not know.
        """
        return [self._ids(text, marks=True) for text in texts]

    def plain(self, texts: Iterable[str]) -> list[list[int]]:
        """The tokens of texts, without any mark; errors as :meth:`prompts`."""
        return [self._ids(text, marks=False) for text in texts]

    def rows(self, texts: Texts) -> list[Row]:
        """Prompts and answers, each answer with its end; errors as :meth:`prompts`."""
        answers = [[*ids, self.end] for ids in self.plain(texts.targets)]
        return list(zip(self.prompts(texts.sources), answers, strict=True))

    def padded(self, rows: Sequence[Row]) -> Batch:
        """A batch: keyword inputs of a text network, and targets.

        Returns:
            ``input_ids`` and ``attention_mask``, each (samples, tokens); ``answer_ids``
            (samples, A − 1), the answers but for their last token, padded on the right; where the
            answer follows the prompt, ``answer_mask`` of that shape; and the targets (samples, A),
            the answers with −100 at padding.
        """
        prompts, answers = zip(*rows, strict=True)
        given = [answer[:-1] for answer in answers]
        keywords = {
            "input_ids": _filled(prompts, self.pad, self._side),
            "attention_mask": _filled(_ones(prompts), 0, self._side),
            "answer_ids": _filled(given, self.pad, "right"),
        }
        if self._side == "left":
            keywords["answer_mask"] = _filled(_ones(given), 0, "right")
        return keywords, _filled(answers, NO_TARGET, "right")

    def batches(self, texts: Texts, size: int) -> TextBatches:
        """Examples in order, ``size`` each, the last perhaps fewer."""
        return TextBatches(self, texts, size)

    def _ids(self, text: str, marks: bool) -> list[int]:
        # One by one: for a whole list the library starts threads, and complains at the next fork.
        try:
            return self._tokenizer.encode(text, add_special_tokens=marks).ids
        except Exception as error:  # the library's own is no narrower
            unknown = [w for w in text.split() if self._tokenizer.token_to_id(w) is None]
            raise ValueError(
                f"the tokenizer does not know {unknown[0] if unknown else text!r} in {text!r} "
                f"({error}); use its words, or another tokenizer"
            ) from None


@dataclass(frozen=True)
class TextBatches(Sequence[Batch]):
    """Examples in batches, each made when it is asked for."""

    coder: Coder
    texts: Texts
    size: int

    def __len__(self) -> int:
        return -(-len(self.texts) // self.size)

    def __getitem__(self, number: int) -> Batch:
        if not -len(self) <= number < len(self):
            raise IndexError(f"there are {len(self)} batches, and no number {number}")
        first = number % len(self) * self.size
        return self.coder.padded(self.coder.rows(self.texts[first : first + self.size]))


def _ones(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[1] * len(row) for row in rows]


def _filled(rows: Sequence[Sequence[int]], fill: int, side: Literal["left", "right"]) -> Tensor:
    """Rows of numbers as a table, filled up on one side."""
    found = torch.full((len(rows), max(map(len, rows))), fill, dtype=torch.long)
    for row, numbers in zip(found, rows, strict=True):
        place = slice(0, len(numbers)) if side == "right" else slice(len(row) - len(numbers), None)
        row[place] = torch.tensor(numbers, dtype=torch.long)
    return found
