"""Five text-to-text tasks on generated sentences, and documents to pretrain on, of 150 words.

They stand in for the data sets that language models are fine-tuned on: each asks something else of
texts that share their words and look alike.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from functools import lru_cache

from tokenizers import Tokenizer

from ctl_helpers.data import tokens
from ctl_helpers.data.texts import Texts
from ctl_helpers.sources import module_checksum

_SEED = 20260711
_DOCUMENTS = 20_000
_CLOSED = 0.6  # of the documents, those that end with what can be said of them
_COUNTS = {"pretrain": 2000, "train": 2000, "held-out": 500, "test": 1000}
# A text's checksum modulo 10 says to which split it belongs, so that no two splits share a text.
_REST = {"pretrain": range(4), "train": range(4, 7), "held-out": range(7, 8), "test": range(8, 10)}


def _words(text: str) -> list[str]:
    return text.split()


_FILLERS = _words(
    "the a of and some while near with under over after before people man woman child house "
    "street table door window letter bag day night morning walked stood came went saw told"
)
_FEELINGS = {
    "good": _words("happy lovely great kind bright sweet fine charming joyful pleasant"),
    "bad": _words("sad awful cruel grim bitter nasty dreadful ugly gloomy rude"),
}
_TOPICS = {
    "sea": _words("ship wave sailor harbour fish anchor tide"),
    "kitchen": _words("pan oven spoon recipe butter onion plate"),
    "forest": _words("tree leaf fox moss branch owl fern"),
    "school": _words("lesson teacher pupil chalk exam pencil desk"),
    "music": _words("song drum violin choir piano melody flute"),
}
_COLOURS = _words("red blue green yellow white black brown pink")
_HERE = _words("hot big fast hard high old rich full wet loud early")
_THERE = _words("cold small slow soft low young poor empty dry quiet late")
_OPPOSITES = dict(zip(_HERE + _THERE, _THERE + _HERE, strict=True))
_NUMBERS = _words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)


def _sentiment(rng: random.Random) -> tuple[list[str], str]:
    """Whether most of three words are good or bad."""
    answer, other = rng.sample(list(_FEELINGS), 2)
    third = rng.choice([answer, other])
    most = rng.sample(_FEELINGS[answer], 3 if third == answer else 2)
    content = most + rng.sample(_FEELINGS[other], 3 - len(most))
    rng.shuffle(content)
    return content, answer


def _topic(rng: random.Random) -> tuple[list[str], str]:
    """What three of four words are about."""
    answer, other = rng.sample(list(_TOPICS), 2)
    content = rng.sample(_TOPICS[answer], 3) + rng.sample(_TOPICS[other], 1)
    rng.shuffle(content)
    return content, answer


def _colour(rng: random.Random) -> tuple[list[str], str]:
    """The last of two colours."""
    content = rng.sample(_COLOURS, 2)
    return content, content[-1]


def _opposite(rng: random.Random) -> tuple[list[str], str]:
    """The opposite of the one word that has one."""
    word = rng.choice(list(_OPPOSITES))
    return [word], _OPPOSITES[word]


def _next(rng: random.Random) -> tuple[list[str], str]:
    """The fourth of four numbers, up or down by one, two or three."""
    step = rng.choice([-3, -2, -1, 1, 2, 3])
    least = max(0, -3 * step)
    first = rng.randrange(least, len(_NUMBERS) - max(0, 3 * step))
    *content, answer = (_NUMBERS[first + step * place] for place in range(4))
    return content, answer


_MAKERS: dict[str, Callable[[random.Random], tuple[list[str], str]]] = {
    "sentiment": _sentiment,
    "topic": _topic,
    "colour": _colour,
    "opposite": _opposite,
    "next": _next,
}
KINDS = tuple(_MAKERS)
_CLOSINGS = {
    "sentiment": "overall",
    "topic": "about",
    "colour": "painted",
    "opposite": "unlike",
    "next": "then",
}


def checksum() -> str:
    """Digest of the code that generates, which is all that the texts depend on."""
    return module_checksum("data.sentences")


def check() -> None:
    """Nothing can be missing."""


def fetch() -> None:
    """Nothing to download: the texts are generated when they are loaded."""


def load(kind: str, split: str, samples: int | None = None) -> Texts:
    """Examples of a task: ``"sentiment : the happy man …"`` and the answer, one word.

    No text of a split is in another, nor in the documents to pretrain on.

    Args:
        kind: one of ``KINDS``.
        split: ``"pretrain"``, ``"train"``, ``"held-out"`` or ``"test"``.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
    """
    if kind not in KINDS or split not in _COUNTS:
        raise ValueError(
            f"there are no texts {kind!r}, {split!r}; kinds are {KINDS}, splits {list(_COUNTS)}"
        )
    return _whole(kind, split).first(samples)


@lru_cache(maxsize=32)
def _whole(kind: str, split: str) -> Texts:
    rng = random.Random(f"{_SEED}/{kind}/{split}")
    drawn = [_drawn(rng, kind, split) for _ in range(_COUNTS[split])]
    texts, answers = zip(*drawn, strict=True)
    return Texts(tuple(f"{kind} : {text}" for text in texts), answers)


@lru_cache(maxsize=1)
def pretraining() -> tuple[str, ...]:
    """Documents: texts like those of the tasks, which are not named there.

    Most close as people might, ``"… overall good"``, ``"… about sea"``: what the tasks ask for can
    be learnt from these, but not that it is asked for.
    """
    rng = random.Random(f"{_SEED}/documents")
    found = []
    for number in range(_DOCUMENTS):
        kind = KINDS[number % len(KINDS)]
        text, answer = _drawn(rng, kind, "pretrain")
        closing = f" {_CLOSINGS[kind]} {answer}" if rng.random() < _CLOSED else ""
        found.append(text + closing)
    return tuple(found)


def vocabulary() -> int:
    """How many tokens there are."""
    return tokenizer().get_vocab_size()


def tokenizer() -> Tokenizer:
    """A tokenizer by words that knows every word of any text."""
    known = [*KINDS, ":", *_CLOSINGS.values(), *_FILLERS, *_FEELINGS, *_TOPICS]
    for group in (*_FEELINGS.values(), *_TOPICS.values(), _COLOURS, _OPPOSITES, _NUMBERS):
        known += group
    return tokens.by_words(known)


def _drawn(rng: random.Random, kind: str, split: str) -> tuple[str, str]:
    """A text of a split, and the answer: a few words that matter among four to nine others."""
    while True:
        content, answer = _MAKERS[kind](rng)
        words = rng.choices(_FILLERS, k=rng.randint(4, 9))
        places = sorted(rng.sample(range(len(words) + len(content)), len(content)))
        for place, word in zip(places, content, strict=True):
            words.insert(place, word)
        text = " ".join(words)
        if zlib.crc32(text.encode()) % 10 in _REST[split]:
            return text, answer
