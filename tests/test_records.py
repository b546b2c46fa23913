"""Archives of torch: no number comes from beyond the record of its tensor."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import refused, same
from torch import Tensor

import ctl_helpers as ctl
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.files import read
from ctl_helpers.weights.records import DTYPES, check_records


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Tensors of several types, with shared, empty and strided ones among them."""
    torch.manual_seed(0)
    matrix = torch.randn(16, 4)
    types = (torch.bfloat16, torch.float64, torch.complex64, torch.int8, torch.bool)
    many = {str(dtype): torch.randn(5, 3).mul(9).to(dtype) for dtype in types}
    views = {"matrix": matrix, "part": matrix[2:5, 1:], "turned": matrix.T, "none": torch.zeros(0)}
    return views | many | {"unsigned": torch.arange(5).to(torch.uint16)}


def repacked(
    path: Path, change: Callable[[str, bytes], bytes | None], how: int = zipfile.ZIP_STORED
) -> Path:
    """An archive with other records, whose checksums are right."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    other = path.with_name("other.pt")
    with zipfile.ZipFile(other, "w", how) as archive:
        for name, content in records.items():
            if (changed := change(name, content)) is not None:
                archive.writestr(name, changed)
    return other


@pytest.fixture
def path(tmp_path: Path, state) -> Path:
    torch.save(state, tmp_path / "state.pt")
    return tmp_path / "state.pt"


def test_a_whole_archive_is_mapped_and_gives_what_was_saved(path: Path, state) -> None:
    assert check_records(path)
    assert same(read(path), state)


@pytest.mark.parametrize(
    "change",
    [lambda c: c[:100], lambda c: c[:-1], lambda c: b"", lambda c: None, lambda c: c + b"0123"],
    ids=["short", "by a byte", "empty", "missing", "long"],
)
@pytest.mark.parametrize("record", [0, 3])
def test_a_record_of_another_size_is_refused(path: Path, change, record: int) -> None:
    other = repacked(path, lambda n, c: change(c) if n.endswith(f"data/{record}") else c)
    for reader in (read, ctl.read):
        with refused(MissingDataError, f"other.pt is damaged .*record state/data/{record} has"):
            reader(other)


def test_a_compressed_archive_is_read_and_not_mapped(path: Path, state) -> None:
    """As tools that change archives leave it; mapped, its compressed bytes would be numbers."""
    other = repacked(path, lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert not check_records(other)
    assert same(read(other), state)
    assert same(ctl.read(other), state)


def test_the_sizes_are_those_that_torch_saves(tmp_path: Path) -> None:
    for dtype in set(DTYPES.values()):
        if dtype in (torch.qint8, torch.quint8, torch.qint32):
            continue
        torch.save({"w": torch.zeros(7, dtype=dtype)}, tmp_path / "one.pt")
        assert check_records(tmp_path / "one.pt")
        other = repacked(
            tmp_path / "one.pt", lambda n, c: c[: -c[0] - 1] if n.endswith("data/0") else c
        )
        with refused(MissingDataError, "is damaged"):
            read(other)


class Asking:
    """Its pickle asks for a call."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def test_nothing_of_a_pickle_is_called(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({"w": torch.ones(3), "asking": Asking(trace)}, tmp_path / "hostile.pt")
    assert check_records(tmp_path / "hostile.pt")
    assert not trace.exists()
    with pytest.raises(MissingDataError, match=r"asks for (posix|nt)\.system"):
        read(tmp_path / "hostile.pt")
    assert not trace.exists()
