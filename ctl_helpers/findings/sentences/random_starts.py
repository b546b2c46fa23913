"""What pages say of published networks beside random weights and beside networks trained here."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.changes import signed_words
from ctl_helpers.findings.linearity import epsilon, features_apart
from ctl_helpers.findings.sentences.predictions import pairwise
from ctl_helpers.findings.words import cells, number_table, short
from ctl_helpers.results.labels import Control

_ALIKE = 1.25  # times as far apart: more is not about equally far


def from_random(controls: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """ε at the last layer, and how far features move, from published and from random weights."""
    has = set(controls.loc[controls["control"] == Control.SCRATCH, "setting"])
    shown = {name: title for name, title in panels.items() if name in has}
    if not shown:
        return "No setting with a published network was run yet."
    starts = {
        "published weights": Control.TASK_VECTORS,
        "random weights": Control.SCRATCH,
    }
    rows = {
        f"{name}, {start}": cells(shown, measure, controls, control=kind, at="last")
        for name, measure in {"ε": epsilon, "features apart (1 − cosine)": features_apart}.items()
        for start, kind in starts.items()
    }
    return (
        "Does *pretraining* make networks linear, or is it enough that they share a start? The "
        "same networks were fine-tuned in the same way from random weights, the same for all. At "
        f"the last layer:{number_table(shown, rows)}"
        "Compare ε where features of two networks are about equally far apart: a network that "
        "hardly moves is linear in any case. Where random weights have no larger ε although they "
        "are as far apart, the shared start is enough. By the whole interval of ε, "
        f"{'; '.join(_told(controls, shown))}."
    )


def _told(controls: pd.DataFrame, shown: Mapping[str, str]) -> list[str]:
    """A setting's answer: which start is more linear, though its features are as far apart."""
    (far, far_random), (error, error_random) = (
        [
            measure.by_setting(controls, control=kind, at="last")
            for kind in (Control.TASK_VECTORS, Control.SCRATCH)
        ]
        for measure in (features_apart, epsilon)
    )
    told = []
    for name, title in shown.items():
        ratio = far_random[name].value / far[name].value
        nearer, farther = ratio <= _ALIKE, ratio >= 1 / _ALIKE
        answer, is_told = {
            "larger": ("published weights are more linear", nearer),
            "smaller": ("random weights are more linear", farther),
            "open": ("neither is more linear for sure", nearer and farther),
        }[signed_words(error_random[name], error[name], "larger", "smaller", "open")]
        told.append(f"{short(title)}: {answer if is_told else 'not equally far, so this is open'}")
    return told


def by_start(controls: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """ε of task vectors in published networks and in those that are trained here."""
    rows = {
        f"ε, {where}": cells(panels, epsilon, controls, at=at)
        for at, where in (("mean", "mean over layers"), ("last", "last layer"))
    }
    means = epsilon.by_setting(controls, at="mean")
    published, trained = (
        {name: means[name] for name, title in panels.items() if ("(B)" in title) == is_published}
        for is_published in (True, False)
    )
    pair = "a published network and one that is trained here"
    return (
        "Published networks (grade B) beside those that are trained here:"
        f"{number_table(panels, rows)}"
        "The prediction is that those that are trained here are less linear, by the mean over "
        f"layers. {pairwise(published, trained, pair)}"
    )
