"""Which parts of a network linearity needs: ε with one part changed, over ε with none changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from ctl_helpers.analysis import levels
from ctl_helpers.findings.finding import measure
from ctl_helpers.findings.linearity import special_ratio
from ctl_helpers.findings.replicates import Replicates, Sample, Values, cube
from ctl_helpers.results.labels import Control, Level, Metric, Variant, Where

PARTS: dict[str, tuple[Variant, ...]] = {
    "residual connections": (Variant.NO_RESIDUAL,),
    "normalization": (
        Variant.NO_NORM,
        Variant.BATCH,
        Variant.FROZEN,
        Variant.RECOMPUTED,
        Variant.GROUP,
        Variant.LAYER,
    ),
    "activation": (
        Variant.RELU,
        Variant.GELU,
        Variant.TANH,
        Variant.LINEAR,
        Variant.PRODUCT,
    ),
    "depth": (Variant.SHALLOWER, Variant.DEEPER),
    "width": (Variant.NARROWER, Variant.WIDER),
}
"""Part → the variants that change it."""

ORDER = tuple(variant for variants in PARTS.values() for variant in variants)
"""All variants but the centre, part by part."""

LEARNED = 0.05
"""By how much fine-tuning has to raise the own accuracy, or a variant does not count."""


def as_ratio(doublings: float) -> str:
    """Doublings as what they multiply by: ``"1.41×"``."""
    return f"{2**doublings:.2f}×"


@measure(as_ratio)
def part_doublings(
    matched: pd.DataFrame,
    *,
    variant: str,
    at: str = Level.DISPLACEMENT,
    where: str = Where.WORST,
) -> Sample:
    """Doublings from ε of the centre to ε of a variant, where both have gone equally far.

    Args:
        matched: columns ``variant``, ``at``, ``where``, ``epsilon`` and ``gain``.
    """
    values, replicates = epsilons(matched, [Variant.CENTRE, Variant(variant)], at, where)

    def doublings(rows: Values) -> float:
        centre, changed = rows.mean(axis=0)
        return float(np.log2(changed / centre))

    return Sample(values, replicates, "seeds", doublings)


@measure(lambda halvings: as_ratio(-halvings))
def part_halvings(matched: pd.DataFrame, *, variant: str) -> Sample:
    """The same with the other sign: above 0, the variant is more linear than the centre."""
    sample = part_doublings(matched, variant=variant)
    return replace(sample, statistic=lambda rows: -sample.statistic(rows))


@measure("{:.2f}")
def part_epsilon(
    matched: pd.DataFrame,
    *,
    variant: str = Variant.CENTRE,
    at: str = Level.DISPLACEMENT,
    where: str = Where.WORST,
) -> Sample:
    """ε of a variant; arguments as for :func:`part_doublings`."""
    values, replicates = epsilons(matched, [Variant(variant)], at, where)
    return Sample(values, replicates, "seeds", lambda rows: float(rows.mean()))


@measure("{:.0%}")
def part_gain(matched: pd.DataFrame, *, variant: str = Variant.CENTRE) -> Sample:
    """By how much fine-tuning raises a variant's accuracy on its own tasks."""
    values, replicates = cube(matched, [], "gain", variant=[Variant(variant)])
    return Sample(values, replicates, "seeds", lambda rows: float(rows.mean()))


@measure("{:.2f}")
def part_random_ratio(controls: pd.DataFrame, *, variant: str = Variant.CENTRE) -> Sample:
    """ε of a variant's task vectors over ε of random vectors that move its features as far."""
    return special_ratio(controls[controls["variant"] == variant])


@measure("{:.2f}")
def part_control(controls: pd.DataFrame, *, control: str, variant: str = Variant.CENTRE) -> Sample:
    """ε of a control, mean over layers, at the snapshot nearest to the displacement."""
    rows = controls[(controls["variant"] == variant) & (controls["metric"] == Metric.EPSILON)]
    values, replicates = cube(rows, [], control=[Control(control)])
    return Sample(values, replicates, "seeds", lambda rows: float(rows.mean()))


@measure("{:.0%}")
def explained_by_displacement(snapshots: pd.DataFrame) -> Sample:
    """R² of log ε, worst layer, on the log of the displacement, over variants and snapshots.

    Args:
        snapshots: :func:`ctl_helpers.compare` with ``steps``, and ``variant`` or ``objective``.
    """
    column = "variant" if "variant" in snapshots else "objective"
    groups = snapshots.groupby(["seed", column], sort=False)
    curves = {key: levels.features(rows)[["moved", levels.WORST]] for key, rows in groups}
    owners = [key for key, curve in curves.items() for _ in range(len(curve))]
    replicates = Replicates([seed for seed, _ in owners], [(name,) for _, name in owners])
    values = np.log(np.concatenate([curve.to_numpy(float) for curve in curves.values()]))

    def explained(rows: Values) -> float:
        return float(np.corrcoef(rows[:, 0], rows[:, 1])[0, 1] ** 2)

    return Sample(values, replicates, "variants", explained)


def variants_of(matched: pd.DataFrame) -> list[Variant]:
    """The variants of a table, without the centre, in their order."""
    there = set(matched["variant"])
    return [variant for variant in ORDER if variant in there]


def epsilons(
    matched: pd.DataFrame, variants: list[Variant], at: str, where: str
) -> tuple[Values, Replicates]:
    """ε of networks that have learned, shape (seeds, variants)."""
    rows = matched[(matched["at"] == at) & (matched["where"] == where)]
    rows = rows.assign(epsilon=rows["epsilon"].where(rows["gain"] >= LEARNED))
    return cube(rows, [], "epsilon", variant=variants)
