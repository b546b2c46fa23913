"""Six real text-to-text tasks with short inputs, and real documents to pretrain on.

They stand in for the six data sets of the paper's T5, of which only parts are at hand: each task
asks something else of another sort of text. A task's prefix is T5's own where T5 has one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from ctl_helpers.data import text_sets, tokens
from ctl_helpers.data.dataset import check_names, complaints
from ctl_helpers.data.text_sets import Question
from ctl_helpers.data.texts import Texts
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import checked

_CHECKSUMS = {
    "IMDB/train.jsonl.gz": "118ca4001f9ebb89c2a6296dc74e8f4772b7b42f5902ab433a022b048e3cf46b",
    "IMDB/test.jsonl.gz": "551e21f821d4b3ac1c5a01fd5210fc5519d41662cbdc27176b8b1a85522b868d",
    "GLUE/SST-2/train.tsv": "48eac26399f8456935f81dd9e3a745c1430adb6c62e233ccfe22db4a0d15d1d1",
    "GLUE/SST-2/dev.tsv": "54a9c12c77e402fc14d6a66a506f24d999f596b0176eb777c972cccc2f9cc4b0",
    "GLUE/CoLA/train.tsv": "cb368ebeb9f27d7ad03720d27ddc95687a311bdb100781a2fe59a5f5b1bc0624",
    "GLUE/CoLA/dev.tsv": "8c013e21dc39957cac37378d87bebe225b694a0d5fe13eded66c2856628833fd",
    "SQuAD/squad_4330_triples.json": (
        "a06f815915e516f124a2ae525d561b07782383554b1e7a6845df2315ef66f793"
    ),
    "SQuAD/squad_v1.1_20_articles.json": (
        "97796148abdf1c8fccc31588cf8ff54f99e35fe0c7036f3093d0438e55cefc16"
    ),
    "CommonGen/commongen.train.src_alpha.txt": (
        "df8c1f7409f6f21f0908ef0f3d88d8f20a09a4df054d85b3b4acc39e51d2fe55"
    ),
    "CommonGen/commongen.train.tgt.txt": (
        "cc33cfc96d138176249e6e0b7f083282395b8c1b309e966eae4eb253ba25e48d"
    ),
    "CommonGen/commongen.test.src_alpha.txt": (
        "fc1fb351c73951649d314c106dcb3ba914eb4026683fa7d866377c56f30e7184"
    ),
    "CommonGen/commongen.test.tgt.txt": (
        "34c9f28c43741a72d1130380b68518103f7a8fc4f66df0db3228dcc01f52390f"
    ),
    "TREC/train_5500.label": "8bd6e79493f43bbd22c364587366a1dced54e1e31259eaa92721a0f526031116",
    "TREC/TREC_10.label": "86ad53c8fc9d397ab2f4be7c967d8efb470b260140557d3e57afad69d1b88b76",
    "AGNews/test.csv": "72b844642f92fb74fe397f0d1dd8a46d4cfd6fff60bc5c1a214fe40c44708fd7",
}
_REMEDY = (
    "set CTL_DATA_DIR to a folder that holds IMDB, GLUE, SQuAD, CommonGen, TREC and AGNews (public "
    "sets, of some a part)"
)
_SPLITS = ("pretrain", "train", "held-out", "test")
_MOST = {"held-out": 1000, "test": 2000}
_LONGEST = 80  # words of a review; as many tokens, and a third more
_WINDOW = 56  # words of a document, and of the text around an answer
_SHORTEST = 8  # words of a phrase to pretrain on
_VOCABULARY = 4000
_READ_FOR_TOKENS = 6  # every sixth document,
_PROMPTS_READ = 500  # and so many prompts and answers of each task
_PREFIXES = {
    "IMDB": "imdb review: ",
    "SST-2": "sst2 sentence: ",
    "CoLA": "cola sentence: ",
    "SQuAD": "",  # its prompts begin with "question: "
    "CommonGen": "common_gen concepts: ",
    "TREC": "trec question: ",
}
KINDS = tuple(_PREFIXES)


def checksum() -> str:
    """Digest of all files' checksums."""
    return digest(_CHECKSUMS)


