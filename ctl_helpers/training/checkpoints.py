"""Training in the store: each wanted epoch of a run is an artifact, and no epoch runs twice."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ctl_helpers.data.images import Images
from ctl_helpers.project import work_folder
from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.training.loop import Recipe, Snapshot, epochs

# Saving a snapshot takes a fraction of a second; an interrupted run loses this much at most.
_SECONDS_BETWEEN_SAVES = 10.0
_WEIGHTS, _MOMENTUM, _LOSS = "weights.safetensors", "momentum.safetensors", "loss.json"


@dataclass(frozen=True)
class Checkpoint:
    """Weights in the store: the artifact's folder, and what made them in a person's words."""

    folder: Path
    label: str

    @property
    def key(self) -> str:
        """Digest of all that the weights depend on."""
        return self.folder.name

    def weights(self) -> dict[str, Tensor]:
        """The state dict."""
        return load_file(self.folder / _WEIGHTS)

    def snapshot(self, epoch: int) -> Snapshot:
        """The weights with what is needed to train on."""
        momentum = load_file(self.folder / _MOMENTUM)
        loss = json.loads((self.folder / _LOSS).read_text(encoding="utf-8"))
        return Snapshot(epoch, self.weights(), momentum, loss)


def trajectory(
    label: str,
    facts: Mapping[str, object],
    recipe: Recipe,
    wanted: Collection[int],
    model: Callable[[], nn.Module],
    start: Callable[[], Mapping[str, Tensor]],
    images: Callable[[], Images],
    seed: int,
) -> dict[int, Checkpoint]:
    """Checkpoints after some epochs of one training run, trained where they are not stored.

    Training begins at the last stored epoch before the first missing one. It keeps its newest
    epoch on disk, so that an interrupted run goes on where it was.

    Args:
        label: what a person calls the run, for progress.
        facts: what the weights depend on besides the recipe: network, data, task, start, seed,
            source code.
        recipe: how to train; its number of epochs is not used.
        wanted: the epochs to give; 0 is the start.
        model: makes the architecture.
        start: gives the weights to begin with.
        images: gives the training set.
        seed: decides the order of samples.
    """
    base = {"facts": dict(facts), "recipe": asdict(replace(recipe, epochs=0)), "seed": seed}

    def train(begin: Snapshot, last: int) -> Iterator[Snapshot]:
        return epochs(model(), begin, images(), replace(recipe, epochs=last), seed)

    return stored(label, base, wanted, start, train)


def stored(
    label: str,
    facts: Mapping[str, object],
    wanted: Collection[int],
    start: Callable[[], Mapping[str, Tensor]],
    train: Callable[[Snapshot, int], Iterator[Snapshot]],
    unit: str = "epochs",
) -> dict[int, Checkpoint]:
    """As :func:`trajectory`, for training of any sort.

    Args:
        label: what a person calls the run, for progress.
        facts: all that the weights depend on, but for how long they are trained.
        wanted: after how many epochs (or steps) to give a checkpoint; 0 is the start.
        start: gives the weights to begin with.
        train: snapshots from one on, up to a last epoch (or step).
        unit: what is counted, in the plural.
    """
    store = Store()

    def key(epoch: int) -> str:
        return digest({**facts, "epoch": epoch})

    def found(epoch: int) -> Checkpoint | None:
        folder = store.get("checkpoints", key(epoch))
        return Checkpoint(folder, f"{label}, {epoch} {unit}") if folder else None

    def keep(snapshot: Snapshot) -> Path:
        return store.make("checkpoints", key(snapshot.epoch), lambda at: _write(at, snapshot))

    lock = store.root / "checkpoints" / f"{digest(dict(facts))}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that want other epochs of one run share it, one after the other.
    with FileLock(lock):
        missing = [epoch for epoch in sorted(wanted) if found(epoch) is None]
        if missing[:1] == [0]:
            keep(Snapshot(0, dict(start())))
            missing.pop(0)
        if missing:
            stored = ((epoch, found(epoch)) for epoch in range(missing[0] - 1, 0, -1))
            epoch, begun = next(((e, at) for e, at in stored if at is not None), (0, None))
            begin = begun.snapshot(epoch) if begun else Snapshot(0, dict(start()))
            last = missing[-1]
            interim, saved = None, time.monotonic()
            for snapshot in _reported(label, train(begin, last), epoch, last, unit):
                unknown = snapshot.epoch not in wanted and found(snapshot.epoch) is None
                if unknown and time.monotonic() - saved < _SECONDS_BETWEEN_SAVES:
                    continue
                kept, saved = keep(snapshot), time.monotonic()
                if interim is not None:
                    shutil.rmtree(interim)
                interim = kept if unknown else None
    return {epoch: checkpoint for epoch in wanted if (checkpoint := found(epoch))}


@contextmanager
def _status(label: str) -> Iterator[Callable[[str], None]]:
    """Tells how training goes: in a file for other processes, and on a terminal's last line."""
    path = status_folder() / f"{os.getpid()}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = sys.stderr.isatty()

    def tell(text: str) -> None:
        path.write_text(f"{label}: {text}", encoding="utf-8")
        if shown:
            print(f"\r\033[K{label}: {text}", end="", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        path.unlink(missing_ok=True)
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def status_folder() -> Path:
    """Where each process that trains writes one line on how far it is."""
    return work_folder() / "training"


def _reported(
    label: str, run: Iterator[Snapshot], done: int, last: int, unit: str
) -> Iterator[Snapshot]:
    """The snapshots of a run, with progress and an estimate of the time left told after each."""
    begin = time.monotonic()
    with _status(label) as tell:
        tell(f"{done} of {last} {unit}")
        for snapshot in run:
            pace = (time.monotonic() - begin) / (snapshot.epoch - done)
            left = pace * (last - snapshot.epoch)
            tell(
                f"{snapshot.epoch} of {last} {unit}, loss {snapshot.loss:.3f}, "
                f"{1 / pace:.2g} {unit} a second, {left:.0f} s left"
            )
            yield snapshot


def _write(folder: Path, snapshot: Snapshot) -> None:
    save_file(snapshot.weights, folder / _WEIGHTS)
    save_file(snapshot.momentum, folder / _MOMENTUM)
    (folder / _LOSS).write_text(json.dumps(snapshot.loss), encoding="utf-8")
