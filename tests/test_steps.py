"""Training by steps: schedule, resuming, losses against their formulas, and bad input."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ctl_helpers.data.images import Images
from ctl_helpers.training.loop import Snapshot
from ctl_helpers.training.steps import StepRecipe, classification, contrastive, labelling, steps

RECIPE = StepRecipe(steps=7, lr=0.01, batch_size=4, weight_decay=0.1, warmup=2)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))


def squares(model: nn.Module, chosen: Tensor) -> Tensor:
    inputs = torch.linspace(-1, 1, 36).view(12, 3)[chosen]
    return (model(inputs) - inputs[:, :2]).square().mean()


def trained(start: Snapshot, recipe: StepRecipe = RECIPE, seed: int = 0) -> list[Snapshot]:
    return list(steps(network(), squares, 12, start, recipe, seed, every=3))


@pytest.fixture
def fresh() -> Snapshot:
    return Snapshot(0, dict(copy.deepcopy(network().state_dict())))


def test_rates_rise_and_fall() -> None:
    rates = [RECIPE.rate(step) for step in range(8)]
    assert rates[:3] == pytest.approx([0.005, 0.01, 0.01])
    assert rates[3] == pytest.approx(0.01 * (1 + math.cos(math.pi / 5)) / 2)
    assert rates[7] == pytest.approx(0)
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_steps_are_adamws(fresh: Snapshot) -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1, weight_decay=0.1)
    for step in range(7):
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randperm(12, generator=generator)[:4]
        optimizer.param_groups[0]["lr"] = RECIPE.rate(step)
        optimizer.zero_grad()
        squares(model, chosen).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    *_, last = trained(fresh)
    for name, value in model.state_dict().items():
        assert torch.equal(last.weights[name], value)


def test_training_goes_on_from_any_snapshot(fresh: Snapshot) -> None:
    whole = trained(fresh)
    assert [snapshot.done for snapshot in whole] == [3, 6, 7]
    assert whole[-1].loss < whole[0].loss
    for begin in whole[:-1]:
        *_, last = trained(begin)
        assert all(torch.equal(last.weights[n], v) for n, v in whole[-1].weights.items())
    *_, other = trained(fresh, seed=1)
    assert not torch.equal(other.weights["0.weight"], whole[-1].weights["0.weight"])


class Attention(nn.Module):
    """Attention in the names of open_clip, with a norm and a head around it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)
        self.attn = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)[None]
        return self.head(self.attn(x, x, x, need_weights=False)[0][0])


def test_only_the_named_parameters_train() -> None:
    inputs = torch.linspace(-1, 1, 48).view(12, 4)

    def loss(model: nn.Module, chosen: Tensor) -> Tensor:
        return (model(inputs[chosen] ** 2) - inputs[chosen, :2]).square().mean()

    start = Snapshot(0, dict(copy.deepcopy(Attention().state_dict())))
    recipe = replace(RECIPE, paradigm="attention-weights")
    model = Attention()
    whole = list(steps(model, loss, 12, start, recipe, 0, every=3))
    changed = {n for n, v in whole[-1].weights.items() if not torch.equal(v, start.weights[n])}
    assert changed == {"attn.in_proj_weight", "attn.out_proj.weight"}
    assert {name for name, p in model.named_parameters() if p.requires_grad} == changed
    assert {name.split("/")[0] for name in whole[0].optimizer} == {"0", "1"}
    assert whole[-1].optimizer == {}
    assert whole[-1].weights.keys() == start.weights.keys()
    *_, again = steps(Attention(), loss, 12, whole[0], recipe, 0)
    assert all(torch.equal(again.weights[n], v) for n, v in whole[-1].weights.items())
    with pytest.raises(ValueError, match="'attention-weights' chooses none of the 4 parameters"):
        trained(Snapshot(0, dict(network().state_dict())), recipe)


class Pair(nn.Module):
    """A CLIP of two tables: image i and text t are rows."""

    def __init__(self) -> None:
        super().__init__()
        self.images = nn.Parameter(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))
        self.texts = nn.Parameter(torch.randn(3, 4, generator=torch.Generator().manual_seed(1)))
        self.logit_scale = nn.Parameter(torch.tensor(2.0))

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.texts[tokens[:, 0]]


def test_the_contrastive_loss_runs_over_distinct_captions() -> None:
    model = Pair()
    tokens = torch.tensor([[0], [1], [0], [2], [1], [0]])
    numbers = torch.arange(6.0)[:, None]
    loss = contrastive(lambda x: model.images[x[:, 0].long()], numbers, tokens)
    images, texts = F.normalize(model.images, dim=1), F.normalize(model.texts, dim=1)
    logits = math.e**2 * images @ texts.T
    of_images = -torch.stack([logits[n].log_softmax(0)[tokens[n, 0]] for n in range(6)]).mean()
    of_texts = -torch.stack(
        [logits[:, t].log_softmax(0)[tokens[:, 0] == t].mean() for t in range(3)]
    ).mean()
    expected = ((of_images + of_texts) / 2).item()
    assert loss(model, torch.arange(6)).item() == pytest.approx(expected, rel=1e-5)
    model.logit_scale.data.fill_(50.0)
    assert loss(model, torch.arange(6)).isfinite()


def test_classification_is_cross_entropy_under_the_head() -> None:
    images = Images(torch.rand(5, 3), torch.tensor([0, 1, 1, 0, 1]))
    head: Callable[[Tensor], Tensor] = lambda x: 3 * x  # noqa: E731
    model = network()
    chosen = torch.tensor([4, 0, 2])
    expected = F.cross_entropy(3 * model(images.inputs[chosen]), images.targets[chosen])
    assert torch.equal(classification(images, head)(model, chosen), expected)


def test_labelling_is_cross_entropy_of_what_a_batch_gives() -> None:
    texts, targets = torch.rand(5, 3), torch.tensor([0, 1, 1, 0, 1])
    model, chosen = network(), torch.tensor([4, 0, 2])
    loss = labelling(lambda n: ({"input": texts[n]}, targets[n]), lambda x: 3 * x)
    assert torch.equal(
        loss(model, chosen), F.cross_entropy(3 * model(texts[chosen]), targets[chosen])
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"steps": 0}, "steps is 0 .* 1 or more"),
        ({"lr": -1}, "lr is -1 .* positive"),
        ({"warmup": 8}, "warmup is 8 .* from 0 to the number of steps"),
        ({"clip": 0}, "clip is 0 .* positive"),
        ({"weight_decay": math.inf}, "weight_decay is inf"),
        ({"paradigm": "qkv"}, "paradigm is 'qkv' .* one of full, tangent, attention-weights"),
    ],
)
def test_recipes_name_what_is_wrong(change: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        StepRecipe(**{"steps": 7, "lr": 0.01, "batch_size": 4} | change)


def test_bad_training_is_refused(fresh: Snapshot) -> None:
    with pytest.raises(ValueError, match="12 samples for batches of 20; use smaller"):
        trained(fresh, StepRecipe(7, 0.01, 20))
    exploding = steps(network(), lambda m, c: squares(m, c) * math.inf, 12, fresh, RECIPE, 0)
    with pytest.raises(ValueError, match="not finite after 1 of 7; lower the learning rate"):
        list(exploding)
