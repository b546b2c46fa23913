"""The engine against bare forward passes, and storing every feature against the engine.

Times are medians over alternating repetitions in this process, given as ratios; peak memory is that
of a process of its own for each way. Run with ``make bench``; with a GPU, its throughput on CLIP's
image towers is measured too. Peak memory at more images takes minutes:

    python benchmarks/bench.py --images 64 256 1024
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import open_clip
import psutil
import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset
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
    device: str = "cpu"
    dtype: torch.dtype | None = None


def checkpoints_around(
    model: nn.Module, names: str, scale: float = 0.01
) -> dict[str, dict[str, Tensor]]:
    """Random checkpoints near a model's own weights."""
    return {
        name: {
            key: value + scale * torch.randn_like(value)
            for key, value in model.state_dict().items()
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


def clip_case(
    samples: int,
    architecture: str = "ViT-B-32",
    batch: int = 16,
    device: str = "cpu",
    dtype: torch.dtype | None = None,
) -> Case:
    """One pair, one α, on a CLIP image tower with random weights; half of the images a task."""
    torch.manual_seed(0)
    model = open_clip.create_model(architecture, load_weights=False).visual.to(device)
    layers = tuple(f"transformer.resblocks.{n}" for n in range(len(model.transformer.resblocks)))
    height, width = model.image_size
    images = torch.randn(samples, 3, height, width)
    streams = dict(zip("ab", (list(part.split(batch)) for part in images.chunk(2)), strict=True))
    checkpoints = checkpoints_around(model, "ab", 0.001)
    return Case(architecture, model, checkpoints, streams, layers, (0.5,), device, dtype)


def engine(case: Case) -> None:
    """What the book does."""
    ctl.compare(
        case.model,
        case.checkpoints,
        ctl.pairs(list(case.checkpoints), case.alphas),
        case.streams,
        case.layers,
        case.device,
        dtype=case.dtype,
    )


def bare(case: Case) -> None:
    """The same distinct passes, nothing tapped or kept."""
    names = list(case.checkpoints)
    mixes = {name: {(name,): dict(case.checkpoints[name]) for name in names} for name in names}
    for i, j in combinations(names, 2):
        for alpha in case.alphas:
            mixed = ctl.combine(case.checkpoints, ctl.interpolate(i, j, alpha))
            mixes[i][i, j, alpha] = mixes[j][i, j, alpha] = mixed
    case.model.eval()
    half = torch.autocast(case.device, case.dtype) if case.dtype else nullcontext()
    with torch.no_grad(), half:
        for task, batches in case.streams.items():
            for state in mixes[task].values():
                for batch in batches:
                    torch.func.functional_call(case.model, state, (batch.to(case.device),))


def store_everything(case: Case) -> None:
    """The way of the published code: for each pair and α run three models and keep every feature.

    Like it, this reads a data set in batches of 256 and compares the two models, the mixed model
    with each, and the mixed model with the mixed features, each over the whole set and by sample.
    """
    case.model.eval()
    with torch.no_grad():
        for i, j in combinations(case.checkpoints, 2):
            samples = ConcatDataset(map(TensorDataset, [*case.streams[i], *case.streams[j]]))
            loader = DataLoader(samples, 256)
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
    features = defaultdict(list)
    modules = dict(case.model.named_modules())
    hooks = [
        modules[layer].register_forward_hook(
            lambda _, __, output, layer=layer: features[layer].append(output.detach().cpu())
        )
        for layer in case.layers
    ]
    case.model.load_state_dict(state)
    for (batch,) in loader:
        case.model(batch)
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(parts).flatten(1) for layer, parts in features.items()}


def timed(way: Callable[[Case], None], case: Case) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    way(case)
    if case.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def rounds(case: Case, ways: Sequence[Callable[[Case], None]], repeats: int) -> list[list[float]]:
    """Seconds of each way, repetition by repetition, after a first call that is not counted."""
    for way in ways:
        way(case)
    return [[timed(way, case) for way in ways] for _ in range(repeats)]


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
    print(added_peak(partial({"engine": engine, "store_everything": store_everything}[way], case)))


def added_peak(work: Callable[[], None]) -> float:
    """MiB that some work adds to what this process has resident, at the highest."""
    before = psutil.Process().memory_info().rss
    stop, highest = threading.Event(), [before]

    def watch() -> None:
        # The system's own high-water mark would count what making the case took.
        while not stop.wait(0.002):
            highest[0] = max(highest[0], psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    stop.set()
    watcher.join()
    return (highest[0] - before) / 2**20


CASES: Mapping[str, Callable[[int], Case]] = {
    "mlp": mlp_case,
    "blocks": block_case,
    "clip": clip_case,
}
GOALS = {"mlp": (10_000, 2.0), "blocks": (32, 1.15), "clip": (64, 1.1)}
PAIRS = 28  # of the eight tasks of Section 4.3
TASK_SAMPLES = 5_000  # so that a pair has 10,000


def on_the_cpu(name: str, repeats: int, images: Sequence[int]) -> None:
    """Print a case's ratios of times and its peak memory at two or more sizes."""
    samples, goal = GOALS[name]
    case = CASES[name](samples)
    title = case.name
    # With one pair and one α both ways make the same passes, so that only memory tells them apart.
    ways = (bare, engine) if name == "clip" else (bare, engine, store_everything)
    seconds = rounds(case, ways, repeats)
    del case  # before other processes need the memory
    overheads = [ours / plain for plain, ours, *_ in seconds]
    print(f"\n{title}, {samples:,} samples{'' if name == 'clip' else ' a task'}")
    print(
        f"  engine over bare forward passes: {statistics.median(overheads):.2f} "
        f"({min(overheads):.2f} to {max(overheads):.2f}; goal: at most {goal})"
    )
    if store_everything in ways:
        gain = statistics.median(stored / ours for _, ours, stored in seconds)
        print(f"  storing everything over engine:  {gain:.1f}")
    sizes = images if name == "clip" else (samples // 4, samples)
    for way in ("engine", "store_everything"):
        peaks = (f"{peak_memory(name, n, way):,.0f} at {n:,}" for n in sizes)
        print(f"  MiB of memory of {way}: {', '.join(peaks)}", flush=True)


def on_the_gpu(architecture: str, samples: int, batch: int, repeats: int) -> None:
    """Print images per second, the share of bare speed, and how long Section 4.3's pairs take."""
    for dtype in (None, torch.bfloat16):
        case = clip_case(samples, architecture, batch, "cuda", dtype)
        seconds = rounds(case, (bare, engine), repeats)
        # Each image goes through both models and their mix.
        speeds = [3 * samples / statistics.median(times) for times in zip(*seconds, strict=True)]
        asked = ctl.addition("p", "abcdefgh", [0.4])
        hours = image_passes(asked) / speeds[1] / 3600
        print(f"\n{architecture}, {torch.cuda.get_device_name()}, {dtype or torch.float32}")
        print(f"  images per second: {speeds[1]:,.0f}, {speeds[1] / speeds[0]:.0%} of bare passes")
        print(f"  all {PAIRS} pairs at {2 * TASK_SAMPLES:,} samples: {hours:.2f} h")


def image_passes(asked: Iterable[ctl.Comparison]) -> int:
    """Passes of single images that comparisons take, each measured on its two tasks."""
    mixes = defaultdict(set)
    for one in asked:
        for task in one.tasks:
            sides = (one.left, *(mix for _, mix in one.right))
            mixes[task] |= {frozenset(mix.items()) for mix in sides}
    return TASK_SAMPLES * sum(map(len, mixes.values()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--cases", nargs="*", choices=CASES, default=list(CASES), help="which to run on the CPU"
    )
    parser.add_argument(
        "--images", nargs="+", type=int, default=[16, 64], help="for the memory of a CLIP tower"
    )
    options = parser.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.repeats} "
        "repetitions; ratios are noisy on a machine with other work"
    )
    for name in options.cases:
        on_the_cpu(name, options.repeats, options.images)
    if torch.cuda.is_available():
        on_the_gpu("ViT-B-32", 4096, 256, options.repeats)
        on_the_gpu("ViT-L-14", 1024, 64, options.repeats)


if __name__ == "__main__":
    main()
