"""Eight kinds of real text with classes, and pairs of sentences, which are more or less alike.

They are to a sentence encoder what the eight image sets of the paper are to its CLIP. Pairs have no
classes: their targets are how alike people found two sentences, from 0 to 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import yaml

from ctl_helpers.data import text_sets
from ctl_helpers.data.dataset import check_names, complaints, refuse
from ctl_helpers.data.labelled_texts import LabelledTexts
from ctl_helpers.data.readers import damaged, json_file, lines, table
from ctl_helpers.data.text_files import FILES
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import file_checksum

KINDS = tuple(FILES)
PAIRS = "STS-B"
_SPLITS = ("train", "held-out", "test")
_HELD_OUT = 500  # at most
_WITHOUT_SPLIT = ("AG News", "Subj")
_PROMPTS = Path(__file__).parents[1] / "label_prompts.yaml"
_MOST_ALIKE = 5.0  # of STS-B's scores

Row = tuple[tuple[str, ...], float]
"""The texts of a sample, and its target."""


def checksum() -> str:
    """Digest of all files' checksums, the prompts' among them."""
    return digest([{kind: dict(FILES[kind].checksums) for kind in KINDS}, file_checksum(_PROMPTS)])


def missing(tasks: Sequence[str]) -> list[str]:
    """Which files are not in the data folder, or are damaged."""
    return complaints(*(FILES[task].paths for task in tasks))


def fetch(tasks: Sequence[str]) -> None:
    """Download sets into the data folder where they are not there yet.

    Raises:
        MissingDataError: for one of them there is no address, none could be reached, other bytes
            came, or the data folder cannot be written.
    """
    refuse(complaints(*(FILES[task].fetch for task in tasks)))


def class_names(task: str) -> tuple[str, ...]:
    """A kind's classes as prompts name them, in the order of their labels; none of pairs."""
    return tuple(_classes(task).values())


def templates(task: str) -> tuple[str, ...]:
    """A kind's prompts, ``{}`` standing for a class."""
    return tuple(_prompts()[task]["templates"])


def load(task: str, split: str, samples: int | None = None) -> LabelledTexts:
    """Texts of a kind with their labels, or pairs of them, in a seeded order.

    Training and test are the sets' own, but for SST-2 and STS-B, whose development parts stand for
    the test parts, which have no labels; for CLINC150 and tweets, whose development parts are
    training; and for AG News and Subj, of which a fifth is for test. What a test part has too is
    left out of training.

    Args:
        task: one of ``KINDS``.
        split: ``"train"``, ``"held-out"`` (a tenth of the training part, at most 500) or
            ``"test"``.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such kind or split.
        MissingDataError: a file is not in the data folder, or is damaged.
    """
    check_names("texts", task, KINDS, split, _SPLITS)
    return _texts(task, split).first(samples)


@lru_cache(maxsize=32)
def _texts(kind: str, split: str) -> LabelledTexts:
    import torch

    rows = _part(kind, "test" if split == "test" else "train")
    if split != "test":
        tested = {texts for texts, _ in _part(kind, "test")}
        is_held_out = split == "held-out"
        rows = [r for r in rows if r[0] not in tested and (_draw(r) % 10 == 0) == is_held_out]
    rows = sorted(rows, key=_draw)[: _HELD_OUT if split == "held-out" else None]
    targets = torch.tensor([target for _, target in rows])
    return LabelledTexts(
        tuple(texts for texts, _ in rows), targets if kind == PAIRS else targets.long()
    )


def _draw(row: Row) -> int:
    """A number that a sample's texts decide, as good as drawn."""
    return zlib.crc32(" ".join(row[0]).encode())


