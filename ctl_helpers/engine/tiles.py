"""Many comparisons in tiles, so that memory does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from ctl_helpers.engine.batches import ByTask
from ctl_helpers.engine.linearity import Comparison, Linearity
from ctl_helpers.engine.progress import progress_bar

MOST = 256
"""Comparisons of a tile; as many or fewer are measured in one go."""

_SIDE = 8
"""Checkpoints along a tile's side: of 64 pairs each needs 16 checkpoints' own passes, not 65."""

_BYTES = 2**28
_HELD = 5  # times the numbers of every sample that a measurement gives is what it holds on the way


def can_be_read_again(streams: ByTask) -> bool:
    """Whether each tile would be given the same samples: a loader may shuffle, or end."""
    return all(isinstance(stream, (list, tuple)) for stream in streams.values())


def near_first(comparisons: Sequence[Comparison]) -> list[int]:
    """Positions in an order in which those of the same few checkpoints follow each other."""
    rank: dict[str, int] = {}
    groups = []
    for comparison in comparisons:
        names = {name for mix in comparison.mixes() for name in mix}
        groups.append(sorted({rank.setdefault(name, len(rank)) // _SIDE for name in sorted(names)}))
    return sorted(range(len(groups)), key=groups.__getitem__)


def tiled(
    comparisons: Sequence[Comparison],
    measured: Callable[..., Linearity],
    layers: str | Iterable[str] | None,
    progress: bool | None,
) -> pd.DataFrame:
    """The table of all comparisons, of which a tile is measured at a time.

    Args:
        comparisons: all of them.
        measured: measures some of them, with features of ``layers``.
        layers: which ones; None for those that the first tile chooses.
        progress: whether a bar counts comparisons; by default on a terminal.
    """
    tables, tiles = [], Tiles(comparisons)
    with progress_bar(len(comparisons), "comparisons", progress) as tick:
        for tile in tiles:
            part = measured([comparisons[position] for position in tile], layers=layers)
            table = part.table()
            table["comparison"] = np.asarray(tile)[table["comparison"]]
            tables.append(table)
            layers = part.layers
            tiles.fit(part)
            tick(len(tile))
    whole = pd.concat(tables, ignore_index=True).sort_values("comparison", kind="stable")
    whole = whole.reset_index(drop=True)
    whole.attrs = tables[0].attrs
    return whole


class Tiles(Iterator[list[int]]):
    """Positions of comparisons, tile by tile; later tiles are of a size that fits in memory.

    Args:
        comparisons: all of them.
    """

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        self._waiting, self._most = near_first(comparisons), MOST

    def __next__(self) -> list[int]:
        if not self._waiting:
            raise StopIteration
        tile, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        return tile

    def fit(self, measured: Linearity) -> None:
        """Let the next tile hold no more than it may, by what the last one gave."""
        size = sum(values.nbytes for values in measured.values.values())
        each = _HELD * size / len(measured.comparisons)
        self._most = max(1, min(MOST, int(_BYTES / max(1.0, each))))
