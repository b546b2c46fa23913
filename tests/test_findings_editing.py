"""Section 4.3's measures on tables with a known answer."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

from ctl_helpers.findings import editing, stitching
from ctl_helpers.findings.editing import blocks, edit_times_nearer, worst_block
from ctl_helpers.findings.finding import Measure
from ctl_helpers.findings.linearity import special_ratio
from ctl_helpers.findings.stitching import stitch_kept

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
    return pd.DataFrame(
        {"seed": seed, **edit, "layer": layer, "metric": metric, "lam": lam, "mean": times * value}
        for seed, edit, (layer, factor) in product(SEEDS, kinds, LAYERS.items())
        for metric, value in {
            "distance": distance * factor * far(seed, edit),
            "baseline": baseline,
            "coef": coef + (layer == "last") * 0.1,
        }.items()
        for lam, times in ((0.4, 1), (0.8, 9))
    )


def stitched(averaged: tuple[float, float], other: float, merged: float = 0.0) -> pd.DataFrame:
    """θ_PT is right on 0.5 and 0.4, a network on its own task on 0.9 and on the other's ``other``
    more than θ_PT; merged weights score ``merged`` more than averaged features.
    """
    halfway = {
        "averaged features": averaged,
        "merged weights": (averaged[0] + merged, averaged[1] - merged),
        "features of i": (0.9, 0.4 + other),
        "features of j": (0.5 + other, 0.9),
    }
    return pd.DataFrame(
        {"seed": seed, **pair, "lam": lam, "model": model, "D_i": one, "D_j": two}
        for seed, pair, model in product(SEEDS, PAIRS, halfway)
        for lam, (one, two) in ((0.0, (0.5, 0.4)), (0.5, halfway[model]), (1.0, (0.9, 0.8)))
    )


def negated(own: float, others: float, apart: float = 0.0) -> pd.DataFrame:
    """Accuracies of 0.8 on either role at λ = 0, the given ones at λ = 1, half of them at 2.

    Chance is 0.1, but for one task 0.2, which is as much better throughout. λ = 1 is chosen.
    """
    ends = {"D_i": (0.8, own, own / 2), "D_PT": (0.8, others, others / 2)}
    test = pd.DataFrame(
        {
            "seed": seed, "i": task, "lam": lam, "role": role, "model": model, "split": "test",
            "accuracy": ends[role][int(lam)] + lam * apart * (model[0] == "w") + easy,
            "chance": 0.1 + easy, "chosen": lam == 1,
        }
        for seed, task, lam, role in product(SEEDS, "abc", (0.0, 1.0, 2.0), ends)
        for easy in [0.1 * (task == "a")]
        for model in ("feature subtracted", "weights subtracted")
    )  # fmt: skip
    return pd.concat([test, test.assign(split="held-out", accuracy=9.0)])


def theorem(times: float = 1) -> pd.DataFrame:
    """Distances of 0.01 k and 0.02 k, three times at the last block; coef 1 − k/100."""
    return pd.DataFrame(
        {"seed": seed, "k": k, "scheme": scheme, "layer": layer, "metric": metric, "mean": mean}
        for seed, k, (layer, factor) in product(SEEDS, (1, 2, 3), LAYERS.items())
        for n, scheme in ((1, "α = 0.1"), (2, "(k+1)α = 0.8"))
        for metric, mean in {
            "distance": 0.01 * times * k * n * factor, "baseline": 0.3, "coef": 1 - k / 100,
        }.items()
    )  # fmt: skip


def scored(**columns: list[object]) -> pd.DataFrame:
    """The same rows for each seed."""
    return pd.concat([pd.DataFrame(columns).assign(seed=seed) for seed in SEEDS])


ADDED = scored(
    split=["held-out", "test", "test", "test"], lam=[0.4, 0.0, 0.4, 0.4],
    accuracy=[0.1, 0.2, 0.6, 0.7], share=[0.1, 0.3, 0.8, 1.0], chosen=[True, False, True, True],
)  # fmt: skip
NEGATED = scored(
    split=["held-out", "test", "test", "test", "test"], lam=[0.0, 0.0, 1.0, 0.0, 1.0],
    role=["D_i", "D_i", "D_i", "D_PT", "D_PT"], accuracy=[0.1, 0.8, 0.3, 0.9, 0.7],
    chosen=[False, False, True, False, True],
)  # fmt: skip
NETWORKS = scored(
    network=["PT", "a", "a"], task=["a", "a", "b"], accuracy=[0.4, 0.9, 0.3],
    majority=[0.2, 0.5, 0.5],
)  # fmt: skip
CONTROLS = pd.concat(
    edits(PAIRS, distance, 0.3, 1).replace({"metric": {"distance": "epsilon"}}).assign(control=kind)
    for kind, distance in (
        ("task vectors", 0.01),
        ("pretrained apart", 0.1),
        ("random vectors", 0.03),
        ("other samples", 0.2),
    )
)
NEAREST = scored(
    i=["a", "b"], own=[0.8, 0.6], chance=[0.2, 0.2], classes=[4, 6],
    commonest=["one", "two"], share=[0.5, 0.3],
)  # fmt: skip
EVEN = edits(PAIRS, 0.01, 0.3, 1).query("seed < 2")
HISTOGRAM = scored(
    i=["a"] * 4, j=["b"] * 4, layer=["first", "first", "last", "last"], lam=[0.4] * 4,
    low=[0.8, 1.0, 1.0, 1.2], high=[1.0, 1.2, 1.2, 1.4], share=[0.5, 0.5, 0.5, 0.5],
)  # fmt: skip

KNOWN: list[tuple[Measure, dict[str, object], pd.DataFrame, float]] = [
    (edit_times_nearer, {"at": "least"}, edits(PAIRS, 0.01, 0.3, 1), 10),
    (edit_times_nearer, {"at": "least"}, edits(TASKS, 0.01, 0.3, 1), 10),
    (edit_times_nearer, {}, edits(TASKS, 0.01, 0.3, 1), (20 + 20 + 10) / 3),
    (editing.edit_worst_distance, {}, edits(PAIRS, 0.01, 0.3, 1), 0.03),
    (editing.edit_extreme_length, {"least": True}, edits(TASKS, 0.01, 0.3, 0.95), 0.95),
    (editing.edit_extreme_length, {"least": False}, edits(TASKS, 0.01, 0.3, 0.95), 1.05),
    (editing.edit_drawn_length, {"last": 1, "lam": 0.4}, HISTOGRAM, 1.2),
    (editing.edit_drawn_length, {"last": None, "lam": 0.4}, HISTOGRAM, 1.1),
    (editing.edit_mean, {"metric": "distance"}, EVEN, 0.02),
    (editing.edit_mean, {"metric": "distance", "lam": 0.8, "layer": "last"}, EVEN, 0.27),
    (editing.edit_mean_length, {"control": "random vectors"}, CONTROLS, 1.05),
    (editing.edit_growth, {"step": -1}, EVEN.replace("distance", "epsilon"), 9),
    (editing.edit_excess, {}, EVEN, np.sqrt(0.01 / 0.09 * 0.27 / 2.7**2)),
    (special_ratio, {}, CONTROLS, 1 / 3),
    (stitching.network_accuracy, {"of": "start"}, NETWORKS, 0.4),
    (stitching.network_accuracy, {"of": "own"}, NETWORKS, 0.9),
    (stitching.network_accuracy, {"of": "other"}, NETWORKS, 0.3),
    (stitching.network_accuracy, {"of": "majority"}, NETWORKS, 0.2),
    (stitching.added_lambda, {}, ADDED, 0.4),
    (stitching.added_accuracy, {}, ADDED, 0.65),
    (stitching.added_accuracy, {"share": True}, ADDED, 0.9),
    (stitching.negated_accuracy, {"role": "D_i", "before": True}, NEGATED, 0.8),
    (stitching.negated_accuracy, {"role": "D_PT"}, NEGATED, 0.7),
    (stitch_kept, {}, stitched((0.8, 0.7), 0.0), 0.6),
    (stitch_kept, {}, stitched((0.6, 0.9), 0.0), 0.25),
    (stitch_kept, {}, stitched((0.9, 0.4), 0.0), 0.0),
    (stitch_kept, {"at": "last"}, stitched((0.8, 0.7), 0.0), 0.4 / 0.5),
    (stitching.stitch_single, {}, stitched((0.8, 0.7), -0.09), -0.2),
    (stitching.stitch_gain, {}, stitched((0.8, 0.7), 0.0), 0.45),
    (stitching.stitch_agreement, {}, stitched((0.8, 0.7), 0.0, merged=0.03), 0.06 / 0.6),
    (stitching.stitch_agreement, {"beyond": True}, stitched((0.8, 0.7), 0.0, merged=0.03), 0),
    (stitching.stitch_accuracy, {"model": "averaged features"}, stitched((0.8, 0.7), 0), 0.75),
    (stitching.stitch_alone, {"own": True}, stitched((0.8, 0.7), 0.1), 0.9),
    (stitching.stitch_alone, {"own": False}, stitched((0.8, 0.7), 0.1), 0.55),
    (stitching.negation_left, {"role": "D_i"}, negated(0.24, 0.73), 0.2),
    (stitching.negation_left, {"role": "D_PT"}, negated(0.24, 0.73), 0.9),
    (stitching.negation_left, {"role": "D_i", "at": "last"}, negated(0.24, 0.73), 0.02 / 0.7),
    (stitching.negation_start, {}, negated(0.24, 0.73), 0.7),
    (stitching.negation_lambda, {}, negated(0.24, 0.73), 1),
    (stitching.negation_agreement, {}, negated(0.3, 0.72, apart=-0.05), 0.1),
    (
        stitching.negation_accuracy,
        {"role": "D_PT", "at": "chosen"},
        negated(0.2, 0.72),
        0.72 + 0.1 / 3,
    ),
    (editing.nearest_share, {}, NEAREST, 0.7),
    (editing.nearest_share, {"chance": True}, NEAREST, 0.2),
    (editing.nearest_classes, {}, NEAREST, 5),
    (editing.theorem_distance, {}, theorem(), 0.18),
    (editing.theorem_nearer, {}, theorem(), (5 + 5 / 3) / 2 / 4),
    (editing.theorem_mean, {"metric": "distance", "scheme": "α = 0.1"}, theorem(), 0.06),
    (editing.theorem_mean_length, {"scheme": "α = 0.1"}, theorem(), 0.97),
]


@pytest.mark.parametrize(("number", "arguments", "table", "answer"), KNOWN)
def test_a_measure_gives_the_known_answer(
    number: Measure, arguments: dict[str, object], table: pd.DataFrame, answer: float
) -> None:
    sample = number(table, **arguments)
    assert sample.effect == pytest.approx(answer)
    # Neither the order of seeds nor a setting's column matters.
    turned = table.sort_values("seed", ascending=False, kind="stable").assign(setting="x")
    assert number(turned, **arguments).effect == pytest.approx(answer)


def test_the_worst_block_is_that_of_distances() -> None:
    assert worst_block(edits(PAIRS, 0.01, 0.3, 1)) == "block 2"


def test_blocks_of_an_encoder_and_a_decoder_are_numbered_apart() -> None:
    layers = ["states.encoder.0", "states.encoder.1", "states.decoder.0", "states.0", "states.1"]
    table = pd.DataFrame({"layer": layers, "setting": ["t5"] * 3 + ["llama"] * 2})
    names = ["encoder 1", "encoder 2", "decoder 1", "block 1", "block 2"]
    assert blocks(table)["layer"].tolist() == names


def test_a_lambda_of_zero_leaves_everything() -> None:
    table = negated(0.24, 0.73).assign(chosen=lambda rows: rows["lam"] == 0)
    assert stitching.negation_left(table, role="D_i").effect == pytest.approx(1)
    assert stitching.negation_lambda(table).effect == 0


def test_without_larger_lambdas_there_is_no_agreement_beyond() -> None:
    table = stitched((0.8, 0.7), 0.0, merged=0.03).query("lam <= 0.5")
    assert np.isnan(stitching.stitch_agreement(table, beyond=True).effect)


@pytest.mark.filterwarnings("error")
def test_without_any_share_there_is_no_mean() -> None:
    table = ADDED.assign(share=np.nan)
    assert np.isnan(stitching.added_accuracy(table, share=True).effect)
    assert stitching.added_accuracy(table).effect == pytest.approx(0.65)


def test_no_gain_gives_no_share() -> None:
    flat = stitched((0.8, 0.7), 0.0).assign(D_i=0.5, D_j=0.5)
    assert np.isnan(stitch_kept(flat).effect)
    assert np.isnan(stitching.stitch_single(flat).effect)
