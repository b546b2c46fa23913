"""How linear networks are, in words that a verdict would not contradict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ctl_helpers.findings.finding import Finding, measure, quoted
from ctl_helpers.findings.judging import GOOD, POOR, holm, judge
from ctl_helpers.findings.linearity import epsilon
from ctl_helpers.findings.replicates import Sample, Values, cube
from ctl_helpers.findings.words import by_panel, linear_words
from ctl_helpers.results.labels import PAPER_LAMBDA, Control, Metric, Scheme, Weights

_POINTS = {"alpha": 0.5, "lam": PAPER_LAMBDA, "k": 1e6}
"""Columns of a grid, and the value nearest to which a figure speaks of."""

_KINDS = {"weights": Weights.EQUAL, "scheme": Scheme.FALLING}


@measure("{:.2f}")
def worst_error(table: pd.DataFrame) -> Sample:
    """ε at the point of the grid that a figure speaks of, mean over pairs, at the worst layer.

    Args:
        table: :func:`ctl_helpers.compare`.
    """
    rows = at_point(table[table["metric"] == Metric.EPSILON])
    pair = [name for name in ("i", "j") if name in rows]
    unit = pair or [name for name in ("models", "draw") if name in rows]
    values, replicates = cube(rows, unit, layer=None)
    return Sample(values, replicates, "networks" if pair else "mixes", _worst)


def at_point(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of α = ½ or λ = 0.4, or what is nearest, or of the largest k with equal weights.

    Theorem 4.3's are those whose factor shrinks as vectors join, without which k is no question.
    """
    for name, kind in _KINDS.items():
        if name in table and (table[name] == kind).any():
            table = table[table[name] == kind]
    # Theorem 4.3's α goes with k.
    for name in ["k"] if "scheme" in table else list(_POINTS):
        if name in table and len(table):
            off = abs(table[name].to_numpy() - _POINTS[name])
            table = table[np.isclose(table[name], table[name].iloc[off.argmin()])]
    return table


_WORDS = ("not", "partly", "nearly")


@dataclass(frozen=True)
class HowLinear:
    """How linear settings are.

    Attributes:
        errors: setting → ε at its worst layer.
        apart: setting → that of networks pretrained apart, where it is stored.
    """

    errors: Mapping[str, Finding]
    apart: Mapping[str, Finding]

    def phrase(self, panels: Mapping[str, str]) -> str:
        """Such as "partly linear, ε = 0.44 at the worst layer (1.20 pretrained apart)".

        Where the interval of ε crosses a border, the words on both sides of it are given, as in
        "nearly or partly linear"; "perhaps" stands where there is no interval.
        """
        texts = dict.fromkeys(panels, "of unknown ε")
        for name, error in self.errors.items():
            control = self.apart.get(name)
            beside = "" if control is None else f" against {control} pretrained apart"
            texts[name] = f"{_words(error, control)}, ε = {error} at the worst layer{beside}"
        return by_panel(panels, texts)

    def quoted(self) -> list[dict[str, str]]:
        """The numbers of :meth:`phrase`, for a figure."""
        return quoted(self.errors.values(), self.apart.values())


def how_linear(table: pd.DataFrame, controls: pd.DataFrame | None = None) -> HowLinear:
    """How linear the networks of a comparison are, setting by setting.

    Args:
        table: :func:`ctl_helpers.compare` with ``setting`` and ``seed``.
        controls: the same with ``control``. Where it has a setting, that setting's numbers are
            those of its claims.
    """
    beside = {} if controls is None else beside_controls(controls)
    own = beside.get(Control.TASK_VECTORS, {})
    errors = worst_error.by_setting(table) if _has_epsilon(table) else {}
    return HowLinear(errors | own, beside.get(Control.APART, {}))


def beside_controls(controls: pd.DataFrame) -> dict[Control, dict[str, Finding]]:
    """Control → setting → ε at the layer where that of task vectors is largest."""
    if not _has_epsilon(controls):
        return {}
    known = [control for control in Control if (controls["control"] == control).any()]
    return {one: epsilon.by_setting(controls, control=one, at="worst") for one in known}


def _words(error: Finding, control: Finding | None) -> str:
    words = linear_words(float(error), None if control is None else float(control))
    limits: list[float | Sample] = [1.0 if control is None else control.sample]
    if words == "nearly linear":  # which has two borders
        limits.append(1.0)
    judgements = [judge(error.sample, limit, 0.0) for limit in limits]
    judged = [holm([one])[0] for one in judgements]
    if "undecided" not in judged:
        return words
    intervals = [one.estimate.interval() for one in judgements]
    ends = [place for interval in intervals if interval for place in interval]
    ranks = [sum(place >= border for border in (POOR, GOOD)) for place in ends] or [0]
    kinds = _WORDS[min(ranks) : max(ranks) + 1]
    return f"{' or '.join(reversed(kinds))} linear" if len(kinds) > 1 else f"perhaps {words}"


def _has_epsilon(table: pd.DataFrame) -> bool:
    return bool((table["metric"] == Metric.EPSILON).any())


def _worst(rows: Values) -> float:
    return float(np.nanmax(np.nanmean(rows, axis=0)))
