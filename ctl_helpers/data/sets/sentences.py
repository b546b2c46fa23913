"""Five text-to-text tasks on generated sentences, and documents to pretrain on, of 150 words.

They stand in for the data sets that language models are fine-tuned on: each asks something else of
texts that share their words and look alike.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache

from tokenizers import Tokenizer

from ctl_helpers.data import tokens
from ctl_helpers.data.dataset import check_names
from ctl_helpers.data.texts import Texts
from ctl_helpers.store.code_keys import module_checksum

_SEED = 20260711
_DOCUMENTS = 20_000
_CLOSED = 0.6  # of the documents, those that end with what can be said of them
_FAMILIAR = 0.98  # of what pretraining tells, what is sure to be about words that are not rare
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
_COLOURS = {
    "red": _words("blood brick cherry"),
    "blue": _words("sky jeans sapphire"),
    "green": _words("grass frog lettuce"),
    "yellow": _words("sun lemon canary"),
    "white": _words("snow milk salt"),
    "black": _words("coal raven tar"),
    "brown": _words("soil bear chestnut"),
    "pink": _words("pig rose flamingo"),
}
_HERE = _words("hot big fast hard high old rich full wet loud early")
_THERE = _words("cold small slow soft low young poor empty dry quiet late")
_OPPOSITES = dict(zip(_HERE + _THERE, _THERE + _HERE, strict=True))
_NUMBERS = _words(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)


# Words of which pretraining seldom says what they are.
_RARE = {
    word
    for group in (*_FEELINGS.values(), *_TOPICS.values(), *_COLOURS.values(), _HERE, _THERE)
    for word in group[2::3]
}.union(_NUMBERS[13:])


def _most(rng: random.Random, groups: dict[str, list[str]], count: int) -> tuple[list[str], str]:
    """So many words of one group, one fewer of another; the answer is the first one's name."""
    answer, other = rng.sample(list(groups), 2)
    content = rng.sample(groups[answer], count) + rng.sample(groups[other], count - 1)
    rng.shuffle(content)
    return content, answer


def _sentiment(rng: random.Random) -> tuple[list[str], str]:
    """Whether two of three words are good or bad."""
    return _most(rng, _FEELINGS, 2)


def _topic(rng: random.Random) -> tuple[list[str], str]:
    """What three of five words are about."""
    return _most(rng, _TOPICS, 3)


def _colour(rng: random.Random) -> tuple[list[str], str]:
    """The colour of a thing."""
    answer = rng.choice(list(_COLOURS))
    return [rng.choice(_COLOURS[answer])], answer


def _opposite(rng: random.Random) -> tuple[list[str], str]:
    """The opposite of the one word that has one."""
    word = rng.choice(list(_OPPOSITES))
    return [word], _OPPOSITES[word]


def _next(rng: random.Random) -> tuple[list[str], str]:
    """The fourth of four numbers, up by one or two."""
    step = rng.randint(1, 2)
    first = rng.randrange(len(_NUMBERS) - 3 * step)
    *content, answer = _NUMBERS[first : first + 4 * step : step]
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
    "colour": "looks",
    "opposite": "unlike",
    "next": "then",
}


def checksum() -> str:
    """Digest of the code that generates, which is all that the texts depend on."""
    return module_checksum("data.sets.sentences")


def missing(tasks: Sequence[str]) -> list[str]:
    """Nothing can be missing: the texts are generated when they are loaded."""
    return []


def fetch(tasks: Sequence[str]) -> None:
    """Nothing to download."""


def load(task: str, split: str, samples: int | None = None) -> Texts:
    """Examples of a task: ``"sentiment : the happy man …"`` and the answer, one word.

    No text of a split is in another, nor in the documents to pretrain on.

    Args:
        task: one of ``KINDS``.
        split: ``"pretrain"``, ``"train"``, ``"held-out"`` or ``"test"``.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
    """
    check_names("texts", task, KINDS, split, _COUNTS)
    return _texts(task, split).first(samples)


@lru_cache(maxsize=32)
def _texts(kind: str, split: str) -> Texts:
    rng = random.Random(f"{_SEED}/{kind}/{split}")
    drawn = [_drawn(rng, kind, split, split == "pretrain") for _ in range(_COUNTS[split])]
    texts, answers = zip(*drawn, strict=True)
    return Texts(tuple(f"{kind} : {text}" for text in texts), answers)


@lru_cache(maxsize=1)
def pretraining() -> tuple[str, ...]:
    """Documents: texts like those of the tasks, which are not named there.

    Most close as people might, ``"… overall good"``, ``"… about sea"``: what the tasks ask for can
    be learnt from these, but not that it is asked for.
    """
    rng = random.Random(f"{_SEED}/documents")
    documents = []
    for number in range(_DOCUMENTS):
        kind = KINDS[number % len(KINDS)]
        closed = rng.random() < _CLOSED
        text, answer = _drawn(rng, kind, "pretrain", closed)
        documents.append(f"{text} {_CLOSINGS[kind]} {answer}" if closed else text)
    return tuple(documents)


def vocabulary() -> int:
    """How many tokens there are."""
    return tokenizer().get_vocab_size()


def tokenizer() -> Tokenizer:
    """A tokenizer by words that knows every word of any text."""
    words = [*KINDS, ":", *_CLOSINGS.values(), *_FILLERS, *_FEELINGS, *_TOPICS, *_COLOURS]
    words += [*_OPPOSITES, *_NUMBERS]
    for group in (*_FEELINGS.values(), *_TOPICS.values(), *_COLOURS.values()):
        words += group
    return tokens.by_words(words)


def _drawn(rng: random.Random, kind: str, split: str, told: bool) -> tuple[str, str]:
    """A text of a split, and the answer: a few words that matter among three to six others.

    What pretraining is told is seldom about rare words.
    """
    familiar = told and rng.random() < _FAMILIAR
    while True:
        content, answer = _MAKERS[kind](rng)
        if familiar and not _RARE.isdisjoint([*content, answer]):
            continue
        words = rng.choices(_FILLERS, k=rng.randint(3, 6))
        places = sorted(rng.sample(range(len(words) + len(content)), len(content)))
        for place, word in zip(places, content, strict=True):
            words.insert(place, word)
        text = " ".join(words)
        if zlib.crc32(text.encode()) % 10 in _REST[split]:
            return text, answer
