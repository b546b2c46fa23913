"""Texts as tokens, by the tokenizer that lies beside BASE's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ctl_helpers.probing.places import Place


class Encoder(Protocol):
    """What makes tokens of texts."""

    def cut(self, text: str, length: int) -> list[int]:
        """The tokens of a text, those that mark its ends among them, at most so many."""

    def whole(self, texts: Sequence[str]) -> list[int]:
        """The tokens of texts one after another, without any that mark ends."""


def tokenizer_of(base: Place) -> Encoder | None:
    """BASE's tokenizer; None where it has none."""
    if "tokenizer.json" in base.files:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(base.files["tokenizer.json"]))
        tokenizer.no_padding()
        return _Fast(tokenizer)
    names = ("vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
    if not any(name in base.files for name in names):
        return None
    from transformers import AutoTokenizer  # takes seconds

    return _Slow(AutoTokenizer.from_pretrained(base.files["config.json"].parent))


class _Fast:
    """A tokenizer of the library tokenizers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def cut(self, text: str, length: int) -> list[int]:
        self._tokenizer.enable_truncation(length)
        return list(self._tokenizer.encode(text).ids)

    def whole(self, texts: Sequence[str]) -> list[int]:
        self._tokenizer.no_truncation()
        return list(self._tokenizer.encode("\n".join(texts), add_special_tokens=False).ids)


class _Slow:
    """A tokenizer of transformers."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def cut(self, text: str, length: int) -> list[int]:
        return list(self._tokenizer.encode(text, truncation=True, max_length=length))

    def whole(self, texts: Sequence[str]) -> list[int]:
        return list(self._tokenizer.encode("\n".join(texts), add_special_tokens=False))
