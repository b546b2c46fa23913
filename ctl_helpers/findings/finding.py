"""A finding: one number of the book on one setting, with its interval and its words."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ctl_helpers.findings.replicates import Sample
from ctl_helpers.results import refuse_merged

Words = Callable[[float], str]


@dataclass(frozen=True)
class Finding:
    """One number on one setting. Figures, sentences and claims that speak of it quote this.

    Attributes:
        name: its measure, with the stored tables and the arguments that it was given.
        setting: whose results it comes from.
        sample: the number's replicates.
        write: how the number is written.
    """

    name: str
    setting: str
    sample: Sample
    write: Words

    @cached_property
    def value(self) -> float:
        """The number; NaN where the results are too few to give one."""
        with np.errstate(all="ignore"):
            return self.sample.effect

    @property
    def words(self) -> str:
        """The number as a reader sees it, with its unit."""
        return self.write(self.value)

    def __str__(self) -> str:
        return self.words

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class Measure:
    """What computes a number from stored tables, and how it is written; see :func:`measure`."""

    function: Callable[..., Sample]
    write: Words

    @property
    def name(self) -> str:
        """The function's."""
        return self.function.__name__

    def title(self, tables: Sequence[str], arguments: Mapping[str, object]) -> str:
        """A finding's name: ``"statistics_length(4.1.batchnorm/features, statistics=mixed)"``.

        Arguments that are what they would be anyway are not in it, so that a number has one name.
        """
        usual = inspect.signature(self.function).parameters
        listed = [table for table in tables if table]
        listed += [
            f"{key}={value}"
            for key, value in sorted(arguments.items())
            if key not in usual or usual[key].default != value
        ]
        return f"{self.name}({', '.join(listed)})" if listed else self.name

    def __call__(self, *tables: pd.DataFrame, **arguments: object) -> Sample:
        """The number of tables of one setting; ``TableError`` where it would merge grid points."""
        refuse_merged(*tables)
        return self.function(*tables, **arguments)

    def by_setting(self, *tables: pd.DataFrame, **arguments: object) -> dict[str, Finding]:
        """Setting → finding, for the settings that every table has and that give a number.

        Args:
            tables: of several settings, with a column ``setting``, in the measure's order.
            arguments: the measure's own.
        """
        # A table that a notebook has put together may have an index that repeats itself.
        fresh = [table.reset_index(drop=True) for table in tables]
        parts = [dict(iter(table.groupby("setting", sort=False))) for table in fresh]
        common = [name for name in parts[0] if all(name in part for part in parts)]
        name = self.title([table.attrs.get("table", "") for table in tables], arguments)
        samples = {
            str(setting): self(*(part[setting] for part in parts), **arguments)
            for setting in common
        }
        findings = {key: Finding(name, key, sample, self.write) for key, sample in samples.items()}
        return {key: one for key, one in findings.items() if not math.isnan(one.value)}


MEASURES: dict[str, Measure] = {}
"""Every measure by its function's name, once its module is imported."""


def measure(write: str | Words) -> Callable[[Callable[..., Sample]], Measure]:
    """Declare a function of stored tables as a measure.

    Args:
        write: how its number is written: ``"{:.0f} times"``, or a function.
    """
    written = write.format if isinstance(write, str) else write

    def words(value: float) -> str:
        return signed(written(value))

    def declare(function: Callable[..., Sample]) -> Measure:
        if function.__name__ in MEASURES:
            raise ValueError(f"two measures are called {function.__name__!r}; rename one")
        MEASURES[function.__name__] = Measure(function, words)
        return MEASURES[function.__name__]

    return declare


def signed(text: str) -> str:
    """A number with a true minus sign, and with none where it is written as zero."""
    return re.sub(r"[−+](0(?:\.0+)?)(?![\d.])", r"\1", re.sub(r"-(?=\d)", "−", text))


def quoted(*findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as data, for a figure that quotes them in its title."""
    return [
        {"finding": one.name, "setting": one.setting, "text": one.words}
        for group in findings
        for one in group
    ]
