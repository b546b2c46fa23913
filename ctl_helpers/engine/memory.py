"""How much memory is free, and whether an error says that it ran out."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import torch

_MEMINFO = Path("/proc/meminfo")


def free_memory(device: torch.device) -> float:
    """Bytes, what the system only caches of files among them; 4 GiB where it does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if _MEMINFO.exists() and (line := re.search(r"MemAvailable: +(\d+) kB", _MEMINFO.read_text())):
        return int(line[1]) * 2**10
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * 2**30


def ran_out(error: Exception) -> bool:
    """Whether memory ran out: on a GPU, or on a CPU, whose allocator raises a RuntimeError."""
    if isinstance(error, OSError):  # a file that could not be mapped
        return error.errno == errno.ENOMEM
    words = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(
        word in str(error) for word in words
    )
