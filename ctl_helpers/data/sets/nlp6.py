"""The six text sets that the CTL paper's T5-base is fine-tuned on, as its fine-tunes expect them.

Prompts are said in :mod:`ctl_helpers.data.text_sets`. As in the paper's published code, SQuAD asks
for the question and MultiNews has the first 4,096 characters of an event's articles. Test is what
the sets call so, but for SQuAD, CommonGen and QASC: their test parts have no answers, and their
development parts stand in. (The paper's code takes QASC's test part all the same, and lets its
context tell the two facts' conclusion.)
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from ctl_helpers.data import text_sets
from ctl_helpers.data.dataset import check_names, complaints, downloading, refuse
from ctl_helpers.data.texts import Texts
from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.store.artifacts import digest

SPLITS = ("train", "held-out", "test")
SIZES: dict[str, dict[str, int | None]] = {
    "IMDB": {"train": 25_000, "test": 25_000},
    "RACE": {"train": 87_866, "test": 4_934},
    "QASC": {"train": 8_134, "test": 926},
    "MultiNews": {"train": 44_972, "test": 5_622},
    "SQuAD": {"train": 87_599, "test": 10_570},
    "CommonGen": {"train": None, "test": 993},  # 39,069 in its first release, 67,389 in the last
}
"""Samples of each set: training, of which "held-out" is a part, and test."""

KINDS = tuple(SIZES)
_HELD_OUT = 1000
_FOLDERS = {
    "IMDB": "aclImdb",
    "RACE": "RACE",
    "QASC": "QASC",
    "MultiNews": "multi-news",
    "SQuAD": "SQuAD",
    "CommonGen": "CommonGen",
}
_BY_HAND = {
    "MultiNews": (
        "get train.src, train.tgt, test.src and test.tgt from the links in the repository "
        "Alex-Fabbri/Multi-News"
    ),
    "CommonGen": (
        "get commongen.train.src_alpha.txt, commongen.train.tgt.txt and commongen.dev.jsonl from "
        "its authors' site, inklab.usc.edu/CommonGen"
    ),
}
# What torchvision downloads: the address, and the MD5 where one was published.
_DOWNLOADS: dict[str, list[tuple[str, str | None]]] = {
    "IMDB": [
        (
            "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "7c2ac02c03563afcf9b574c7e56c153a",
        )
    ],
    "RACE": [("http://www.cs.cmu.edu/~glai1/data/race/RACE.tar.gz", None)],
    "QASC": [("http://data.allenai.org/downloads/qasc/qasc_dataset.tar.gz", None)],
    "SQuAD": [
        (
            "https://rajpurkar.github.io/SQuAD-explorer/dataset/train-v1.1.json",
            "981b29407e0affa3b1b156f72073b945",
        ),
        (
            "https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json",
            "3e85deb501d4e538b6bc56f786231552",
        ),
    ],
}


def checksum() -> str:
    """Digest of the sets' sizes and of the checksums that were published."""
    return digest([SIZES, _DOWNLOADS])


def load(task: str, split: str, samples: int | None = None) -> Texts:
    """Prompts and answers of a set, in a seeded order.

    Args:
        task: one of ``KINDS``.
        split: ``"train"``, ``"held-out"`` (1,000 of the training part, which the published
            fine-tunes have seen) or ``"test"``.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such set or split.
        MissingDataError: the set is not in the data folder (see :func:`fetch`), lacks samples, or
            has a file that cannot be read.
    """
    check_names("texts", task, SIZES, split, SPLITS)
    texts = _shuffled(data_folder(), task, "test" if split == "test" else "train")
    part = {"train": slice(_HELD_OUT, None), "held-out": slice(_HELD_OUT)}
    return texts[part.get(split, slice(None))].first(samples)


def missing(tasks: Sequence[str]) -> list[str]:
    """Which sets have no folder; whether they are whole is only seen when they are loaded."""
    return complaints(*(partial(_folder, data_folder(), task) for task in tasks))


def fetch(tasks: Sequence[str]) -> None:
    """Download sets into the data folder where they are not there yet.

    Raises:
        MissingDataError: for one of them there is no server, none could be reached, or the data
            folder cannot be written.
        ValueError: no such set.
    """
    refuse(complaints(*(partial(_fetch, task) for task in tasks)))


def _fetch(kind: str) -> None:
    check_names("texts", kind, SIZES, "train", SPLITS)
    folder = data_folder() / _FOLDERS[kind]
    if kind not in _DOWNLOADS:
        if not folder.is_dir():
            raise MissingDataError(f"{kind} cannot be downloaded into {folder}: {_remedy(kind)}")
        return
    from torchvision.datasets import utils

    for address, md5 in _DOWNLOADS[kind]:
        with downloading(kind, folder, _FOLDERS[kind]):
            if not address.endswith(".gz"):
                utils.download_url(address, str(folder), md5=md5)
            elif not folder.is_dir():
                # QASC's archive has its files at its root, the others a folder of their own.
                inner = folder if kind == "QASC" else folder.parent
                utils.download_and_extract_archive(address, str(folder.parent), str(inner), md5=md5)


def _folder(root: Path, kind: str) -> Path:
    if not (root / _FOLDERS[kind]).is_dir():
        raise MissingDataError(f"{kind} is not in {root}: {_remedy(kind)}")
    return root / _FOLDERS[kind]


# Reading 25,000 small files takes a while, and a notebook asks for the same ones several times.
@lru_cache(maxsize=12)
def _shuffled(root: Path, kind: str, part: str) -> Texts:
    """A set's training or test part in an order that its texts decide."""
    folder = _folder(root, kind)
    texts = _READERS[kind](folder, part, _remedy(kind))
    expected = SIZES[kind][part]
    if expected is not None and len(texts) != expected:
        raise MissingDataError(
            f"{folder} holds {len(texts):,} of the {expected:,} {part} samples of {kind}: delete "
            f"it, then {_remedy(kind)}"
        )
    return Texts.of(sorted(texts.pairs(), key=lambda pair: zlib.crc32(pair[0].encode())))


def _remedy(kind: str) -> str:
    how = _BY_HAND.get(kind, "run `ctl data nlp6-t5-base` to download it")
    return f"{how}, and let CTL_DATA_DIR name the folder that holds {_FOLDERS[kind]}"


def _common_gen(folder: Path, part: str, remedy: str) -> Texts:
    if part == "test":
        return text_sets.common_gen_sets(folder / "commongen.dev.jsonl", remedy)
    sources, targets = (folder / f"commongen.train.{end}.txt" for end in ("src_alpha", "tgt"))
    return text_sets.common_gen(sources, targets, remedy)


_DEVELOPMENT = {"train": "train", "test": "dev"}  # stands in where test parts have no answers
_READERS: dict[str, Callable[[Path, str, str], Texts]] = {
    "IMDB": lambda folder, part, remedy: text_sets.imdb(folder / part, remedy),
    "RACE": lambda folder, part, remedy: text_sets.race(folder / part, remedy),
    "QASC": lambda folder, part, remedy: text_sets.qasc(
        folder / f"{_DEVELOPMENT[part]}.jsonl", remedy
    ),
    "MultiNews": lambda folder, part, remedy: text_sets.multi_news(
        folder / f"{part}.src", folder / f"{part}.tgt", remedy
    ),
    "SQuAD": lambda folder, part, remedy: text_sets.asking(
        text_sets.squad(folder / f"{_DEVELOPMENT[part]}-v1.1.json", remedy)
    ),
    "CommonGen": _common_gen,
}
