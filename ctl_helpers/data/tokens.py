"""Texts as tokens: tokenizers, and batches as text networks take them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ctl_helpers.data.batches import Batches
from ctl_helpers.data.texts import Texts

if TYPE_CHECKING:
    from torch import Tensor

PAD, END, START, ANSWER = "<pad>", "</s>", "<s>", "=>"
SENTINELS = tuple(f"<extra_id_{number}>" for number in range(16))
MARKS = (PAD, END, START, ANSWER, *SENTINELS)
"""What a tokenizer made here knows besides text; a T5 takes the first for padding and to start."""

NO_TARGET = -100  # torch's cross-entropy leaves it out

Row = tuple[Sequence[int], Sequence[int]]
"""The tokens of a prompt and of its answer, marks included."""

Batch = tuple[Mapping[str, "Tensor"], "Tensor"]


def by_words(words: Iterable[str], marks: Sequence[str] = MARKS) -> Tokenizer:
    """A tokenizer whose tokens are whole words between spaces.

    Args:
        words: those that it knows; they are numbered in alphabetical order.
        marks: tokens that stand for no text; they have the first numbers.
    """
    vocabulary = [*marks, *sorted(set(words))]
    numbers = {word: number for number, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(numbers))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(marks))
    return tokenizer


def byte_pairs(texts: Iterable[str], size: int, marks: Sequence[str] = MARKS) -> Tokenizer:
    """A byte-level BPE tokenizer (Radford et al. 2019), which knows every text.

    Args:
        texts: what it is trained on.
        size: tokens in all, marks among them; at least 256 more than there are marks.
        marks: as for :func:`by_words`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(marks),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def framed(
    tokenizer: Tokenizer, before: Sequence[str] = (), after: Sequence[str] = ()
) -> Tokenizer:
    """A copy of a tokenizer that puts marks around a prompt, none around an answer."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", *after],
        special_tokens=[(mark, copy.token_to_id(mark)) for mark in {*before, *after}],
    )
    return copy


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
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise ValueError(f"the tokenizer has no token {token!r}; name one that it has")
        return number

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

    def batches(self, texts: Texts, size: int) -> Batches[Batch]:
        """Examples in order, ``size`` per batch, the last batch perhaps smaller."""
        return Batches(len(texts), size, lambda part: self.padded(self.rows(texts[part])))

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


def _ones(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[1] * len(row) for row in rows]


def _filled(rows: Sequence[Sequence[int]], fill: int, side: Literal["left", "right"]) -> Tensor:
    """Rows of numbers as a table, filled up on one side."""
    import torch

    width = max(map(len, rows))
    filling = ([fill] * (width - len(row)) for row in rows)
    pairs = zip(rows, filling, strict=True)
    padded = [[*row, *more] if side == "right" else [*more, *row] for row, more in pairs]
    return torch.tensor(padded, dtype=torch.long)
