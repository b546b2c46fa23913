"""Text data sets: files in their original formats read right, and what is wrong with one said."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import refused

from ctl_helpers.data import text_sets
from ctl_helpers.data.readers import json_lines, lines, table
from ctl_helpers.data.texts import Texts
from ctl_helpers.project import MissingDataError

REMEDY = "get it from its authors"

REVIEW = {"id": "neg/1", "rating": 1, "label": 0, "text": "Dull.<br /><br />No\u2028more\x85of it."}
REVIEWS = "\n".join(json.dumps(REVIEW | {"label": n}, ensure_ascii=False) for n in (0, 1))
ASKED = "question: What can climb? (A) sand (B) a cat context: Cats have claws. Claws are for "
PASSAGE = "Lee has a dog. It answers the door."
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Dogs",
            "paragraphs": [
                {
                    "context": PASSAGE,
                    "qas": [
                        {
                            "id": "1",
                            "question": " Who has a dog? ",
                            "answers": [
                                {"answer_start": 0, "text": "Lee"},
                                {"answer_start": 0, "text": "Lee has"},
                            ],
                        },
                        {
                            "id": "2",
                            "question": "What does it answer?",
                            "answers": [{"answer_start": 26, "text": "the door"}],
                        },
                    ],
                }
            ],
        }
    ],
}
QASC = {
    "id": "3NGI",
    "question": {
        "stem": "What can climb?",
        "choices": [{"text": "sand", "label": "A"}, {"text": "a cat", "label": "B"}],
    },
    "answerKey": "B",
    "fact1": "Cats have claws.",
    "fact2": "Claws are for climbing.",
    "combinedfact": "Cats climb.",
    "formatted_question": "What can climb? (A) sand (B) a cat",
}
RACE = {
    "answers": ["C", "A"],
    "options": [["a cat", "a house", "a dog", "a car"], ["Yes.", "No.", "Both.", "Neither."]],
    "questions": ["Lee has  _  .", "Is it trained?"],
    "article": PASSAGE,
    "id": "middle2.txt",
}
SCENES = {
    "concept_set": "field_N#look_V#stand_V",
    "scene": ["He stands in a field to look.", "Look!"],
    "reason": ["n/a", "n/a"],
}
# Reader → the file's name, what is in it, what is read, and how many bytes off its end make it
# unreadable.
FILES: dict[str, tuple[str, bytes, list[tuple[str, str]], int]] = {
    "sst2": (
        "train.tsv",
        'sentence\tlabel\na "charming film , \t1\ndull clichés \t0\n'.encode(),
        [('a "charming film ,', "positive"), ("dull clichés", "negative")],
        3,
    ),
    "cola": (
        "train.tsv",
        b'gj04\t1\t\tThe car "honked.\ncj99\t0\t*\tThe more we.\n',
        [('The car "honked.', "acceptable"), ("The more we.", "unacceptable")],
        14,
    ),
    "trec": (
        "train_5500.label",
        b"NUM:dist How far is it ?\nHUM:desc Who was Caf\xe9 ?\nABBR:exp What is .com ?\n",
        [
            ("How far is it ?", "number"),
            ("Who was Café ?", "human"),
            ("What is .com ?", "abbreviation"),
        ],
        18,
    ),
    "ag_news": (
        "test.csv",
        b'"3","Fears for T, N","Unions say ""no"" to\nit"\n"1","Peace","Talks, at last."\n',
        [('Fears for T, N Unions say "no" to\nit', "business"), ("Peace Talks, at last.", "world")],
        3,
    ),
    "imdb_records": (
        "train.jsonl.gz",
        gzip.compress(REVIEWS.encode()),
        [(REVIEW["text"], "negative"), (REVIEW["text"], "positive")],
        12,
    ),
    "common_gen_sets": (
        "commongen.dev.jsonl",
        f"{json.dumps(SCENES)}\n".encode(),
        [("field look stand", "He stands in a field to look.")],
        12,
    ),
    "qasc": ("dev.jsonl", f"{json.dumps(QASC)}\n".encode(), [(f"{ASKED}climbing.", "a cat")], 12),
}


def pairs(texts: Texts) -> list[tuple[str, str]]:
    return list(zip(texts.sources, texts.targets, strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_right_and_its_faults_are_said(name: str, tmp_path: Path) -> None:
    file, content, expected, cut = FILES[name]
    path, read = tmp_path / file, getattr(text_sets, name)
    with refused(MissingDataError, f"^there is no file {path}: {REMEDY}$"):
        read(path, REMEDY)
    path.write_bytes(content)
    assert pairs(read(path, REMEDY)) == expected
    path.write_bytes(content[:-cut])
    with refused(MissingDataError, f"{path} is damaged or incomplete .*{REMEDY}$"):
        read(path, REMEDY)
    path.write_bytes(gzip.compress(b"\n") if file.endswith(".gz") else b"\n")
    with refused(MissingDataError, f"^{path} is empty: delete it, then {REMEDY}$"):
        read(path, REMEDY)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("sst2", "index\tsentence\n0\tA film.\n", "no column 'label' but ['index', 'sentence']"),
        ("sst2", "sentence\tlabel\nA film.\t2\n", "sample 1 has the label '2'"),
        ("sst2", "sentence\tlabel\nA film.\n", "row 2 has 1 cells, not 2"),
        ("cola", "index\tsentence\n0\tBill left.\n", "row 1 has 2 cells, not 4"),
        ("trec", "NUM:dist How far?\nHow far?\n", "line 2 is no label and question: 'How far?'"),
        ("ag_news", '"3","A title"\n', "row 1 has 2 cells, not 3"),
        ("imdb_records", '{"text": "Good."}', "has no 'label'"),
        ("imdb_records", '{"text": "Good.", "label": true}', "has the label 'True'"),
        ("common_gen_sets", '{"concept_set": "field#look_V", "scene": ["A."]}', "no concepts"),
        ("qasc", json.dumps({k: v for k, v in QASC.items() if k != "fact1"}), "has no 'fact1'"),
        ("qasc", json.dumps(QASC | {"answerKey": "C"}), "no choice 'C' in 3NGI"),
    ],
)
def test_another_file_is_not_taken_for_a_set(name: str, text: str, said: str, tmp_path) -> None:
    path = tmp_path / "file.tsv"
    path.write_text(text, encoding="utf-8")
    with refused(MissingDataError, re.escape(said), str(path), f"{REMEDY}$"):
        getattr(text_sets, name)(path, REMEDY)


def test_news_may_have_a_header(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("label,title,description\n4,Moon,A probe lands.\n", encoding="utf-8")
    assert pairs(text_sets.ag_news(path, REMEDY)) == [("Moon A probe lands.", "science")]


def test_reviews_in_folders(tmp_path: Path) -> None:
    for name, texts in {"pos": ["Fine.", "Great\u2028fun."], "neg": ["Bad."]}.items():
        (tmp_path / name).mkdir()
        for number, text in enumerate(texts):
            (tmp_path / name / f"{number}_7.txt").write_text(text, encoding="utf-8")
    found = text_sets.imdb(tmp_path, REMEDY)
    expected = [("Bad.", "negative"), ("Fine.", "positive"), ("Great\u2028fun.", "positive")]
    assert pairs(found) == expected
    with pytest.raises(MissingDataError, match=f"there are no reviews in .*train.*neg: {REMEDY}"):
        text_sets.imdb(tmp_path / "train", REMEDY)


def test_questions_on_texts(tmp_path: Path) -> None:
    path = tmp_path / "dev-v1.1.json"
    path.write_text(json.dumps(SQUAD), encoding="utf-8")
    found = text_sets.squad(path, REMEDY)
    assert pairs(text_sets.asking(found)) == [
        (f"answer: Lee context: {PASSAGE}", "question: Who has a dog?"),
        (f"answer: the door context: {PASSAGE}", "question: What does it answer?"),
    ]
    assert pairs(text_sets.answering(found))[1] == (
        f"question: What does it answer? context: {PASSAGE}",
        "the door",
    )
    triples = [{"context": q.context, "question": q.question, "answer": q.answer} for q in found]
    path.write_text(json.dumps(triples, indent=4), encoding="utf-8")
    assert text_sets.squad_triples(path, REMEDY) == found
    of_others = json.dumps([triples[0] | {"answer": "Ann"}])
    for read, text, sentence in (
        (text_sets.squad, json.dumps(triples), r"damaged or incomplete .not SQuAD's layout"),
        (text_sets.squad_triples, of_others, r"no answer in the text to 'Who has a dog\?'"),
        (text_sets.squad_triples, json.dumps([{"context": PASSAGE}]), "of triples: KeyError"),
        (text_sets.squad, json.dumps({"data": []}), "no questions"),
        (text_sets.squad, json.dumps(SQUAD)[:-9], f"is damaged or incomplete .*{REMEDY}$"),
    ):
        path.write_text(text, encoding="utf-8")
        with refused(MissingDataError, sentence):
            read(path, REMEDY)


def test_examinations(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=f"there are no passages in .*: {REMEDY}"):
        text_sets.race(tmp_path, REMEDY)
    (tmp_path / "middle").mkdir()
    path = tmp_path / "middle" / "2.txt"
    path.write_text(json.dumps(RACE), encoding="utf-8")
    choices = "(A) a cat (B) a house (C) a dog (D) a car"
    first, second = pairs(text_sets.race(tmp_path, REMEDY))
    assert first == (f"question: Lee has  _  . context: {PASSAGE} {choices}", "a dog")
    assert second[1] == "Yes."
    for wrong in ({"answers": ["C"]}, {"answers": ["C", "E"]}, {"article": None, "options": 3}):
        path.write_text(json.dumps(RACE | wrong), encoding="utf-8")
        with refused(MissingDataError, "not RACE's layout", str(path)):
            text_sets.race(tmp_path, REMEDY)


def test_aligned_files(tmp_path: Path) -> None:
    sources, targets = tmp_path / "test.src", tmp_path / "test.tgt"
    sources.write_text("kid room dance\nkid room dance\nclimb side building\n", encoding="utf-8")
    said = ("The kid dances in her room.", "A kid's room.", "Men climb the side of the building.")
    targets.write_text("".join(f"{line}\n" for line in said), encoding="utf-8")
    found = pairs(text_sets.common_gen(sources, targets, REMEDY))
    assert found[2] == ("climb side building", "Men climb the side of the building.")
    assert len(found) == 3
    events = ["One. NEWLINE_CHAR NEWLINE_CHAR Two. ||||| Three.", "x" * 5000]
    sources.write_text("".join(f"{event} \n" for event in events), encoding="utf-8")
    targets.write_text("– Told.\n– Again.\n", encoding="utf-8")
    first, second = pairs(text_sets.multi_news(sources, targets, REMEDY))
    assert first == ("summarize: One.     Two. ||||| Three.", "– Told.")
    assert second == ("summarize: " + "x" * 4096, "– Again.")
    targets.write_text("– Told.\n", encoding="utf-8")
    for read in (text_sets.common_gen, text_sets.multi_news):
        with refused(MissingDataError, r"1 lines for the 2 of test\.src", str(targets)):
            read(sources, targets, REMEDY)


def test_plain_reading_keeps_what_is_inside_a_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("one\x85more\u2028\r\n\ntwo\r\n".encode())
    assert lines(path, REMEDY) == ["one\x85more\u2028", "", "two"]
    path.write_bytes(b"caf\xe9\n")
    with pytest.raises(MissingDataError, match=r"is damaged or incomplete .*0xe9"):
        lines(path, REMEDY)
    path.write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(MissingDataError, match=f"line 2 of {path} has no 'a', so it is another"):
        json_lines(path, ["a"], REMEDY)
    path.write_text("b,a\n1,2\n")
    assert table(path, ["a", "b"], REMEDY, delimiter=",") == [("2", "1")]


@pytest.mark.parametrize(
    ("read", "counts"),
    [
        (lambda at: text_sets.imdb_records(at / "IMDB/test.jsonl.gz", REMEDY), [6250, 6250]),
        (lambda at: text_sets.sst2(at / "GLUE/SST-2/train.tsv", REMEDY), [37569, 29780]),
        (lambda at: text_sets.sst2(at / "GLUE/SST-2/dev.tsv", REMEDY), [444, 428]),
        (lambda at: text_sets.cola(at / "GLUE/CoLA/train.tsv", REMEDY), [6023, 2528]),
        (lambda at: text_sets.cola(at / "GLUE/CoLA/dev.tsv", REMEDY), [721, 322]),
        (lambda at: text_sets.trec(at / "TREC/train_5500.label", REMEDY), [1250, 1223]),
        (lambda at: text_sets.trec(at / "TREC/TREC_10.label", REMEDY), [138, 113]),
        (lambda at: text_sets.ag_news(at / "AGNews/test.csv", REMEDY), [1900] * 4),
    ],
)
def test_the_real_files_have_their_classes(read, counts: list[int], real_data) -> None:
    found = Counter(read(real_data("GLUE")).targets)
    assert [count for _, count in found.most_common(len(counts))] == counts


def test_the_real_files_have_their_sizes(real_data) -> None:
    root = real_data("SQuAD")
    assert len(text_sets.squad(root / "SQuAD/squad_v1.1_20_articles.json", REMEDY)) == 4639
    assert len(text_sets.squad_triples(root / "SQuAD/squad_4330_triples.json", REMEDY)) == 4330
    gen = root / "CommonGen"
    for split, size, sets in (("train", 39069, 0), ("dev", 4018, 993), ("test", 6042, 1497)):
        files = (gen / f"commongen.{split}.{end}.txt" for end in ("src_alpha", "tgt"))
        assert len(text_sets.common_gen(*files, REMEDY)) == size
        if sets:
            found = text_sets.common_gen_sets(gen / f"commongen.{split}.jsonl", REMEDY)
            assert len(found) == sets
            assert len(set(found.sources)) >= sets - 1  # one set differs in a part of speech
    assert len(text_sets.qasc(root / "QASC/sample_dev.jsonl", REMEDY)) == 2
    asked = [text_sets.race(root / f"RACE/samples/{part}", REMEDY) for part in ("train", "test")]
    assert [len(texts) for texts in asked] == [22, 22]
