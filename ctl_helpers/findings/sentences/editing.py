"""What the pages on Section 4.3 say in numbers, of images and of texts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.editing import (
    edit_extreme_length,
    edit_mean,
    edit_mean_length,
    edit_times_nearer,
    edit_worst_distance,
    theorem_mean,
    theorem_mean_length,
    worst_block,
)
from ctl_helpers.findings.linearity import controls_in, epsilon, special_ratio
from ctl_helpers.findings.stitching import (
    added_accuracy,
    added_lambda,
    negated_accuracy,
    network_accuracy,
)
from ctl_helpers.findings.words import cells, number_table, plain, spans
from ctl_helpers.results.labels import (
    PAPER_LAMBDA,
    Metric,
    Pooling,
    Role,
    Scheme,
    Split,
)

Panels = Mapping[str, str]


def networks(accuracy: pd.DataFrame, panels: Panels) -> str:
    """What the networks can do before and after fine-tuning."""
    rows = {
        "pretrained network": "start",
        "fine-tuned network, on its own task": "own",
        "fine-tuned network, on the other tasks": "other",
    }
    if "majority" in accuracy:
        rows["always the most frequent training answer"] = "majority"
    numbers = {name: cells(panels, network_accuracy, accuracy, of=of) for name, of in rows.items()}
    if "exact" in accuracy:
        numbers |= {
            f"{name}: greedy decoding writes the label": cells(
                panels, network_accuracy, accuracy, of=of, exact=True
            )
            for name, of in list(rows.items())[:2]
        }
    told = "The share of test samples that a network gets right, mean over tasks."
    return f"{told}{number_table(panels, numbers)}"


def edited(addition: pd.DataFrame, negation: pd.DataFrame, panels: Panels) -> str:
    """What all task vectors added, and one subtracted, do to accuracy."""
    chosen = negation[(negation["split"] == Split.TEST) & negation["chosen"]]
    lams = chosen.groupby("setting")["lam"].agg(["min", "max"])
    scalings = [" to ".join(dict.fromkeys(map(plain, lams.loc[name]))) for name in panels]
    added = {
        "λ that held-out samples choose, mean over seeds": cells(panels, added_lambda, addition),
        "test samples that are right": cells(panels, added_accuracy, addition),
        "the same, divided by what the tasks' own networks reach": cells(
            panels, added_accuracy, addition, share=True
        ),
    }
    subtracted = {
        "λ that held-out samples choose for the single tasks": scalings,
        "right on $\\mathcal D_i$, before and after": _before_after(panels, negation, Role.FIRST),
        "right on $\\mathcal D_{\\text{PT}}$, before and after": _before_after(
            panels, negation, Role.PRETRAINING
        ),
    }
    return (
        f"All task vectors added:{number_table(panels, added)}"
        "Negation, $\\theta_{\\text{PT}} - \\lambda\\tau_i$, is meant to make the network forget "
        "its task $\\mathcal D_i$ and keep the pretraining task $\\mathcal D_{\\text{PT}}$. λ is "
        "the largest that keeps 95% of the accuracy on $\\mathcal D_{\\text{PT}}$ on held-out "
        f"samples. One task vector subtracted, means over tasks:{number_table(panels, subtracted)}"
    )


def _before_after(panels: Panels, negation: pd.DataFrame, role: Role) -> list[str]:
    both = (
        negated_accuracy.by_setting(negation, role=role, before=before) for before in (True, False)
    )
    return spans(panels, *both, form="{}, {}")


def nearer(table: pd.DataFrame, panels: Panels) -> str:
    """How linear Equation 2 or 3 is at λ = 0.4: distance, its largest, and lengths."""
    where = {str(name): worst_block(rows) for name, rows in table.groupby("setting")}
    lengths = (edit_extreme_length.by_setting(table, least=least) for least in (True, False))
    rows = {
        "baseline over distance, median of blocks and edits": cells(
            panels, edit_times_nearer, table
        ),
        "block of the largest distance": [where[name] for name in panels],
        "distance there, median of edits": cells(panels, edit_worst_distance, table),
        "mean length of an edit at a block": spans(panels, *lengths),
    }
    return f"Both sides of the equation at λ = {PAPER_LAMBDA:g}:{number_table(panels, rows)}"


def reached(eq2: pd.DataFrame, panels: Panels) -> str:
    """How far Equation 2's distance and baseline go from λ = 0.4 to the largest λ."""
    top = float(eq2["lam"].max())
    rows = {
        f"{metric} at λ = {lam:g}": cells(panels, edit_mean, eq2, metric=metric, lam=lam)
        for metric in (Metric.DISTANCE, Metric.BASELINE)
        for lam in (PAPER_LAMBDA, top)
    }
    return f"Equation 2, mean over pairs and blocks:{number_table(panels, rows)}"


def control(controls: pd.DataFrame, panels: Panels) -> str:
    """The linearity error of task vectors beside those of null controls."""
    rows = {
        str(kind): cells(panels, epsilon, controls, control=kind, at="mean")
        for kind in controls_in(controls)
    }
    rows["task vectors over random vectors"] = cells(panels, special_ratio, controls)
    return (
        f"The error ε of Equation 2 at λ = {PAPER_LAMBDA:g}, mean over pairs and blocks, for task "
        f"vectors and for controls.{number_table(panels, rows)}"
    )


def many(theorem: pd.DataFrame, panels: Panels) -> str:
    """Both sides of Theorem 4.3 with the most task vectors, for both schemes of α."""
    most = theorem.groupby("setting")["k"].max()
    rows = {"task vectors": [str(most[name]) for name in panels]}
    for scheme in (Scheme.FALLING, Scheme.CONSTANT):
        for metric in (Metric.DISTANCE, Metric.BASELINE):
            means = cells(panels, theorem_mean, theorem, metric=metric, scheme=scheme)
            rows[f"{metric}, {scheme}"] = means
        rows[f"length, {scheme}"] = cells(panels, theorem_mean_length, theorem, scheme=scheme)
    return f"With the most task vectors, means over blocks:{number_table(panels, rows)}"


def sides(eq2: pd.DataFrame, norms: pd.DataFrame, panels: Panels) -> str:
    """Encoder and decoder, and the decoder's state after the final norm."""
    parts = {
        "encoder": (eq2, "encoder"),
        "decoder": (eq2, "decoder"),
        "after the decoder's final norm": (norms, "decoder.norm"),
    }
    rows = {
        f"{metric}, {name}": cells(panels, edit_mean, table, metric=metric, layer=layer)
        for name, (table, layer) in parts.items()
        for metric in (Metric.BASELINE, Metric.DISTANCE)
    }
    return (
        "How far do features move (baseline), and how far are both sides of Equation 2 apart "
        f"(distance)? Means over pairs and blocks:{number_table(panels, rows)}"
    )


def readings(table: pd.DataFrame, panels: Panels) -> str:
    """The state of one token against a mean over more of them, those that were measured."""
    rows = {}
    measured = set(table["reading"])
    for way in (way for way in Pooling if way in measured and way != Pooling.PAPER):
        for metric in (Metric.BASELINE, Metric.DISTANCE):
            means = cells(panels, edit_mean, table, metric=metric, reading=way)
            rows[f"{metric}, {way}"] = means
        rows[f"length, {way}"] = cells(panels, edit_mean_length, table, reading=way)
    return f"Means over pairs and blocks:{number_table(panels, rows)}"