def missing(tasks: Sequence[str]) -> list[str]:
    """That a file is not in the data folder, or is damaged; pretraining sees those of all tasks."""
    return complaints(lambda: checked("A set of real texts", _CHECKSUMS, _REMEDY))


def fetch(tasks: Sequence[str]) -> None:
    """Nothing that could be downloaded; :func:`missing` says where the files belong."""


def load(task: str, split: str, samples: int | None = None) -> Texts:
    """Prompts and answers of a task, in a seeded order.

    Training and test are the sets' own, but for SQuAD, whose test part is its 20 whole articles,
    and for SST-2 and CoLA, whose development parts stand for the test parts, which have no labels.
    No review, question, set of concepts or text of SQuAD's is in two splits; what a test part has
    too is left out of training. Reviews are cut after 80 words, and SQuAD's texts to 56 with the
    answer somewhere among them. Of CommonGen's test part each set of concepts has one sentence.

    Args:
        task: one of ``KINDS``.
        split: ``"pretrain"``, ``"train"`` or ``"held-out"`` (a tenth, eight tenths and a tenth of
            the training part, at most 1,000 held out) or ``"test"`` (at most 2,000).
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    check_names("texts", task, KINDS, split, _SPLITS)
    return _texts(task, split).first(samples)


@lru_cache(maxsize=1)
def pretraining() -> tuple[str, ...]:
    """Documents of 56 words at most: reviews, SQuAD's texts, news, scenes and phrases of reviews.

    None is held out or for test. Long texts are divided, and short ones of a kind joined.

    Raises:
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    seen = {
        kind: [example for example in _examples(kind, "train") if _split(example) != "held-out"]
        for kind in ("IMDB", "SQuAD", "SST-2", "CommonGen")
    }
    news = text_sets.ag_news(_file("AGNews/test.csv"), _REMEDY).sources
    contexts = dict.fromkeys(example.shared for example in seen["SQuAD"])
    phrases = (e.shared for e in seen["SST-2"] if len(e.shared.split()) >= _SHORTEST)
    long = (*(_plain(review.shared) for review in seen["IMDB"]), *contexts, *news)
    short = (phrases, (example.target for example in seen["CommonGen"]))
    joined = (document for texts in short for document in _joined(texts))
    return (*(part for text in long for part in _divided(text)), *joined)


def vocabulary() -> int:
    """How many tokens there are; no text is read for that."""
    return _VOCABULARY


@lru_cache(maxsize=1)
def tokenizer() -> Tokenizer:
    """A byte-level BPE of 4,000 tokens, trained on a part of the documents and of the prompts.

    Raises:
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    examples = (load(kind, "pretrain", _PROMPTS_READ) for kind in KINDS)
    prompts = [text for texts in examples for text in (*texts.sources, *texts.targets)]
    return tokens.byte_pairs([*pretraining()[::_READ_FOR_TOKENS], *prompts], _VOCABULARY)


@dataclass(frozen=True)
class _Example:
    """A prompt without its prefix, an answer, and what no two splits may share."""

    shared: str
    source: str
    target: str


@lru_cache(maxsize=32)
def _texts(kind: str, split: str) -> Texts:
    examples = _examples(kind, "test" if split == "test" else "train")
    examples = [example for example in examples if split in ("test", _split(example))]
    examples.sort(key=lambda example: zlib.crc32(example.source.encode()))
    pairs = [(_PREFIXES[kind] + e.source, e.target) for e in examples[: _MOST.get(split)]]
    return Texts.of(pairs)


def _split(example: _Example) -> str:
    """Where a sample of the training part belongs."""
    return {0: "held-out", 1: "pretrain"}.get(zlib.crc32(example.shared.encode()) % 10, "train")


@lru_cache(maxsize=16)
def _examples(kind: str, part: str) -> list[_Example]:
    """A set's training part, or its test part, of which the former has nothing."""
    examples = list(_READERS[kind](part))
    if part == "test":
        return examples
    tested = {example.shared for example in _examples(kind, "test")}
    return [example for example in examples if example.shared not in tested]


