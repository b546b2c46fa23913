"""What one forward pass reads and writes of tensors that are not its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ctl_helpers.engine.outputs import tensors_in

_STATISTICS = ("running_mean", "running_var")


class WritesError(Exception):
    """A pass is about to change tensors that are not its own.

    Attributes:
        names: theirs, as the watch was given them.
    """

    def __init__(self, names: set[str]) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names = names


class Watch(TorchDispatchMode):
    """While open, no operation changes one of the named tensors: it raises :class:`WritesError`.

    Attributes:
        read: the names of the tensors that operations took so far.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.read: set[str] = set()
        self._names: dict[int, set[str]] = {}
        for name, tensor in tensors.items():
            if (place := storage_of(tensor)) is not None:
                self._names.setdefault(place, set()).add(name)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {**dict(zip((a.name for a in func._schema.arguments), args, strict=False))}
        given |= kwargs or {}
        written: set[str] = set()
        for argument in func._schema.arguments:
            named = set(self._named(given.get(argument.name)))
            if _is_written(func, argument, given):
                written |= named
            # Another name for a tensor is no look at its numbers.
            self.read |= set() if func is torch.ops.aten.detach.default else named
        if written:
            raise WritesError(written)
        return func(*args, **(kwargs or {}))

    def _named(self, value: object) -> Iterator[str]:
        for tensor in tensors_in(value):
            place = storage_of(tensor)
            if place is not None:
                yield from self._names.get(place, ())


def storage_of(tensor: Tensor) -> int | None:
    """Where a tensor's numbers lie, if it holds any of its own."""
    if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta:
        return None
    return tensor.untyped_storage().data_ptr() or None


def _is_written(func: Any, argument: Any, given: Mapping[str, Any]) -> bool:
    if argument.alias_info is not None:
        return argument.alias_info.is_write
    # The schema of batch normalization does not say that training changes the statistics.
    is_training = given.get("training", given.get("train", given.get("use_input_stats")))
    return argument.name in _STATISTICS and bool(is_training)
