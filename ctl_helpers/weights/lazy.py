"""State dicts that are read when a tensor is asked for, from safetensors files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from ctl_helpers.engine.mix import StateDict, described

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class _Place(NamedTuple):
    """Where a tensor lies in a file."""

    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype


class LazyFile(Mapping[str, Tensor]):
    """The tensors of a safetensors file, each mapped from the disk when it is asked for.

    A mapping covers one tensor and ends with it, so that what a process holds of a file is what it
    asked for. Numbers that are written into such a tensor do not reach the file.

    Args:
        path: the file; its header alone is read.

    Raises:
        Exception: safetensors' own, for a damaged or incomplete file.
        ValueError: a tensor of a type that torch does not know under safetensors' name.

    Attributes:
        meta: name → a tensor of that shape and type on the meta device.
    """

    def __init__(self, path: Path) -> None:
        # The library checks the header; read as NumPy's it maps the file without claiming memory.
        with safe_open(path, "numpy"), path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        self._path, self._places = path, {}
        for name, entry in header.items():
            if entry["dtype"] not in _DTYPES:
                raise ValueError(
                    f"{path} has {name!r} in the type {entry['dtype']}; convert it to one of "
                    f"{', '.join(_DTYPES)}"
                )
            start = 8 + size + entry["data_offsets"][0]
            self._places[name] = _Place(start, tuple(entry["shape"]), _DTYPES[entry["dtype"]])

    def __getitem__(self, name: str) -> Tensor:
        start, shape, dtype = self._places[name]
        length = self.meta[name].nbytes
        if not length:
            return torch.empty(shape, dtype=dtype)
        found = np.memmap(self._path, np.uint8, "c", start, (length,))
        if start % dtype.itemsize:  # an old or foreign file, whose header was not padded
            found = np.array(found)
        return torch.from_numpy(found).view(dtype).view(shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places  # without reading it

    def __len__(self) -> int:
        return len(self._places)

    @cached_property
    def meta(self) -> dict[str, Tensor]:
        return {
            name: torch.empty(place.shape, dtype=place.dtype, device="meta")
            for name, place in self._places.items()
        }


class LazyShards(Mapping[str, Tensor]):
    """State dicts that have no name in common, as one; nothing is read by joining them.

    Attributes:
        meta: name → a tensor of that shape and type, without its values.
    """

    def __init__(self, parts: Sequence[StateDict]) -> None:
        self._owners = {name: part for part in parts for name in part}

    def __getitem__(self, name: str) -> Tensor:
        return self._owners[name][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __contains__(self, name: object) -> bool:
        return name in self._owners  # without reading it

    def __len__(self) -> int:
        return len(self._owners)

    @cached_property
    def meta(self) -> dict[str, Tensor]:
        return {name: described(part)[name] for name, part in self._owners.items()}
