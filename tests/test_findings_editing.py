"""Section 4.3's measures on tables with a known answer."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings.claims import MEASURES as NUMBERS

SEEDS = (0, 1, 2)
PAIRS = [{"i": i, "j": j} for i, j in combinations("abc", 2)]
TASKS = [{"i": task} for task in "abc"]
LAYERS = {"first": 1.0, "last": 3.0}  # block → by what its distance is multiplied


def far(seed: int, edit: Mapping[str, str]) -> int:
    """1, and 4 for a few edits of one seed: a mean is not a median."""
    return 4 if seed == 2 and edit["i"] == "a" and edit.get("j", "b") == "b" else 1


def edits(
    kinds: list[dict[str, str]], distance: float, baseline: float, coef: float
) -> pd.DataFrame:
    """Rows of λ = 0.4, beside rows of another λ that should not count."""
    rows = []
    for seed in SEEDS:
        for edit in kinds:
            for layer, factor in LAYERS.items():
                values = {
                    "distance": distance * factor * far(seed, edit),
                    "baseline": baseline,
                    "coef": coef + (layer == "last") * 0.1,
                }
                for metric, value in values.items():
                    known = {"seed": seed, **edit, "layer": layer, "metric": metric}
                    rows.append({**known, "lam": 0.4, "mean": value})
                    rows.append({**known, "lam": 0.8, "mean": 9 * value})
    return pd.DataFrame(rows)


def stitched(averaged: tuple[float, float], other: float, merged: float = 0.0) -> pd.DataFrame:
    """θ_PT is right on 0.5 and 0.4, a network on its own task on 0.9 and on the other's ``other``
    more than θ_PT; merged weights score ``merged`` more than averaged features.
    """
    rows = []
    for seed in SEEDS:
        for pair in PAIRS:
            known = {"seed": seed, **pair}
            models = {
                "averaged features": averaged,
                "merged weights": (averaged[0] + merged, averaged[1] - merged),
                "features of i": (0.9, 0.4 + other),
                "features of j": (0.5 + other, 0.9),
            }
            for model, (one, two) in models.items():
                rows.append({**known, "lam": 0.0, "model": model, "D_i": 0.5, "D_j": 0.4})
                rows.append({**known, "lam": 0.5, "model": model, "D_i": one, "D_j": two})
                rows.append({**known, "lam": 1.0, "model": model, "D_i": 0.9, "D_j": 0.8})
    return pd.DataFrame(rows)


def negated(own: float, others: float, apart: float = 0.0) -> pd.DataFrame:
    """Accuracies of 0.8 on either role at λ = 0, the given ones at λ = 1, half of them at 2."""
    ends = {"D_i": (0.8, own, own / 2), "D_PT": (0.8, others, others / 2)}
    return pd.DataFrame(
        {
            "seed": seed, "i": task, "lam": lam, "role": role, "model": model,
            "accuracy": ends[role][int(lam)] + (lam * apart if model[0] == "w" else 0),
        }
        for seed in SEEDS
        for task in "abc"
        for lam in (0.0, 1.0, 2.0)
        for role in ends
        for model in ("feature subtracted", "weights subtracted")
    )  # fmt: skip


def theorem(times: float = 1) -> pd.DataFrame:
    """Distances of 0.01 k and 0.02 k, three times at the last block; coef 1 − k/100."""
    return pd.DataFrame(
        {
            "seed": seed, "k": k, "scheme": scheme, "layer": layer, "metric": metric,
            "mean": mean,
        }
        for seed in SEEDS
        for k in (1, 2, 3)
        for n, scheme in ((1, "α = 0.1"), (2, "(k+1)α = 0.8"))
        for layer, factor in LAYERS.items()
        for metric, mean in {
            "distance": 0.01 * times * k * n * factor, "baseline": 0.3, "coef": 1 - k / 100,
        }.items()
    )  # fmt: skip


KNOWN = [
    ("edit_least_nearer", edits(PAIRS, 0.01, 0.3, 1), 10),
    ("edit_least_nearer", edits(TASKS, 0.01, 0.3, 1), 10),
    ("edit_times_nearer", edits(TASKS, 0.01, 0.3, 1), 10),
    ("edit_worst_distance", edits(PAIRS, 0.01, 0.3, 1), 0.03),
    ("edit_worst_length", edits(PAIRS, 0.01, 0.3, 0.95), 0.05),
    ("edit_worst_length", edits(TASKS, 0.01, 0.3, 1), 0.1),
    ("stitch_kept", stitched((0.8, 0.7), 0.0), 0.6),
    ("stitch_kept", stitched((0.6, 0.9), 0.0), 0.25),
    ("stitch_kept", stitched((0.9, 0.4), 0.0), 0.0),
    ("stitch_single", stitched((0.8, 0.7), -0.1), -0.1),
    ("stitch_kept_at_last", stitched((0.8, 0.7), 0.0), 0.4 / 0.5),
    ("stitch_agreement", stitched((0.8, 0.7), 0.0, merged=0.03), 0.03),
    ("negation_left", negated(0.2, 0.72), 0.25),
    ("negation_kept", negated(0.2, 0.72), 0.9),
    ("negation_left_at_last", negated(0.2, 0.72), 0.125),
    ("negation_agreement", negated(0.2, 0.72, apart=-0.04), 0.04),
    ("theorem_distance", theorem(), 0.18),
    ("theorem_length", theorem(), 0.03),
    ("theorem_nearer", theorem(), (5 + 5 / 3) / 2 / 4),
]


@pytest.mark.parametrize(("name", "table", "answer"), KNOWN)
def test_a_measure_gives_the_known_answer_inside_its_interval(
    name: str, table: pd.DataFrame, answer: float
) -> None:
    sample = NUMBERS[name](table)
    assert sample.effect == pytest.approx(answer)
    low, high = sample.interval(200)
    assert low - 1e-9 <= sample.effect <= high + 1e-9
    # Neither the order of rows nor a setting's column matters.
    turned = table[::-1].assign(setting="x")
    assert NUMBERS[name](turned).effect == pytest.approx(answer)


def test_every_measure_has_a_known_answer() -> None:
    assert NUMBERS.keys() == {name for name, *_ in KNOWN}


def test_replicates_are_pairs_or_task_vectors() -> None:
    measure = NUMBERS["edit_times_nearer"]
    assert measure(edits(PAIRS, 0.01, 0.3, 1)).replicates == "9 pairs of 3 seeds"
    assert measure(edits(TASKS, 0.01, 0.3, 1)).replicates == "9 task vectors of 3 seeds"


def test_no_gain_gives_no_share() -> None:
    table = stitched((0.8, 0.7), 0.0)
    flat = table.assign(D_i=0.5, D_j=0.5)
    assert np.isnan(NUMBERS["stitch_kept"](flat).effect)
