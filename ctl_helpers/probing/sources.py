"""What a person may give as a checkpoint: a path, an id of the hub, a state dict or a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

from ctl_helpers.probing.entries import Entry, Listing
from ctl_helpers.probing.hub_places import find
from ctl_helpers.probing.places import Place

if TYPE_CHECKING:
    from torch import Tensor, nn

Source = Union[str, Path, "Mapping[str, Tensor]", "nn.Module"]

BASE = "BASE"
_TYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "complex64": "C64",
    "complex128": "C128",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    **{f"{sign}int{bits}": f"{letter}{bits}" for sign, letter in (("", "I"), ("u", "U"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip
IN_MEMORY = "in memory"


def places(base: Source, others: Sequence[Source]) -> list[Place]:
    """Each checkpoint with what its headers say, BASE first.

    Raises:
        TypeError: something else than a :data:`Source`.
    """
    names = [BASE, *labels(others)]
    return [_place(name, source) for name, source in zip(names, (base, *others), strict=True)]


def labels(sources: Sequence[Source]) -> list[str]:
    """Short names, all different: the last part of a path, more of it where two are the same."""
    written = [
        str(source).rstrip("/") if isinstance(source, (str, Path)) else chr(ord("A") + number)
        for number, source in enumerate(sources)
    ]
    parts = [Path(name).parts or (name,) for name in written]
    for depth in range(1, max(map(len, parts), default=0) + 1):
        short = ["/".join(part[-depth:]) for part in parts]
        if len({*short, BASE}) > len(short):
            return short
    return [f"{name} ({number})" for number, name in enumerate(written, 1)]


def state_of(source: Source) -> Mapping[str, Tensor] | None:
    """The state dict of what is in memory; None for a path."""
    if isinstance(source, Mapping):
        return source
    if hasattr(source, "state_dict"):
        return source.state_dict()
    return None


def module_of(source: Source) -> nn.Module | None:
    """A checkpoint that is a module, which says its architecture; None for others."""
    if isinstance(source, (str, Path, Mapping)):
        return None
    return source


def _place(name: str, source: Source) -> Place:
    if isinstance(source, (str, Path)):
        return find(name, str(source))
    state = state_of(source)
    if state is None:
        raise TypeError(
            f"checkpoint {name!r} is a {type(source).__name__}; give a path, an id of the hub, a "
            "state dict or a module"
        )
    from ctl_helpers.engine.lazy_state import described  # loads torch, which paths do not need

    tensors = {
        key: Entry(tuple(tensor.shape), _dtype(tensor)) for key, tensor in described(state).items()
    }
    return Place(name, IN_MEMORY, listing=Listing(tensors))


def _dtype(tensor: Tensor) -> str:
    written = str(tensor.dtype).removeprefix("torch.")
    return _TYPES.get(written, written)
