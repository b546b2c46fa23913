"""Three sets of instructions for fine-tunes of Llama 2: any instructions, mathematics and code.

All are asked in the form that Alpaca's authors gave it (Taori et al. 2023), which the fine-tunes
for mathematics and for code expect.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from ctl_helpers.data.dataset import check_names, complaints, refuse
from ctl_helpers.data.readers import damaged, json_file, json_lines
from ctl_helpers.data.texts import Texts
from ctl_helpers.project import MissingDataError, data_folder
from ctl_helpers.store.artifacts import digest

SIZES = {"instructions": 52_002, "mathematics": 1_319, "code": 974}
"""Samples of each file that is read."""

KINDS = tuple(SIZES)
_FILES = {
    "instructions": "instructions/alpaca_data.json",
    "mathematics": "instructions/gsm8k_test.jsonl",
    "code": "instructions/mbpp.jsonl",
}
_ORIGINS = {
    "instructions": "alpaca_data.json of the repository tatsu-lab/stanford_alpaca",
    "mathematics": "grade_school_math/data/test.jsonl of the repository openai/grade-school-math",
    "code": "mbpp/mbpp.jsonl of the repository google-research/google-research",
}
_PROMPT = (
    "Below is an instruction that describes a task{}. Write a response that appropriately "
    "completes the request.\n\n### Instruction:\n{}{}\n\n### Response:"
)
_HELD_OUT = 5  # one sample in so many


def checksum() -> str:
    """Digest of the files' names and sizes."""
    return digest([SIZES, _ORIGINS])


def load(task: str, split: str, samples: int | None = None) -> Texts:
    """Prompts and answers of a set, in a seeded order.

    Args:
        task: ``"instructions"``, ``"mathematics"`` (GSM8K's test part, Cobbe et al. 2021) or
            ``"code"`` (MBPP, Austin et al. 2021).
        split: ``"held-out"`` (a fifth) or ``"test"``. Nothing is trained on these sets here, so
            that there is no third.
        samples: the first so many, all when None.

    Raises:
        ValueError: no such set or split.
        MissingDataError: the file is not in the data folder, or is damaged or another.
    """
    check_names("texts", task, SIZES, split, ("held-out", "test"))
    pairs = _shuffled(data_folder(), task)
    if split == "held-out":
        return Texts.of(pairs[::_HELD_OUT]).first(samples)
    return Texts.of(pair for n, pair in enumerate(pairs) if n % _HELD_OUT).first(samples)


def missing(tasks: Sequence[str]) -> list[str]:
    """Which files are not in the data folder, or are damaged or others."""
    return complaints(*(partial(_shuffled, data_folder(), task) for task in tasks))


def fetch(tasks: Sequence[str]) -> None:
    """Nothing that could be downloaded: files have to be put into the data folder by hand.

    Raises:
        MissingDataError: one is not there.
    """
    refuse(missing(tasks))


@lru_cache(maxsize=3)
def _shuffled(root: Path, kind: str) -> list[tuple[str, str]]:
    """A file's prompts and answers in an order that its prompts decide."""
    path = root / _FILES[kind]
    remedy = f"get {_ORIGINS[kind]}, and let CTL_DATA_DIR name the folder that holds {_FILES[kind]}"
    pairs = sorted(_READERS[kind](path, remedy), key=lambda pair: zlib.crc32(pair[0].encode()))
    if len(pairs) != SIZES[kind]:
        raise MissingDataError(
            f"{path} holds {len(pairs):,} of {SIZES[kind]:,} samples: delete it, then {remedy}"
        )
    return pairs


def _prompt(instruction: str, given: str = "") -> str:
    if not given:
        return _PROMPT.format("", instruction, "")
    with_input = ", paired with an input that provides further context"
    return _PROMPT.format(with_input, instruction, f"\n\n### Input:\n{given}")


def _alpaca(path: Path, remedy: str) -> list[tuple[str, str]]:
    try:
        return [
            (_prompt(record["instruction"], record["input"]), record["output"])
            for record in json_file(path, remedy)
        ]
    except (KeyError, TypeError) as error:
        raise damaged(path, f"not Alpaca's layout: {error!r}", remedy) from None


def _gsm8k(path: Path, remedy: str) -> list[tuple[str, str]]:
    records = json_lines(path, ["question", "answer"], remedy)
    return [(_prompt(record["question"]), record["answer"]) for record in records]


def _mbpp(path: Path, remedy: str) -> list[tuple[str, str]]:
    records = json_lines(path, ["text", "code"], remedy)
    return [(_prompt(record["text"]), record["code"].replace("\r", "")) for record in records]


_READERS: dict[str, Callable[[Path, str], list[tuple[str, str]]]] = {
    "instructions": _alpaca,
    "mathematics": _gsm8k,
    "code": _mbpp,
}
