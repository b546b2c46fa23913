"""The types of a network's inputs beside that of its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from ctl_helpers.engine.inputs import Inputs
from ctl_helpers.engine.memory import ran_out

_ABOUT_TYPES = re.compile(
    r"same dtype|mixed dtype|scalar type|should be the same|not implemented for '\w+'"
)


class InputTypes:
    """Gives a network floating inputs in the type of its weights, where it takes no others.

    Many networks convert inputs themselves, and some need them finer than weights in half
    precision, such as time steps. So a network is given them as they are first; where it refuses
    them, by an error of torch, all batches are converted.

    Args:
        dtype: the type of the weights; None where there are none.
        run: one pass on a batch.
    """

    def __init__(self, dtype: torch.dtype | None, run: Callable[[Inputs], Any]) -> None:
        self._dtype, self._run = dtype, run
        self._is_refused: bool | None = None

    def __call__(self, batch: Inputs) -> Inputs:
        """The batch, converted if that is needed."""
        if self._dtype is None or not any(map(self._differs, _tensors(batch))):
            return batch
        if self._is_refused is None:
            self._is_refused = not self._takes(batch)
        return self._converted(batch) if self._is_refused else batch

    def _takes(self, batch: Inputs) -> bool:
        try:
            self._run(batch)
        except (RuntimeError, TypeError) as error:
            if ran_out(error):
                raise
            return False
        return True

    def _differs(self, tensor: Tensor) -> bool:
        return tensor.is_floating_point() and tensor.dtype != self._dtype

    def _converted(self, batch: Inputs) -> Inputs:
        def one(value: Any) -> Any:
            is_other = isinstance(value, Tensor) and self._differs(value)
            return value.to(self._dtype) if is_other else value

        arguments, keywords = tree_map(one, (batch.arguments, dict(batch.keywords)))
        return replace(batch, arguments=arguments, keywords=keywords)


@contextmanager
def naming_types(given: object, dtype: torch.dtype | None) -> Iterator[None]:
    """Refuse inputs in one sentence where torch refuses their type (TypeError).

    Args:
        given: what the network is given.
        dtype: the type of its weights.
    """
    try:
        yield
    except RuntimeError as error:
        if not _ABOUT_TYPES.search(str(error)):
            raise
        types = {str(one.dtype) for one in tree_leaves(given) if isinstance(one, Tensor)}
        said = str(error).splitlines()[0]
        raise TypeError(
            f"the network does not run on inputs in {', '.join(sorted(types))} with weights in "
            f"{dtype} ({said}); give inputs in the type that it takes, as images.float() / 255 "
            "are, or checkpoints in another type"
        ) from error


def _tensors(batch: Inputs) -> list[Tensor]:
    leaves = tree_leaves((batch.arguments, dict(batch.keywords)))
    return [leaf for leaf in leaves if isinstance(leaf, Tensor)]
