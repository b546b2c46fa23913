"""Eight kinds of labelled text and pairs: files in their true formats, splits apart, downloads."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import refused

from ctl_helpers.data.labelled_texts import LabelledTexts
from ctl_helpers.data.sets import text_kinds
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.checksums import file_checksum

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrs"]
PARTS = {"train": 200, "test": 40}
SHARED = 5  # samples of the test part that the training part has too


def said(number: int, count: int = 6) -> str:
    """So many words, others for each number."""
    return " ".join(np.random.default_rng(number).choice(WORDS, count))


def samples(kind: str, part: str) -> Iterator[tuple[str, str]]:
    """Texts and labels of a part; the first ones of the test part are in both."""
    labels = list(text_kinds._classes(kind))
    first = 0 if part == "test" else PARTS["test"]
    numbers = [*range(SHARED * (part == "train")), *range(first, first + PARTS[part])]
    return ((said(n), labels[n % len(labels)]) for n in numbers)


def table(path: Path, head: list[str], rows: Iterator[tuple[str, ...]], delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([head, *rows])


def sst2(folder: Path) -> None:
    for name, part in (("train", "train"), ("dev", "test")):
        rows = (
            (f"{text} ", str(int(label == "positive"))) for text, label in samples("SST-2", part)
        )
        table(folder / f"{name}.tsv", ["sentence", "label"], rows, "\t")


def ag_news(folder: Path) -> None:
    labels = list(text_kinds._classes("AG News"))
    rows = (
        (str(1 + labels.index(label)), *text.split(" ", 1))
        for text, label in samples("AG News", "train")
    )
    table(folder / "test.csv", ["label", "title", "description"], rows, ",")


def trec(folder: Path) -> None:
    coarse = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    kinds = dict(zip(text_kinds._classes("TREC"), coarse, strict=True))
    for name, part in (("train_5500", "train"), ("TREC_10", "test")):
        lines = (f"{kinds[label]}:fine {text}" for text, label in samples("TREC", part))
        (folder / f"{name}.label").write_text("\n".join(lines), encoding="latin-1")


def banking(folder: Path) -> None:
    for part in PARTS:
        rows = ((f"{text}\n", label) for text, label in samples("Banking77", part))
        table(folder / f"{part}.csv", ["text", "category"], rows, ",")


def clinc(folder: Path) -> None:
    train = list(samples("CLINC150", "train"))
    parts = {"train": train[20:], "val": train[:20], "test": list(samples("CLINC150", "test"))}
    content = {**parts, "oos_train": [["out of scope", "oos"]]}
    (folder / "data_full.json").write_text(json.dumps(content), encoding="utf-8")


def subj(folder: Path) -> None:
    for label in ("objective", "subjective"):
        lines = (f"{text} é" for text, own in samples("Subj", "train") if own == label)
        (folder / f"subj.{label}").write_text("\n".join(lines), encoding="latin-1")


def tweets(folder: Path) -> None:
    labels = list(text_kinds._classes(folder.name))
    train = list(samples(folder.name, "train"))
    parts = {"train": train[20:], "val": train[:20], "test": list(samples(folder.name, "test"))}
    for part, pairs in parts.items():
        # A separator of lines elsewhere is none here.
        lines = "\n".join(f"{text}\u2028@user" for text, _ in pairs)
        (folder / f"{part}_text.txt").write_text(lines + "\n", encoding="utf-8")
        numbers = "\n".join(str(labels.index(label)) for _, label in pairs)
        (folder / f"{part}_labels.txt").write_text(numbers + "\n", encoding="utf-8")


def pairs(folder: Path) -> None:
    for name, part in (("train", "train"), ("dev", "test")):
        first = 1000 * (part == "test")
        rows = (
            (str(n), said(first + n), said(first + n + 1), f"{n % 11 / 2:.3f}")
            for n in range(PARTS[part])
        )
        table(folder / f"{name}.tsv", ["index", "sentence1", "sentence2", "score"], rows, "\t")


WRITERS: dict[str, Callable[[Path], None]] = {
    "SST-2": sst2,
    "AG News": ag_news,
    "TREC": trec,
    "Banking77": banking,
    "CLINC150": clinc,
    "Subj": subj,
    "emotion": tweets,
    "offensive": tweets,
    "STS-B": pairs,
}
FILES = text_kinds.FILES


def forget() -> None:
    """Nothing is remembered of another data folder."""
    text_kinds._texts.cache_clear()
    text_kinds._part.cache_clear()


@pytest.fixture
def texts(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder with small files of all sets in their true formats."""
    forget()
    made = {}
    for kind, files in FILES.items():
        folder = data / files.folder
        folder.mkdir(parents=True)
        WRITERS[kind](folder)
        sums = {name: file_checksum(folder / name) for name in files.checksums}
        made[kind] = replace(files, checksums=sums)
    monkeypatch.setattr(text_kinds, "FILES", made)
    yield data
    forget()


def rows(texts: LabelledTexts) -> dict[tuple[str, ...], float]:
    return dict(zip(texts.texts, texts.targets.tolist(), strict=True))


