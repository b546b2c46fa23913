"""Networks of true sizes under a limit of memory that is less than one model takes.

The limit is on what a process claims for itself to write to (RLIMIT_DATA): its heap, and files that
are mapped for reading and writing, as tensors are. Libraries and threads' reserves do not count, as
they would in its address space (RLIMIT_AS), of which torch alone takes gigabytes; and what is
resident cannot be limited on Linux.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import ROOT
from transformers import LlamaConfig, T5Config

from ctl_helpers.engine.mix import StateDict
from ctl_helpers.models.llama import Llama
from ctl_helpers.models.t5 import T5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux"),
]

T5_BASE = T5Config(
    d_model=768, d_ff=3072, num_layers=12, num_heads=12, decoder_start_token_id=0, dropout_rate=0.0
)
LLAMA_1B = LlamaConfig(  # the shape of TinyLlama 1.1B
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
)
KINDS = {torch.float32: "F32", torch.bfloat16: "BF16"}

UNDER_A_LIMIT = r"""
import json, os, re, resource, sys
import torch
import transformers
import ctl_helpers as ctl
from ctl_helpers.models.llama import Llama
from ctl_helpers.models.t5 import T5
from ctl_helpers.weights.files import lazy

kind, config, files, limit = json.loads(sys.argv[1])
with torch.device("meta"):
    model = {"T5": T5, "Llama": Llama}[kind](getattr(transformers, f"{kind}Config")(**config))
checkpoints = {name: lazy(path) for name, path in files.items()}
ids = torch.randint(2, 16, (4, 6), generator=torch.Generator().manual_seed(0))
batches = [{"input_ids": part, "attention_mask": torch.ones_like(part)} for part in ids.split(2)]
asked = ctl.addition("p", "ab", [0.4]) if "p" in files else ctl.pairs("ab", [0.5])

with open("/proc/self/status") as status:
    claimed = int(re.search(r"VmData:\s+(\d+) kB", status.read())[1]) * 2**10
resource.setrlimit(resource.RLIMIT_DATA, (claimed + limit, claimed + limit))
usual = os.fork()
stream = False if usual == 0 else None  # chosen by itself
if usual:
    print(os.waitpid(usual, 0)[1], flush=True)
options = {"max_memory": 0.95 * limit, "stream": stream}
print(ctl.compare(model, checkpoints, asked, batches, **options).to_json())
"""


def sparse_file(path: Path, shapes: StateDict, kind: torch.dtype, seed: int) -> Path:
    """A safetensors file whose tensors begin with random numbers and go on with a hole of zeros.

    It takes megabytes of the disk, whatever its size.
    """
    header, end = {}, 0
    for name, tensor in shapes.items():
        places = [end, end := end + tensor.numel() * kind.itemsize]
        shape = list(tensor.shape)
        header[name] = {"dtype": KINDS[kind], "shape": shape, "data_offsets": places}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    shared, own = torch.Generator().manual_seed(0), torch.Generator().manual_seed(seed)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in shapes.items():
            count = min(tensor.numel(), 2**15)
            values = torch.randn(count, generator=shared) + 0.1 * torch.randn(count, generator=own)
            values = 1 + 0.1 * values if "norm" in name else 0.05 * values
            file.seek(8 + len(text) + header[name]["data_offsets"][0])
            file.write(values.to(kind).view(torch.uint8).numpy().tobytes())
        file.truncate(8 + len(text) + end)
    return path


@pytest.mark.parametrize(
    ("network", "config", "kind", "names", "parameters", "share"),
    [
        (T5, T5_BASE, torch.float32, "pab", 222_903_552, 0.85),
        (Llama, LLAMA_1B, torch.bfloat16, "ab", 1_100_048_384, 0.5),
    ],
    ids=["T5-base", "Llama of 1.1 billion"],
)
def test_streaming_passes_under_a_limit_less_than_one_model(
    network: type[T5 | Llama],
    config: T5Config | LlamaConfig,
    kind: torch.dtype,
    names: str,
    parameters: int,
    share: float,
    tmp_path: Path,
) -> None:
    with torch.device("meta"):
        model = network(config)
    shapes = model.state_dict()
    assert sum(tensor.numel() for tensor in shapes.values()) == parameters
    files = {
        name: str(sparse_file(tmp_path / f"{name}.safetensors", shapes, kind, seed))
        for seed, name in enumerate(names, 1)
    }
    one_model = parameters * kind.itemsize
    assert all(Path(path).stat().st_size > one_model for path in files.values())

    given = [network.__name__, config.to_diff_dict(), files, int(share * one_model)]
    done = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, json.dumps(given)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    usual, streamed = done.stdout.splitlines()
    assert int(usual)
    # At exit torch may run out of memory once more, and tell that last.
    assert re.search(r"^(MemoryError|\w+: .*memory)", done.stderr, re.MULTILINE)
    table = pd.read_json(io.StringIO(streamed))
    assert list(dict.fromkeys(table["layer"])) == list(model.feature_layers)
    assert (table["n"] == 4).all()
    mean = table.pivot(index="layer", columns="metric", values="mean")
    assert (mean["distance"] > 0).all()
    assert (mean["baseline"] > mean["distance"]).all()
