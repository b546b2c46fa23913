"""What many checkpoints cost: time and memory as their number grows, and plans of pairs.

Networks are small and their weights random: all pairs of up to 100 of them, of more a plan in which
each has few partners, and all pairs of 72 MLPs of the book's size at three α. Each case runs in a
process of its own; its time is that of the processor, and is told as a ratio. With ``--save`` the
tables go to ``results/scale``, from which the book's page on scale is made:

    python benchmarks/scale.py
    python benchmarks/scale.py --all 10 30 100 300 --save
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import torch
from bench import added_peak, image_passes
from torch import Tensor, nn

import ctl_helpers as ctl
from ctl_helpers.analysis.sampled_pairs import mean_over_all_pairs
from ctl_helpers.models.mlp import MLP
from ctl_helpers.results import checksums, published_folder
from ctl_helpers.results.record import PROVENANCE, made_with

SIZES = {"small": (64, 32, 2), "MLP": (784, 100, 3)}
ALPHAS = {"small": (0.5,), "MLP": (0.25, 0.5, 0.75)}
SAMPLES = {"small": 64, "MLP": 100}
VALUE = ("relu2", "epsilon")
"""Whose mean over pairs plans estimate: a layer and a metric of the small networks."""

PLANS, KNOWN = 200, 60
"""How many plans, of how many networks all of whose pairs are known."""

TASKS = "abcdefgh"  # of Section 4.3


def checkpoints_of(model: nn.Module, count: int) -> dict[str, Mapping[str, Tensor]]:
    """Random checkpoints around a model's weights, some farther away than others."""
    reach = torch.linspace(0.05, 0.2, count).tolist()
    return {
        f"n{number:04}": {
            name: value + reach[number] * value.std() * torch.randn_like(value)
            for name, value in model.state_dict().items()
        }
        for number in range(count)
    }


def case_of(network: str, count: int, partners: int | None) -> Callable[[], pd.DataFrame]:
    """Gives the table of all pairs, or of those of a plan, of networks that are there already."""
    torch.manual_seed(0)
    inputs, width, depth = SIZES[network]
    model = MLP(inputs, width, depth)
    checkpoints = checkpoints_of(model, count)
    asked = ctl.pairs(checkpoints, ALPHAS[network], partners=partners)
    batches = [torch.randn(SAMPLES[network], inputs)]
    return partial(ctl.compare, model, checkpoints, asked, batches, progress=False)


def cost(network: str, count: int, partners: int | None) -> dict[str, object]:
    """Processor time and peak memory of one case, in this process."""
    torch.set_num_threads(1)
    case_of(network, 3, None)()  # so that what is made once per process is there
    compared, rows, seconds = case_of(network, count, partners), [], []

    def work() -> None:
        start = time.process_time()
        rows.append(len(compared()))
        seconds.append(time.process_time() - start)

    mib, pairs = added_peak(work), count * (partners or count - 1) // 2
    return {
        "network": network,
        "checkpoints": count,
        "partners": partners or count - 1,
        "pairs": pairs,
        "all_pairs": math.comb(count, 2),
        "comparisons": pairs * len(ALPHAS[network]),
        "seconds": seconds[0],
        "mib": mib,
        "rows": rows[0],
    }


def growth(all_pairs: list[int], plans: list[tuple[int, int]], mlps: list[int]) -> pd.DataFrame:
    """A row a case; ``ratio`` is the time of a comparison in units of the network's first case."""
    cases = [("small", count, None) for count in all_pairs]
    cases += [("small", count, partners) for count, partners in plans]
    cases += [("MLP", count, None) for count in mlps]
    rows = []
    for case in cases:
        # A fork of a process that has not run anything begins without importing.
        fork = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(1, mp_context=fork) as pool:
            rows.append(pool.submit(cost, *case).result())
        print(f"  {rows[-1]}", flush=True)
    table = pd.DataFrame(rows)
    each = table["seconds"] / table["comparisons"]
    return table.assign(ratio=each / each.groupby(table["network"]).transform("first"))


def plans_of(table: pd.DataFrame, partners: tuple[int, ...]) -> pd.DataFrame:
    """How plans of few partners estimate a mean over all pairs that is known.

    Columns ``partners``, ``pairs``, ``covered`` (the share of plans whose 95% interval has the
    mean), ``reach`` (half an interval, over the mean) and ``against_any`` (half an interval over
    that of as many pairs drawn at random).
    """
    layer, metric = VALUE
    chosen = table[(table["layer"] == layer) & (table["metric"] == metric)]
    whole = chosen.set_index(["i", "j"])["mean"]
    names = list(dict.fromkeys([*chosen["i"], *chosen["j"]]))
    rows = []
    for count in partners:
        estimates, spreads = [], []
        for seed in range(PLANS):
            asked = ctl.pairs(names, 0.5, partners=count, seed=seed)
            drawn = whole.loc[[(one.params["i"], one.params["j"]) for one in asked]]
            estimates.append(mean_over_all_pairs(drawn.reset_index(), "mean"))
            spreads.append(drawn.std() / math.sqrt(len(drawn)))
        reach = np.array([(one.high - one.low) / 2 for one in estimates])
        rows.append(
            {
                "checkpoints": len(names),
                "partners": count,
                "pairs": estimates[0].measured,
                "covered": np.mean([one.low < whole.mean() < one.high for one in estimates]),
                "reach": reach.mean() / whole.mean(),
                "against_any": (reach / (1.96 * np.array(spreads))).mean(),
            }
        )
    return pd.DataFrame(rows)


def shares(workers: tuple[int, ...]) -> pd.DataFrame:
    """The passes of Section 4.3's 28 pairs on so many workers, of which each takes every n-th."""
    asked = ctl.addition("p", TASKS, [0.4])
    alone = image_passes(asked)
    rows = []
    for count in workers:
        parts = [image_passes(asked[first::count]) for first in range(count)]
        rows.append({"workers": count, "busiest": max(parts) / alone, "sum": sum(parts) / alone})
    return pd.DataFrame(rows).assign(passes=alone)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", nargs="+", type=int, default=[10, 30, 100])
    parser.add_argument("--planned", nargs="+", type=int, default=[300, 1000])
    parser.add_argument("--partners", type=int, default=8)
    parser.add_argument("--mlps", nargs="*", type=int, default=[18, 72])
    parser.add_argument("--save", action="store_true", help="write results/scale")
    options = parser.parse_args()
    planned = [(count, options.partners) for count in options.planned]
    tables = {"growth": growth(options.all, planned, options.mlps), "shares": shares((1, 2, 4, 8))}
    whole = case_of("small", KNOWN, None)()
    tables["plans"] = plans_of(whole, (4, 8, 16))
    for name, table in tables.items():
        print(f"\n{name}\n{table.round(3).to_string(index=False)}")
    if options.save:
        folder = published_folder() / "scale"
        folder.mkdir(exist_ok=True)
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        facts = {"script": "benchmarks/scale.py", "parameters": vars(options)} | made_with()
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (folder / PROVENANCE).write_text(text, encoding="utf-8")
        checksums.update(published_folder(), [folder])


if __name__ == "__main__":
    main()
