"""Training: seeded, resumable, refused where it cannot go well, kept in the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import refused, same
from torch import Tensor, nn

from ctl_helpers.data.images import Images
from ctl_helpers.models import build
from ctl_helpers.store import status
from ctl_helpers.store.artifacts import Store
from ctl_helpers.training import checkpoints
from ctl_helpers.training.checkpoints import Checkpoint, Run
from ctl_helpers.training.class_mask import ClassMask
from ctl_helpers.training.loop import Recipe, Snapshot, epochs, initial_weights

PLAIN = Recipe(epochs=3, lr=0.1, batch_size=4)
MOMENTUM = replace(PLAIN, momentum=0.9, weight_decay=0.01, lr_step=2)
RECIPES = {
    "plain": PLAIN,
    "momentum": MOMENTUM,
    "bfloat16": replace(PLAIN, precision="bfloat16"),
    "masked": replace(PLAIN, masked=True),
    "frozen norm": replace(PLAIN, frozen_norm=True),
}


def images(samples: int, shape: tuple[int, ...] = (1, 2, 3)) -> Images:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(samples, *shape, generator=generator)
    return Images(inputs, torch.arange(samples) % 3)


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 3))


def resnet() -> nn.Module:
    return build("resnet18", width=4, classes=3)


def start(make: Callable[[], nn.Module] = small, seed: int = 0) -> Snapshot:
    return Snapshot(0, initial_weights(make, seed))


def last(snapshots: list[Snapshot]) -> dict[str, Tensor]:
    return snapshots[-1].weights


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_training_stops_and_goes_on_bit_for_bit(recipe: Recipe) -> None:
    data = images(10, (3, 8, 8))
    whole = list(epochs(resnet(), start(resnet), data, recipe, 5))
    assert [snapshot.done for snapshot in whole] == [1, 2, 3]
    for stop in (1, 2):
        rest = list(epochs(resnet(), whole[stop - 1], data, recipe, 5))
        assert [snapshot.done for snapshot in rest] == list(range(stop + 1, 4))
        for early, late in zip(whole[stop:], rest, strict=True):
            assert same(early.weights, late.weights)
            assert early.loss == late.loss
    assert not same(last(whole), last(list(epochs(resnet(), start(resnet), data, recipe, 6))))


def shut_out(logits: Tensor, targets: Tensor, classes: set[int]) -> Tensor:
    """Mean of ``−log(e^z_y / Σ_c e^z_c)``, c over the classes alone, sample by sample."""
    losses = [
        -torch.log(z[y].exp() / torch.stack([z[c].exp() for c in classes]).sum())
        for z, y in zip(logits, targets.tolist(), strict=True)
    ]
    return torch.stack(losses).mean()


def by_hand(recipe: Recipe, data: Images) -> nn.Module:
    """The naive way: SGD's formula written out, on the order that the loop draws."""
    model = small().double()
    weights = {name: value.double() for name, value in start().weights.items()}
    model.load_state_dict(weights)
    momentum = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for epoch in range(1, recipe.epochs + 1):
        rate = recipe.lr * (0.1 ** ((epoch - 1) // recipe.lr_step) if recipe.lr_step else 1)
        generator = torch.Generator().manual_seed(7 * 100_003 + epoch)
        order = torch.randperm(len(data), generator=generator)
        for first in range(0, len(data) - recipe.batch_size + 1, recipe.batch_size):
            chosen = order[first : first + recipe.batch_size]
            logits = model(data.inputs[chosen].double())
            if recipe.masked:
                loss = shut_out(logits, data.targets[chosen], set(data.targets.tolist()))
            else:
                loss = F.cross_entropy(logits, data.targets[chosen])
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                named = model.named_parameters()
                for (name, value), gradient in zip(named, gradients, strict=True):
                    step = gradient + recipe.weight_decay * value
                    momentum[name] = recipe.momentum * momentum[name] + step
                    value -= rate * momentum[name]
    return model


@pytest.mark.parametrize("recipe", [PLAIN, MOMENTUM], ids=["plain", "momentum"])
def test_training_is_sgd_and_leaves_an_incomplete_batch_out(recipe: Recipe) -> None:
    data = images(11)
    found = last(list(epochs(small(), start(), data, recipe, 7)))
    expected = by_hand(recipe, data).state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)


def test_a_masked_loss_looks_at_the_classes_of_its_data_alone() -> None:
    data = images(12)
    data = Images(data.inputs, data.targets % 2 * 2)  # classes 0 and 2 of 3
    recipe = replace(PLAIN, masked=True)
    found = last(list(epochs(small(), start(), data, recipe, 7)))
    for name, value in by_hand(recipe, data).state_dict().items():
        torch.testing.assert_close(found[name].double(), value, rtol=1e-5, atol=1e-6)
    for name in ("1.weight", "1.bias"):
        assert torch.equal(found[name][1], start().weights[name][1])
        assert not torch.equal(found[name][0], start().weights[name][0])
    whole = last(list(epochs(small(), start(), data, PLAIN, 7)))
    assert not torch.equal(whole["1.bias"][1], start().weights["1.bias"][1])


def test_a_mask_leaves_the_logits_of_its_classes_and_shuts_the_others_out() -> None:
    logits = torch.randn(4, 2, 5)
    kept = logits.clone()
    for classes in ([3, 0], range(0, 4, 3), torch.tensor([0, 3])):
        masked = ClassMask(classes)(logits)
        assert torch.equal(masked[..., [0, 3]], logits[..., [0, 3]])
        assert (masked[..., [1, 2, 4]] == -torch.inf).all()
    assert torch.equal(logits, kept)
    targets = torch.tensor([0, 3, 3, 0])
    loss = F.cross_entropy(ClassMask([0, 3])(logits[:, 0].double()), targets)
    torch.testing.assert_close(loss, shut_out(logits[:, 0].double(), targets, {0, 3}))
    assert not ClassMask([0]).state_dict()


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_norm_keeps_its_statistics_and_trains_its_affine_part(frozen: bool) -> None:
    begin = start(resnet)
    for name, value in begin.weights.items():
        if name.endswith("running_var"):
            value += torch.rand(value.shape, generator=torch.Generator().manual_seed(1))
    recipe = replace(MOMENTUM, frozen_norm=frozen)
    found = last(list(epochs(resnet(), begin, images(10, (3, 8, 8)), recipe, 0)))
    norms = [
        name for name, module in resnet().named_modules() if isinstance(module, nn.BatchNorm2d)
    ]
    for norm, kind in product(norms, ("running_mean", "running_var", "num_batches_tracked")):
        assert torch.equal(found[f"{norm}.{kind}"], begin.weights[f"{norm}.{kind}"]) == frozen
    for norm, kind in product(norms, ("weight", "bias")):
        assert not torch.equal(found[f"{norm}.{kind}"], begin.weights[f"{norm}.{kind}"])


def test_a_frozen_norm_takes_the_steps_of_evaluation() -> None:
    data, recipe = images(4, (3, 8, 8)), replace(PLAIN, epochs=1, frozen_norm=True)
    model, begin = resnet().double(), start(resnet)
    model.load_state_dict(begin.weights)
    model.eval()
    loss = F.cross_entropy(model(data.inputs.double()), data.targets)
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    found = last(list(epochs(resnet(), begin, data, recipe, 0)))
    for (name, value), gradient in zip(model.named_parameters(), gradients, strict=True):
        expected = (value - recipe.lr * gradient).detach()
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-4, atol=1e-5)


