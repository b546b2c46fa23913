"""What the text networks share: pooled states, and state dicts of transformers under one name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ctl_helpers.engine.inputs import LABELS
from ctl_helpers.engine.lazy_state import LazyState, described
from ctl_helpers.engine.mix import StateDict, check_compatible
from ctl_helpers.engine.stages import Staged

if TYPE_CHECKING:
    from transformers import PretrainedConfig


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


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What attention scores are added: nothing where the mask is true, else the type's least."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, torch.finfo(dtype).min)


def mask_of(
    input_ids: Tensor, attention_mask: Tensor | None, ends: Tensor, config: PretrainedConfig
) -> Tensor:
    """The mask of a batch, all ones where none is given.

    Args:
        input_ids, attention_mask: as a network takes them.
        ends: each sample's token at the end where padding would stand.
        config: whose padding token it would be.

    Raises:
        ValueError: padding without a mask, or a mask of another shape.
    """
    if attention_mask is None:
        padding = config.pad_token_id
        others = (getattr(config, "bos_token_id", None), config.eos_token_id, None)
        if padding not in others and (ends == padding).any():
            raise ValueError(
                f"input_ids have padding (token {padding}) and no attention_mask; pass one, 1 at "
                "tokens and 0 at padding"
            )
        return torch.ones_like(input_ids)
    if attention_mask.shape != input_ids.shape:
        raise ValueError(
            f"attention_mask has the shape {tuple(attention_mask.shape)} for input_ids "
            f"{tuple(input_ids.shape)}; pass one of the same shape, 1 at tokens and 0 at padding"
        )
    return attention_mask


def refuse_rest(network: TextNetwork, others: Mapping[str, object]) -> None:
    """Refuse what a batch has and a network does not take, but for targets (TypeError)."""
    for name in others.keys() - {*LABELS}:
        raise TypeError(
            f"{type(network).__name__} does not take {name!r}; leave it out of the batch"
        )


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
