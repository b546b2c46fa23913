"""How sure a number is: t intervals over seeds, or over one seed's networks by the jackknife."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""What an interval is said to cover."""


@dataclass(frozen=True)
class Estimate:
    """A number, and how far it may be off.

    Attributes:
        value: NaN where the results are too few to give one.
        error: its standard error; NaN where nothing was drawn twice.
        freedom: degrees of freedom of the error.
        units: what was drawn: ``"5 seeds"``.
    """

    value: float
    error: float
    freedom: int
    units: str

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """``value ± t · error``; None without an error, or with one of 0, which no draw has."""
        if not self._varies:
            return None
        reach = _quantile(level, self.freedom) * self.error
        return self.value - reach, self.value + reach

    def doubt(self, border: float) -> float:
        """Two-sided p-value of the border being the number; 1 without an error."""
        if not self._varies:
            return 1.0
        from scipy.special import stdtr  # pages that only read verdicts need none

        return float(2 * stdtr(self.freedom, -abs(self.value - border) / self.error))

    @property
    def _varies(self) -> bool:
        """Whether the error is known, and more than what rounding leaves."""
        return self.freedom >= 1 and self.error > 1e-12 * abs(self.value)

    def needed(self, border: float, most: int = 100) -> int | None:
        """How many draws, spread as these are, would tell it from a border; None over ``most``."""
        spread = self.error * math.sqrt(self.freedom + 1)
        for count in range(self.freedom + 2, most + 1):
            reach = _quantile(LEVEL, count - 1) * spread / math.sqrt(count)
            if reach < abs(self.value - border):
                return count
        return None


def _quantile(level: float, freedom: int) -> float:
    """How many standard errors Student's t reaches to either side."""
    from scipy.special import stdtrit  # pages that only read verdicts need none

    return float(stdtrit(freedom, (1 + level) / 2))


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean of seeds' numbers, with the standard error of a mean: ``s / √n``, n − 1 free.

    Args:
        values: one per seed, all finite.
    """
    count = len(values)
    units = f"{count} seed{'s' * (count != 1)}"
    if count < 2:
        return Estimate(values[0] if values else math.nan, math.nan, 0, units)
    error = float(np.std(values, ddof=1) / math.sqrt(count))
    return Estimate(float(np.mean(values)), error, count - 1, units)


def jackknife(value: float, left_out: Sequence[float], unit: str) -> Estimate:
    """The jackknife's standard error (Tukey 1958): ``√((n − 1)/n · Σ_u (θ_u − θ̄)²)``, n − 1 free.

    Args:
        value: the number of all units.
        left_out: the number without each of them in turn; one that is NaN decides nothing, and
            from fewer than three there is no error.
        unit: what the units are, in the plural.
    """
    known = np.array([number for number in left_out if not math.isnan(number)])
    count = len(known)
    units = f"{count} {unit} of 1 seed" if count else "1 seed"
    if count < 3 or unit == "seeds":
        return Estimate(value, math.nan, 0, "1 seed")
    error = math.sqrt((count - 1) / count * float(np.sum((known - known.mean()) ** 2)))
    return Estimate(value, error, count - 1, units)
