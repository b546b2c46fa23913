"""Training in the store: each wanted epoch of a run is an artifact, and no epoch runs twice."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.store.status import waiting_for
from ctl_helpers.training.loop import Snapshot
from ctl_helpers.training.progress import reported

# Saving a snapshot takes a fraction of a second; an interrupted run loses this much at most.
_SECONDS_BETWEEN_SAVES = 10.0
_WANTED, _INTERIM = "checkpoints", "interim"  # kinds of artifact
_WEIGHTS, _OPTIMIZER, _LOSS = "weights.safetensors", "optimizer.safetensors", "loss.json"


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

    def snapshot(self, done: int) -> Snapshot:
        """The weights with what is needed to train on."""
        loss = json.loads((self.folder / _LOSS).read_text(encoding="utf-8"))
        return Snapshot(done, self.weights(), load_file(self.folder / _OPTIMIZER), loss)


@dataclass(frozen=True)
class Run:
    """A run of training, whose checkpoints are stored.

    Attributes:
        label: what a person calls it.
        facts: all that the weights depend on, but for how long they are trained.
        start: gives the weights to begin with.
        train: snapshots from one on, up to a last epoch (or step).
        unit: what is counted, in the plural.
    """

    label: str
    facts: Mapping[str, object]
    start: Callable[[], Mapping[str, Tensor]]
    train: Callable[[Snapshot, int], Iterator[Snapshot]]
    unit: str = "epochs"

    def checkpoints(self, wanted: Collection[int]) -> dict[int, Checkpoint]:
        """Checkpoints after some epochs (or steps), trained where they are not stored.

        Training begins at the last stored one before the first missing one. It keeps its newest
        on disk, so that an interrupted run goes on where it was.

        Args:
            wanted: which to give; 0 is the start.
        """
        lock = Store().root / "checkpoints" / f"{digest(dict(self.facts))}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        # Two processes that want other epochs of one run share it, one after the other.
        with waiting_for(lock, f"training of {self.label}"):
            missing = [number for number in sorted(wanted) if self._stored(number) is None]
            if missing[:1] == [0]:
                self._keep(Snapshot(0, dict(self.start())))
                missing.pop(0)
            if missing:
                self._train(missing)
            else:  # one that was stopped when it had all may not have come to this
                self._forget(max(wanted, default=0))
        stored = {number: self._stored(number) for number in wanted}
        return {number: checkpoint for number, checkpoint in stored.items() if checkpoint}

    def _train(self, missing: list[int]) -> None:
        begin, last = self._begin(missing[0]), missing[-1]
        saved = time.monotonic()
        snapshots = self.train(begin, last)
        for snapshot in reported(self.label, snapshots, begin.done, last, self.unit):
            passing = snapshot.done not in missing and self._stored(snapshot.done) is None
            if passing and time.monotonic() - saved < _SECONDS_BETWEEN_SAVES:
                continue
            self._keep(snapshot, _INTERIM if passing else _WANTED)
            self._forget(snapshot.done)
            saved = time.monotonic()

    def _forget(self, done: int) -> None:
        """Delete what was kept on the way to here, by this process or by one that was stopped."""
        left = list((Store().root / _INTERIM).glob("*"))
        kept = {self._key(number) for number in range(1, done)} if left else set()
        for path in left:
            if path.name.lstrip(".").partition("-")[0].partition(".")[0] in kept:
                shutil.rmtree(path, ignore_errors=True)
                path.unlink(missing_ok=True)

    def _begin(self, first: int) -> Snapshot:
        for number in range(first - 1, 0, -1):
            if checkpoint := self._stored(number) or self._stored(number, _INTERIM):
                return checkpoint.snapshot(number)
        return Snapshot(0, dict(self.start()))

    def _key(self, number: int) -> str:
        return digest({**self.facts, self.unit: number})

    def _stored(self, number: int, kind: str = _WANTED) -> Checkpoint | None:
        folder = Store().get(kind, self._key(number))
        return Checkpoint(folder, f"{self.label}, {number} {self.unit}") if folder else None

    def _keep(self, snapshot: Snapshot, kind: str = _WANTED) -> None:
        Store().make(kind, self._key(snapshot.done), lambda folder: _write(folder, snapshot))


def _write(folder: Path, snapshot: Snapshot) -> None:
    save_file(snapshot.weights, folder / _WEIGHTS)
    save_file(snapshot.optimizer, folder / _OPTIMIZER)
    (folder / _LOSS).write_text(json.dumps(snapshot.loss), encoding="utf-8")