def _file(name: str) -> Path:
    """A file's path, once its bytes are those that are expected."""
    (path,) = checked("A set of real texts", {name: _CHECKSUMS[name]}, _REMEDY)
    return path


def _alone(texts: Texts, words: int | None = None) -> Iterator[_Example]:
    """Samples that have nothing in common, cut after some words."""
    for source, target in zip(texts.sources, texts.targets, strict=True):
        yield _Example(source, " ".join(_plain(source).split()[:words]), target)


def _imdb(part: str) -> Iterator[_Example]:
    path = _file(f"IMDB/{part}.jsonl.gz")
    return _alone(text_sets.imdb_records(path, _REMEDY), _LONGEST)


def _glue(read: Callable[[Path, str], Texts], folder: str, part: str) -> Iterator[_Example]:
    name = {"train": "train", "test": "dev"}[part]
    return _alone(read(_file(f"GLUE/{folder}/{name}.tsv"), _REMEDY))


def _squad(part: str) -> Iterator[_Example]:
    if part == "test":
        questions = text_sets.squad(_file("SQuAD/squad_v1.1_20_articles.json"), _REMEDY)
    else:
        questions = text_sets.squad_triples(_file("SQuAD/squad_4330_triples.json"), _REMEDY)
    near = text_sets.answering(map(_around, questions))
    for question, source, target in zip(questions, near.sources, near.targets, strict=True):
        yield _Example(question.context, source, target)


def _common_gen(part: str) -> Iterator[_Example]:
    sources, targets = (
        _file(f"CommonGen/commongen.{part}.{end}.txt") for end in ("src_alpha", "tgt")
    )
    texts = text_sets.common_gen(sources, targets, _REMEDY)
    seen = set()
    for source, target in zip(texts.sources, texts.targets, strict=True):
        concepts = " ".join(sorted(source.split()))
        if part == "train" or concepts not in seen:
            yield _Example(concepts, source, target)
        seen.add(concepts)


def _trec(part: str) -> Iterator[_Example]:
    name = {"train": "train_5500", "test": "TREC_10"}[part]
    return _alone(text_sets.trec(_file(f"TREC/{name}.label"), _REMEDY))


_READERS: dict[str, Callable[[str], Iterable[_Example]]] = {
    "IMDB": _imdb,
    "SST-2": lambda part: _glue(text_sets.sst2, "SST-2", part),
    "CoLA": lambda part: _glue(text_sets.cola, "CoLA", part),
    "SQuAD": _squad,
    "CommonGen": _common_gen,
    "TREC": _trec,
}


def _plain(text: str) -> str:
    """A text without the line breaks of web pages."""
    return text.replace("<br />", " ")


def _around(question: Question) -> Question:
    """The question on some words of its text, with the answer anywhere among them."""
    before = question.context.index(question.answer)
    words = question.context.split()
    first = len(question.context[: before + 1].split()) - 1
    answer = len(question.context[: before + len(question.answer)].split()) - first
    room = max(_WINDOW - answer, 0) + 1
    start = first - zlib.crc32(question.question.encode()) % room
    start = max(0, min(start, len(words) - _WINDOW))
    part = " ".join(words[start : max(start + _WINDOW, first + answer)])
    return Question(part, question.question, question.answer)


def _divided(text: str) -> Iterator[str]:
    """Pieces of a text with so many words; a rest of a few words is left out."""
    words = text.split()
    for start in range(0, len(words), _WINDOW):
        if len(piece := words[start : start + _WINDOW]) >= _SHORTEST:
            yield " ".join(piece)


def _joined(texts: Iterable[str]) -> Iterator[str]:
    """Texts one after the other, as many as have so many words together."""
    words: list[str] = []
    for text in texts:
        more = text.split()
        if words and len(words) + len(more) > _WINDOW:
            yield " ".join(words)
            words = []
        words += more[:_WINDOW]
    if len(words) >= _SHORTEST:
        yield " ".join(words)