def test_fewer_samples_than_a_batch_are_one_batch() -> None:
    assert not same(last(list(epochs(small(), start(), images(2), PLAIN, 0))), start().weights)


def test_bytes_train_like_the_floats_they_stand_for() -> None:
    pixels = (images(8).inputs * 255).round().to(torch.uint8)
    ways = [Images(each, images(8).targets) for each in (pixels, pixels.float() / 255)]
    found = [last(list(epochs(small(), start(), data, PLAIN, 0))) for data in ways]
    assert same(*found)


def test_training_changes_none_of_its_inputs() -> None:
    random = torch.get_rng_state()
    begin = start(seed=1)
    assert torch.equal(torch.get_rng_state(), random)
    model, data = small().eval(), images(10)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    copies = {key: value.clone() for key, value in begin.weights.items()}
    inputs, random = data.inputs.clone(), torch.get_rng_state()
    snapshots = list(epochs(model, begin, data, MOMENTUM, 0))
    assert not same(last(snapshots), begin.weights)
    assert not same(snapshots[0].weights, snapshots[1].weights)
    assert same(model.state_dict(), state)
    assert same(begin.weights, copies)
    assert torch.equal(data.inputs, inputs)
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert list(epochs(model, begin, data, replace(PLAIN, epochs=0), 0)) == []


@pytest.mark.parametrize(
    ("samples", "lr", "sentence"),
    [
        (0, 0.1, "training set is empty"),
        (10, 1e38, r"loss or a weight is not finite after \d of 3; lower .* from 1e\+38"),
    ],
)
def test_training_that_cannot_go_well_is_refused(samples: int, lr: float, sentence: str) -> None:
    with refused(ValueError, sentence):
        list(epochs(small(), start(), images(samples), Recipe(3, lr, 2), 0))


