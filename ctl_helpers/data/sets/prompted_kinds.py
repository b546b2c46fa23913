"""Six kinds of labelled text as prompts with answers, and running text that none of them uses.

They are those of :mod:`ctl_helpers.data.sets.text_kinds`, in its splits and in its order. Running
text is of Wikipedia: the paragraphs that questions of SQuAD are about (Rajpurkar et al. 2016).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from ctl_helpers.data import text_sets
from ctl_helpers.data.dataset import check_names, complaints, refuse
from ctl_helpers.data.sets import text_kinds
from ctl_helpers.data.text_files import TextFiles
from ctl_helpers.data.texts import Texts
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import file_checksum

RUNNING = "running text"
KINDS = ("SST-2", "TREC", "emotion", "Subj", "AG News", "Banking77", RUNNING)
_PROMPTS = Path(__file__).parents[1] / "answer_prompts.yaml"
_ARTICLES = "squad_v1.1_20_articles.json"
FILES = TextFiles(
    "The part of SQuAD",
    "SQuAD",
    {_ARTICLES: "97796148abdf1c8fccc31588cf8ff54f99e35fe0c7036f3093d0438e55cefc16"},
    made="twenty of its articles",
)
_SPLITS = ("train", "held-out", "test")


def checksum() -> str:
    """Digest of all files' checksums, the prompts' among them."""
    return digest([text_kinds.checksum(), dict(FILES.checksums), file_checksum(_PROMPTS)])


def missing(tasks: Sequence[str]) -> list[str]:
    """Which files are not in the data folder, or are damaged."""
    return text_kinds.missing(_labelled(tasks)) + complaints(FILES.paths)


def fetch(tasks: Sequence[str]) -> None:
    """Download sets into the data folder where they are not there yet.

    Raises:
        MissingDataError: as :func:`ctl_helpers.data.sets.text_kinds.fetch`.
    """
    refuse(complaints(lambda: text_kinds.fetch(_labelled(tasks)), FILES.paths))


def answers(task: str) -> tuple[str, ...]:
    """The answers to a task's prompts, in the order of its labels; none of running text.

    They begin with a space, as a word does that follows another.
    """
    if task == RUNNING:
        return ()
    words = _prompts()[task].get("answers") or text_kinds.class_names(task)
    return tuple(f" {word}" for word in words)


def load(task: str, split: str, samples: int | None = None) -> Texts:
    """Prompts and answers of a kind in a seeded order; running text has empty answers.

    Args:
        task: one of ``KINDS``.
        split: ``"train"``, ``"held-out"`` or ``"test"``; nothing is trained on running text, which
            lacks the first.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    splits = _SPLITS[1:] if task == RUNNING else _SPLITS
    check_names("prompts", task, KINDS, split, splits)
    if task == RUNNING:
        return _paragraphs(split).first(samples)
    form, words = _prompts()[task]["prompt"], answers(task)
    rows = text_kinds.load(task, split, samples)
    return Texts.of(
        (form.format(text), words[label])
        for (text,), label in zip(rows.texts, rows.targets.tolist(), strict=True)
    )


@lru_cache(maxsize=2)
def _paragraphs(split: str) -> Texts:
    questions = text_sets.squad(FILES.paths()[_ARTICLES], FILES.remedy)
    texts = sorted({question.context for question in questions}, key=_draw)
    chosen = [text for text in texts if _draw(text) % 2 == (split == "test")]
    return Texts.of((text, "") for text in chosen)


def _draw(text: str) -> int:
    """A number that a text decides, as good as drawn."""
    return zlib.crc32(text.encode())


def _labelled(tasks: Sequence[str]) -> list[str]:
    return [task for task in tasks if task != RUNNING]


@cache
def _prompts() -> Mapping[str, Mapping[str, Any]]:
    return yaml.safe_load(_PROMPTS.read_text(encoding="utf-8"))
