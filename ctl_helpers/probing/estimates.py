"""What a probe and a merge will take: bytes of memory and seconds, before either begins."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from ctl_helpers.probing.entries import Entry
from ctl_helpers.probing.overview import Overview
from ctl_helpers.probing.remarks import Remark

_READ = 250e6  # bytes a second that a core reads, widens to float64 and multiplies, or more
_WIDE = 4  # bytes of a number in the passes, which run in float32
_MIXES = 2  # of networks that are held beside the checkpoints


@dataclass(frozen=True)
class Estimate:
    """Bytes and seconds.

    Attributes:
        parameters: numbers that BASE has.
        on_disk: bytes of all checkpoints.
        merge: bytes that a merge holds which reads one tensor after another.
        passes: bytes that forward passes hold, with all checkpoints in float32.
        reading: seconds of tier 1.
    """

    parameters: int
    on_disk: int
    merge: int
    passes: int
    reading: float


def estimate(seen: Overview) -> Estimate:
    """What the next tiers take, from headers alone."""
    own = seen.base.tensors
    numbers = sum(entry.numel for entry in own.values())
    every = [own, *(one.place.listing.tensors for one in seen.checkpoints)]
    on_disk = sum(map(_size, every))
    largest = max((entry.numel for entry in own.values()), default=0)
    count = len(every)
    return Estimate(
        parameters=numbers,
        on_disk=on_disk,
        merge=_WIDE * numbers + _WIDE * largest * count,
        passes=_WIDE * numbers * (count + _MIXES),
        reading=on_disk / _READ,
    )


def memory() -> float:
    """Bytes of memory that this machine has; infinite where it does not say."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", ()):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _size(tensors: Mapping[str, Entry]) -> int:
    return sum(entry.nbytes for entry in tensors.values())


def remarks(found: Estimate, room: float, about: str) -> list[Remark]:
    """A remark where the merged network alone does not fit.

    Args:
        found: what it takes.
        room: bytes of memory that there are.
        about: BASE's name.
    """
    if found.merge <= room:
        return []
    fact = f"takes {gigabytes(found.merge)} to merge, and this machine has {gigabytes(room)}"
    remedy = "merge it with a tool that writes shard by shard, or on a larger machine"
    return [Remark("memory", "note", about, fact, remedy)]


def gigabytes(number: float) -> str:
    """Bytes in words: ``"91 MB"``, ``"13.5 GB"``."""
    if number < 1e6:
        return "under 1 MB"
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """Seconds in words: ``"under a second"``, ``"40 s"``, ``"12 min"``, ``"3.5 h"``."""
    if seconds < 1:
        return "under a second"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
