"""Pairs of tasks at a distance, training by steps, and what is measured of two networks."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import refused, same
from torch import Tensor, nn

from ctl_helpers.analysis.boundary import plane
from ctl_helpers.data.images import Images
from ctl_helpers.data.task_pairs import TaskPair
from ctl_helpers.training.by_steps import along
from ctl_helpers.training.loop import Recipe, Snapshot, epochs, initial_weights


def images(samples: int) -> Images:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(samples, 1, 2, 3, generator=generator)
    return Images(inputs, torch.arange(samples) % 3)


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


START = initial_weights(small, 0)


@pytest.mark.parametrize("last", [1, 3])
def test_the_steps_of_whole_epochs_end_where_these_epochs_do(last: int) -> None:
    recipe = Recipe(epochs=last, lr=0.1, batch_size=4)
    *_, end = epochs(small(), Snapshot(0, START), images(11), recipe, seed=7)
    kept = along(small(), START, images(11), [1, 2 * last], lr=0.1, batch_size=4, seed=7)
    assert list(kept) == sorted({1, 2 * last})
    assert same(kept[2 * last], end.weights)


def test_a_run_is_the_same_whatever_is_kept_of_it() -> None:
    how = {"lr": 0.1, "batch_size": 4, "seed": 3}
    few, many = (along(small(), START, images(9), wanted, **how) for wanted in ([7], [1, 2, 5, 7]))
    assert same(few[7], many[7])
    assert not same(many[5], many[7])


def test_a_run_ends_where_it_is_no_longer_finite() -> None:
    bright = Images(images(8).inputs * 1e18, images(8).targets)
    kept = along(small(), START, bright, [1, 50], lr=1e15, batch_size=4, seed=0)
    assert 50 not in kept


def test_what_cannot_be_trained_is_refused() -> None:
    how = {"lr": 0.1, "batch_size": 4, "seed": 0}
    for samples, wanted in ((3, [1]), (8, []), (8, [0, 1])):
        with refused(ValueError, rf"{samples} samples in batches of 4 cannot be trained on"):
            along(small(), START, images(samples), wanted, **how)


# Pairs of tasks.


def test_two_tasks_are_turned_by_half_of_the_angle_each() -> None:
    pair, upright = TaskPair(angle=60), images(6)
    assert pair.name == "60° apart"
    turned = pair.images(upright, 3)
    assert list(turned) == list(pair.tasks) == ["+30°", "−30°"]
    for angle, one in zip((30, -30), turned.values(), strict=True):
        assert torch.equal(one.inputs, upright.rotated(angle).inputs)
        assert torch.equal(one.targets, upright.targets)


@pytest.mark.parametrize(("share", "changed"), [(0.25, 3), (0.5, 5), (1.0, 10)])
def test_labels_are_passed_on_in_one_task_and_back_in_the_other(share: float, changed: int) -> None:
    every = Images(torch.rand(10, 1, 2, 3), torch.arange(10))
    pair = TaskPair(share=share)
    first, second = pair.images(every, 10).values()
    assert torch.equal(first.inputs, every.inputs)
    known = every.targets
    for one in (first, second):
        assert sorted(one.targets.tolist()) == known.tolist()
        assert (one.targets != known).sum() == changed
    assert (first.targets != second.targets).sum() == changed
    # One undoes the other.
    assert torch.equal(first.targets[second.targets], known)


# What is measured, against numpy in float64.


def features(state: dict[str, Tensor], inputs: Tensor) -> dict[str, np.ndarray]:
    """Of the network of ``small``, by layer."""
    weights = {name: value.double().numpy() for name, value in state.items()}
    flat = inputs.double().numpy().reshape(len(inputs), -1)
    hidden = flat @ weights["1.weight"].T + weights["1.bias"]
    output = np.maximum(hidden, 0) @ weights["3.weight"].T + weights["3.bias"]
    return {"0": flat, "1": hidden, "2": np.maximum(hidden, 0), "3": output}


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def long(state: dict[str, Tensor]) -> np.ndarray:
    return np.concatenate([value.double().numpy().ravel() for value in state.values()])


def test_a_cell_on_the_way_to_infinity_is_left_out(around) -> None:
    near = tuple(around(small(), "ab", 0.2).values())
    far = (near[0], {name: value * 1e11 for name, value in near[1].items()})
    streams = {name: list(images(7).batches(3)) for name in ("one", "two")}
    alone = plane(small(), START, {(0.1, 3): near}, streams, curvature=1.0)
    beside = plane(small(), START, {(0.1, 3): near, (9.0, 3): far}, streams, curvature=1.0)
    pd.testing.assert_frame_equal(alone, beside)
    with refused(ValueError, "no evaluations given"):
        plane(small(), START, {(9.0, 3): far}, streams, curvature=1.0)


def test_a_cell_is_measured_as_its_formulas_have_it(around) -> None:
    near = {name: around(small(), "ab", size) for name, size in ((1, 0.2), (2, 0.6))}
    cells = list(product((0.1, 0.2), (3, 30)))
    tuned = {cell: tuple(near[1 + cell[1] % 2].values()) for cell in cells}
    tasks = {"one": images(7), "two": Images(images(7).inputs.flip(0), images(7).targets)}
    streams = {name: list(one.batches(3)) for name, one in tasks.items()}
    table = plane(small(), START, tuned, streams, curvature=2.5)
    assert len(table) == len(cells) * table["layer"].nunique()
    assert set(table["curvature"]) == {2.5}
    inputs = torch.cat([one.inputs for one in tasks.values()])
    for row in table.itertuples():
        a, b = tuned[row.rate, row.steps]
        mix = {name: (a[name].double() + b[name].double()) / 2 for name in a}
        at = {n: features(w, inputs)[row.layer]
              for n, w in (("a", a), ("b", b), ("m", mix), ("PT", START))}  # fmt: skip
        if row.layer == "0":  # the inputs, which no weight moves
            assert np.isnan(row.epsilon)
            continue
        mean = (at["a"] + at["b"]) / 2
        missed, spread = ((np.square(at[n] - mean).sum(1)).mean() for n in ("m", "a"))
        assert row.epsilon == pytest.approx(np.sqrt(missed / spread), rel=1e-3, abs=1e-6)
        assert row.apart == pytest.approx(angle(at["a"], at["b"]).mean(), rel=1e-4, abs=1e-7)
        moved = np.mean([angle(at["PT"], at[name]).mean() for name in "ab"])
        assert row.moved == pytest.approx(moved, rel=1e-4, abs=1e-7)
        steps = [long(one) - long(START) for one in (a, b)]
        assert row.weights_apart == pytest.approx(np.linalg.norm(steps[0] - steps[1]), rel=1e-6)
        cosine = steps[0] @ steps[1] / np.prod([np.linalg.norm(one) for one in steps])
        assert row.cosine == pytest.approx(cosine, rel=1e-6)
        for name, networks in (("merged", (mix, mix)), ("own", (a, b)), ("start", (START, START))):
            hits = [
                (features(w, one.inputs)["3"].argmax(1) == one.targets.numpy()).mean()
                for w, one in zip(networks, tasks.values(), strict=True)
            ]
            assert getattr(row, name) == pytest.approx(np.mean(hits))
