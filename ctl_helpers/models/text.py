"""What the text networks share: pooled states, and state dicts of transformers under one name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from ctl_helpers.engine.mix import StateDict, check_compatible, described
from ctl_helpers.engine.stages import Staged


class TextNetwork(Staged):
    """A network of transformers whose state dict has transformers' names, each tensor once.

    Attributes:
        feature_layers: the blocks, whose output is taken before the final norm.
        norm_layers: the final norms.
        tied: name → the other names under which transformers saves the same tensor.
        unused: the names that transformers saves, or once saved, and that no pass reads.
    """

    feature_layers: tuple[str, ...]
    norm_layers: tuple[str, ...]
    tied: Mapping[str, Sequence[str]]
    unused: re.Pattern[str]


def taps_for(*names: str) -> nn.ModuleDict:
    """Modules without weights that a feature passes through, so that it can be tapped by name."""
    return nn.ModuleDict({name: nn.Identity() for name in names})


def mean_over(states: Tensor, counted: Tensor) -> Tensor:
    """The mean of the counted tokens' states, at least in float32.

    Args:
        states: shape (samples, tokens, width).
        counted: shape (samples, tokens), not zero where a token counts.

    Returns:
        Shape (samples, width).
    """
    wide = states.to(torch.promote_types(states.dtype, torch.float32))
    total = wide.masked_fill(counted.unsqueeze(-1) == 0, 0).sum(1)
    return total / counted.ne(0).sum(1, keepdim=True)


def from_transformers(model: TextNetwork, state: StateDict, name: str) -> StateDict:
    """A checkpoint as transformers saves it, for a network of this package.

    A tensor that is saved under several names is given once, under the network's own, whichever
    of them the file has; buffers that no pass reads are left out.

    Args:
        model: the architecture; its weights are not read, so it may be on the meta device.
        state: what a file of transformers holds, read or to be read.
        name: what errors call it.

    Returns:
        A mapping that reads a tensor from ``state`` when it is asked for.

    Raises:
        ValueError: a missing or unexpected tensor, another shape, or tensors that this
            architecture ties and that are not equal.
    """
    found = {key: key for key in state if not model.unused.fullmatch(key)}
    for own, others in model.tied.items():
        saved = [key for key in (own, *others) if found.pop(key, None)]
        for other in saved[1:]:
            if not torch.equal(state[saved[0]], state[other]):
                raise ValueError(
                    f"checkpoint {name!r} has other values at {other!r} than at {saved[0]!r}, "
                    "which this network ties; build it with tie_word_embeddings=False"
                )
        if saved:
            found[own] = saved[0]
    view = _Renamed(state, found)
    check_compatible({name: view}, model.state_dict())
    return view


class _Renamed(Mapping[str, Tensor]):
    """Tensors of a state dict under other names."""

    def __init__(self, state: StateDict, names: Mapping[str, str]) -> None:
        self._state, self._names = state, names

    def __getitem__(self, name: str) -> Tensor:
        return self._state[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without reading it

    def __len__(self) -> int:
        return len(self._names)

    @property
    def meta(self) -> dict[str, Tensor]:
        known = described(self._state)
        return {name: known[old] for name, old in self._names.items()}
