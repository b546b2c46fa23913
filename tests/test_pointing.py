"""What task vectors point at: against naive loops in float64, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from conftest import refused
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.analysis import pointing


def drawn(seed: int, samples: int = 24, width: int = 7, classes: int = 3):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % classes
    rows = torch.randn(samples, width, generator=generator) + labels[:, None] * 0.7
    return rows, labels, generator


def cosine(a: list[float], b: list[float]) -> float:
    inner = sum(x * y for x, y in zip(a, b, strict=True))
    return inner / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def centred(rows: torch.Tensor) -> list[list[float]]:
    columns = rows.double().T.tolist()
    means = [sum(column) / len(column) for column in columns]
    return [[x - m for x, m in zip(row, means, strict=True)] for row in rows.double().tolist()]


@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_samples_are_those_of_a_loop(seed: int) -> None:
    pool, classes, generator = drawn(seed)
    own = torch.tensor([0, 5, 11, 23])
    directions = torch.randn(4, 7, generator=generator)
    rows, shares = centred(pool), []
    for place, direction in zip(own.tolist(), directions.double().tolist(), strict=True):
        others = [n for n in range(len(rows)) if n != place]
        others.sort(key=lambda n: -cosine(direction, rows[n]))
        shares += [float(classes[n] == classes[place]) for n in others[:5]]
    told = pointing.of_own_class(directions, own, pool, classes, 5)
    assert told == pytest.approx(sum(shares) / len(shares))
    # Neither the length of a direction nor a shift of all samples matters.
    assert pointing.of_own_class(9 * directions, own, pool + 3, classes, 5) == told


def test_directions_that_are_class_means_point_at_their_classes() -> None:
    pool, classes, _ = drawn(0, samples=60)
    pool = 0.1 * pool + 5 * torch.eye(7)[classes]
    own = torch.arange(60)
    means = torch.stack([pool[classes == one].mean(0) for one in classes])
    assert pointing.of_own_class(means - pool.mean(0), own, pool, classes, 10) == 1
    assert pointing.of_own_class(pool.mean(0) - means, own, pool, classes, 10) == 0
    assert pointing.by_chance(classes, own) == pytest.approx(19 / 59)
    with refused(ValueError, "60 samples in all"):
        pointing.of_own_class(means, own, pool, classes, 60)


@pytest.mark.parametrize("seed", range(4))
def test_hits_are_those_of_a_loop_over_classes(seed: int) -> None:
    deltas, labels, generator = drawn(seed, classes=5)
    keep = labels != 3
    deltas, labels = deltas[keep], labels[keep]
    heads = torch.randn(5, 7, generator=generator)
    present = [0, 1, 2, 4]
    means = torch.stack([deltas[labels == one].double().mean(0) for one in present])
    directions, hits = centred(heads), 0
    for one, mean in zip(present, centred(means), strict=True):
        cosines = [cosine(mean, direction) for direction in directions]
        hits += cosines.index(max(cosines)) == one
    assert pointing.class_hits(deltas, labels, heads) == pytest.approx(hits / 4)
    assert pointing.class_hits(heads[labels] + 2, labels, heads) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_probe_is_ridge_regression(seed: int) -> None:
    seen, labels, _ = drawn(seed)
    test, wanted, _ = drawn(seed + 9)
    x = seen.double().numpy()
    mean = x.mean(0)
    hot = np.eye(3)[labels.numpy()]
    penalty = 0.1 * np.square(x - mean).sum(1).mean()
    design = np.vstack([x - mean, math.sqrt(penalty) * np.eye(7)])
    aim = np.vstack([hot - hot.mean(0), np.zeros((7, 3))])
    weight, *_ = np.linalg.lstsq(design, aim, rcond=None)
    scores = (test.double().numpy() - mean) @ weight + hot.mean(0)
    accuracy = (scores.argmax(1) == wanted.numpy()).mean()
    told = pointing.Probe(seen, labels).accuracy(test, wanted)
    assert told == pytest.approx(accuracy)
    assert pointing.Probe(8 * seen + 1, labels).accuracy(8 * test + 1, wanted) == told


def test_features_are_those_of_each_network_by_itself() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    start = {name: part.clone() for name, part in model.state_dict().items()}
    end = {name: part + 0.1 for name, part in start.items()}
    inputs = torch.randn(5, 4)
    batches = {"a": [(inputs[:3], torch.zeros(3)), (inputs[3:], torch.zeros(2))]}
    mixes = {"start": {"PT": 1.0}, "half": ctl.edit("PT", {"i": 0.5})}
    seen = pointing.features(model, {"PT": start, "i": end}, mixes, "a", batches, ["1"])
    model.load_state_dict({name: (start[name] + end[name]) / 2 for name in start})
    torch.testing.assert_close(seen["half"][pointing.OUTPUT], model(inputs).detach())
    torch.testing.assert_close(seen["half"]["1"], model[:2](inputs).detach())
    assert set(seen["start"]) == {"1", pointing.OUTPUT}


def test_what_a_task_shares_does_not_count_once_its_mean_is_taken_away() -> None:
    noise, classes, _ = drawn(0, samples=60)
    labels = {"a": classes[:30], "b": classes[30:]}
    # No two tasks have a class in common.
    places = {"a": classes[:30], "b": 3 + classes[30:]}
    toward = {task: torch.eye(7)[of] for task, of in places.items()}
    parts = dict(zip("ab", (0.1 * noise).split(30), strict=True))
    start = {task: 5 * toward[task] + parts[task] for task in "ab"}
    shared = {"alone": torch.zeros(7), "shared": 100 * torch.eye(7)[6]}
    ends = {
        kind: {task: start[task] + toward[task] + move for task in "ab"}
        for kind, move in shared.items()
    }
    table = pointing.nearest(start, ends, labels, 5).set_index("direction")["share"]
    assert (table[f"shared{pointing.LESS_MEAN}"] == 1).all()
    assert (table[f"alone{pointing.LESS_MEAN}"] == 1).all()
    assert (table["alone"] == 1).all()
    assert (table["shared"] < 0.6).all()
