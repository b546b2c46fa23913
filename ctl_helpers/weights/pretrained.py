"""Checkpoints of transformers under the names that a network has, as transformers loads them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn

from ctl_helpers.engine.mix import StateDict


def as_pretrained(state: StateDict, model: nn.Module) -> StateDict | None:
    """A checkpoint with the names of its network, where transformers knows of a change of names.

    Releases rename tensors, and stack or split them (the experts of a mixture are one tensor
    since transformers 5). The library itself loads the checkpoint into a new network of the same
    configuration, in memory as a whole.

    Args:
        state: what a file holds.
        model: a network of transformers, a module around one, or any other.

    Returns:
        The tensors under the names of transformers' network, with those of other shapes and those
        that nothing reads as they would be called; None where there is no such network, or where
        the library cannot load it.
    """
    inner = next((part for part in model.modules() if hasattr(part, "from_pretrained")), None)
    load, config = getattr(inner, "from_pretrained", None), getattr(inner, "config", None)
    if load is None or config is None or getattr(config, "quantization_config", None):
        return None
    real = [tensor.dtype for tensor in state.values() if tensor.is_floating_point()]
    options: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True}
    with _quietly(), torch.random.fork_rng(devices=[]):
        try:
            loaded, report = load(
                None,
                config=copy.deepcopy(config),
                state_dict=dict(state),
                dtype=reduce(torch.promote_types, real),
                **options,
            )
        except Exception:  # whatever the library finds, the sentence of names comes after
            return None
    shapes = {name: shape for name, shape, _ in report["mismatched_keys"]}
    left_out = {*report["missing_keys"], *shapes}
    found: dict[str, Tensor] = {
        name: tensor for name, tensor in loaded.state_dict().items() if name not in left_out
    }
    found |= {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    found |= {name: torch.empty(0, device="meta") for name in report["unexpected_keys"]}
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    """While it lasts, transformers shows neither bars nor reports."""
    from transformers.utils import logging

    verbosity, is_shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if is_shown:
            logging.enable_progress_bar()
