"""Public text data sets in their original formats, each turned into pairs of texts.

A label becomes a word, as in Raffel et al. (2020). Sources are bare texts, or where a set asks a
question about a text, T5's ``question: … context: …``. What the public fine-tunes of T5-base were
shown is known from three places: their model cards (IMDB: the bare review; QASC, with the two
facts as the context; CommonGen: the concepts; SQuAD, where the question is to be found:
``answer: … context: …``, whose target begins with ``question:``), the notebook that the one for
news was made with (``summarize: …``; the published code of the CTL paper leaves the prefix out),
and that code alone for RACE, whose fine-tune no public page shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ctl_helpers.data.readers import damaged, json_file, json_lines, lines, table
from ctl_helpers.data.texts import Texts
from ctl_helpers.project import MissingDataError

SENTIMENT = ("negative", "positive")
ACCEPTABILITY = ("unacceptable", "acceptable")
NEWS = ("world", "sports", "business", "science")
QUESTIONS = {
    "ABBR": "abbreviation",
    "DESC": "description",
    "ENTY": "entity",
    "HUM": "human",
    "LOC": "location",
    "NUM": "number",
}
_LETTERS = "ABCDEFGH"


def imdb(folder: Path, remedy: str) -> Texts:
    """Film reviews (Maas et al. 2011) → ``positive`` or ``negative``.

    Args:
        folder: ``train`` or ``test`` of the original archive, with a file a review in ``pos`` and
            ``neg``.
        remedy: how to get the files, after a colon; so in all functions below.

    Raises:
        MissingDataError: a file is missing, damaged, empty, or of another form; so below.
    """
    found = []
    for name, word in (("neg", "negative"), ("pos", "positive")):
        paths = sorted((folder / name).glob("*_*.txt"))
        if not paths:
            raise MissingDataError(f"there are no reviews in {folder / name}: {remedy}")
        found += [("\n".join(lines(path, remedy)), word) for path in paths]
    return Texts.of(found)


def imdb_records(path: Path, remedy: str) -> Texts:
    """Those reviews from records with ``text`` and ``label`` (1 where the review is positive)."""
    records = json_lines(path, ["text", "label"], remedy)
    return _labelled(path, ((r["text"], str(r["label"])) for r in records), SENTIMENT, remedy)


def sst2(path: Path, remedy: str) -> Texts:
    """Phrases of film reviews (Socher et al. 2013), as GLUE cuts them → as :func:`imdb`."""
    return _labelled(path, table(path, ["sentence", "label"], remedy), SENTIMENT, remedy)


def cola(path: Path, remedy: str) -> Texts:
    """Sentences of linguists (Warstadt et al. 2019) → ``acceptable`` or ``unacceptable``.

    Args:
        path: GLUE's ``train.tsv`` or ``dev.tsv``, which have no header.
    """
    columns = ["place", "label", "mark", "sentence"]
    rows = table(path, columns, remedy, header=False)
    return _labelled(path, ((row[3], row[1]) for row in rows), ACCEPTABILITY, remedy)


def trec(path: Path, remedy: str) -> Texts:
    """Questions (Li and Roth 2002) → the coarse kind of their answer, one of ``QUESTIONS``."""
    found = []
    for number, line in enumerate(lines(path, remedy, "latin-1"), 1):
        kind, _, question = line.partition(" ")
        word = QUESTIONS.get(kind.partition(":")[0])
        if word is None or not question:
            raise damaged(path, f"line {number} is no label and question: {line[:40]!r}", remedy)
        found.append((question, word))
    return Texts.of(found)


def ag_news(path: Path, remedy: str) -> Texts:
    """Title and description of news (Zhang et al. 2015) → one of ``NEWS``.

    Args:
        path: ``train.csv`` or ``test.csv``, whose three columns some copies name in a header.
    """
    columns = ["label", "title", "description"]
    header = lines(path, remedy)[0].replace('"', "") == ",".join(columns)
    rows = table(path, columns, remedy, header, delimiter=",")
    words = {str(number): word for number, word in enumerate(NEWS, 1)}
    return _labelled(path, ((f"{row[1]} {row[2]}", row[0]) for row in rows), words, remedy)


@dataclass(frozen=True)
class Question:
    """A question on a text, and its answer, a part of the text."""

    context: str
    question: str
    answer: str


def squad(path: Path, remedy: str) -> list[Question]:
    """Questions on Wikipedia (Rajpurkar et al. 2016), each with the first of its answers.

    Args:
        path: ``train-v1.1.json`` or ``dev-v1.1.json``, or a file of that layout.
    """
    held = json_file(path, remedy)
    try:
        found = [
            Question(part["context"], asked["question"].strip(), asked["answers"][0]["text"])
            for article in held["data"]
            for part in article["paragraphs"]
            for asked in part["qas"]
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise damaged(path, f"not SQuAD's layout: {error!r}", remedy) from None
    return _answered(path, found, remedy)


def squad_triples(path: Path, remedy: str) -> list[Question]:
    """Questions of SQuAD from a list of records ``context``, ``question``, ``answer``."""
    try:
        records = json_file(path, remedy)
        found = [Question(r["context"], r["question"].strip(), r["answer"]) for r in records]
    except (KeyError, TypeError) as error:
        raise damaged(path, f"not a list of triples: {error!r}", remedy) from None
    return _answered(path, found, remedy)


def answering(questions: Iterable[Question]) -> Texts:
    """``question: … context: …`` → the answer."""
    return Texts.of((f"question: {q.question} context: {q.context}", q.answer) for q in questions)


def asking(questions: Iterable[Question]) -> Texts:
    """``answer: … context: …`` → ``question: …``."""
    return Texts.of(
        (f"answer: {q.answer} context: {q.context}", f"question: {q.question}") for q in questions
    )


def common_gen(sources: Path, targets: Path, remedy: str) -> Texts:
    """Concepts → a sentence that has them all (Lin et al. 2020).

    Args:
        sources: ``commongen.<split>.src_alpha.txt``, a set of concepts a line.
        targets: ``commongen.<split>.tgt.txt``, the sentence of the same line.
    """
    return Texts.of(_aligned(sources, targets, remedy))


def common_gen_sets(path: Path, remedy: str) -> Texts:
    """The same, a sample a set of concepts: the first of its sentences.

    Args:
        path: ``commongen.<split>.jsonl``, whose concepts bear their part of speech.
    """
    found = []
    for record in json_lines(path, ["concept_set", "scene"], remedy):
        concepts = [concept.rpartition("_")[0] for concept in record["concept_set"].split("#")]
        if not all(concepts) or not record["scene"]:
            raise damaged(path, f"no concepts or no sentence in {record}", remedy)
        found.append((" ".join(concepts), record["scene"][0]))
    return Texts.of(found)


def qasc(path: Path, remedy: str) -> Texts:
    """Questions of school science with eight choices (Khot et al. 2020) → the right one's text.

    Args:
        path: ``train.jsonl`` or ``dev.jsonl``; the test part has no answers.
    """
    fields = ["question", "answerKey", "fact1", "fact2", "formatted_question"]
    found = []
    for record in json_lines(path, fields, remedy):
        choices = {choice["label"]: choice["text"] for choice in record["question"]["choices"]}
        if record["answerKey"] not in choices:
            raise damaged(path, f"no choice {record['answerKey']!r} in {record['id']}", remedy)
        context = f"{record['fact1']} {record['fact2']}"
        asked = f"question: {record['formatted_question']} context: {context}"
        found.append((asked, choices[record["answerKey"]]))
    return Texts.of(found)


def race(folder: Path, remedy: str) -> Texts:
    """Questions of school examinations with four choices (Lai et al. 2017) → the right one's text.

    Args:
        folder: ``train``, ``dev`` or ``test`` of the original archive, with a file a passage in
            ``middle`` and ``high``.
    """
    paths = sorted((folder / "high").glob("*.txt")) + sorted((folder / "middle").glob("*.txt"))
    if not paths:
        raise MissingDataError(f"there are no passages in {folder}: {remedy}")
    found = []
    for path in paths:
        held = json_file(path, remedy)
        try:
            asked = zip(held["questions"], held["options"], held["answers"], strict=True)
            for question, options, letter in asked:
                choices = " ".join(f"({_LETTERS[n]}) {text}" for n, text in enumerate(options))
                source = f"question: {question} context: {held['article']} {choices}"
                found.append((source, options[_LETTERS.index(letter)]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise damaged(path, f"not RACE's layout: {error!r}", remedy) from None
    return Texts.of(found)


def multi_news(sources: Path, targets: Path, remedy: str, characters: int = 4096) -> Texts:
    """Articles on one event → their summary (Fabbri et al. 2019), after ``summarize:``.

    Args:
        sources: ``<split>.src``: an event a line, ``NEWLINE_CHAR`` for the end of a paragraph and
            ``|||||`` between articles.
        targets: ``<split>.tgt``, the summary of the same line.
        characters: how much of an event's articles to keep; by default as much as the published
            code of the CTL paper.
    """
    return Texts.of(
        (f"summarize: {articles.replace('NEWLINE_CHAR', ' ').strip()[:characters]}", told.strip())
        for articles, told in _aligned(sources, targets, remedy)
    )


def _aligned(sources: Path, targets: Path, remedy: str) -> Iterable[tuple[str, str]]:
    left, right = lines(sources, remedy), lines(targets, remedy)
    if len(left) != len(right):
        raise damaged(targets, f"{len(right)} lines for the {len(left)} of {sources.name}", remedy)
    return zip(left, right, strict=True)


def _labelled(
    path: Path,
    rows: Iterable[Sequence[str]],
    words: tuple[str, ...] | Mapping[str, str],
    remedy: str,
) -> Texts:
    """Texts whose targets are the labels' words; a tuple's labels count from 0."""
    if isinstance(words, tuple):
        words = {str(number): word for number, word in enumerate(words)}
    found = []
    for number, (text, label) in enumerate(rows, 1):
        if label not in words:
            raise damaged(path, f"sample {number} has the label {label!r}", remedy)
        found.append((text.strip(), words[label]))
    return Texts.of(found)


def _answered(path: Path, questions: list[Question], remedy: str) -> list[Question]:
    strange = [q.question for q in questions if not q.answer or q.answer not in q.context]
    if strange or not questions:
        reason = f"no answer in the text to {strange[0]!r}" if strange else "no questions"
        raise damaged(path, reason, remedy)
    return questions
