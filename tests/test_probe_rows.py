"""Samples of the probe: what a file, a folder and a data set of the hub hold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ctl_helpers.probing.networks import CannotRunError
from ctl_helpers.probing.rows import rows


class Hub:
    """A data set's branch of parquet tables, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, place: str) -> list[str]:
        repo, _, subset = place.partition("@refs/convert/parquet")
        if repo != "datasets/owner/name":
            raise FileNotFoundError(f"{repo}: 404 Client Error\nmore of it")
        under = self.folder / subset.strip("/")
        return [str(path) for path in sorted(under.rglob("*.*"))]

    def open(self, path: str) -> io.BufferedReader:
        return Path(path).open("rb")


def table(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(path, index=False)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub, "HfFileSystem", lambda: Hub(tmp_path))
    return tmp_path


def test_texts_and_labels_of_the_hub(hub: Path) -> None:
    texts = [f"text {n}" for n in range(9)]
    table(hub / "default/train/0000.parquet", sentence=["x"], label=[0])
    table(hub / "default/test/0000.parquet", sentence=["y"], label=[-1])
    table(
        hub / "default/validation/0000.parquet", idx=range(9), sentence=texts, label=[0, 2, 1] * 3
    )
    (hub / "default/README.md").write_text("no table")
    taken = rows("owner/name", "texts", 4)
    assert (taken.items, taken.labels, taken.classes) == (texts[:4], [0, 2, 1, 0], 3)
    assert taken.name == "owner/name (validation, column sentence)"
    assert rows("owner/name", "texts", None).items == texts


def test_classes_that_are_kept_back_are_none(hub: Path) -> None:
    table(hub / "b/test/0000.parquet", text=["y", "z"], label=[-1, -1])
    table(hub / "a/test/0000.parquet", text=["w"])
    taken = rows("owner/name/b", "texts", 8)
    assert (taken.items, taken.labels, taken.classes) == (["y", "z"], [], 0)
    assert rows("owner/name", "texts", 8).items == ["w"]


def test_images_of_the_hub_are_files(hub: Path) -> None:
    written = io.BytesIO()
    Image.fromarray(np.full((2, 3, 3), 7, dtype=np.uint8)).save(written, "png")
    image = {"bytes": written.getvalue(), "path": "x.png"}
    table(hub / "default/train/0000.parquet", caption=["x"], image=[image], fine_label=[4])
    taken = rows("owner/name", "images", 8)
    assert (taken.labels, taken.classes) == ([4], 5)
    assert np.array(Image.open(taken.items[0])).tolist() == np.full((2, 3, 3), 7).tolist()


def test_what_the_hub_does_not_give_is_said(hub: Path) -> None:
    with pytest.raises(
        CannotRunError, match=r"^other/name is neither .*404 Client Error\): correct"
    ):
        rows("other/name", "texts", 8)
    with pytest.raises(CannotRunError, match="has no table there"):
        rows("owner/name", "texts", 8)
    table(hub / "default/train/0000.parquet", number=[1.0])
    with pytest.raises(CannotRunError, match="owner/name has no column of images: name another"):
        rows("owner/name", "images", 8)
    for path in ("./texts.txt", "texts.txt", "/a/b/c/d"):
        with pytest.raises(CannotRunError, match=f"there is no {path}: correct the path"):
            rows(path, "texts", 8)


def test_a_file_of_texts_and_classes(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a\tb\t1\n\nc\t0\nd\t2\n")
    taken = rows(tmp_path / "x.tsv", "texts", 2)
    assert (taken.items, taken.labels, taken.classes) == (["a\tb", "c"], [1, 0], 3)
    (tmp_path / "x.txt").write_text("a\n\n \nb\n")
    assert rows(tmp_path / "x.txt", "texts", None).items == ["a", "b"]
    (tmp_path / "x.tsv").write_text("a\n")
    with pytest.raises(CannotRunError, match="no text, tab and number of a class: mend it"):
        rows(tmp_path / "x.tsv", "texts", None)
