"""Objectives of pretraining against plain loops in float64, and the setting that has them."""

from __future__ import annotations

import math

import pytest
import torch

from ctl_helpers import settings
from ctl_helpers.training import objectives
from ctl_helpers.training.loop import initial_weights
from ctl_helpers.training.pretrained_for import Objective

SETTING = settings.load("scenes-objectives")
IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CHOSEN = torch.tensor([4, 1, 2])


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def by_loops(one: list[list[float]], other: list[list[float]], temperature: float) -> float:
    """NT-Xent as the paper writes it: Equation 1, mean over all 2N views."""
    views = one + other

    def likeness(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))

    losses = []
    for place, view in enumerate(views):
        partner = views[(place + len(one)) % len(views)]
        others = [each for at, each in enumerate(views) if at != place]
        total = sum(math.exp(likeness(view, each) / temperature) for each in others)
        losses.append(-math.log(math.exp(likeness(view, partner) / temperature) / total))
    return sum(losses) / len(losses)


def test_views_find_each_other_as_in_simclr() -> None:
    one, other = torch.randn(2, 5, 4, generator=chance(), dtype=torch.float64)
    found = objectives.nt_xent(one, other, 0.3)
    assert found.item() == pytest.approx(by_loops(one.tolist(), other.tolist(), 0.3), rel=1e-12)
    assert objectives.nt_xent(3 * one, other / 7, 0.3).item() == pytest.approx(found.item())
    assert objectives.nt_xent(other, one, 0.3).item() == pytest.approx(found.item())
    assert objectives.nt_xent(one, one, 0.3) < found


def test_a_view_is_a_part_of_its_own_image_with_other_colours() -> None:
    plain = torch.full((40, 3, 8, 8), 0.5)
    seen = objectives.view(plain, chance())
    assert torch.allclose(seen, seen[..., :1, :1].expand_as(seen), atol=1e-6)
    assert len(seen[:, 0, 0, 0].unique()) == 40
    assert 0.3 - 1e-6 < seen.min() < 0.4
    assert 0.6 < seen.max() < 0.7 + 1e-6
    ramp = torch.linspace(0.2, 0.4, 8).expand(40, 3, 8, 8)
    parts = objectives.view(ramp, chance())
    rises = (parts[..., -1] - parts[..., 0]) / parts.mean(-1)
    whole = (ramp[..., -1] - ramp[..., 0]) / ramp.mean(-1)
    assert (rises < whole * 1.5).all()
    assert rises.mean() < 0.9 * whole.mean()


def test_hidden_patches_are_grey_and_alone_count() -> None:
    spoil = objectives.masked(0.6, 2)
    seen, counts = spoil(IMAGES, chance())
    assert counts.float().mean() == pytest.approx(10 / 16)
    patches = counts.float().unfold(2, 2, 2).unfold(3, 2, 2)
    assert set(patches.mean((1, 4, 5)).unique().tolist()) == {0.0, 1.0}
    assert (seen[counts] == 0.5).all()
    assert torch.equal(seen[~counts], IMAGES[~counts])

    def loss(restored: torch.Tensor) -> float:
        found = objectives.restoring(IMAGES, lambda *_: (seen, counts), lambda *_: restored)
        return found(torch.nn.Identity(), torch.arange(6)).item()

    guess = IMAGES.flip(0)
    errors = [
        (a - b) ** 2
        for a, b, counted in zip(
            guess.flatten().tolist(), IMAGES.flatten().tolist(), counts.flatten().tolist(),
            strict=True,
        )
        if counted
    ]  # fmt: skip
    assert loss(guess) == pytest.approx(sum(errors) / len(errors), rel=1e-12)
    assert loss(torch.where(counts, guess, guess + 9)) == loss(guess)


def test_noise_counts_everywhere_and_hangs_on_the_samples_alone() -> None:
    seen, counts = objectives.noisy(0.3)(IMAGES, chance(1))
    assert counts.all()
    assert (seen - IMAGES).std() == pytest.approx(0.3, rel=0.1)
    loss = objectives.restoring(IMAGES, objectives.noisy(0.3), lambda _, images: images)
    model = torch.nn.Identity()
    first, again, other = (loss(model, few).item() for few in (CHOSEN, CHOSEN, CHOSEN.flip(0)))
    assert first == again != other
    assert first == pytest.approx(0.09, rel=0.3)


def test_all_objectives_have_one_random_start() -> None:
    starts = {one: initial_weights(SETTING.with_objective(one).whole, 3) for one in Objective}
    tower = SETTING.build().state_dict()
    for name in tower:
        assert all(torch.equal(of[name], starts[Objective.NONE][name]) for of in starts.values())
    other = initial_weights(SETTING.whole, 4)
    assert not torch.equal(
        other["visual.conv1.weight"], starts[Objective.NONE]["visual.conv1.weight"]
    )
    for of in starts.values():
        SETTING.build().load_state_dict({key: of[key] for key in of if key.startswith("visual.")})


def test_patches_are_put_back_where_they_were() -> None:
    own = SETTING.with_objective("masked autoencoding")
    model = own.whole().eval()
    images = torch.rand(2, 3, 32, 32)
    states = model(images, until=model.feature_layers[-1])
    restored = own._restored(model, images)
    pixels = model.head(model.visual.ln_post(states)[:, 1:]).view(2, 4, 4, 3, 8, 8)
    for row in range(4):
        for column in range(4):
            place = restored[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            assert torch.allclose(place, pixels[:, row, column], atol=1e-6)


@pytest.mark.parametrize("objective", [one for one in Objective if one is not Objective.NONE])
def test_each_objective_falls_on_a_few_images(objective: Objective) -> None:
    own = SETTING.with_objective(objective)
    torch.manual_seed(0)
    model, images = own.whole(), own._seen(12)
    loss, every = own._loss(model, images, 0), torch.arange(len(images))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        value = loss(model, every)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert min(values[-3:]) < 0.97 * values[0]
    assert any(parameter.grad is not None for parameter in model.visual.parameters())


def test_random_labels_are_drawn_by_the_seed() -> None:
    own = SETTING.with_objective("random labels")
    images, model = own._seen(12), own.whole().eval()
    every = torch.arange(len(images))
    first, again, other = (own._loss(model, images, seed)(model, every) for seed in (0, 0, 1))
    assert first == again != other
    named = SETTING.with_objective("supervision")
    assert named._loss(model, images, 0)(model, every) == named._loss(model, images, 1)(
        model, every
    )
