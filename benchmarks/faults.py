"""What faults do to runs, stores, results and weight files: a table, made on demand.

Processes are killed, stopped and kept busy, disks are full, files are damaged in five ways each,
and weight files are changed at random and read under a watch. What may be lost is the work that was
going on; what is finished may neither change nor be made again.

    python benchmarks/faults.py                          # an hour of one core
    python benchmarks/faults.py --only kills files --kills 5
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))  # whose helpers make copies and small runs

import built  # noqa: E402
import damaged  # noqa: E402
import killed  # noqa: E402
import mutated  # noqa: E402
import small_runs  # noqa: E402
from conftest import copied  # noqa: E402
from fault_rows import Row  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

COLUMNS = ("fault", "tries", "wrong", "repeated", "foreign code", "worst s", "worst MiB", "ends")
# The cheapest section of the fast profile.
RUN = ("run", "--profile", "fast", "--section", "4.1", "--setting", "digits-mlp")


@contextmanager
def looking_at(checkout: Path) -> Iterator[None]:
    """While open, results are those of a checkout."""
    here, store = Path.cwd(), os.environ.get("CTL_STORE")
    os.chdir(checkout)
    os.environ["CTL_STORE"] = str(checkout / ".ctl")
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.pop("CTL_STORE")
        if store is not None:
            os.environ["CTL_STORE"] = store


def of_files(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Weight files and results."""
    seed = options.seed
    for kind, count in (("pickles", options.pickles), ("headers", options.headers)):
        if count:
            (folder / kind).mkdir()
            yield mutated.fault(kind, count, seed, folder / kind)
    if options.results:
        checkout = copied(folder / "results")
        with looking_at(checkout):
            yield damaged.results(options.results, seed, checkout / "results")


def of_runs(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A run of the fast profile, and its store."""
    asked = ("files", "swaps", "kills", "twice", "heals", "full")
    if not any(vars(options)[name] for name in asked):
        return
    work = killed.Work(copied(folder / "checkout"), RUN, folder / "stores")
    whole, seed = work.undisturbed(), options.seed
    finished = len(killed.artifacts(whole))
    print(f"undisturbed: {work.seconds:.0f} s, {finished} artifacts", flush=True)
    yield damaged.store(options.files, seed, whole / "store", folder / "store")
    yield damaged.swapped(options.swaps, seed, folder / "store")
    yield killed.killed(options.kills, seed, work)
    yield killed.twice(options.twice, work)
    yield killed.healed(options.heals, seed, whole, work)
    yield killed.full(options.full, work)


def of_processes(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """One process of a small run, and what builds and prints the site."""
    if options.members:
        small = copied(folder / "small")
        small_runs.simplify(small)
        for whom, how in killed.MEMBERS * options.members:
            yield killed.member(whom, how, small)
    if options.pdfs:
        yield built.pdfs(options.pdfs, options.seed, folder / "pdf")
    if options.sites:
        yield built.sites(options.sites, options.seed, copied(folder / "site"))


def shown(made: list[Row]) -> None:
    """Print the table, and under it what was wrong."""
    table = Table(*COLUMNS, title=f"seed and time: {time.strftime('%Y-%m-%d')}")
    for row in made:
        table.add_row(*row.cells())
    Console(width=160).print(table)
    for row in made:
        for line in row.wrong:
            print(f"{row.fault}: {line}")


def main() -> None:
    """Try what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    counts = {
        "kills": 50, "twice": 2, "heals": 3, "full": 20, "members": 1, "files": 1000, "swaps": 50,
        "results": 1000, "pickles": 1000, "headers": 1000, "pdfs": 10, "sites": 2,
    }  # fmt: skip
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--only", nargs="+", choices=counts, default=list(counts))
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    vars(options).update({name: 0 for name in counts if name not in options.only})
    print(f"seed {options.seed}")
    made, folder = [], Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        for row in chain(*(part(options, folder) for part in (of_files, of_runs, of_processes))):
            if row.tries:
                print(" | ".join(row.cells()), *row.wrong, sep="\n  ", flush=True)
                made.append(row)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shown(made)
    sys.exit(any(row.wrong or row.repeated or row.foreign for row in made))


if __name__ == "__main__":
    main()
