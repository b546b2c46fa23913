"""Headers of safetensors files, also of truncated ones, without reading a tensor.

The library's own reader refuses a truncated file as a whole. A person wants to know which tensors
are lost, so the header is read here: eight bytes of length, then JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctl_helpers.probing.entries import BITS, Entry, Listing
from ctl_helpers.probing.remarks import Remark, count, some

_LONGEST = 100_000_000  # bytes of a header, the library's own limit
POINTER = b"version https://git-lfs"


def listing(path: Path, about: str) -> Listing:
    """The tensors of one file.

    Args:
        path: a file that is there.
        about: what remarks call its checkpoint.
    """

    def broken(fact: str, remedy: str = f"fetch {path.name} again") -> Remark:
        return Remark("file", "stop", about, f"{path.name} {fact}", remedy)

    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if (start + file.read(len(POINTER) - 8)).startswith(POINTER):
            return Listing(remarks=(broken("is a pointer of Git LFS and no weights", _LFS),))
        if size < 8 or length > min(size - 8, _LONGEST):
            return Listing(remarks=(broken(f"ends within its header ({size:,} bytes)"),))
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            tensors = {name: _entry(value) for name, value in header.items()}
            ends = {name: 8 + length + value["data_offsets"][1] for name, value in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return Listing(remarks=(broken("has a damaged header"),))
    whole = max(ends.values(), default=8 + length)
    lost = [name for name, end in ends.items() if end > size]
    if lost:
        fact = f"lacks {whole - size:,} of {whole:,} bytes: {_lost(lost)} cut off or lost"
        return Listing(tensors, (broken(fact),))
    if size > whole:
        return Listing(tensors, (broken(f"has {size - whole:,} bytes more than it should"),))
    return Listing(tensors)


def _lost(names: list[str]) -> str:
    return f"{count(len(names), 'tensor')} ({some(names)}) {'is' if len(names) == 1 else 'are'}"


def _entry(value: Mapping[str, Any]) -> Entry:
    entry = Entry(tuple(map(int, value["shape"])), str(value["dtype"]))
    begin, end = value["data_offsets"]
    if entry.dtype in BITS and end - begin != entry.nbytes:
        raise ValueError("a tensor's shape and place disagree")
    return entry


_LFS = "run 'git lfs pull' where it was cloned, or fetch the file itself"
