"""What the text networks share: pooled states, and state dicts of transformers under one name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict, check_compatible
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
        What takes a tensor from ``state`` when it is asked for it.

    Raises:
        ValueError: a missing or unexpected tensor, another shape, or tensors that this
            architecture ties and that are not equal.
    """
    sources = {key: key for key in state if not model.unused.fullmatch(key)}
    for primary, others in model.tied.items():
        saved = [key for key in (primary, *others) if sources.pop(key, None)]
        for other in saved[1:]:
            if not torch.equal(state[saved[0]], state[other]):
                raise ValueError(
                    f"checkpoint {name!r} has other values at {other!r} than at {saved[0]!r}, "
                    "which this network ties; build it with tie_word_embeddings=False"
                )
        if saved:
            sources[primary] = saved[0]
    shapes = described(state)
    meta = {key: shapes[source] for key, source in sources.items()}
    renamed = LazyState(meta, lambda key: state[sources[key]])
    check_compatible({name: renamed}, model.state_dict())
    return renamed
