"""Copies of a model and of inputs, so that what is the caller's stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.device, torch.dtype)


class _Copying(TorchFunctionMode):
    """While open, a tensor that was computed from others is copied too, which torch refuses."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping | None = None
    ) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            return memo.setdefault(id(tensor), tensor.detach().clone())
        return func(*args, **(kwargs or {}))


def private(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy of a model that shares nothing with it which a forward pass may change.

    Parameters, and the buffers of the state dict, are the model's own tensors and take no memory:
    a pass is given others in their place. Other buffers are copied to the device. What cannot be
    copied, such as a lock, is shared, and so are hooks that belong to no module.

    Raises:
        ValueError: a buffer on the meta device that no state dict holds.
    """
    kept = model.state_dict().keys()
    memo: dict[int, Any] = {id(parameter): parameter for parameter in model.parameters()}
    for name, buffer in model.named_buffers(remove_duplicate=False):
        if name not in kept and buffer.is_meta and device.type != "meta":
            raise ValueError(
                f"the model's buffer {name!r} is on the meta device and in no state dict, so that "
                "its values are unknown; build the model on a device that holds values"
            )
        memo[id(buffer)] = buffer if name in kept else buffer.detach().to(device, copy=True)
    for module in model.modules():
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
            if not isinstance(getattr(hook, "__self__", None), nn.Module):
                memo[id(hook)] = hook
    with _Copying():
        try:
            return copy.deepcopy(model, dict(memo))
        except Exception:
            return copy.deepcopy(model, memo | {id(one): one for one in _uncopyable(model)})


def _uncopyable(model: nn.Module) -> Iterator[object]:
    """What modules hold that cannot be copied."""
    for module in model.modules():
        for name, value in vars(module).items():
            if name not in ("_parameters", "_buffers", "_modules"):
                try:
                    copy.deepcopy(value, {id(one): one for one in model.modules()})
                except Exception:
                    yield value


def separate(value: Any) -> Any:
    """A copy of an object that a pass may change, such as a cache; of tensors the values alone."""
    if isinstance(value, _PLAIN) or callable(value):
        return value
    with _Copying():
        try:
            return copy.deepcopy(value)
        except Exception:  # whatever cannot be copied is handed on as it is
            return value
