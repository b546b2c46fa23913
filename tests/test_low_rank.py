"""LoRA: its training against one that is written out, its factors against peft's format."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from conftest import refused
from safetensors.torch import save_file
from torch import Tensor, nn

from ctl_helpers.training.loop import Snapshot
from ctl_helpers.training.low_rank import SCALING, LowRank, low_rank_steps
from ctl_helpers.training.steps import StepRecipe
from ctl_helpers.training.trainable import Paradigm
from ctl_helpers.weights.read import read

RECIPE = StepRecipe(5, 0.05, 4, 0.1, warmup=1, paradigm=Paradigm.ATTENTION_WEIGHTS, rank=2)
CHOSEN = ["self_attn.q_proj.weight", "self_attn.v_proj.weight"]


class Network(nn.Module):
    """Two layers that the paradigm chooses, and two that it does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = {"q_proj": nn.Linear(3, 5), "v_proj": nn.Linear(5, 4)}
        self.self_attn = nn.ModuleDict(layers)
        self.norm, self.last = nn.LayerNorm(4), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.self_attn["q_proj"](inputs).tanh()
        return self.last(self.norm(self.self_attn["v_proj"](hidden)))


def squares(model: nn.Module, chosen: Tensor) -> Tensor:
    inputs = torch.linspace(-1, 1, 36).view(12, 3)[chosen]
    return (model(inputs) - inputs[:, :2]).square().mean()


def trained(start: Snapshot, recipe: StepRecipe = RECIPE) -> list[Snapshot]:
    pretrained = Network().state_dict()
    return list(low_rank_steps(Network(), pretrained, squares, 12, start, recipe, seed=3))


@pytest.fixture
def fresh() -> Snapshot:
    return Snapshot(0, dict(Network().state_dict()))


def test_the_network_starts_as_it_was() -> None:
    model, inputs = LowRank(Network(), Network().state_dict(), RECIPE, 0), torch.randn(6, 3)
    assert torch.equal(model(inputs), Network()(inputs))
    assert sum(value.numel() for value in model.parameters()) == 2 * (3 + 5) + 2 * (5 + 4)


def test_steps_are_those_of_the_written_out_product(fresh: Snapshot) -> None:
    *_, last = trained(fresh)
    start = LowRank(Network(), Network().state_dict(), RECIPE, 3)
    downs, ups = [*start._down], [*start._up]
    model = Network()
    optimizer = torch.optim.AdamW([*downs, *ups], weight_decay=0.1)
    for step in range(RECIPE.steps):
        generator = torch.Generator().manual_seed(3 * 100_003 + step)
        chosen = torch.randperm(12, generator=generator)[:4]
        optimizer.param_groups[0]["lr"] = RECIPE.rate(step)
        weights = {
            name: Network().state_dict()[name] + SCALING * up @ down
            for name, up, down in zip(CHOSEN, ups, downs, strict=True)
        }
        optimizer.zero_grad()
        squares(lambda x, w=weights: torch.func.functional_call(model, w, x), chosen).backward()
        nn.utils.clip_grad_norm_([*downs, *ups], 1.0)
        optimizer.step()
    for name, up, down in zip(CHOSEN, ups, downs, strict=True):
        expected = Network().state_dict()[name] + SCALING * (up @ down).detach()
        torch.testing.assert_close(last.weights[name], expected)
        assert torch.linalg.matrix_rank(last.weights[name] - Network().state_dict()[name]) == 2
    others = Network().state_dict().keys() - set(CHOSEN)
    assert all(torch.equal(last.weights[name], Network().state_dict()[name]) for name in others)


def test_the_end_is_the_adapter_that_was_trained(fresh: Snapshot, tmp_path: Path) -> None:
    model = LowRank(Network(), Network().state_dict(), RECIPE, 0)
    for number, value in enumerate(model.parameters()):
        value.data = torch.randn(value.shape, generator=torch.Generator().manual_seed(number))
    factors = {
        f"base_model.model.{name.removesuffix('.weight')}.lora_{letter}.weight": value.detach()
        for letter, values in (("A", model._down), ("B", model._up))
        for name, value in zip(CHOSEN, values, strict=True)
    }
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2 * SCALING}
    save_file(factors, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    merged, read_back = model.merged(), read(tmp_path, base=Network().state_dict())
    assert merged.keys() == set(read_back)
    for name, value in merged.items():
        torch.testing.assert_close(value, read_back[name])


def test_training_goes_on_where_it_stopped(fresh: Snapshot) -> None:
    pretrained, long = Network().state_dict(), replace(RECIPE, steps=60)
    once = low_rank_steps(Network(), pretrained, squares, 12, fresh, long, 3)
    (stopped,) = islice(once, 1)
    assert stopped.done == 50
    (*_, whole), (*_, resumed) = trained(fresh, long), trained(stopped, long)
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in pretrained)


def test_a_rank_without_single_weights_is_refused() -> None:
    for paradigm in (Paradigm.FULL, Paradigm.TANGENT, Paradigm.BLOCK):
        with refused(ValueError, "rank is 2 in a recipe; it has to be 0, or positive with the"):
            replace(RECIPE, paradigm=paradigm)
    with refused(ValueError, "rank is -1"):
        replace(RECIPE, rank=-1)
