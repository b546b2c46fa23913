"""The networks that the page of the live network runs in the reader's browser."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ctl_helpers import settings
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.findings.sentences.live import SETTING
from ctl_helpers.settings.schema import Setting

_DIGITS = 10


def write(path: Path) -> None:
    """Write the script with a seed's networks and some test digits, unless it is there already.

    The networks are those of the setting's runs: trained in seconds where none has been made.
    """
    setting = settings.load(SETTING)
    tasks = [setting.pretrain, *setting.finetune]
    put(path, script(networks(setting, 0), digits(setting, tasks)))


def networks(
    setting: Setting, seed: int, tasks: Sequence[str] | None = None
) -> dict[str, StateDict]:
    """Name → state dict of a seed's networks, all in the order of the network's layers."""
    order = setting.build().state_dict()  # a stored checkpoint has an order of its own
    trained = setting.checkpoints(seed, tasks)
    return {name: {key: state[key] for key in order} for name, state in trained.items()}


def digits(setting: Setting, tasks: Sequence[str]) -> dict[str, Tensor]:
    """Task → images of the digits 0 to 9, the same ones for all tasks; (10, pixels)."""
    first = {task: next(iter(batches)) for task, batches in setting.streams(tasks).items()}
    _, labels = first[tasks[0]]  # in one order for every task
    places = [int((labels == digit).nonzero()[0]) for digit in range(_DIGITS)]
    return {task: images[places].flatten(1) for task, (images, _) in first.items()}


def put(path: Path, text: str) -> None:
    """Write a file, unless it has that text already."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def script(networks: Mapping[str, StateDict], digits: Mapping[str, Tensor]) -> str:
    """JavaScript that puts networks and images into ``ctlLiveData``.

    Args:
        networks: name → state dict of a chain of linear layers, weight before bias, a ReLU between.
        digits: task → images of the digits 0 to 9, (10, pixels) in [0, 1].

    Returns:
        An assignment of JSON. Numbers are float16 in little-endian order, as base64; a network's
        tensors follow each other in the order of ``shapes``.
    """
    shapes = [list(value.shape) for value in next(iter(networks.values())).values()]
    data = {
        "shapes": shapes,
        "networks": {name: encoded(flat(state)) for name, state in networks.items()},
        "digits": {task: encoded(images) for task, images in digits.items()},
    }
    return f"window.ctlLiveData = {json.dumps(data, ensure_ascii=False)};\n"


def flat(state: StateDict) -> Tensor:
    """All numbers of a network in one vector."""
    return torch.cat([value.flatten() for value in state.values()])


def encoded(values: Tensor) -> str:
    """Numbers as float16 in little-endian order, as base64."""
    return base64.b64encode(values.detach().numpy().astype("<f2").tobytes()).decode()
