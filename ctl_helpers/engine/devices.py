"""Where a model runs."""

from __future__ import annotations

import torch
from torch import nn


def device_for(model: nn.Module, device: torch.device | str | None) -> torch.device:
    """Where to run: by default where the model's parameters are.

    For the meta device that is a GPU if there is one.

    Raises:
        ValueError: a device that does not exist, or that this machine lacks.
    """
    if device is not None:
        return _named(device)
    parameter = next(model.parameters(), None)
    if parameter is not None and parameter.device.type != "meta":
        return parameter.device
    return torch.device("cuda" if parameter is not None and torch.cuda.is_available() else "cpu")


def _named(device: torch.device | str | int) -> torch.device:
    there = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    there += ["mps"] * torch.backends.mps.is_available()
    try:
        place = torch.device(device)
        # Other kinds of device, which torch may know through an extension, are left to it.
        is_lacking = place.type in ("cuda", "mps") and not any(
            str(place) in (one, one.partition(":")[0]) for one in there
        )
    except (RuntimeError, TypeError):
        is_lacking = True
    if is_lacking:
        raise ValueError(
            f"device is {device!r}, which is none of this machine's {there}; give one of them "
            "('cuda' is the first GPU), or leave it out to run where the model's parameters are"
        )
    return place
