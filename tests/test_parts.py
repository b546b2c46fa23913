"""Networks whose parts are chosen one by one, and their settings."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

import ctl_helpers as ctl
from ctl_helpers import models, settings
from ctl_helpers.data.images import Images
from ctl_helpers.models.parts import PartsMLP
from ctl_helpers.project import SettingError
from ctl_helpers.results.labels import Variant
from ctl_helpers.training.by_steps import sgd_steps
from ctl_helpers.training.loop import Recipe, Snapshot, epochs, initial_weights

INPUTS = {
    "parts-mlp": torch.rand(6, 1, 28, 28),
    "parts-resnet": torch.rand(6, 3, 32, 32),
    "parts-vit": torch.rand(6, 3, 32, 32),
}
NORMS = {"parts-vit": ("none", "layer")}
ACTIVATIONS = ("relu", "gelu", "tanh", "linear")
CASES = [
    (architecture, norm, residual)
    for architecture in INPUTS
    for norm in NORMS.get(architecture, ("none", "batch", "group", "layer"))
    for residual in (True, False)
]


def made(architecture: str, **parts: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return models.build(architecture, width=16, depth=1, classes=5, **parts).eval()


@pytest.mark.parametrize(("architecture", "norm", "residual"), CASES)
def test_each_part_can_be_changed(architecture: str, norm: str, residual: bool) -> None:
    network = made(architecture, norm=norm, residual=residual)
    with torch.no_grad(), ctl.taps(network, list(network.feature_layers)) as seen:
        assert network(INPUTS[architecture]).shape == (6, 5)
    assert list(seen) == list(network.feature_layers)
    kinds = {type(part).__name__ for part in network.modules()}
    normed = {"BatchNorm1d", "BatchNorm2d", "GroupNorm", "LayerNorm"} & kinds
    assert bool(normed) == (norm != "none")
    other = made(architecture, norm=norm, residual=not residual)
    other.load_state_dict(network.state_dict(), strict=False)
    with torch.no_grad():
        assert not torch.allclose(network(INPUTS[architecture]), other(INPUTS[architecture]))


@pytest.mark.parametrize(("architecture", "activation"), product(INPUTS, ACTIVATIONS))
def test_each_activation_is_another(architecture: str, activation: str) -> None:
    outputs = [
        made(architecture, norm="none", activation=one)(INPUTS[architecture]).detach()
        for one in dict.fromkeys([activation, *ACTIVATIONS])
    ]
    assert not any(torch.allclose(outputs[0], one) for one in outputs[1:])


def test_a_block_of_the_transformer_is_torchs() -> None:
    block = made("parts-vit").blocks[0]
    theirs = torch.nn.TransformerEncoderLayer(
        16, 4, 32, 0.0, "gelu", batch_first=True, norm_first=True
    ).eval()
    theirs.load_state_dict(block.state_dict())
    tokens = torch.randn(3, 7, 16)
    with torch.no_grad():
        assert torch.allclose(block(tokens), theirs(tokens), atol=1e-6)


def test_without_activation_it_is_linear_in_one_layer_and_not_in_all() -> None:
    model = PartsMLP(4, 8, 2, 3, norm="none", activation="linear").double()
    a, b = ({name: torch.randn_like(value) for name, value in model.state_dict().items()}
            for _ in range(2))  # fmt: skip
    batches = [torch.randn(5, 4, dtype=torch.float64)]

    def epsilon(second: dict[str, torch.Tensor]) -> float:
        table = ctl.compare(model, {"a": a, "b": second}, ctl.pairs("ab", 0.5), batches, "head")
        return table.set_index("metric").loc["epsilon", "mean"]

    one = {**a, "blocks.0.map1.weight": b["blocks.0.map1.weight"]}
    assert epsilon(one) < 1e-10
    assert epsilon(b) > 0.1


RECIPE = Recipe(epochs=2, lr=0.1, batch_size=4, momentum=0.5)


@pytest.mark.parametrize("how", [{}, {"masked": True}, {"frozen_norm": True}])
def test_steps_are_those_of_epochs(how: dict[str, bool]) -> None:
    model = PartsMLP(9, 8, 1, 3, norm="batch")
    start = Snapshot(0, initial_weights(lambda: PartsMLP(9, 8, 1, 3, norm="batch"), 0))
    images = Images(torch.rand(14, 1, 3, 3), torch.arange(14) % 2)
    recipe = replace(RECIPE, **how)
    *_, by_epochs = epochs(model, start, images, recipe, 5)
    early, last = sgd_steps(model, start, images, recipe, 5, [0, 2, 6])
    assert (early.done, last.done) == (2, 6)
    for name, value in by_epochs.weights.items():
        assert torch.allclose(value, last.weights[name], atol=1e-6), name
    (again,) = sgd_steps(model, early, images, recipe, 5, [2, 6])
    assert all(torch.equal(again.weights[name], value) for name, value in last.weights.items())


def test_less_than_a_batch_is_refused() -> None:
    images = Images(torch.rand(3, 1, 3, 3), torch.zeros(3, dtype=torch.long))
    start = Snapshot(0, PartsMLP(9, 8).state_dict())
    with pytest.raises(ValueError, match="3 samples make no batch of 4; give more samples"):
        next(sgd_steps(PartsMLP(9, 8), start, images, RECIPE, 0, [1]))


def in_parts() -> list[str]:
    return [name for name in settings.names() if "architecture" in settings.describe(name).sections]


@pytest.mark.parametrize("name", in_parts())
def test_the_variants_of_a_setting_are_known_and_can_be_built(name: str) -> None:
    setting = settings.load(name)
    variants = setting.sections["architecture"].parameters["variants"]
    assert set(variants) <= {str(one) for one in Variant}
    assert {"no residual connections", "no normalization", "no activation", "twice as deep",
            "half as wide"} <= set(variants)  # fmt: skip
    for parts in variants.values():
        changed = setting.with_parts(**{k: v for k, v in parts.items() if k != "recomputed"})
        assert changed.build()
        assert (changed.model, changed.finetuning) != (setting.model, setting.finetuning) or (
            "recomputed" in parts
        )


@pytest.mark.parametrize(
    ("parts", "says"), [({"norm": "power"}, "part 'norm'"), ({"skips": 2}, "part 'skips': extra")]
)
def test_an_unknown_part_is_refused(parts: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        settings.load("digits-parts").with_parts(**parts)
