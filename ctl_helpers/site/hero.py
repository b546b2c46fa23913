"""The networks behind the front page's picture: two of one pretraining, one of another.

The first layer is linear in the weights, so what it makes of ten images stands for its weights: a
mix of weights gives the mix of these products. The other layers come as weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from ctl_helpers import settings
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.findings.sentences.live import SETTING
from ctl_helpers.settings.schema import PRETRAINED
from ctl_helpers.site import hero_still, live

_I, _J = "22.5°", "90°"
"""The tasks of the two networks. The images are the first one's."""


def write(path: Path) -> None:
    """Write the script, unless it is there already. Networks are trained where none are stored."""
    live.put(path, script(*_trained(), {"i": _I, "j": _J}))


def write_still(path: Path) -> None:
    """Write the picture that stands where no script runs; as above."""
    live.put(path, hero_still.draw(*_trained()))


def _trained() -> tuple[dict[str, StateDict], Tensor]:
    """What :func:`script` takes: networks and images."""
    setting = settings.load(SETTING)
    one = live.networks(setting, 0, [_I, _J])
    other = live.networks(setting, 1, [_J])
    named = {
        "PT": one[PRETRAINED],
        "i": one[_I],
        "j": one[_J],
        "PT-apart": other[PRETRAINED],
        "j-apart": other[_J],
    }
    return named, live.digits(setting, [_I])[_I]


def script(networks: Mapping[str, StateDict], images: Tensor, tasks: Mapping[str, str]) -> str:
    """JavaScript that puts what the picture needs into ``ctlHeroData``.

    Args:
        networks: ``"PT"``, ``"i"``, ``"j"``, and ``"PT-apart"``, ``"j-apart"`` of another
            pretraining: state dicts of a chain of linear layers, weight before bias.
        images: (images, pixels) in [0, 1].
        tasks: what the two networks were fine-tuned on.

    Returns:
        An assignment of JSON; numbers as :func:`ctl_helpers.site.live.script` writes them.
        ``first`` is the first layer before its ReLU, image by image, and ``rest`` the other layers,
        whose shapes are ``shapes``. ``lengths`` are between networks, over all weights.
    """
    rest = {name: dict(list(state.items())[2:]) for name, state in networks.items()}
    shown = [name for name in networks if not name.startswith(PRETRAINED)]
    pairs = combinations(networks, 2)
    data = {
        "tasks": dict(tasks),
        "shapes": [list(value.shape) for value in rest["i"].values()],
        "first": {name: live.encoded(_first(networks[name], images)) for name in shown},
        "rest": {name: live.encoded(live.flat(rest[name])) for name in shown},
        "images": live.encoded(images),
        "lengths": {f"{a} {b}": _length(networks[a], networks[b]) for a, b in pairs},
    }
    return f"window.ctlHeroData = {json.dumps(data, ensure_ascii=False)};\n"


def _first(state: StateDict, images: Tensor) -> Tensor:
    weight, bias, *_ = (value.double() for value in state.values())
    return images.double() @ weight.T + bias


def _length(a: StateDict, b: StateDict) -> float:
    return round(float(torch.dist(live.flat(a).double(), live.flat(b).double())), 4)
