"""Real text tasks: splits apart, inputs short, documents without what is held out or for test."""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from ctl_helpers import settings
from ctl_helpers.data import tokens
from ctl_helpers.data.sets import real_texts
from ctl_helpers.weights.checksums import file_checksum

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrs"]
CACHED = ("tokenizer", "_texts", "_examples", "pretraining")
PARTS = {"train": 300, "test": 40}
SHARED = 5  # samples of the test part that the training part has too


def said(number: int, count: int) -> str:
    """So many words, others for each number."""
    return " ".join(np.random.default_rng(number).choice(WORDS, count))


def numbers(part: str, seed: int = 0) -> list[int]:
    """The numbers of a part's samples: some of the test part are in the training part too."""
    own = range(10_000 * seed, 10_000 * seed + PARTS["test"])
    if part == "test":
        return list(own)
    return [*own[:SHARED], *range(own[-1] + 1, own[-1] + 1 + PARTS["train"])]


def imdb(folder: Path) -> None:
    for part in PARTS:
        held = [
            {"text": f"{said(n, 150)}<br /><br />{said(n + 1, 4)}", "label": n % 2}
            for n in numbers(part, 1)
        ]
        content = "".join(f"{json.dumps(record)}\n" for record in held)
        (folder / f"{part}.jsonl.gz").write_bytes(gzip.compress(content.encode()))


def glue(folder: Path) -> None:
    for name, part in (("train", "train"), ("dev", "test")):
        rows = [f"{said(n, 4 + n % 9)} \t{n % 2}" for n in numbers(part, 2)]
        (folder / "SST-2" / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *rows]))
        rows = [f"ab12\t{n % 2}\t\t{said(n, 6)}" for n in numbers(part, 3)]
        (folder / "CoLA" / f"{name}.tsv").write_text("\n".join(rows))


def asked(number: int) -> dict[str, str]:
    """Two questions a text; texts of 30 to 129 words."""
    context = f"The {said(number // 2, 30 + 7 * (number // 2) % 100)}."
    words = context.split()
    first = (number * 13) % (len(words) - 3)
    answer = " ".join(words[first : first + 1 + number % 3])
    return {"context": context, "question": f"What {said(number, 3)}?", "answer": answer}


def squad(folder: Path) -> None:
    triples = [asked(n) for n in numbers("train", 5)]
    (folder / "squad_4330_triples.json").write_text(json.dumps(triples))
    paragraphs = [
        {
            "context": each["context"],
            "qas": [{"question": each["question"], "answers": [{"text": each["answer"]}]}],
        }
        for each in map(asked, numbers("test", 5))
    ]
    held = {"data": [{"title": "T", "paragraphs": paragraphs}]}
    (folder / "squad_v1.1_20_articles.json").write_text(json.dumps(held))


