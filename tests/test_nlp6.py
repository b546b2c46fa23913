"""The six sets of the paper's T5: original layouts, sizes, splits, downloads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from unittest.mock import Mock
from urllib.error import URLError

import pytest
from conftest import refused
from test_text_sets import QASC, RACE, SCENES, SQUAD
from torchvision.datasets import utils

from ctl_helpers.data.sets import nlp6
from ctl_helpers.project import MissingDataError

COUNTS = {"train": 12, "test": 8}


def written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def imdb(folder: Path) -> None:
    for part, count in COUNTS.items():
        for number in range(count):
            name = "pos" if number % 2 else "neg"
            path = folder / part / name / f"{number // 2}_{9 if number % 2 else 2}.txt"
            written(path, f"Film {part} {number}.")


def race(folder: Path) -> None:
    for part, count in COUNTS.items():
        for number in range(count // 2):
            held = RACE | {"article": f"{part} {number}. {RACE['article']}"}
            level = "high" if number % 2 else "middle"
            written(folder / part / level / f"{number}.txt", json.dumps(held))


def qasc(folder: Path) -> None:
    for part, name in (("train", "train"), ("test", "dev")):
        records = (QASC | {"fact1": f"Fact {part} {n}."} for n in range(COUNTS[part]))
        written(folder / f"{name}.jsonl", "".join(f"{json.dumps(each)}\n" for each in records))


def multi_news(folder: Path) -> None:
    for part, count in COUNTS.items():
        events = (f"{part} {n} NEWLINE_CHAR ||||| more\n" for n in range(count))
        written(folder / f"{part}.src", "".join(events))
        written(folder / f"{part}.tgt", "".join(f"– told {n}\n" for n in range(count)))


def squad(folder: Path) -> None:
    for part, name in (("train", "train-v1.1"), ("test", "dev-v1.1")):
        (article,) = SQUAD["data"]
        (paragraph,) = article["paragraphs"]
        held = [
            article
            | {"paragraphs": [paragraph | {"context": f"{paragraph['context']} {part} {n}"}]}
            for n in range(COUNTS[part] // 2)
        ]
        written(folder / f"{name}.json", json.dumps({"version": "1.1", "data": held}))


def common_gen(folder: Path) -> None:
    sets = (SCENES | {"concept_set": f"field_N#look_V#word{n}_V"} for n in range(COUNTS["test"]))
    written(folder / "commongen.dev.jsonl", "".join(f"{json.dumps(each)}\n" for each in sets))
    lines = [f"field look word{100 + n}\n" for n in range(COUNTS["train"])]
    written(folder / "commongen.train.src_alpha.txt", "".join(lines))
    written(folder / "commongen.train.tgt.txt", "".join(f"In {line}" for line in lines))


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "IMDB": ("aclImdb", imdb),
    "RACE": ("RACE", race),
    "QASC": ("QASC", qasc),
    "MultiNews": ("multi-news", multi_news),
    "SQuAD": ("SQuAD", squad),
    "CommonGen": ("CommonGen", common_gen),
}
FIRST = {
    "IMDB": r"Film test \d\.",
    "RACE": r"question: (Lee has  _  \.|Is it trained\?) context: test \d\. Lee .*\(D\).*",
    "QASC": r"question: What can climb\? \(A\) sand \(B\) a cat context: Fact test \d\. Claws .*",
    "MultiNews": r"summarize: test \d   \|{5} more",
    "SQuAD": r"answer: (Lee|the door) context: Lee .* test \d",
    "CommonGen": r"field look word\d",
}


@pytest.fixture
def small(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder whose sets have a few samples each, and nothing remembered of another."""
    monkeypatch.setattr(nlp6, "SIZES", {kind: dict(COUNTS) for kind in nlp6.SIZES})
    monkeypatch.setattr(nlp6, "_HELD_OUT", 3)
    monkeypatch.setattr(nlp6, "_shuffled", lru_cache(nlp6._shuffled.__wrapped__))
    return data


