"""State dicts that are read tensor by tensor, from safetensors files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "C64": torch.complex64,
    "BOOL": torch.bool,
}


def lazy_file(path: Path) -> LazyState:
    """The tensors of a safetensors file, each mapped from the disk when it is asked for.

    A mapping covers one tensor and ends with it, so that a process holds of a file what it asked
    for. The library's own tensors for torch would keep the whole file mapped, and its arrays know
    no bfloat16. Numbers that are written into a tensor do not reach the file.

    Args:
        path: the file; its header alone is read.

    Raises:
        Exception: safetensors' own, for a damaged or incomplete file.
        ValueError: a tensor of a type that torch does not know under safetensors' name.
    """
    meta: dict[str, Tensor] = {}
    with safe_open(path, "numpy") as file:
        for name in file.offset_keys():
            entry = file.get_slice(name)
            if entry.get_dtype() not in _DTYPES:
                raise ValueError(
                    f"{path} has {name!r} in the type {entry.get_dtype()}; convert it to one of "
                    f"{', '.join(_DTYPES)}"
                )
            dtype = _DTYPES[entry.get_dtype()]
            meta[name] = torch.empty(entry.get_shape(), dtype=dtype, device="meta")
    # The library refuses files with gaps, so that each tensor ends where the next begins.
    *starts, size = accumulate((tensor.nbytes for tensor in meta.values()), initial=0)
    header = path.stat().st_size - size
    places = {name: header + start for name, start in zip(meta, starts, strict=True)}
    return LazyState(meta, lambda name: _mapped(path, places[name], meta[name]))


def _mapped(path: Path, start: int, like: Tensor) -> Tensor:
    if not like.nbytes:
        return torch.empty(like.shape, dtype=like.dtype)
    content: np.ndarray = np.memmap(path, np.uint8, "c", start, (like.nbytes,))
    if start % like.dtype.itemsize:  # an old or foreign file, whose header was not padded
        content = np.array(content)
    return torch.from_numpy(content).view(like.dtype).view(like.shape)


def lazy_shards(parts: Sequence[StateDict]) -> LazyState:
    """State dicts that have no name in common, as one; nothing is read by joining them."""
    owners = {name: part for part in parts for name in part}
    meta = {name: tensor for part in parts for name, tensor in described(part).items()}
    return LazyState(meta, lambda name: owners[name][name])
