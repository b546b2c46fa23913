"""Streaming against holding the weights: time and peak memory on text networks of true sizes.

Each way runs in a process of its own, in turn; the ratio of times is the median over repetitions.
Weights are random. By default they lie in sharded files, in a temporary folder; with ``--seeded``
they are made by seed on the device at each reading, for a network that would fill the disk:

    python benchmarks/stream.py                          # T5-base, as in make bench
    python benchmarks/stream.py --shapes llama-1b
    python benchmarks/stream.py --shapes llama-2-7b --device cuda --samples 1000 --tokens 128
    python benchmarks/stream.py --shapes llama-2-13b --seeded --device cuda --samples 1000
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from bench import added_peak
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, T5Config

import ctl_helpers as ctl
from ctl_helpers.engine.lazy_state import LazyState
from ctl_helpers.engine.mix import StateDict
from ctl_helpers.models.llama import Llama
from ctl_helpers.models.t5 import T5
from ctl_helpers.models.text import TextNetwork
from ctl_helpers.weights.files import lazy

NAMES = ("p", "a", "b")


@dataclass(frozen=True)
class Case:
    """What is measured: addition of two task vectors, on random prompts without padding.

    Attributes:
        shape: the network's, a key of ``SHAPES``.
        samples, tokens, batch: how many prompts, of what length, in batches of how many.
        device: where to run.
        folder: where the checkpoints' files lie; None for weights by seed.
    """

    shape: str
    samples: int
    tokens: int
    batch: int
    device: str
    folder: str | None


def t5_base() -> TextNetwork:
    return T5(T5Config(d_model=768, d_ff=3072, num_layers=12, num_heads=12, dropout_rate=0.0))


def llama(width: int, inner: int, layers: int, heads: int, key_values: int) -> TextNetwork:
    return Llama(
        LlamaConfig(
            hidden_size=width,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=key_values,
        )
    )


# The network, and the type of its published weights. The second is TinyLlama's shape.
SHAPES = {
    "t5-base": (t5_base, torch.float32),
    "llama-1b": (lambda: llama(2048, 5632, 22, 32, 4), torch.bfloat16),
    "llama-2-7b": (lambda: llama(4096, 11008, 32, 32, 32), torch.bfloat16),
    "llama-2-13b": (lambda: llama(5120, 13824, 40, 40, 40), torch.bfloat16),
}


def network(shape: str) -> TextNetwork:
    """The architecture alone."""
    with torch.device("meta"):
        return SHAPES[shape][0]()


def seeded(shapes: StateDict, dtype: torch.dtype, name: str, device: str) -> LazyState:
    """A checkpoint whose tensors are made when they are asked for, always the same.

    Args:
        shapes: name → a tensor of that shape.
        dtype: of the weights.
        name: checkpoints of other names are a little apart.
        device: where tensors are made.
    """
    meta = {key: tensor.to("meta", dtype) for key, tensor in shapes.items()}

    def drawn(owner: str, key: str) -> Tensor:
        generator = torch.Generator(device).manual_seed(zlib.crc32(f"{owner}/{key}".encode()))
        return torch.randn(meta[key].shape, dtype=dtype, device=device, generator=generator)

    def made(key: str) -> Tensor:
        shift = drawn(name, key)
        return drawn("base", key).mul_(0.02).add_(shift, alpha=0.002).add_("norm" in key)

    return LazyState(meta, made)


def save(model: TextNetwork, dtype: torch.dtype, name: str, folder: Path, device: str) -> None:
    """A checkpoint in a shard a stage, with their index; its weights are drawn on ``device``."""
    state, where = seeded(model.state_dict(), dtype, name, device), {}
    folder.mkdir()
    for stage in model.stages():
        keys = [key for key in state if key.startswith(stage.prefixes) and key not in where]
        if keys:
            shard = f"{stage.name}.safetensors"
            save_file({key: state[key].cpu() for key in keys}, folder / shard)
            where |= dict.fromkeys(keys, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def run(case: Case, stream: bool) -> None:
    """Eq. 2 at one λ: three mixes of three checkpoints."""
    model, (_, dtype) = network(case.shape), SHAPES[case.shape]
    if case.folder is None:
        shapes = model.state_dict()
        checkpoints = {name: seeded(shapes, dtype, name, case.device) for name in NAMES}
    else:
        index = "model.safetensors.index.json"
        checkpoints = {name: lazy(Path(case.folder) / name / index) for name in NAMES}
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 32000, (case.samples, case.tokens), generator=generator)
    batches = [
        {"input_ids": part, "attention_mask": torch.ones_like(part)}
        for part in ids.split(case.batch)
    ]
    pairs = ctl.addition("p", "ab", [0.4])
    ctl.compare(model, checkpoints, pairs, batches, device=case.device, stream=stream)


def print_run(case: Case, stream: bool) -> None:
    """Run one way once and print its seconds and its peak memory in MiB, on the device's side."""
    begun = time.perf_counter()
    added = added_peak(lambda: run(case, stream))
    seconds = time.perf_counter() - begun
    if case.device == "cuda":
        added = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps([seconds, added]))


def measured(case: Case, stream: bool) -> tuple[float, float]:
    """Seconds and MiB of one way, in a process of its own."""
    code = f"import stream; stream.print_run(stream.Case(**{asdict(case)!r}), {stream})"
    folder = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    seconds, added = json.loads(done.stdout.splitlines()[-1])
    return seconds, added


def report(case: Case, ways: Mapping[str, bool], repeats: int) -> None:
    """Print times, peaks and, where both ways were run, the ratio."""
    with torch.device("meta"):
        size = sum(t.numel() for t in network(case.shape).state_dict().values())
    size *= SHAPES[case.shape][1].itemsize / 2**20
    print(f"\n{case.shape}, {size:,.0f} MiB a checkpoint, {case.samples:,} × {case.tokens} tokens")
    runs_of = defaultdict(list)
    for _ in range(repeats):
        for way, stream in ways.items():
            runs_of[way].append(measured(case, stream))
    for way, runs in runs_of.items():
        seconds, peaks = map(statistics.median, zip(*runs, strict=True))
        speed = 3 * case.samples / seconds
        print(
            f"  {way}: {seconds:.1f} s, {speed:,.1f} passes of a sample a second, {peaks:,.0f} MiB"
        )
    if len(runs_of) == 2:
        ratios = [a[0] / b[0] for a, b in zip(*runs_of.values(), strict=True)]
        print(
            f"  streaming over holding the weights: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["t5-base"])
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeded", action="store_true", help="make weights instead of reading")
    parser.add_argument("--only-streaming", action="store_true", help="where the rest does not fit")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}")
    ways = {"streaming": True} | ({} if options.only_streaming else {"holding": False})
    for shape in options.shapes:
        with tempfile.TemporaryDirectory() as folder:
            if not options.seeded:
                model, (_, dtype) = network(shape), SHAPES[shape]
                for name in NAMES:
                    save(model, dtype, name, Path(folder) / name, options.device)
            sizes = {"samples": options.samples, "tokens": options.tokens, "batch": options.batch}
            source = None if options.seeded else folder
            report(
                Case(shape, **sizes, device=options.device, folder=source), ways, options.repeats
            )


if __name__ == "__main__":
    main()
