"""The engine against bare forward passes, and storing every feature against the engine.

Times are medians over alternating repetitions in this process, given as ratios; peak memory is that
of a process of its own for each way. Run with ``make bench``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models.vision_transformer import EncoderBlock

import ctl_helpers as ctl
from ctl_helpers.models.mlp import MLP

Streams = Mapping[str, list[Tensor]]


@dataclass(frozen=True)
class Case:
    """A model, checkpoints around it, data by task, and what to compare."""

    name: str
    model: nn.Module
    checkpoints: Mapping[str, Mapping[str, Tensor]]
    streams: Streams
    layers: tuple[str, ...]
    alphas: tuple[float, ...]


def checkpoints_around(model: nn.Module, names: str) -> dict[str, dict[str, Tensor]]:
    """Random checkpoints near a model's own weights."""
    return {
        name: {
            key: value + 0.01 * torch.randn_like(value) for key, value in model.state_dict().items()
        }
        for name in names
    }


def mlp_case(samples: int) -> Case:
    """Figure 2's MNIST case: 6 pairs × 3 α × 2 tasks of 10,000 samples each."""
    torch.manual_seed(0)
    model = MLP()
    streams = {name: list(torch.rand(samples, 1, 28, 28).split(1000)) for name in "abcd"}
    alphas = (0.25, 0.5, 0.75)
    return Case(
        "MNIST MLP", model, checkpoints_around(model, "abcd"), streams, model.feature_layers, alphas
    )


def block_case(samples: int) -> Case:
    """One pair, one α, on four blocks of ViT-B's width and 50 tokens: 38,400 values a feature."""
    torch.manual_seed(0)
    norm = partial(nn.LayerNorm, eps=1e-6)
    model = nn.Sequential(*(EncoderBlock(12, 768, 3072, 0.0, 0.0, norm) for _ in range(4)))
    streams = {name: list(torch.randn(samples, 50, 768).split(16)) for name in "ab"}
    return Case(
        "ViT-sized blocks", model, checkpoints_around(model, "ab"), streams, tuple("0123"), (0.5,)
    )


def engine(case: Case) -> None:
    """What the book does."""
    comparisons = ctl.pairs(list(case.checkpoints), case.alphas)
    ctl.compare(case.model, case.checkpoints, comparisons, case.streams, case.layers)


def bare(case: Case) -> None:
    """The same distinct passes, weights mixed beforehand, nothing tapped or kept."""
    names = list(case.checkpoints)
    mixes = {name: {(name,): dict(case.checkpoints[name]) for name in names} for name in names}
    for i, j in combinations(names, 2):
        for alpha in case.alphas:
            mixed = ctl.combine(case.checkpoints, ctl.interpolate(i, j, alpha))
            mixes[i][i, j, alpha] = mixes[j][i, j, alpha] = mixed
    case.model.eval()
    with torch.no_grad():
        for task, batches in case.streams.items():
            for state in mixes[task].values():
                for batch in batches:
                    torch.func.functional_call(case.model, state, (batch,))


def store_everything(case: Case) -> None:
    """The way of the published code: for each pair and α run three models and keep every feature.

    Like it, this reads a data set in batches of 256 and compares the two models, the mixed model
    with each, and the mixed model with the mixed features, each over the whole set and by sample.
    """
    case.model.eval()
    with torch.no_grad():
        for i, j in combinations(case.checkpoints, 2):
            samples = torch.cat([*case.streams[i], *case.streams[j]])
            loader = DataLoader(TensorDataset(samples), 256)
            for alpha in case.alphas:
                mixed = ctl.combine(case.checkpoints, ctl.interpolate(i, j, alpha))
                states = (case.checkpoints[i], case.checkpoints[j], mixed)
                first, second, middle = (_features(case, state, loader) for state in states)
                for layer in case.layers:
                    a, b, c = first[layer], second[layer], middle[layer]
                    for left, right in ((a, b), (c, a), (c, b), (c, alpha * a + (1 - alpha) * b)):
                        for dim in (None, 1):
                            _distance_and_coef(left, right, dim)


def _distance_and_coef(left: Tensor, right: Tensor, dim: int | None) -> tuple[Tensor, Tensor]:
    """Over the whole data set (dim None) or by sample (dim 1), as the published functions do."""
    left, right = left.double(), right.double()
    dot, norm = (left * right).sum(dim), torch.linalg.vector_norm(right, dim=dim)
    distance = 1 - dot / (torch.linalg.vector_norm(left, dim=dim) * norm)
    coef = dot / norm**2
    return distance.mean(), coef.mean()


def _features(case: Case, state: Mapping[str, Tensor], loader: DataLoader) -> dict[str, Tensor]:
    """Every feature of one model over a data set."""
    kept = defaultdict(list)
    modules = dict(case.model.named_modules())
    hooks = [
        modules[layer].register_forward_hook(
            lambda _, __, output, layer=layer: kept[layer].append(output.detach().cpu())
        )
        for layer in case.layers
    ]
    case.model.load_state_dict(state)
    for (batch,) in loader:
        case.model(batch)
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(parts).flatten(1) for layer, parts in kept.items()}


def timed(way: Callable[[Case], None], case: Case) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    way(case)
    return time.perf_counter() - start


def peak_memory(name: str, samples: int, way: str) -> float:
    """MiB that a way adds to the peak of a fresh process that already holds model and data."""
    code = f"import bench; bench.print_peak({name!r}, {samples}, {way!r})"
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def print_peak(name: str, samples: int, way: str) -> None:
    """Run one way once and print what it adds to this process's peak memory, in MiB."""
    case = CASES[name](samples)
    before = psutil.Process().memory_info().rss
    stop, highest = threading.Event(), [before]

    def watch() -> None:
        # The system's own high-water mark would count what making the case took.
        while not stop.wait(0.002):
            highest[0] = max(highest[0], psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    {"engine": engine, "store_everything": store_everything}[way](case)
    stop.set()
    watcher.join()
    print((highest[0] - before) / 2**20)


CASES: Mapping[str, Callable[[int], Case]] = {"mlp": mlp_case, "blocks": block_case}
GOALS = {"mlp": (10_000, 2.0), "blocks": (32, 1.15)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {repeats} repetitions")
    for name, (samples, goal) in GOALS.items():
        case = CASES[name](samples)
        ways = (bare, engine, store_everything)
        for way in ways:
            way(case)
        rounds = [[timed(way, case) for way in ways] for _ in range(repeats)]
        overhead = statistics.median(b / a for a, b, _ in rounds)
        gain = statistics.median(c / b for _, b, c in rounds)
        print(f"\n{case.name}, {samples:,} samples a task")
        print(f"  engine over bare forward passes: {overhead:.2f} (goal: at most {goal})")
        print(f"  storing everything over engine:  {gain:.1f}")
        for way in ("engine", "store_everything"):
            few, many = (peak_memory(name, n, way) for n in (samples // 4, samples))
            print(f"  memory of {way}: {few:.0f} MiB more at {samples // 4:,}, {many:.0f} at all")


if __name__ == "__main__":
    main()