def common_gen(folder: Path) -> None:
    """Three sentences a set of concepts, whose order is another in training."""
    for part in PARTS:
        concepts = [said(n // 3, 3).split() for n in numbers(part, 6)]
        concepts = [each[:: -1 if part == "test" else 1] for each in concepts]
        lines = {"src_alpha": map(" ".join, concepts), "tgt": (said(n, 9) for n in numbers(part))}
        for end, content in lines.items():
            (folder / f"commongen.{part}.{end}.txt").write_text("\n".join(content))


def trec(folder: Path) -> None:
    for name, part in (("train_5500", "train"), ("TREC_10", "test")):
        lines = [f"{'HUM' if n % 2 else 'LOC'}:x {said(n, 7)} ?" for n in numbers(part, 7)]
        (folder / f"{name}.label").write_text("\n".join(lines))


def ag_news(folder: Path) -> None:
    with (folder / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            (1 + n % 4, said(90_000 + n, 5), said(91_000 + n, 90)) for n in range(60)
        )


WRITERS: dict[str, Callable[[Path], None]] = {
    "IMDB": imdb,
    "GLUE": glue,
    "SQuAD": squad,
    "CommonGen": common_gen,
    "TREC": trec,
    "AGNews": ag_news,
}


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered of another data folder."""
    for name in CACHED:
        fresh = lru_cache(getattr(real_texts, name).__wrapped__)
        monkeypatch.setattr(real_texts, name, fresh)


@pytest.fixture
def made(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small files of all sets in their true formats."""
    for folder in (*WRITERS, "GLUE/SST-2", "GLUE/CoLA"):
        (data / folder).mkdir(parents=True, exist_ok=True)
    for folder, write in WRITERS.items():
        write(data / folder)
    pinned = {name: file_checksum(data / name) for name in real_texts._CHECKSUMS}
    monkeypatch.setattr(real_texts, "_CHECKSUMS", pinned)
    forget(monkeypatch)
    return data


def whole(kind: str, prompt: str) -> object:
    """What of a prompt no two splits may share, as far as the prompt shows it."""
    if kind == "CommonGen":
        return frozenset(prompt.removeprefix("common_gen concepts: ").split())
    return prompt


@pytest.mark.parametrize("kind", real_texts.KINDS)
def test_splits_share_nothing_and_have_all_the_rest(kind: str, made: Path) -> None:
    found = {split: real_texts.load(kind, split) for split in real_texts._SPLITS}
    seen = {split: {whole(kind, s) for s in texts.sources} for split, texts in found.items()}
    for split, texts in found.items():
        assert len(texts) > 0
        others = (seen[other] for other in seen if other != split)
        assert not any(seen[split] & other for other in others)
        assert all(s.startswith(real_texts._PREFIXES[kind]) for s in texts.sources)
        assert real_texts.load(kind, split, 3) == texts[:3]
    sets = PARTS["test"] if kind != "CommonGen" else -(-PARTS["test"] // 3)
    assert len(found["test"]) == sets
    rest = sum(len(texts) for split, texts in found.items() if split != "test")
    if kind in ("SQuAD", "CommonGen"):  # what belongs to a shared text goes with it
        assert PARTS["train"] - 3 <= rest <= PARTS["train"] + 1
    else:
        assert rest == PARTS["train"]


def test_texts_are_short_and_hold_their_answers(made: Path) -> None:
    for split in real_texts._SPLITS:
        for review in real_texts.load("IMDB", split).sources:
            assert len(review.split()) == 2 + 80
        texts = real_texts.load("SQuAD", split)
        starts = []
        for prompt, answer in zip(texts.sources, texts.targets, strict=True):
            question, context = prompt.removeprefix("question: What ").split(" context: ")
            assert answer in context
            assert len(question.split()) == 3
            assert 31 <= len(context.split()) <= 56
            starts.append(context.index(answer) / len(context))
        assert split == "held-out" or max(starts) - min(starts) > 0.7  # anywhere among them


def test_documents_have_nothing_held_out_or_for_test(made: Path) -> None:
    documents = real_texts.pretraining()
    assert all(8 <= len(document.split()) <= 56 for document in documents)
    text = " ".join(documents)
    assert "<br" not in text
    for kind in ("IMDB", "SST-2"):
        prefix = len(real_texts._PREFIXES[kind])
        beginnings = {
            split: [" ".join(s[prefix:].split()[:8]) for s in real_texts.load(kind, split).sources]
            for split in real_texts._SPLITS
        }
        enough = [each for each in beginnings["train"] if len(each.split()) == 8]
        assert all(beginning in text for beginning in enough)
        assert enough
        for split in ("held-out", "test"):
            enough = [each for each in beginnings[split] if len(each.split()) == 8]
            assert not any(beginning in text for beginning in enough)
    for split, there in (("train", True), ("held-out", False), ("test", False)):
        for kind in ("SQuAD", "CommonGen"):
            texts = real_texts.load(kind, split)
            shown = [s.split("context: ")[-1] for s in texts.sources]
            parts = shown if kind == "SQuAD" else texts.targets
            found = [" ".join(part.split()[1:7]) in text for part in parts]
            # A text's window may lie over two documents.
            assert np.mean(found) > 0.5 if there else not any(found), (split, kind)


def test_the_tokenizer_knows_all_texts_and_is_the_same_each_time(made: Path, monkeypatch) -> None:
    monkeypatch.setattr(real_texts, "_VOCABULARY", 600)
    found = real_texts.tokenizer()
    assert found.get_vocab_size() == 600
    assert [found.id_to_token(n) for n in range(len(tokens.MARKS))] == list(tokens.MARKS)
    text = "question: Où est " + real_texts.load("SQuAD", "test").sources[0]
    assert found.decode(found.encode(text).ids).strip() == text
    forget(monkeypatch)
    assert real_texts.tokenizer().to_str() == found.to_str()


def test_a_missing_or_changed_file_is_said(made: Path) -> None:
    assert real_texts.missing([]) == []
    remedy = "set CTL_DATA_DIR to a folder that holds IMDB, GLUE, "
    for name in real_texts._CHECKSUMS:
        content = (made / name).read_bytes()
        (made / name).write_bytes(content[:-1])
        (damaged,) = real_texts.missing([])
        assert re.search(f"{name} is damaged .*{remedy}", damaged)
        (made / name).unlink()
        (gone,) = real_texts.missing([])
        assert f"is not in {made}: {remedy}" in gone
        (made / name).write_bytes(content)


def test_a_short_run_gives_a_network_a_task(made: Path, monkeypatch) -> None:
    monkeypatch.setattr(real_texts, "_VOCABULARY", 600)
    setting = settings.load("small-t5").shortened(0.001)
    assert setting.missing() is None
    found = setting.checkpoints(0, ["SQuAD"])
    assert list(found) == ["PT", "SQuAD"]
    assert found["PT"]["shared.weight"].shape == (600, setting.model.width)
    moved = (found["SQuAD"][name] - value for name, value in found["PT"].items())
    assert any(part.abs().max() > 0 for part in moved)
    ((batch, targets),) = setting.streams(["SQuAD"], 3)["SQuAD"]
    assert batch["input_ids"].shape[1] <= setting.longest
    assert len(targets) == 3


def test_what_is_missing_is_said(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)
    sentence = settings.load("small-t5").missing()
    assert sentence.startswith(f"A set of real texts is not in {data}: set CTL_DATA_DIR to a f")


def test_the_real_sets_have_all_answers(monkeypatch: pytest.MonkeyPatch, real_data) -> None:
    real_data("SQuAD")
    forget(monkeypatch)
    sizes = {"IMDB": 2000, "SST-2": 872, "CoLA": 1043, "SQuAD": 2000, "CommonGen": 1497}
    words = {"IMDB": 2, "SST-2": 2, "CoLA": 2, "TREC": 6}
    for kind, size in (sizes | {"TREC": 500}).items():
        texts = real_texts.load(kind, "test")
        assert len(texts) == size
        if kind in words:
            assert len(set(texts.targets)) == words[kind]
            assert len(set(texts.targets[:60])) >= min(words[kind], 5)  # mixed
    # Of TREC's 5,452 training questions 10 are in the test part, of SQuAD's 4,330 181 share a text.
    splits = [s for s in real_texts._SPLITS if s != "test"]
    assert sum(len(real_texts.load("TREC", split)) for split in splits) == 5442
    assert sum(len(real_texts.load("SQuAD", split)) for split in splits) == 4149
    assert len(real_texts.pretraining()) > 70_000