@lru_cache(maxsize=32)
def _part(kind: str, part: str) -> list[Row]:
    """A set's training or test part."""
    rows = _READERS[kind](part)
    if kind not in _WITHOUT_SPLIT:
        return rows
    # By another digit than what is held out.
    return [row for row in rows if (_draw(row) // 10 % 5 == 0) == (part == "test")]


def _labelled(kind: str, pairs: Iterable[tuple[str, str]]) -> list[Row]:
    """Rows of texts and the labels that a file has for them."""
    numbers = {label: number for number, label in enumerate(_classes(kind))}
    rows: list[Row] = []
    for text, label in pairs:
        if label not in numbers:
            first = next(iter(FILES[kind].paths().values()))
            raise damaged(first, f"there is a label {label!r}", FILES[kind].remedy)
        rows.append(((text.strip(),), numbers[label]))
    return rows


def _read(kind: str, name: str, read: Callable[[Path, str], text_sets.Texts]) -> list[Row]:
    return _labelled(kind, read(FILES[kind].paths()[name], FILES[kind].remedy).pairs())


def _banking(part: str) -> list[Row]:
    path, remedy = FILES["Banking77"].paths()[f"{part}.csv"], FILES["Banking77"].remedy
    rows = table(path, ["text", "category"], remedy, delimiter=",")
    return _labelled("Banking77", ((text, label) for text, label in rows))


def _clinc(part: str) -> list[Row]:
    path = FILES["CLINC150"].paths()["data_full.json"]
    content = json_file(path, FILES["CLINC150"].remedy)
    parts = {"train": ("train", "val"), "test": ("test",)}[part]
    return _labelled("CLINC150", (pair for name in parts for pair in content[name]))


def _subj(part: str) -> list[Row]:
    paths, remedy = FILES["Subj"].paths(), FILES["Subj"].remedy
    found = []
    for label in _classes("Subj"):
        texts = lines(paths[f"subj.{label}"], remedy, "latin-1")
        found += [(text, label) for text in texts]
    return _labelled("Subj", found)


def _tweets(kind: str, part: str) -> list[Row]:
    paths, remedy, labels = FILES[kind].paths(), FILES[kind].remedy, list(_classes(kind))
    found = []
    for name in {"train": ("train", "val"), "test": ("test",)}[part]:
        texts, numbers = (lines(paths[f"{name}_{end}.txt"], remedy) for end in ("text", "labels"))
        found += [(t, labels[int(n)]) for t, n in zip(texts, numbers, strict=True)]
    return _labelled(kind, found)


def _pairs(part: str) -> list[Row]:
    name = {"train": "train", "test": "dev"}[part]
    columns = ["sentence1", "sentence2", "score"]
    rows = table(FILES[PAIRS].paths()[f"{name}.tsv"], columns, FILES[PAIRS].remedy)
    return [((one, other), float(score) / _MOST_ALIKE) for one, other, score in rows]


_DEVELOPMENT = {"train": "train.tsv", "test": "dev.tsv"}
_TREC = {"train": "train_5500.label", "test": "TREC_10.label"}
_READERS: Mapping[str, Callable[[str], list[Row]]] = {
    "SST-2": lambda part: _read("SST-2", _DEVELOPMENT[part], text_sets.sst2),
    "AG News": lambda part: _read("AG News", "test.csv", text_sets.ag_news),
    "TREC": lambda part: _read("TREC", _TREC[part], text_sets.trec),
    "Banking77": _banking,
    "CLINC150": _clinc,
    "Subj": _subj,
    "emotion": lambda part: _tweets("emotion", part),
    "offensive": lambda part: _tweets("offensive", part),
    PAIRS: _pairs,
}


def _classes(kind: str) -> dict[str, str]:
    """Label → its words, in the order of labels."""
    listed = _prompts()[kind]["classes"] if kind in _prompts() else {}
    if isinstance(listed, list):
        return {label: label.replace("_", " ").strip("?").lower() for label in listed}
    return dict(listed)


@cache
def _prompts() -> dict[str, dict[str, list[str] | dict[str, str]]]:
    return yaml.safe_load(_PROMPTS.read_text(encoding="utf-8"))
