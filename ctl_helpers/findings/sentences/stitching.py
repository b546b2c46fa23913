"""What pages say of stitched networks, and of what lies along a task vector (Section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.editing import nearest_classes, nearest_share, nearest_to
from ctl_helpers.findings.sentences.predictions import Prediction, came
from ctl_helpers.findings.stitching import (
    TUNED,
    WHOLE,
    negation_accuracy,
    negation_agreement,
    negation_lambda,
    negation_left,
    stitch_accuracy,
    stitch_agreement,
    stitch_alone,
    stitch_gain,
    stitch_kept,
    stitch_single,
)
from ctl_helpers.findings.words import cells, number_table
from ctl_helpers.results.labels import AddedModel, Role

Panels = Mapping[str, str]

_LEAST_GAIN = 0.05  # less is too little to divide by, as the claim's gate has it


def averaged(stitched: pd.DataFrame, panels: Panels) -> str:
    """What averaged features know of both tasks of a pair."""
    lams = stitched["lam"].unique()
    half, most = nearest_to(lams, TUNED), float(lams.max())
    features, weights = AddedModel.FEATURES, AddedModel.WEIGHTS
    right = {
        "averaged features": cells(panels, stitch_accuracy, stitched, model=features),
        "merged weights": cells(panels, stitch_accuracy, stitched, model=weights),
        "one network's features, its own task": cells(panels, stitch_alone, stitched, own=True),
        "one network's features, the other task": cells(panels, stitch_alone, stitched, own=False),
        "pretrained network": cells(panels, stitch_accuracy, stitched, model=weights, lam=0.0),
        f"averaged features at λ = {most:g}": cells(
            panels, stitch_accuracy, stitched, model=features, lam=most
        ),
    }
    gained = stitch_gain.by_setting(stitched)
    able = stitched[stitched["setting"].map(lambda one: gained[one].value >= _LEAST_GAIN)]
    gains = {
        "share of one network's gain, averaged features": cells(panels, stitch_kept, able),
        "the same, the other network's features": cells(panels, stitch_single, able),
        f"averaged features and merged weights apart, up to λ = {half:g}": cells(
            panels, stitch_agreement, able
        ),
        "the same, larger λ": cells(panels, stitch_agreement, able, beyond=True),
    }
    return (
        f"Right on both tasks' samples at λ = {half:g}, mean over pairs:"
        f"{number_table(panels, right)}{came(panels, _predictions(stitched))}"
        "A gain is accuracy over the pretrained network's. The first two rows below divide by what "
        "a network's features gain on its own task, for the task of a pair where averaging loses "
        "more. The last two divide by what averaged features gain. A dash stands where features "
        f"gain less than {100 * _LEAST_GAIN:g} points."
        f"{number_table(panels, gains)}"
        f"At λ = {most:g} the average has about all that either task vector adds to a feature. "
        "That it knows both tasks better then does not follow."
    )


def _predictions(stitched: pd.DataFrame) -> list[Prediction]:
    expected = [
        ("averaged features gain on the task where they gain less", AddedModel.FEATURES, 1),
        ("merged weights gain on the task where they gain less", AddedModel.WEIGHTS, 1),
        ("one network's features gain on its own task", "own", 1),
        ("one network's features gain nothing on the other task", "other", 0),
    ]
    return [
        Prediction(text, stitch_gain.by_setting(stitched, of=of), sign)
        for text, of, sign in expected
    ]


def forgotten(stitched: pd.DataFrame, panels: Panels) -> str:
    """What a network forgets whose feature has a task vector's part subtracted."""

    def right(role: Role, at: str) -> list[str]:
        return cells(panels, negation_accuracy, stitched, role=role, at=at)

    rows = {
        "λ that held-out samples choose, mean": cells(panels, negation_lambda, stitched),
        "right on $\\mathcal D_i$ at λ = 0": right(Role.FIRST, "start"),
        "right on $\\mathcal D_i$ at that λ": right(Role.FIRST, "chosen"),
        "of the accuracy above chance, left at that λ": cells(
            panels, negation_left, stitched, role=Role.FIRST
        ),
        "right on $\\mathcal D_i$ at the largest λ": right(Role.FIRST, "last"),
        "right on $\\mathcal D_{\\text{PT}}$ at λ = 0": right(Role.PRETRAINING, "start"),
        "right on $\\mathcal D_{\\text{PT}}$ at that λ": right(Role.PRETRAINING, "chosen"),
        "right on $\\mathcal D_{\\text{PT}}$ at the largest λ": right(Role.PRETRAINING, "last"),
        f"both sides apart, divided by the fall, λ up to {WHOLE:g}": cells(
            panels, negation_agreement, stitched
        ),
    }
    return (
        "Held-out samples choose the largest λ that keeps 95% of the accuracy on "
        "$\\mathcal D_{\\text{PT}}$ with Δ subtracted. On test samples, means over task vectors:"
        f"{number_table(panels, rows)}"
        "The last row is how far the accuracies of both sides of Equation 4 are apart on "
        "$\\mathcal D_i$, divided by how far the accuracy falls."
    )


def neighbours(nearest: pd.DataFrame, panels: Panels) -> str:
    """A table of what the samples have in common that move most along each task vector."""
    head = [
        "task vector",
        "samples of its kind",
        "by chance",
        "most frequent class",
        "share of that class",
        "classes",
    ]
    lines = [f"| {' | '.join(head)} |", "|:--|--:|--:|:--|--:|--:|"]
    first = nearest.groupby("setting")["seed"].transform("min")
    for row in nearest[nearest["seed"] == first].itertuples():
        # Where a page numbers tasks, their own names as well.
        own = nearest.attrs.get("tasks", {}).get(row.setting, {})
        task = f"{row.i} {own[row.i]}" if row.i in own else row.i
        name = f"{panels[row.setting]}, {task}" if len(panels) > 1 else task
        cells = [name, f"{row.own:.0%}", f"{row.chance:.0%}"]
        cells += [row.commonest, f"{row.share:.0%}", str(row.classes)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def common(nearest: pd.DataFrame, panels: Panels) -> str:
    """The same in the mean over task vectors."""
    rows = {
        "of the task vector's own kind": cells(panels, nearest_share, nearest),
        "the same by chance": cells(panels, nearest_share, nearest, chance=True),
        "classes among them": cells(panels, nearest_classes, nearest),
    }
    return (
        "The samples that go farthest along it, fifty or all there are, mean over task vectors:"
        f"{number_table(panels, rows)}"
        "As far as the samples share their *kind*, the mean direction tells on which samples the "
        "task vector acts. It is one direction, and fine-tuning teaches many classes: where the "
        "last row is far above 1, the direction stands for no single class."
    )
