"""Declared tables: what is published is as declared, and nothing else can be saved."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT

from ctl_helpers import results, settings
from ctl_helpers.project import TableError
from ctl_helpers.results import declared, labels, shapes

STORED = sorted((ROOT / "results").glob("*/*/*.parquet"))
SECTIONS = {results.folder_name(section): section for section in shapes.TABLES}


def test_every_published_table_is_as_declared() -> None:
    assert STORED
    for path in STORED:
        declared.check(SECTIONS[path.parts[-3]], path.stem, pd.read_parquet(path))


def test_the_notebooks_save_just_the_declared_tables() -> None:
    saved = {
        section: set(re.findall(r'recorder\.save\("(\w+)"', text))
        for folder, section in SECTIONS.items()
        for text in [(ROOT / "notebooks" / f"{folder}.md").read_text(encoding="utf-8")]
    }
    assert saved == {section: set(tables) for section, tables in shapes.TABLES.items()}


def spawning(**columns: object) -> pd.DataFrame:
    numbers = dict.fromkeys(("barrier", "rise", "distance", "baseline", "coef"), 0.5)
    return pd.DataFrame({"k": [0, 1], **numbers, **columns})


def cosines(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(
        {"paradigm": ["full", "tangent"], "i": "a", "j": ["b", "c"], "cosine": 0.1, **columns}
    )


@pytest.mark.parametrize(
    ("section", "name", "table", "sentence"),
    [
        ("3", "letters", spawning(), "section 3, table 'letters': no such table is declared; mend"),
        ("8", "spawning", spawning(), "section 8, table 'spawning': no such table"),
        ("3", "spawning", spawning().drop(columns="k"), "column 'k' is missing"),
        ("3", "spawning", spawning(gap=0.0), "column 'gap' is not declared"),
        ("3", "spawning", spawning(k=[0.5, 1]), "'k' holds float64 where integers are declared"),
        ("3", "spawning", spawning(rise=["a", "b"]), "'rise' holds str where numbers"),
        ("3", "spawning", spawning(rise=[True, False]), "'rise' holds bool where numbers"),
        ("linear", "cosines", cosines(i=[1, 2]), "'i' holds int64 where labels"),
        ("linear", "cosines", cosines(i=["a", None]), "'i' lacks labels in some rows"),
        ("linear", "cosines", cosines(paradigm="other"), r"'other', which is none of \['full', "),
    ],
)
def test_another_table_is_refused(
    section: str, name: str, table: pd.DataFrame, sentence: str, tmp_path: Path
) -> None:
    recorder = results.Recorder(settings.load("digits-mlp"), section, {}, str(tmp_path))
    with pytest.raises(TableError, match=sentence):
        recorder.save(name, table)
    assert not list(tmp_path.glob("*.parquet"))


def test_labels_are_stored_and_printed_as_plain_text(tmp_path: Path) -> None:
    recorder = results.Recorder(settings.load("digits-mlp"), "linear", {}, str(tmp_path))
    recorder.save("cosines", cosines(paradigm=[labels.Paradigm.FULL, labels.Paradigm.TANGENT]))
    stored = pd.read_parquet(tmp_path / "cosines.parquet")
    assert stored["paradigm"].map(type).tolist() == [str, str]
    assert (stored["paradigm"] == labels.Paradigm.FULL).tolist() == [True, False]
    assert f"{labels.Split.HELD_OUT}" == str(labels.Split.HELD_OUT) == "held-out"
