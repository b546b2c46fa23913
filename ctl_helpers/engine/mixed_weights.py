"""The weights of mixes on a device: held where they fit in memory, else mixed again at each use."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ctl_helpers.engine.memory import free_memory
from ctl_helpers.engine.mix import MixKey, StateDict
from ctl_helpers.engine.tensor_sums import aliases, mixed_tensors


class Mixer:
    """Mix → tensors on a device, made anew at each call.

    A tensor that stands under several names in all checkpoints is mixed once. Tensors that are
    equal in all checkpoints (a frozen part of the model) are on the device once, and are mixed
    only where the weights of a mix do not sum to 1.
    """

    def __init__(self, checkpoints: Mapping[str, StateDict], device: torch.device) -> None:
        first, *others = checkpoints.values()
        self._first = aliases([first, *others], first)
        once = dict.fromkeys(self._first.values())
        self._common = {
            key: first[key].to(device)
            for key in once
            if all(_equal(first[key], state[key]) for state in others)
        }
        self._changing = {
            name: {key: state[key].to(device) for key in once if key not in self._common}
            for name, state in checkpoints.items()
        }

    def __call__(self, mix: MixKey) -> dict[str, Tensor]:
        """The tensors of a mix; those of a single checkpoint are its own."""
        tensors = {**self._common, **self._mixed(mix)}
        return {name: tensors[key] for name, key in self._first.items()}

    def size(self, mix: MixKey) -> int:
        """Bytes that holding a mix takes beside the checkpoints."""
        if is_single(mix):
            return 0
        common = {} if sums_to_one(mix) else self._common
        return sum(tensor.nbytes for tensor in (common | self._changing[mix[0][0]]).values())

    def _mixed(self, mix: MixKey) -> Mapping[str, Tensor]:
        """The tensors of a mix that differ from the common ones."""
        if is_single(mix):
            return self._changing[mix[0][0]]
        names = self._changing[mix[0][0]].keys()
        if sums_to_one(mix):
            return mixed_tensors(self._changing, mix, names)
        whole = {name: self._common | self._changing[name] for name, _ in mix}
        return mixed_tensors(whole, mix, self._common.keys() | names)


class Weights:
    """Mix → the tensors of a state dict, for a functional call.

    Args:
        checkpoints: name → state dict, all with the same keys and shapes.
        mixes: those that will be asked for.
        max_memory: bytes for held mixes and features together; mixes are held where they take
            less than half of it, or by default less than half of the free memory.

    Attributes:
        room: bytes of ``max_memory`` that mixes leave for features.
    """

    def __init__(
        self,
        checkpoints: Mapping[str, StateDict],
        mixes: Iterable[MixKey],
        device: torch.device,
        max_memory: float | None = None,
    ) -> None:
        self._mixer = Mixer(checkpoints, device)
        sizes = [self._mixer.size(mix) for mix in mixes]
        budget = free_memory(device) if max_memory is None else max_memory
        self._hold = sum(sizes) < budget / 2
        taken = sum(sizes) if self._hold else max(sizes)
        self.room = math.inf if max_memory is None else max_memory - taken
        self._held: dict[MixKey, dict[str, Tensor]] = {}

    def __getitem__(self, mix: MixKey) -> dict[str, Tensor]:
        if mix in self._held:
            return self._held[mix]
        state = self._mixer(mix)
        if self._hold or is_single(mix):
            self._held[mix] = state
        return state


def is_single(mix: MixKey) -> bool:
    """Whether a mix is one checkpoint as it is."""
    return len(mix) == 1 and mix[0][1] == 1


def sums_to_one(mix: MixKey) -> bool:
    """Whether a mix is an affine one, as every interpolation and every task arithmetic is."""
    # Weights of a key are rounded to twelve decimals, so that many thirds do not quite add up.
    return abs(sum(weight for _, weight in mix) - 1) < 1e-9


def _equal(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.dtype == b.dtype and torch.equal(a, b.to(a.device)))
