"""The state dict inside what people save: under a name, beside an optimizer, with a step count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ctl_helpers.engine.checkpoints import note
from ctl_helpers.engine.tensor_kinds import is_extra_state

# Under which name libraries keep the weights; an average of them stands beside them under others.
_NAMES = (
    *("state_dict", "model_state_dict", "model", "params", "module", "net", "network", "weights"),
    *("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "params_ema", "shadow"),
)
_DEEPEST = 64
_METADATA = (type(None), bool, int, float, str, bytes, list, Mapping)


def unwrapped(content: object, key: str | None = None) -> Mapping[str, Any]:
    """The state dict in a saved object.

    Args:
        content: a state dict, a module, or a mapping with one of them.
        key: under which name the weights are; by default where they are alone, or under one of
            the names that libraries use.

    Raises:
        ValueError: no tensors, or several state dicts and no ``key`` that says which.
    """
    if isinstance(content, nn.Module):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise ValueError(f"the checkpoint holds a {type(content).__name__}; give a state dict")
    inner = {name: value for name, value in content.items() if _has_weights(value)}
    if key is not None:
        if key not in inner:
            raise ValueError(f"the checkpoint has no weights at {key!r}; it has {_listed(inner)}")
        return unwrapped(inner[key])
    known = [name for name in inner if name in _NAMES]
    is_plain = any(isinstance(value, (Tensor, np.ndarray)) for value in content.values())
    chosen = known or ([] if is_plain else list(inner))
    if len(chosen) > 1:
        raise ValueError(
            f"the checkpoint has weights at {_listed(chosen)}; say which with key={chosen[0]!r} of "
            "ctl.read"
        )
    return unwrapped(inner[chosen[0]]) if chosen else _tensors(content)


def _has_weights(value: object, seen: set[int] | None = None) -> bool:
    """Whether this is a module or a state dict, perhaps inside another mapping of known name.

    Args:
        value: what to look at.
        seen: mappings without weights so far, which are not looked at again.
    """
    if not isinstance(value, Mapping):
        return isinstance(value, nn.Module)
    seen = set() if seen is None else seen
    if id(value) in seen or len(seen) >= _DEEPEST:
        return False
    seen.add(id(value))
    return all(isinstance(name, str) for name in value) and any(
        isinstance(each, (Tensor, np.ndarray)) or (name in _NAMES and _has_weights(each, seen))
        for name, each in value.items()
    )


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _tensors(content: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors of a state dict, arrays among them; numbers and texts beside them are left out.

    Whatever else there is stays, for the error that names it.
    """
    state: dict[str, Any] = {}
    left_out = []
    for name, value in content.items():
        if not isinstance(name, str):
            raise ValueError(
                f"the checkpoint has the key {name!r}; give a state dict, whose are names"
            )
        if isinstance(value, _METADATA) and not is_extra_state(name):
            left_out.append(name)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
            state[name] = torch.from_numpy(value)
        else:
            is_tensor = isinstance(value, Tensor) and not is_lazy(value)
            state[name] = value.detach() if is_tensor else value
    if not state:
        raise ValueError("the checkpoint holds no tensors; give a state dict")
    if left_out:
        note(f"entries of the checkpoint that are no tensors were left out: {_listed(left_out)}")
    return state