class InterruptedTrainingError(Exception):
    """What a person's Ctrl-C is here."""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of each epoch that really runs."""
    done: list[int] = []

    def counting(*arguments):
        for snapshot in epochs(*arguments):
            done.append(snapshot.done)
            yield snapshot

    monkeypatch.setitem(globals(), "trained", counting)
    return done


trained = epochs


def train(wanted: list[int], recipe: Recipe = MOMENTUM, fact: int = 0) -> dict[int, Checkpoint]:
    first = initial_weights(small, 0)
    return Run(
        "a run",
        {"fact": fact, "rate": recipe.lr},
        lambda: first,
        lambda begin, last: trained(small(), begin, images(10), replace(recipe, epochs=last), 3),
    ).checkpoints(wanted)


def test_no_epoch_runs_twice(ran: list[int]) -> None:
    found = train([0, 2, 4])
    assert ran == [1, 2, 3, 4]
    assert list(found) == [0, 2, 4]
    assert same(found[0].weights(), initial_weights(small, 0))
    assert train([4, 2])[4].key == found[4].key
    assert ran == [1, 2, 3, 4]
    longer = train([6])
    assert ran == [1, 2, 3, 4, 5, 6]
    direct = list(epochs(small(), start(), images(10), replace(MOMENTUM, epochs=6), 3))
    assert same(longer[6].weights(), last(direct))
    train([4], fact=1)
    assert len(ran) == 10
    # An earlier epoch than a stored one takes no later ones.
    train([2, 4], fact=1)
    assert ran[10:] == [1, 2]
    train([4], replace(MOMENTUM, lr=0.2))
    assert len(ran) == 16


@pytest.mark.parametrize("patient", [True, False])
def test_an_interrupted_training_goes_on(ran, monkeypatch, patient: bool) -> None:
    monkeypatch.setattr(checkpoints, "_SECONDS_BETWEEN_SAVES", 3600 if patient else 0)
    normal = checkpoints.reported

    def stopping(*arguments):
        for snapshot in normal(*arguments):
            if snapshot.done == 3:
                raise InterruptedTrainingError
            yield snapshot

    monkeypatch.setattr(checkpoints, "reported", stopping)
    with pytest.raises(InterruptedTrainingError):
        train([5])
    assert status.lines() == []
    monkeypatch.setattr(checkpoints, "reported", normal)
    interim = Store().root / "interim"
    assert bool(list(interim.glob("*"))) != patient
    (interim / ".abandoned-x").mkdir(parents=True)
    found = train([5])
    assert ran == [1, 2, 3, *([1, 2] if patient else []), 3, 4, 5]
    # What another training keeps stays.
    assert [path.name for path in interim.iterdir()] == [".abandoned-x"]
    direct = list(epochs(small(), start(), images(10), replace(MOMENTUM, epochs=5), 3))
    assert same(found[5].weights(), last(direct))


def test_what_a_training_kept_that_was_stopped_at_its_end_is_forgotten_by_the_next(
    ran: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_SECONDS_BETWEEN_SAVES", 0)
    with monkeypatch.context() as stopped:
        stopped.setattr(Run, "_forget", lambda self, done: None)
        train([3])
    interim = Store().root / "interim"
    assert list(interim.glob("*/manifest.json"))
    train([3])
    assert ran == [1, 2, 3]
    assert list(interim.iterdir()) == []


def test_training_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def watching(*arguments):
        for snapshot in epochs(*arguments):
            said.extend(status.lines())
            yield snapshot

    monkeypatch.setitem(globals(), "trained", watching)
    train([3])
    assert said[0] == "a run: 0 of 3 epochs"
    assert said[2].startswith("a run: 2 of 3 epochs, loss ")
    assert said[2].endswith(" s left")
    assert status.lines() == []


def test_a_damaged_checkpoint_is_trained_again(ran: list[int]) -> None:
    folder: Path = train([2])[2].folder
    (folder / "weights.safetensors").write_bytes(b"short")
    assert torch.isfinite(train([2])[2].weights()["1.weight"]).all()
    assert ran == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": -1}, "epochs is -1 in a recipe; it has to be 0 or more"),
        ({"lr": 0.0}, "lr is 0.0 in a recipe; it has to be positive"),
        ({"lr": float("nan")}, "lr is nan"),
        ({"batch_size": 0}, "batch_size is 0 in a recipe; it has to be 1 or more"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"lr_step": -1}, "lr_step is -1 in a recipe; it has to be 1 or more, or None"),
        ({"precision": "float16"}, "precision is 'float16' in a recipe"),
    ],
)
def test_a_recipe_that_is_none_names_its_culprit(change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        replace(PLAIN, **change)
