"""What the system says of free memory, and which errors say that it ran out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from ctl_helpers.engine import memory

CPU = torch.device("cpu")


def test_what_is_cached_of_files_counts_as_free(tmp_path: Path, monkeypatch) -> None:
    told = tmp_path / "meminfo"
    told.write_text("MemTotal:  99 kB\nMemFree:   10 kB\nMemAvailable:     30 kB\nCached: 5 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", told)
    assert memory.free_memory(CPU) == 30 * 1024


def test_without_that_the_free_pages_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "none")
    sizes = {"SC_AVPHYS_PAGES": 7, "SC_PAGE_SIZE": 11}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__, raising=False)
    monkeypatch.setattr(memory.os, "sysconf_names", sizes, raising=False)
    assert memory.free_memory(CPU) == 77
    monkeypatch.setattr(memory.os, "sysconf_names", {})
    assert memory.free_memory(CPU) == 4 * 2**30


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOENT, "No such file or directory"), False),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error: Exception, expected: bool) -> None:
    assert memory.ran_out(error) is expected
