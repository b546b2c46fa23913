"""State dicts whose tensors are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor


class LazyState(Mapping[str, Tensor]):
    """A state dict that makes a tensor, or reads it, each time it is asked for.

    Args:
        meta: name → a tensor of the same shape and type, whose values are not looked at.
        make: name → the tensor.
    """

    def __init__(self, meta: Mapping[str, Tensor], make: Callable[[str], Tensor]) -> None:
        self.meta, self._make = meta, make

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.meta:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.meta)

    def __contains__(self, name: object) -> bool:
        return name in self.meta  # without making it

    def __len__(self) -> int:
        return len(self.meta)


def described(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors of the same shapes and types, to be looked at without making any."""
    return state.meta if isinstance(state, LazyState) else state
