"""Runs whose processes are killed, stopped or kept busy, or whose disk is full, and run again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import small_runs
from fault_rows import Row

from ctl_helpers.results.record import PROVENANCE
from ctl_helpers.runs.failures import NOTEBOOK
from ctl_helpers.store.artifacts import Store
from ctl_helpers.weights.checksums import file_checksum

_DATED = ("manifest.json", NOTEBOOK, PROVENANCE)  # hold times
_LONGEST = 1800


@dataclass
class Work:
    """What is run in the face of faults: a command in a copied checkout.

    Attributes:
        checkout: the copy.
        arguments: of ``ctl``.
        folder: where each try has its store.
        usual: what an undisturbed run stores, or else the first that is made again: file →
            checksum.
        seconds: how long an undisturbed one takes.
    """

    checkout: Path
    arguments: tuple[str, ...]
    folder: Path
    usual: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    _stores: int = 0

    def fresh(self) -> Path:
        """An empty store of one's own."""
        self._stores += 1
        folder = self.folder / f"store-{self._stores}"
        folder.mkdir(parents=True)
        return folder

    def start(self, store: Path, *more: str) -> subprocess.Popen[str]:
        """Begin to run."""
        places = {"PYTHONPATH": str(self.checkout), "CTL_STORE": str(store)}
        return small_runs.start(*self.arguments, *more, folder=self.checkout, **places)

    def finish(self, store: Path) -> tuple[int, str, float]:
        """Run to the end: exit code, output, seconds."""
        begun, process = time.monotonic(), self.start(store)
        output, _ = process.communicate(timeout=_LONGEST)
        return process.returncode, output, time.monotonic() - begun

    def undisturbed(self) -> Path:
        """Run once, and keep what is stored as the usual."""
        store = self.fresh()
        code, output, self.seconds = self.finish(store)
        if code:
            raise RuntimeError(output)
        self.usual = contents(store)
        return store

    def judged(self, store: Path) -> tuple[str | None, float]:
        """Run again until done: what is wrong with the store then, and how long it took."""
        code, output, seconds = self.finish(store)
        stray = [str(path) for path in store.glob("store/*/.*")] + list(
            map(str, (*store.glob("training/*.txt"), *store.glob("store/interim/*/*")))
        )
        if code:
            return f"the next run ended with {code}: {output[-300:]}", seconds
        self.usual = self.usual or contents(store)
        now = contents(store)
        other = [name for name in {**self.usual, **now} if now.get(name) != self.usual.get(name)]
        if other:
            # Sums of floats depend on how many threads share them, and those on the cores allowed.
            on = sorted(
                {
                    json.loads(path.read_text()).get("device", "?")
                    for path in _provenances(self.folder)
                }
            )
            told = f"{len(other)} files are other ones than usual, such as {other[0]}"
            return f"{told}; all runs were on {' and '.join(on)}", seconds
        return f"left behind: {stray[0]}" if stray else None, seconds


def _provenances(stores: Path) -> list[Path]:
    return [path for path in stores.glob(f"*/store/runs/*/tables/{PROVENANCE}") if path.is_file()]


def artifacts(store: Path) -> dict[str, int]:
    """Finished artifacts → when they were."""
    root, found = store / "store", {}
    for path in root.glob("*/*/manifest.json"):
        kind, key = path.parts[-3:-1]
        if Store(root).get(kind, key) is not None:
            with suppress(FileNotFoundError):
                found[f"{kind}/{key}"] = path.stat().st_mtime_ns
    return found


def contents(store: Path) -> dict[str, str]:
    """Files of finished artifacts → checksums, but for those that hold times."""
    folders = [store / "store" / name for name in artifacts(store)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in files if path.name not in _DATED]
    return {str(path.relative_to(store)): file_checksum(path) for path in kept}


