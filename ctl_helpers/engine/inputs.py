"""A batch as the engine runs it: what the model takes, the targets, and what is by sample."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ctl_helpers.engine.copies import separate

Batch = Any

LABELS = ("labels", "label")
"""Entries of a dict batch that are its targets, where none are given beside it."""

_DECODER = "decoder_"
_MASK, _OTHER_MASK = "attention_mask", "global_attention_mask"


@dataclass(frozen=True)
class Inputs:
    """A batch on the device.

    Attributes:
        arguments, keywords: what the model takes.
        targets: a tensor, or whatever was given for it.
        size: the number of samples.
        by_sample: the entries whose first dimension is the samples; ``""`` is a batch of one
            tensor, and ``"a.b"`` the entry b of the dict a.
        rivals: entry → its length, where lengths differ and it is not known which is the samples'.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    targets: Any
    size: int
    by_sample: frozenset[str]
    rivals: Mapping[str, int]

    @classmethod
    def of(cls, batch: Batch, device: torch.device, counted: Collection[str] = ()) -> Inputs:
        """A batch's parts, moved to the device.

        Args:
            batch: a tensor or an array, ``(inputs, targets)``, or a dict of keyword inputs, in
                which dicts, lists and objects may stand.
            device: where its tensors shall be.
            counted: the entries whose length is the number of samples, where that is known.

        Raises:
            TypeError, ValueError: anything else; rows of different lengths.
        """
        inputs, targets = _pair(batch)
        if not isinstance(inputs, (Mapping, Tensor, np.ndarray, PackedSequence)):
            raise TypeError(
                f"a batch is a {type(inputs).__name__}; pass a tensor, (inputs, targets) or a dict"
            )
        moved = _mapped(inputs, lambda path, leaf: _tensor(path, leaf, device))
        lengths = {
            path: length for path, leaf in leaves(moved) if (length := _length(leaf)) is not None
        }
        is_dict = isinstance(moved, Mapping)
        arguments, keywords = ((), moved) if is_dict else ((moved,), {})
        if targets is None and is_dict:
            targets = next((moved[name] for name in LABELS if name in moved), None)
        if isinstance(targets, np.ndarray) or is_row(targets):
            targets = torch.as_tensor(targets)
        targets = targets.to(device) if isinstance(targets, Tensor) else targets
        size, rivals = _size(lengths, counted, targets)
        rows = frozenset(path for path, length in lengths.items() if length == size)
        return cls(arguments, keywords, targets, size, rows, rivals)

    def halves(self) -> tuple[Inputs, Inputs]:
        """The first and the second half of the samples; whatever is not by sample goes to both.

        ValueError where the samples are not counted.
        """
        if self.rivals:
            raise ValueError(
                f"memory ran out, and a batch whose entries differ in length {dict(self.rivals)} "
                "cannot be split; pass smaller batches"
            )
        middle = (self.size + 1) // 2
        return self.part(slice(0, middle)), self.part(slice(middle, self.size))

    def part(self, rows: slice) -> Inputs:
        """Some of the samples."""

        def cut(path: str, leaf: Any) -> Any:
            return leaf[rows] if path in self.by_sample else leaf

        targets = self.targets
        if isinstance(targets, Tensor) and targets.dim() > 0 and len(targets) == self.size:
            targets = targets[rows]
        taken = len(range(self.size)[rows])
        return replace(self._with(cut), targets=targets, size=taken)

    def counting(self, size: int) -> Inputs:
        """The same batch, where its samples are those of another of its lengths."""
        rows = frozenset(path for path, length in self.rivals.items() if length == size)
        return replace(self, size=size, by_sample=rows, rivals={})

    def given(self, changed: Collection[str]) -> Inputs:
        """The batch for one pass: objects, and the entries that a pass changes, are copies."""

        def one(path: str, leaf: Any) -> Any:
            if isinstance(leaf, Tensor):
                return leaf.clone() if path in changed else leaf.detach()
            return separate(leaf)

        return self._with(one)

    def tensors(self) -> dict[str, Tensor]:
        """Entry → tensor, of what the model takes."""
        return {path: leaf for path, leaf in self._leaves() if isinstance(leaf, Tensor)}

    def masks(self) -> dict[str, Tensor]:
        """Entry → which tokens count, shape (samples, tokens), of the masks in the batch.

        They are the entries whose name ends with ``attention_mask``, but for a global one: nonzero
        where a token counts, or 0 there and negative elsewhere; and those whose name ends with
        ``padding_mask``, true where one does not.
        """
        found = {}
        for path, leaf in self._leaves():
            if isinstance(leaf, Tensor) and leaf.dim() == 2 and path in self.by_sample:
                if path.endswith(_MASK) and not path.endswith(_OTHER_MASK):
                    found[path] = leaf == 0 if (leaf < 0).any() else leaf != 0
                elif path.endswith("padding_mask") and leaf.dtype == torch.bool:
                    found[path] = ~leaf
        return found

    def shorter(self, mask: str, has_labels: bool) -> Inputs | None:
        """The batch with half of the tokens that a mask is about, those with less padding.

        None where there are too few. The tokens of a decoder, of a query or the like are in entries
        whose names begin as that of their mask; whether there is a label for each of these tokens
        is ``has_labels``.
        """
        counts = self.masks()[mask]
        length = counts.shape[1]
        half = (length + 1) // 2
        if half == length:
            return None
        is_left = counts[:, :half].sum() >= counts[:, -half:].sum()
        kept = slice(0, half) if is_left else slice(length - half, length)
        begins = {_DECODER, *(_begin(path) for path in self.masks())}
        whose = {path: _whose(path, begins) for path, _ in self._leaves()}
        if not any(begin == whose[mask] for path, begin in whose.items() if path != mask):
            begins.remove(whose[mask])  # it is about the tokens that all the others are about

        def cut(path: str, leaf: Any) -> Any:
            is_long = isinstance(leaf, Tensor) and leaf.dim() > 1 and leaf.shape[1] == length
            belongs = _whose(path, begins) == _whose(mask, begins) and path not in LABELS
            is_cut = belongs or (has_labels and path in LABELS)
            return leaf[:, kept] if is_long and is_cut else leaf

        return self._with(cut)

    def _leaves(self) -> Iterator[tuple[str, Any]]:
        return leaves(self.arguments[0] if self.arguments else self.keywords)

    def _with(self, function: Callable[[str, Any], Any]) -> Inputs:
        arguments = tuple(_mapped(one, function) for one in self.arguments)
        return replace(self, arguments=arguments, keywords=_mapped(self.keywords, function))


