"""Instructions for Llama: files in their original layouts, in the form that fine-tunes expect."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest
from conftest import refused

from ctl_helpers.data.sets import instructions
from ctl_helpers.project import MissingDataError

START = "Below is an instruction that describes a task"
REST = "Write a response that appropriately completes the request.\n\n### Instruction:\n"


def contents(kind: str, count: int) -> str:
    """A file with so many samples."""
    if kind == "instructions":
        held = [
            {"instruction": f"Say {n}.", "input": "loud" if n % 2 else "", "output": f"{n}!"}
            for n in range(count)
        ]
        return json.dumps(held, indent=4)
    fields = {
        "mathematics": lambda n: {"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"},
        "code": lambda n: {
            "text": f"Write {n}.",
            "code": f"def f():\r\n  return {n}",
            "task_id": n,
            "test_list": ["assert f()"],
        },
    }[kind]
    return "".join(f"{json.dumps(fields(n))}\n" for n in range(count))


@pytest.fixture
def made(data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with ten samples of each set."""
    monkeypatch.setattr(instructions, "SIZES", dict.fromkeys(instructions.SIZES, 10))
    monkeypatch.setattr(instructions, "_shuffled", lru_cache(instructions._shuffled.__wrapped__))
    for kind, name in instructions._FILES.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(contents(kind, 10), encoding="utf-8")
    return data


@pytest.mark.parametrize("kind", instructions.KINDS)
def test_splits_are_apart_and_whole(kind: str, made: Path) -> None:
    held_out, test = (instructions.load(kind, split) for split in ("held-out", "test"))
    assert (len(held_out), len(test)) == (2, 8)
    assert len({*held_out.sources, *test.sources}) == 10
    assert instructions.load(kind, "test", 3) == test[:3]
    instructions.fetch([kind])


def test_prompts_have_alpacas_form(made: Path) -> None:
    found = {
        source: target
        for kind in instructions.KINDS
        for texts in [instructions.load(kind, "test"), instructions.load(kind, "held-out")]
        for source, target in zip(texts.sources, texts.targets, strict=True)
    }
    given = f"{START}, paired with an input that provides further context. {REST}Say 1.\n\n"
    assert found[f"{given}### Input:\nloud\n\n### Response:"] == "1!"
    assert found[f"{START}. {REST}Say 2.\n\n### Response:"] == "2!"
    assert found[f"{START}. {REST}What is 4 + 1?\n\n### Response:"] == "#### 5"
    assert found[f"{START}. {REST}Write 7.\n\n### Response:"] == "def f():\n  return 7"


@pytest.mark.parametrize("kind", instructions.KINDS)
def test_what_is_wrong_with_a_file_is_said(kind: str, made: Path) -> None:
    name = instructions._FILES[kind]
    path = made / name
    path.write_text(contents(kind, 9), encoding="utf-8")
    with refused(MissingDataError, f"^{path} holds 9 of 10 samples: delete it"):
        instructions.load(kind, "test")
    path.write_text('{"question": "Why?"}', encoding="utf-8")
    with refused(MissingDataError, r"layout|no '(answer|text)'", str(path)):
        instructions.load(kind, "test")
    path.unlink()
    with refused(MissingDataError, f"no file .*: get .* of the .*/.* folder that holds {name}$"):
        instructions.fetch([kind])