@pytest.mark.parametrize("kind", WRITERS)
def test_splits_are_apart_and_labels_are_kept(kind: str, texts: Path) -> None:
    train, held_out, test = (
        rows(text_kinds.load(kind, split)) for split in ("train", "held-out", "test")
    )
    assert len(train.keys() | held_out.keys() | test.keys()) == len(train) + len(held_out) + len(
        test
    )
    assert 0 < len(held_out) < len(train)
    first = text_kinds.load(kind, "train", 7)
    assert rows(first).items() <= train.items()
    assert len(first) == 7
    if kind == "STS-B":
        assert first.targets.is_floating_point()
        assert {len(sample) for sample in first.texts} == {2}
        assert set(first.targets.mul(10).round().tolist()) <= set(range(11))
        assert 0 <= first.targets.min() < first.targets.max() <= 1
        return
    assert first.targets.dtype == torch.long
    if kind in ("AG News", "Subj"):
        whole = len({text for text, _ in samples(kind, "train")})
        assert len(train) + len(held_out) + len(test) == whole
        assert 0.1 < len(test) / whole < 0.3
    else:
        assert len(test) == PARTS["test"]
        assert len(train) + len(held_out) == PARTS["train"]
    labels = list(text_kinds._classes(kind))
    known = {text: label for part in PARTS for text, label in samples(kind, part)}
    for (text,), target in {**train, **held_out, **test}.items():
        text = text.removesuffix("\u2028@user").removesuffix(" é")
        assert known[text] == labels[int(target)]


@pytest.mark.parametrize("kind", WRITERS)
def test_classes_have_words_and_templates_room_for_them(kind: str) -> None:
    names = text_kinds.class_names(kind)
    if kind == "STS-B":
        assert names == ()
        return
    assert len(set(names)) == len(names) >= 2
    assert all(name == name.strip() and "_" not in name for name in names)
    assert len(text_kinds.templates(kind)) >= 3
    assert all(form.count("{}") == 1 for form in text_kinds.templates(kind))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_or_changed_file_is_said(kind: str, texts: Path) -> None:
    assert text_kinds.missing([kind]) == []
    files = text_kinds.FILES[kind]
    path = texts / files.folder / next(iter(files.checksums))
    path.write_bytes(path.read_bytes()[:-1])
    (damaged,) = text_kinds.missing([kind])
    how = "it is no public download" if files.made else "run `ctl data real-minilm` to download it"
    assert re.search(f"{path.name} is damaged .* delete it, then {how}", damaged)
    path.unlink()
    (gone,) = text_kinds.missing([kind])
    assert f"{files.title} is not in {texts}: {how}" in gone
    assert gone.endswith(f"set CTL_DATA_DIR to a folder that holds {files.folder}")


def test_an_unknown_label_is_damage(texts: Path) -> None:
    path = texts / "Banking77" / "test.csv"
    path.write_text(path.read_text().replace("card_arrival", "card_departure"))
    files = text_kinds.FILES["Banking77"]
    sums = {name: file_checksum(texts / "Banking77" / name) for name in files.checksums}
    text_kinds.FILES["Banking77"] = replace(files, checksums=sums)
    with refused(MissingDataError, "there is a label 'card_departure'.*: delete it, then run `ctl"):
        text_kinds.load("Banking77", "test")


@pytest.fixture
def server(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In place of the web: gives what the data folder had, which is empty now."""
    asked: list[str] = []
    web = Path(shutil.move(texts, tmp_path / "web"))

    def download(address: str, path: str, progress: bool) -> None:
        asked.append(address)
        if address.endswith(".zip"):
            files = next(f for f in text_kinds.FILES.values() if f.address == address)
            with zipfile.ZipFile(path, "w") as archive:
                for name in files.checksums:
                    archive.write(web / files.folder / name, f"{files.inside}/{name}")
            return
        folder, _, name = address.rpartition("/")
        files = next(f for f in text_kinds.FILES.values() if f.address == folder)
        shutil.copy(web / files.folder / name, path)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return asked


def test_files_are_downloaded_once_and_checked(texts: Path, server: list[str]) -> None:
    for kind, files in text_kinds.FILES.items():
        if files.made:
            with refused(MissingDataError, f"{files.title} is not in .*: it is no public download"):
                text_kinds.fetch([kind])
            continue
        before = len(server)
        text_kinds.fetch([kind])
        wanted = 1 if files.address.endswith(".zip") else len(files.checksums)
        assert len(server) == before + wanted
        text_kinds.fetch([kind])
        assert len(server) == before + wanted
        assert text_kinds.missing([kind]) == []
        assert {path.name for path in (texts / files.folder).iterdir()} == files.checksums.keys()


@pytest.mark.parametrize("kind", ["Banking77", "Subj"])
def test_other_bytes_than_were_published_are_refused(kind: str, texts: Path, server) -> None:
    files = text_kinds.FILES[kind]
    text_kinds.FILES[kind] = replace(files, checksums=dict.fromkeys(files.checksums, "0"))
    with refused(
        MissingDataError, f"{kind} could not be .* has another .* than it had", "CTL_DATA"
    ):
        text_kinds.fetch([kind])
    assert not any((texts / files.folder).iterdir())


def test_the_real_sets_have_all_samples(real_data) -> None:
    real_data("CLINC150")
    forget()
    sizes = {"SST-2": 872, "TREC": 500, "Banking77": 3080, "CLINC150": 4500, "emotion": 1421}
    sizes |= {"offensive": 860, "STS-B": 1500, "AG News": 1542, "Subj": 1980}
    assert text_kinds.missing(text_kinds.KINDS) == []
    for kind, size in sizes.items():
        test = text_kinds.load(kind, "test")
        assert len(test) == size
        if kind != "STS-B":
            assert set(test.targets.tolist()) == set(range(len(text_kinds.class_names(kind))))
    assert len(text_kinds.load("SST-2", "train")) > 60_000
    forget()
