"""What a step costs: memory known by construction, paradigms compared, and turns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import pytest
import torch
from conftest import small_tower
from torch import Tensor, nn

from ctl_helpers.engine.linearized import Linearized
from ctl_helpers.training import step_cost as cost
from ctl_helpers.training.loop import Snapshot
from ctl_helpers.training.step_cost import Trainer, peak_memory, step_costs, trainer
from ctl_helpers.training.steps import StepRecipe, steps

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
    ),
]
RECIPE = StepRecipe(steps=2, lr=0.01, batch_size=4)
INPUTS = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def chain(device: str, length: int, keep: bool) -> Callable[[], Trainer]:
    """Powers of a 128 × 128 matrix, of which two are alive at a time beside it, or all."""

    def make() -> Trainer:
        matrix = torch.ones(128, 128, device=device)
        matrix = matrix + torch.ones(4, 128, 128, device=device).sum(0)  # gone before the step

        def step() -> None:
            powers = [matrix @ matrix]
            for _ in range(length - 1):
                powers.append(powers[-1] @ matrix)
                if not keep:
                    powers.pop(0)

        return step

    return make


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("length", "keep", "alive"), [(1, False, 2), (6, False, 3), (6, True, 7)])
def test_a_peak_that_is_known(device: str, length: int, keep: bool, alive: int) -> None:
    torch.ones(1, device=device) @ torch.ones(1, device=device)
    others = torch.ones(500, 500, device=device)
    for _ in range(2):
        assert peak_memory(chain(device, length, keep), device) == alive * 128 * 128 * 4
    assert others.sum() == 250_000


def test_the_second_step_counts_and_all_that_was_there_before_it() -> None:
    def make() -> Trainer:
        kept: list[Tensor] = []
        sizes = iter((1000, 10, 1000))

        def step() -> None:
            kept.append(torch.ones(100))
            torch.ones(next(sizes))

        return step

    assert peak_memory(make) == 4 * (100 + 100 + 10)


def tower() -> nn.Module:
    return small_tower(image_size=32, width=32)


def linearized() -> nn.Module:
    network = tower()
    return Linearized(network, network.state_dict())


def squares(model: nn.Module, chosen: Tensor) -> Tensor:
    return model(INPUTS[chosen]).square().mean()


def test_memory_of_the_paradigms() -> None:
    part = StepRecipe(steps=2, lr=0.01, batch_size=4, paradigm="attention-weights")
    asked = {"full": (tower, RECIPE), "tangent": (linearized, RECIPE), "attention": (tower, part)}
    jobs = {
        name: partial(trainer, build, squares, torch.arange(4), recipe)
        for name, (build, recipe) in asked.items()
    }
    table = step_costs(jobs, 2)
    assert list(table.columns) == ["paradigm", "repetition", "seconds", "bytes"]
    assert table["paradigm"].tolist() == [*asked, *asked]
    assert table["repetition"].tolist() == [0, 0, 0, 1, 1, 1]
    assert (table["seconds"] > 0).all()
    found = {name: part["bytes"].unique().tolist() for name, part in table.groupby("paradigm")}
    (full,), (tangent,), (attention,) = (found[name] for name in asked)

    named = dict(tower().named_parameters())
    weights = sum(value.nbytes for value in named.values())
    trained = sum(v.nbytes for n, v in named.items() if "attn" in n and n.endswith("weight"))
    # Weights, gradients and two moments; θ_0 beside them; and none for what is frozen.
    assert full > 4 * weights
    assert tangent > full + weights
    assert weights + 3 * trained < attention <= full - 2 * (weights - trained)
    assert found == {
        name: part["bytes"].unique().tolist()
        for name, part in step_costs(jobs, 1).groupby("paradigm")
    }


def test_the_step_is_that_of_training() -> None:
    recipe = StepRecipe(steps=1, lr=0.01, batch_size=4)
    start = Snapshot(0, {name: value.clone() for name, value in tower().state_dict().items()})
    *_, last = steps(tower(), squares, 4, start, recipe, seed=0)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(0))
    model = tower()
    assert trainer(lambda: model, squares, order, recipe)() == last.loss
    assert all(torch.equal(value, last.weights[n]) for n, value in model.state_dict().items())
    assert not torch.equal(model.visual.proj, start.weights["visual.proj"])


def test_paradigms_take_turns_and_each_is_timed_alone(monkeypatch) -> None:
    log: list[str] = []
    clock = itertools.count()

    def job(name: str) -> Trainer:
        def step() -> None:
            log.append(name)
            if name == "slow":
                next(clock)

        return step

    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    table = step_costs({name: partial(job, name) for name in ("quick", "slow")}, 3)
    first = 2 * (1 + 3)  # one that is not counted, and three rounds
    assert log[:first] == ["quick", "slow"] * 4
    assert log[first:] == ["quick", "quick", "slow", "slow"]  # for memory
    assert table["seconds"].tolist() == [1, 2] * 3
    assert table["bytes"].tolist() == [0] * 6


@pytest.mark.parametrize(("jobs", "repeats"), [({}, 1), ({"a": lambda: lambda: None}, 0)])
def test_nothing_to_measure_is_refused(jobs, repeats: int) -> None:
    with pytest.raises(ValueError, match=f"{len(jobs)} jobs and {repeats} repeats; ask for at le"):
        step_costs(jobs, repeats)
