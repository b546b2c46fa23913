"""Networks larger than the memory: those of the package that run stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ctl_helpers.engine.mix import StateDict
from ctl_helpers.models.text import TextNetwork, from_transformers
from ctl_helpers.probing.checkpoints import in_float32

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def staged(config: PretrainedConfig) -> TextNetwork:
    """A network in stages, on the meta device, where weights take no memory.

    Raises:
        Exception: transformers' or the package's own, for an architecture that has no stages.
    """
    from ctl_helpers.models.llama import Llama
    from ctl_helpers.models.t5 import T5

    with torch.device("meta"):
        if config.model_type == "t5":
            return T5(config)
        return Llama(config, "answer")


def is_decoder(model: object) -> bool:
    """Whether it is a network in stages that predicts the next token."""
    return isinstance(model, TextNetwork) and getattr(model, "pool", None) == "answer"


def tokens(model: TextNetwork, ids: Tensor) -> dict[str, Tensor]:
    """A batch of texts without padding, shape (samples, tokens).

    A network that predicts the next token gets the first one as prompt and the others as answer,
    so that its logits are of all that follow.
    """
    if not is_decoder(model):
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    prompt, answer = ids[:, :1], ids[:, 1:-1]
    return {
        "input_ids": prompt,
        "attention_mask": torch.ones_like(prompt),
        "answer_ids": answer,
        "answer_mask": torch.ones_like(answer),
    }


def under_names(model: TextNetwork, states: Mapping[str, StateDict]) -> dict[str, StateDict]:
    """Checkpoints of transformers under a network's names, in float32, read stage by stage."""
    return {
        name: in_float32(from_transformers(model, state, name)) for name, state in states.items()
    }
