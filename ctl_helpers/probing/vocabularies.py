"""Tokenizers side by side: the same id has to be the same string, or embeddings mix words."""

from __future__ import annotations

import filecmp
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctl_helpers.errors import link
from ctl_helpers.probing.places import Place
from ctl_helpers.probing.remarks import Remark, count

_PIECES = ("tokenizer.model", "spiece.model")
_RULES = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_HAS_TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", *_PIECES)
_FEW = 3


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer's files say.

    Attributes:
        tokens: id → string.
        rules: part of the tokenizer, such as ``"normalizer"`` → what it does.
    """

    tokens: Mapping[int, str]
    rules: Mapping[str, object] = field(default_factory=dict)


def read(place: Place) -> Vocabulary | None:
    """A checkpoint's vocabulary from ``tokenizer.json`` or the older files; None without any.

    Raises:
        ValueError: a file that is damaged, named.
    """
    tokens: dict[int, str] = {}
    rules: dict[str, object] = {}
    files = place.files
    if "tokenizer.json" in files:
        content = _json(files["tokenizer.json"])
        model = content.get("model", {})
        tokens |= _numbered(model.get("vocab", {}))
        tokens |= {each["id"]: each["content"] for each in content.get("added_tokens", ())}
        rules = {name: content.get(name) for name in _RULES}
        rules["merges"] = [_merge(each) for each in model.get("merges", ())]
    elif "vocab.txt" in files:
        tokens |= dict(enumerate(files["vocab.txt"].read_text(encoding="utf-8").splitlines()))
    elif "vocab.json" in files:
        tokens |= _numbered(_json(files["vocab.json"]))
        if "merges.txt" in files:
            lines = files["merges.txt"].read_text(encoding="utf-8").splitlines()
            rules["merges"] = [line for line in lines if line and not line.startswith("#version")]
    if "added_tokens.json" in files:
        tokens |= _numbered(_json(files["added_tokens.json"]))
    tokens |= _added(place)
    return Vocabulary(tokens, rules) if tokens else None


def compared(base: Place, other: Place, rows: int | None) -> list[Remark]:
    """Remarks on tokens and rules that differ.

    Args:
        base, other: the checkpoints.
        rows: of the other one's input embedding, where it is known.
    """
    if not _has(base) or not _has(other):
        return []
    if _same_files(base, other):
        return []
    try:
        mine, theirs = read(base), read(other)
    except ValueError as error:
        link(error)
        fact = f"cannot be compared with BASE's tokenizer: {error}"
        return [Remark("vocabulary", "stop", other.name, fact, "fetch the tokenizer's files again")]
    remarks = _pieces(base, other)
    if mine is None or theirs is None:
        return remarks
    remarks += _tokens(mine.tokens, theirs.tokens, other.name)
    remarks += _rows(theirs.tokens, other.name, rows)
    both = mine.rules.keys() & theirs.rules.keys()
    if changed := sorted(name for name in both if mine.rules[name] != theirs.rules[name]):
        fact = f"cuts texts by other rules than BASE ({', '.join(changed)} of the tokenizer differ)"
        remedy = "find out which tokenizer it was trained with, and give the mix one of them"
        remarks.append(Remark("tokenizer", "doubt", other.name, fact, remedy))
    return remarks


def _tokens(mine: Mapping[int, str], theirs: Mapping[int, str], about: str) -> list[Remark]:
    """Remarks on ids that are other strings, and on ids that one of the two lacks."""
    remarks = []
    if other := sorted(n for n in mine.keys() & theirs.keys() if mine[n] != theirs[n]):
        listed = "; ".join(f"{n} is {mine[n]!r} in BASE and {theirs[n]!r}" for n in other[:_FEW])
        fact = f"has other strings for {count(len(other), 'id')}: {listed}"
        remedy = "do not mix its embeddings: bring its rows into BASE's order of tokens first"
        remarks.append(Remark("vocabulary", "stop", about, fact, remedy))
    if added := sorted(theirs.keys() - mine.keys()):
        strings = ", ".join(repr(theirs[n]) for n in added[:_FEW])
        fact = f"has {count(len(added), 'token')} that BASE lacks, from id {added[0]} on: {strings}"
        remedy = "keep its tokenizer for the mix; a row that BASE never trained is its own alone"
        remarks.append(Remark("vocabulary", "note", about, fact, remedy))
    if lost := sorted(mine.keys() - theirs.keys()):
        strings = ", ".join(repr(mine[n]) for n in lost[:_FEW])
        fact = f"lacks {count(len(lost), 'token')} of BASE, from id {lost[0]} on: {strings}"
        remarks.append(Remark("vocabulary", "note", about, fact, "keep BASE's tokenizer"))
    return remarks


def _rows(tokens: Mapping[int, str], about: str, rows: int | None) -> list[Remark]:
    if rows is None or max(tokens) < rows:
        return []
    fact = f"has a token with the id {max(tokens)}, and an embedding of {rows} rows"
    remedy = "it is the tokenizer of another checkpoint, so fetch its own"
    return [Remark("vocabulary", "stop", about, fact, remedy)]


def _pieces(base: Place, other: Place) -> list[Remark]:
    """A remark where the files of SentencePiece, which are not read here, are not equal."""
    for name in _PIECES:
        if name in base.files and name in other.files:
            equal = filecmp.cmp(base.files[name], other.files[name], shallow=False)
            readable = "tokenizer.json" in base.files and "tokenizer.json" in other.files
            if not equal and not readable:
                fact = f"has another {name} than BASE, which is not read here"
                remedy = "save both tokenizers as tokenizer.json, and probe again"
                return [Remark("tokenizer", "doubt", other.name, fact, remedy)]
    return []


def _has(place: Place) -> bool:
    return any(name in place.files for name in _HAS_TOKENIZER)


def _same_files(base: Place, other: Place) -> bool:
    """Whether what says which token is which is equal byte by byte: most often it is."""
    names = (*_HAS_TOKENIZER, "added_tokens.json", "merges.txt")
    there = [name for name in names if name in base.files or name in other.files]
    return _added(base) == _added(other) and all(
        name in base.files
        and name in other.files
        and filecmp.cmp(base.files[name], other.files[name], shallow=False)
        for name in there
    )


def _added(place: Place) -> dict[int, str]:
    """id → string of the tokens that a tokenizer's configuration adds."""
    added = place.json("tokenizer_config.json").get("added_tokens_decoder", {})
    return {int(number): each["content"] for number, each in added.items()}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path.name} is damaged, since it is no JSON") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is damaged, since it is no JSON object")
    return content


def _numbered(vocabulary: object) -> dict[int, str]:
    """id → string of a vocabulary by string, or of a list of strings with their scores."""
    if isinstance(vocabulary, Mapping):
        return {int(number): token for token, number in vocabulary.items()}
    if isinstance(vocabulary, list):
        return {number: pair[0] for number, pair in enumerate(vocabulary)}
    return {}


def _merge(pair: object) -> object:
    """A merge, which older releases write as one string."""
    return pair if isinstance(pair, str) else " ".join(map(str, pair))  # type: ignore[call-overload]