def _begin(mask: str) -> str:
    """How names of entries begin that are about the tokens of a mask, such as ``decoder_``."""
    return mask.rpartition(".")[2].removesuffix(_MASK)


def _whose(path: str, begins: Collection[str]) -> str:
    """The longest of some beginnings that an entry's name has."""
    name = path.rpartition(".")[2]
    return max((one for one in begins if name.startswith(one)), key=len, default="")


def label(path: str) -> str:
    """How an entry of a batch is called in errors."""
    return f"the entry {path!r} of a batch" if path else "the inputs of a batch"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Entry → what stands there, through dicts, tuples and lists of them."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}" if path else str(key))
    elif _is_branch(value):
        for number, part in enumerate(value):
            yield from leaves(part, f"{path}[{number}]")
    else:
        yield path, value


def _is_branch(value: Any) -> bool:
    """Whether a tuple or list is more than one entry: it holds tensors or dicts, not rows."""
    if isinstance(value, PackedSequence):
        return False
    return isinstance(value, (tuple, list)) and any(
        isinstance(part, (Tensor, Mapping)) or _is_branch(part) for part in value
    )


def _mapped(value: Any, function: Callable[[str, Any], Any], path: str = "") -> Any:
    """The same structure with other leaves."""
    if isinstance(value, Mapping):
        inner = {
            key: _mapped(part, function, f"{path}.{key}" if path else str(key))
            for key, part in value.items()
        }
        if not path or type(value) is dict:
            return inner
        other: Any = copy.copy(value)  # whose parts may be read as attributes
        for key, part in inner.items():
            other[key] = part
        return other
    if _is_branch(value):
        parts = [_mapped(part, function, f"{path}[{n}]") for n, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return function(path, value)


def _pair(batch: Batch) -> tuple[Any, Any]:
    """Inputs and targets, None where there are none."""
    if not isinstance(batch, (tuple, list)) or isinstance(batch, PackedSequence):
        return batch, None
    if len(batch) not in (1, 2):
        raise TypeError(
            f"a batch has {len(batch)} parts; pass inputs, (inputs, targets) or a dict of the "
            "model's arguments by name"
        )
    return batch[0], batch[1] if len(batch) == 2 else None


def _tensor(path: str, leaf: Any, device: torch.device) -> Any:
    """A leaf on the device; arrays, and rows of numbers, become tensors."""
    if isinstance(leaf, PackedSequence):
        raise TypeError(
            "a batch holds a packed sequence, of which samples cannot be told apart; pass padded "
            "tensors and their lengths, and let the model pack them"
        )
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
        return torch.as_tensor(leaf).to(device)
    if isinstance(leaf, (tuple, list)) and leaf and all(map(is_row, leaf)):
        try:
            return torch.tensor(leaf, device=device)
        except ValueError:
            raise ValueError(
                f"{label(path)} has rows of different lengths; pad them to one tensor, and pass "
                "which tokens count as attention_mask"
            ) from None
    if isinstance(leaf, Tensor) and (leaf.layout != torch.strided or leaf.is_nested):
        kind, remedy = (
            ("nested", "to_padded_tensor(0.0)") if leaf.is_nested else ("sparse", "to_dense()")
        )
        raise TypeError(f"a batch has a {kind} tensor ({label(path)}); pass what {remedy} gives")
    return leaf.to(device) if isinstance(leaf, Tensor) else leaf


def is_row(value: Any) -> bool:
    """Whether it is a list of numbers, or of such lists."""
    return (
        isinstance(value, (tuple, list))
        and bool(value)
        and all(isinstance(part, (int, float)) or is_row(part) for part in value)
    )


def _length(leaf: Any) -> int | None:
    if isinstance(leaf, Tensor):
        return leaf.shape[0] if leaf.dim() else None
    return len(leaf) if isinstance(leaf, (tuple, list)) else None


def _size(
    lengths: Mapping[str, int], counted: Collection[str], targets: Any
) -> tuple[int, Mapping[str, int]]:
    """The number of samples, and the lengths if it may be another of them."""
    known = {lengths[path] for path in counted if path in lengths}
    if len(known) == 1:
        return known.pop(), {}
    if not lengths:
        raise ValueError(
            "a batch holds no tensor or list, so that its samples cannot be counted; pass tensors "
            "whose first dimension is the samples"
        )
    # An entry of length 1 serves all samples.
    found = list(dict.fromkeys(n for n in lengths.values() if n != 1)) or [1]
    own = len(targets) if isinstance(targets, Tensor) and targets.dim() else None
    if own in found:
        return own or 0, {}
    return found[0], lengths if len(found) > 1 else {}
