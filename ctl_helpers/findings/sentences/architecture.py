"""What the page and the notebook on the parts of a network say in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.architecture import (
    part_control,
    part_doublings,
    part_epsilon,
    part_random_ratio,
    variants_of,
)
from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.sentences.predictions import Prediction, came
from ctl_helpers.findings.words import cells, in_each, listed, mark, number_table, short
from ctl_helpers.results.labels import Control, Level, Variant, Where

Panels = Mapping[str, str]

_ASKED = {
    Variant.NO_RESIDUAL: "without residual connections",
    Variant.NO_NORM: "without normalization",
    Variant.LINEAR: "without an activation",
    Variant.DEEPER: "in networks twice as deep",
    Variant.NARROWER: "in networks half as wide",
}

_EXPECTED = (
    (Variant.NO_RESIDUAL, "rises", 1),
    (Variant.NO_NORM, "rises", 1),
    (Variant.LINEAR, "falls", -1),
    (Variant.DEEPER, "rises", 1),
    (Variant.NARROWER, "rises", 1),
)


def answer(matched: pd.DataFrame, panels: Panels) -> str:
    """Which parts matter, as a list: most and least, which way each goes, and how sure that is."""
    setting = next(iter(panels))
    own = {
        variant: finding
        for variant in variants_of(matched)
        if (finding := _doublings(matched, variant).get(setting)) is not None
    }
    if len(own) < 2:
        return "Too few variants have gone equally far to tell."
    most, least = max(own, key=lambda one: own[one].value), min(own, key=lambda one: own[one].value)
    return (
        "- **Which change does most?** Where features have moved equally far, the worst layer's ε "
        f"is {mark(own[most])} the centre's with “{most}”, which is least linear, and "
        f"{mark(own[least])} with “{least}”, which is most linear ({short(panels[setting])}).\n"
        f"- **How sure is that?** {_ways(matched)}\n"
        "- **Does it hang on the comparison?** Where networks have equal own accuracy instead, the "
        f"same change goes the same way in {_same_order(matched, panels)} cases."
    )


def _ways(matched: pd.DataFrame) -> str:
    """Which way each change goes with 95% certainty, and in how many settings."""
    told: dict[str, list[str]] = {"larger": [], "smaller": [], "neither": []}
    for variant, asked in _ASKED.items():
        ends = [one.sample.interval() for one in _doublings(matched, variant).values()]
        up = sum(end is not None and end[0] > 0 for end in ends)
        down = sum(end is not None and end[1] < 0 for end in ends)
        for way, count in (("larger", up), ("smaller", down)):
            often = f" (in {count} of {len(ends)} settings)" if len(ends) > 1 else ""
            told[way] += [f"{asked}{often}"] * bool(count)
        told["neither"] += [asked] * (bool(ends) and up == down == 0)
    sure = [f"{way} {listed(told[way])}" for way in ("larger", "smaller") if told[way]]
    sentences = [f"With 95% certainty over seeds, ε is {', and '.join(sure)}."] if sure else []
    if told["neither"]:
        sentences.append(f"It is undecided {listed(told['neither'])}.")
    return " ".join(sentences)


def _same_order(matched: pd.DataFrame, panels: Panels) -> str:
    """In how many cases equal accuracy says the same as equal displacement."""
    both = [
        (one.value, other[setting].value)
        for variant in variants_of(matched)
        for other in [_doublings(matched, variant, Level.ACCURACY)]
        for setting, one in _doublings(matched, variant).items()
        if setting in panels and setting in other
    ]
    same = sum(one * other > 0 for one, other in both)
    return f"{same} of {len(both)}"


def table(matched: pd.DataFrame, panels: Panels, *, at: str = Level.DISPLACEMENT) -> str:
    """ε of each variant's worst layer over the centre's, with 95% intervals over seeds."""
    level = Level(at)
    rows = {"ε of the centre": cells(panels, part_epsilon, matched, at=level)}
    for variant in variants_of(matched):
        rows[str(variant)] = in_each(panels, _doublings(matched, variant, level))
    return (
        f"ε of the worst layer at {level}, as a multiple of the centre's. In brackets is the 95% "
        "interval over seeds, and a dash stands where the run does not get there or learns "
        f"nothing:{number_table(panels, rows)}"
    )


def predictions(matched: pd.DataFrame, panels: Panels) -> str:
    """What was expected of parts, and what came of it at equal displacement."""
    return came(
        panels,
        [
            Prediction(f"ε {way} {_ASKED[variant]}", _doublings(matched, variant), sign)
            for variant, way, sign in _EXPECTED
        ],
    )


def against_controls(controls: pd.DataFrame, panels: Panels) -> str:
    """ε of the centre beside its controls, and of each variant over random vectors."""
    kinds = [kind for kind in Control if kind in set(controls["control"])]
    rows = {
        f"ε of the centre, {kind}": cells(panels, part_control, controls, control=kind)
        for kind in kinds
    }
    for variant in (Variant.CENTRE, *variants_of(controls)):
        ratios = cells(panels, part_random_ratio, controls, variant=variant)
        rows[f"ε over that of random vectors, {variant}"] = ratios
    return (
        "At the snapshot whose displacement is nearest to the one asked for, means over layers:"
        f"{number_table(panels, rows)}"
        "A ratio under 1 means that task vectors are more linear than random vectors that move "
        "the features as far."
    )


def _doublings(
    matched: pd.DataFrame, variant: Variant, at: Level = Level.DISPLACEMENT
) -> dict[str, Finding]:
    return part_doublings.by_setting(matched, variant=variant, at=at, where=Where.WORST)
