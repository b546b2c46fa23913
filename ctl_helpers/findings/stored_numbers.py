"""The numbers of one setting that claims ask for, from what is stored of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np
import pandas as pd

from ctl_helpers import results
from ctl_helpers.findings.claims import Measured
from ctl_helpers.findings.finding import MEASURES
from ctl_helpers.findings.replicates import Sample


class StoredNumbers:
    """The tables of one setting's runs of a section, each read once, and their numbers."""

    def __init__(self, section: str, runs: Sequence[results.Run]) -> None:
        self.section = section
        self._runs = runs
        self._read: dict[str, pd.DataFrame | None] = {}
        self._samples: dict[str, Sample | None] = {}
        self._names: Mapping[str, str] = {}

    def of(self, names: Mapping[str, str]) -> StoredNumbers:
        """The same for a claim that calls some of the tables otherwise."""
        other = copy(self)
        other._names = names
        return other

    def name(self, one: Measured) -> str:
        """A number's name, the same as that of the finding on other pages."""
        sources = [f"{self.section}/{self._names.get(name, name)}" for name in one.tables]
        return MEASURES[one.measure].title(sources, one.arguments)

    def sample(self, one: Measured) -> Sample | None:
        """A number of these tables; None where they lack one of its tables."""
        name = self.name(one)
        if name not in self._samples:
            self._samples[name] = self._computed(one)
        return self._samples[name]

    def _computed(self, one: Measured) -> Sample | None:
        tables = [table for name in one.tables if (table := self._table(name)) is not None]
        if len(tables) < len(one.tables):
            return None
        with np.errstate(all="ignore"):
            sample = MEASURES[one.measure](*tables, **one.arguments)
        return None if math.isnan(sample.effect) else sample

    def _table(self, name: str) -> pd.DataFrame | None:
        """All runs' rows; None where no run has such a table."""
        name = self._names.get(name, name)
        if name not in self._read:
            self._read[name] = results.joined(self._runs, name)
        return self._read[name]
