"""The engine against bare forward passes, and storing every feature against the engine.

Times are medians over alternating repetitions in this process, given as ratios; peak memory is that
of a process of its own for each way. Run with ``make bench``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

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


class Blocks(nn.Module):
    """Transformer blocks of ViT-B's width on 50 tokens."""

    def __init__(self, depth: int = 4, width: int = 768) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    width, 12, 4 * width, 0.0, batch_first=True, norm_first=True
                )
                for _ in range(depth)
            )
        )

    def forward(self, tokens: Tensor) -> Tensor:
        return self.blocks(tokens)


def block_case(samples: int) -> Case:
    """One pair, one α, on features of 38,400 values a block."""
    torch.manual_seed(0)
    model = Blocks()
    streams = {name: list(torch.randn(samples, 50, 768).split(16)) for name in "ab"}
    layers = tuple(f"blocks.{block}" for block in range(4))
    return Case("ViT-sized blocks", model, checkpoints_around(model, "ab"), streams, layers, (0.5,))


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
    """As the published code does: for each pair and α run three models, keep every feature."""
    case.model.eval()
    kept: dict[str, list[Tensor]] = {}
    modules = dict(case.model.named_modules())
    hooks = [
        modules[layer].register_forward_hook(
            lambda _, __, output, layer=layer: kept[layer].append(output.detach())
        )
        for layer in case.layers
    ]

    def features(
        state: Mapping[str, Tensor], loader: torch.utils.data.DataLoader
    ) -> dict[str, Tensor]:
        kept.update({layer: [] for layer in case.layers})
        case.model.load_state_dict(state)
        for (batch,) in loader:
            case.model(batch)
        return {layer: torch.cat(parts).flatten(1) for layer, parts in kept.items()}

    with torch.no_grad():
        for i, j in combinations(case.checkpoints, 2):
            samples = torch.cat([*case.streams[i], *case.streams[j]])
            dataset = torch.utils.data.TensorDataset(samples)
            loader = torch.utils.data.DataLoader(dataset, len(case.streams[i][0]))
            for alpha in case.alphas:
                mixed = ctl.combine(case.checkpoints, ctl.interpolate(i, j, alpha))
                states = (case.checkpoints[i], case.checkpoints[j], mixed)
                first, second, middle = (features(state, loader) for state in states)
                for layer in case.layers:
                    a, b, c = (f[layer].double() for f in (first, second, middle))
                    target = alpha * a + (1 - alpha) * b
                    for left, right in ((c, target), (a, b)):
                        dot, norm = (left * right).sum(1), right.norm(dim=1)
                        ratios = (1 - dot / (left.norm(dim=1) * norm), dot / norm**2)
                        [value.quantile(q) for value in ratios for q in (0.25, 0.5, 0.75)]
    for hook in hooks:
        hook.remove()


def timed(way: Callable[[Case], None], case: Case) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    way(case)
    return time.perf_counter() - start


def _peak(
    make: Callable[[int], Case], samples: int, way: Callable[[Case], None], pipe: object
) -> None:
    case = make(samples)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    way(case)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((after - before) / 1024)


def peak_memory(make: Callable[[int], Case], samples: int, way: Callable[[Case], None]) -> float:
    """MiB that a way adds to the peak of a fresh process which already holds model and data."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(make, samples, way, theirs))
    process.start()
    process.join()
    return ours.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {repeats} repetitions")
    for make, samples, goal in ((mlp_case, 10_000, 2.0), (block_case, 64, 1.15)):
        case = make(samples)
        ways = (bare, engine, store_everything)
        for way in ways:
            way(case)
        rounds = [[timed(way, case) for way in ways] for _ in range(repeats)]
        overhead = statistics.median(b / a for a, b, _ in rounds)
        gain = statistics.median(c / b for _, b, c in rounds)
        print(f"\n{case.name}: {samples:,} samples a task")
        print(f"  engine over bare forward passes: {overhead:.2f} (goal at most {goal})")
        print(f"  storing everything over engine:  {gain:.1f}")
        for way in (engine, store_everything):
            peaks = [peak_memory(make, samples // 4 * scale, way) for scale in (1, 4)]
            print(
                f"  peak memory of {way.__name__}: {peaks[0]:.0f} MiB at {samples // 4:,} samples "
                f"a task, {peaks[1]:.0f} MiB at {samples:,}"
            )


if __name__ == "__main__":
    main()