@pytest.mark.parametrize("kind", nlp6.KINDS)
def test_a_set_is_read_from_its_original_layout(kind: str, small: Path) -> None:
    folder, write = WRITERS[kind]
    with refused(MissingDataError, f"^{kind} is not in {small}: .*{folder}$"):
        nlp6.load(kind, "test")
    write(small / folder)
    found = {split: nlp6.load(kind, split) for split in ("train", "held-out", "test")}
    assert [len(texts) for texts in found.values()] == [9, 3, 8]
    seen = [source for texts in found.values() for source in texts.sources]
    assert len(set(seen)) == len(seen)
    assert all(re.fullmatch(FIRST[kind], source) for source in found["test"].sources)
    assert nlp6.load(kind, "test", 2) == found["test"][:2]


@pytest.mark.parametrize("kind", nlp6.KINDS)
def test_a_set_that_lacks_samples_is_refused(kind: str, small: Path, monkeypatch) -> None:
    folder, write = WRITERS[kind]
    write(small / folder)
    monkeypatch.setitem(nlp6.SIZES[kind], "test", 5_622)
    said = f"^{small / folder} holds 8 of the 5,622 test samples of {kind}: delete it, then "
    with refused(MissingDataError, said):
        nlp6.load(kind, "test")


def test_labels_are_mixed_and_the_order_does_not_depend_on_how_many_are_read(small: Path) -> None:
    imdb(small / "aclImdb")
    found = nlp6.load("IMDB", "test")
    assert sorted(found.targets) == ["negative"] * 4 + ["positive"] * 4
    assert found.targets not in (tuple(sorted(found.targets)), tuple(sorted(found.targets))[::-1])


def test_the_samples_at_hand_are_told_from_whole_sets(small: Path) -> None:
    """Folders that hold parts of RACE and SQuAD under other names."""
    written(small / "RACE" / "samples" / "test" / "high" / "1.txt", json.dumps(RACE))
    written(small / "SQuAD" / "squad_v1.1_20_articles.json", json.dumps(SQUAD))
    with pytest.raises(MissingDataError, match=r"no passages in .*/RACE/test: run `ctl data nlp6"):
        nlp6.load("RACE", "test")
    with pytest.raises(MissingDataError, match=r"no file .*/SQuAD/dev-v1\.1\.json: run `ctl data"):
        nlp6.load("SQuAD", "test")


def test_downloads_go_where_they_are_read(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def archive(address: str, root: str, inner: str, md5: str | None) -> None:
        asked.append((address, md5))
        name = address.rpartition("/")[2]
        kind = {"aclImdb_v1.tar.gz": "IMDB", "RACE.tar.gz": "RACE"}.get(name, "QASC")
        folder, write = WRITERS[kind]
        write(Path(inner) if kind == "QASC" else Path(inner) / folder)

    def file(address: str, root: str, md5: str | None) -> None:
        asked.append((address, md5))
        squad(Path(root))

    monkeypatch.setattr(utils, "download_and_extract_archive", archive)
    monkeypatch.setattr(utils, "download_url", file)
    for kind in nlp6._DOWNLOADS:
        nlp6.fetch([kind])
        assert len(nlp6.load(kind, "test")) == 8
    assert len(asked) == 5
    assert sum(md5 is not None for _, md5 in asked) == 3
    nlp6.fetch(["RACE"])  # there already
    assert len(asked) == 5
    for kind in ("MultiNews", "CommonGen"):
        with pytest.raises(MissingDataError, match=f"{kind} cannot be downloaded into .*: get "):
            nlp6.fetch([kind])
        folder, write = WRITERS[kind]
        write(small / folder)
        nlp6.fetch([kind])


def test_no_network_is_said(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utils, "download_url", Mock(side_effect=URLError("no route\nto host")))
    said = r"no route to host>\): connect to the network.* a folder that holds SQuAD$"
    with refused(MissingDataError, said):
        nlp6.fetch(["SQuAD"])
    with pytest.raises(ValueError, match="no texts 'TREC'"):
        nlp6.fetch(["TREC"])
