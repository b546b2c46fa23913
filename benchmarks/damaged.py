"""Files of a store and of published results, damaged in five ways each."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from fault_rows import Row

from ctl_helpers.project import TableError
from ctl_helpers.results import stored
from ctl_helpers.store.artifacts import Store

WAYS = ("truncated", "flipped", "emptied", "another's", "missing")


@contextmanager
def damage(path: Path, way: str, other: Path, draw: random.Random) -> Iterator[None]:
    """While open, a file is damaged.

    Args:
        path: the file.
        way: one of ``WAYS``.
        other: the file whose content takes the place, where that is the way.
        draw: chooses where.
    """
    content = path.read_bytes()
    place = draw.randrange(max(1, len(content)))
    flipped = bytearray(content)
    if flipped:
        flipped[place] ^= 1 << draw.randrange(8)
    instead = {"truncated": content[:place], "flipped": bytes(flipped), "emptied": b""}
    if way == "missing":
        path.unlink()
    else:
        path.write_bytes(other.read_bytes() if way == "another's" else instead[way])
    try:
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _chosen(files: list[Path], count: int, draw: random.Random) -> list[tuple[Path, str, Path]]:
    """Which file is damaged, how, and the file of most like a name that is another."""
    every = [(path, way) for path in files for way in WAYS]
    chosen = draw.sample(every, min(count, len(every)))
    return [(path, way, _other(path, files, draw)) for path, way in chosen]


def _other(path: Path, files: list[Path], draw: random.Random) -> Path:
    differing = [other for other in files if other.read_bytes() != path.read_bytes()]
    alike = [other for other in differing if other.name == path.name]
    return draw.choice(alike or differing)


def store(count: int, seed: int, whole: Path, folder: Path) -> Row:
    """Damage files of a store: each is to be noticed, and made again as it was.

    Args:
        count: how many times.
        seed: of what is damaged where.
        whole: a finished store.
        folder: where to put a copy of it.
    """
    draw, row = random.Random(seed), Row("file of a store damaged", repeated=0)
    shutil.copytree(whole, folder)
    files = [path for path in sorted(folder.glob("*/*/**/*")) if path.is_file()]
    for path, way, other in _chosen(files, count, draw):
        kind, key = path.relative_to(folder).parts[:2]
        place, begun = folder / kind / key, time.monotonic()
        before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}

        def build(fresh: Path, kind: str = kind, key: str = key) -> None:
            for file in (whole / kind / key).iterdir():
                copy = shutil.copytree if file.is_dir() else shutil.copyfile
                if file.name != "manifest.json":
                    copy(file, fresh / file.name)

        name = f"{path.relative_to(folder)} {way}"
        with damage(path, way, other, draw):
            is_noticed = Store(folder).get(kind, key) is None
            Store(folder).make(kind, key, build)
            after = {file: file.read_bytes() for file in place.rglob("*") if file.is_file()}
        wrong = None if is_noticed and before == after else name
        row.add("noticed" if is_noticed else "not noticed", time.monotonic() - begun, wrong)
    return row


def swapped(count: int, seed: int, folder: Path) -> Row:
    """Let two artifacts of a store change places, or empty the list of what one holds."""
    draw, row = random.Random(seed), Row("artifacts swapped, lists emptied")
    kinds = [kind for kind in sorted(folder.iterdir()) if len(list(kind.glob("*/"))) > 1]
    for _ in range(count):
        one, other = draw.sample(sorted(draw.choice(kinds).glob("*/")), 2)
        begun, kept = time.monotonic(), one.with_name("kept")

        def swap(one: Path = one, other: Path = other, kept: Path = kept) -> None:
            one.rename(kept)
            other.rename(one)
            kept.rename(other)

        swap()
        is_noticed = not any(Store(folder).get(p.parent.name, p.name) for p in (one, other))
        swap()
        with damage(one / "manifest.json", "emptied", other, draw):
            (one / "manifest.json").write_text("{}")
            is_noticed &= Store(folder).get(one.parent.name, one.name) is None
        wrong = None if is_noticed else f"{one} and {other}"
        row.add("noticed" if is_noticed else "not noticed", time.monotonic() - begun, wrong)
    return row


def results(count: int, seed: int, folder: Path) -> Row:
    """Damage files of results: each gives a sentence, or the same numbers.

    Args:
        count: how many times.
        seed: of what is damaged where.
        folder: results with a list of checksums, which pages read.
    """
    draw, row = random.Random(seed), Row("published file damaged")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path, way, other in _chosen(files, count, draw):
        own = path if path.parent != folder else draw.choice(files)
        if own.parent == folder:  # the list itself, drawn anew
            own = next(iter(sorted(folder.glob("*/*/*.parquet"))))
        begun, usual = time.monotonic(), _numbers(own)
        with damage(path, way, other, draw):
            end, wrong = _read(own, usual)
        told = f"{path.relative_to(folder)} {way}: {wrong}" if wrong else None
        row.add(end, time.monotonic() - begun, told)
    return row


def _numbers(path: Path) -> pd.DataFrame | None:
    """What pages read of a file: its table of all runs of its section, or what made these."""
    section = path.parent.parent.name
    runs = stored.runs(section)
    if path.suffix != ".parquet":
        return pd.DataFrame([{"folder": str(run.folder), "facts": str(run.facts)} for run in runs])
    return stored.joined(runs, path.stem)


def _read(path: Path, usual: pd.DataFrame | None) -> tuple[str, str | None]:
    try:
        table = _numbers(path)
    except TableError as error:
        return ("refused", None) if "\n" not in str(error) else ("raw error", str(error))
    except Exception as error:
        return "raw error", f"{type(error).__name__}: {error}"
    same = table.equals(usual) if table is not None and usual is not None else table is usual
    return ("the same numbers", None) if same else ("other numbers", "other numbers")