def kill_all(process: subprocess.Popen[str]) -> None:
    """Kill the whole group at once, and wait for the kernels, which are groups of their own."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    psutil.wait_procs(family, timeout=30)


def killed(count: int, seed: int, work: Work) -> Row:
    """Kill the whole process group at random moments, up to three times a store, then run on."""
    draw, row = random.Random(seed), Row("whole group of `ctl run` killed", repeated=0)
    while row.tries < count:
        store, done = work.fresh(), dict[str, int]()
        kills = min(count - row.tries, draw.randrange(1, 4))
        for _ in range(kills):
            process = work.start(store)
            with suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, work.seconds))
            is_late = process.poll() is not None
            if not is_late:
                kill_all(process)
            done = artifacts(store)
            row.add("ended before" if is_late else "killed", 0.0)
        wrong, seconds = work.judged(store)
        row.seconds = max(row.seconds, seconds)
        after = artifacts(store)
        row.repeated = (row.repeated or 0) + sum(after.get(name) != at for name, at in done.items())
        row.wrong += [wrong] if wrong else []
    return row


def twice(count: int, work: Work) -> Row:
    """Two runs at once: each artifact is made once."""
    row = Row("two `ctl run` at once", repeated=0)
    for _ in range(count):
        store, seen, begun = work.fresh(), set[tuple[str, int]](), time.monotonic()
        both = [work.start(store) for _ in range(2)]
        while any(process.poll() is None for process in both):
            seen |= set(artifacts(store).items())
            time.sleep(0.5)
        codes = [process.returncode for process in both]
        seconds = time.monotonic() - begun
        row.repeated = (row.repeated or 0) + len(seen) - len({name for name, _ in seen})
        wrong, _ = work.judged(store)
        row.add(f"ended with {codes}", seconds, wrong or (None if not any(codes) else str(codes)))
        shutil.rmtree(store)
    return row


def healed(count: int, seed: int, whole: Path, work: Work) -> Row:
    """Damage three files of a finished store at once and run again."""
    draw, row = random.Random(seed), Row("three files damaged, run again")
    for _ in range(count):
        store = work.fresh()
        shutil.copytree(whole / "store", store / "store")
        files = sorted(path for path in store.glob("store/*/*/**/*") if path.is_file())
        for path in draw.sample(files, 3):
            content = path.read_bytes()
            path.write_bytes(content[: draw.randrange(len(content))])
        wrong, seconds = work.judged(store)
        row.add("as before" if wrong is None else "otherwise", seconds, wrong)
        shutil.rmtree(store)
    return row


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A disk of so many bytes mounted in a folder; gives False where this user may mount none."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    is_there = subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def full(count: int, work: Work) -> Row:
    """A disk that is full at places evenly through what a run writes, then made larger."""
    row, folder = Row("disk full"), work.fresh()
    with small_disk(folder, 2**30) as is_there:
        if not is_there:
            row.fault += " (not tried: no right to mount)"
            return row
        work.finish(folder)
        most = shutil.disk_usage(folder).used
    for number in range(count):
        pages = max(1, int(most * (number + 0.5) / count / 4096))
        with small_disk(folder, 4096 * pages):
            code, output, seconds = work.finish(folder)
            lines = len(output.splitlines())
            is_told = "no space is left on the disk" in output and lines < 15
            subprocess.run(["mount", "-o", "remount,size=1g", str(folder)], check=True)
            wrong, _ = work.judged(folder)
        if code and not is_told:
            wrong = f"{pages} pages: {lines} lines: {output[-600:]}"
        row.add("told" if is_told else f"ended with {code}", seconds, wrong)
    return row


# One process among those of a run.


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, int]]:
    """A scheduler and a worker, each a group of processes: address and process of the first."""
    place = folder / "scheduler.json"
    place.unlink(missing_ok=True)
    silent = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "20s", "PYTHONPATH": str(folder)}
    silent["CTL_STORE"] = str(folder / ".ctl")

    def begin(tool: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{tool}", "--no-dashboard", *arguments],
            cwd=folder, env={**os.environ, **silent}, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    opened = [begin("scheduler", "--port", "0", "--scheduler-file", str(place))]
    try:
        small_runs.wait_until(place.exists, 120, "the scheduler")
        address = json.loads(place.read_text())["address"]
        opened.append(begin("worker", address, "--nworkers", "1", "--nthreads", "1"))
        yield address, opened[0].pid
    finally:
        for process in opened:
            family = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.kill()
            process.wait()


def _block(address: str, whom: str) -> None:
    """Keep the loop of events of the scheduler, or of its workers, from going on."""
    code = (
        "import sys, time; from distributed import Client; client = Client(sys.argv[1]); "
        f"client.{'run_on_scheduler' if whom == 'scheduler' else 'run'}(time.sleep, 300)"
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen(["timeout", "20", sys.executable, "-c", code, address], **quiet)
    time.sleep(10)


MEMBERS = [(whom, how) for whom in ("kernel", "worker", "scheduler") for how in
           ("killed", "stopped", "busy")]  # fmt: skip
_SIGNALS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}


def member(whom: str, how: str, checkout: Path) -> Row:
    """Kill, stop or keep busy one process of a run while its notebook runs; then run again.

    Args:
        whom: ``"kernel"``, ``"worker"`` or ``"scheduler"``.
        how: ``"killed"``, ``"stopped"`` or ``"busy"``.
        checkout: a copied one, that was made simple.
    """
    row, work = Row(f"{whom} {how}"), Work(checkout, ("run", "--profile", "fast"), checkout)
    store = checkout / ".ctl"
    shutil.rmtree(store, ignore_errors=True)
    (checkout / "log.txt").unlink(missing_ok=True)
    wait = checkout / ("busy" if (whom, how) == ("kernel", "busy") else "sleep")
    wait.touch()
    with cluster(checkout) as (address, scheduler):
        is_given = whom == "scheduler" or (whom, how) == ("worker", "busy")
        more = ["--scheduler", address] if is_given else []
        process = work.start(store, "--idle-minutes", "0.4", *more)
        small_runs.wait_until(lambda: bool(small_runs.ran(checkout)), 300, "the cell")
        _, kernel, worker = small_runs.ran(checkout)[0]
        begun, found = time.monotonic(), {"kernel": kernel, "worker": worker}
        if how in _SIGNALS:
            os.kill({**found, "scheduler": scheduler}[whom], _SIGNALS[how])
        elif whom != "kernel":
            _block(address, whom)
        else:  # it may compute for days, so a person ends it
            time.sleep(10)
            os.killpg(process.pid, signal.SIGINT)
        if whom == "worker":
            wait.unlink()  # what another worker runs instead goes through
        end, wrong = _ended(process)
    wait.unlink(missing_ok=True)
    seconds = time.monotonic() - begun
    code, output, _ = work.finish(store)
    if not wrong and (code or small_runs.stored(checkout) != [0]):
        wrong = f"the next run ended with {code}: {output[-300:]}"
    row.add(end, seconds, wrong)
    return row


def _ended(process: subprocess.Popen[str]) -> tuple[str, str | None]:
    try:
        output, _ = process.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        kill_all(process)
        return "never ended", "never ended"
    end = "went on by itself" if process.returncode == 0 else f"told, {process.returncode}"
    is_short = len(output.splitlines()) < 15 and "Traceback" not in output
    return end, None if is_short else output[-600:]
