"""What the page on the theorems says in numbers."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings import published
from ctl_helpers.findings.averaging import growth
from ctl_helpers.findings.curvature import (
    REGRESSORS,
    explained_more,
    off_second_order,
    predictor_span,
    rest_over_second_order,
    share_of_bound,
    start_name,
    under_bound,
)
from ctl_helpers.findings.curvature import explained as explained_by
from ctl_helpers.findings.editing import theorem_distance, theorem_nearer
from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.sentences.spawning import held
from ctl_helpers.findings.transitivity import mixed_over_parts, worst_ratio
from ctl_helpers.findings.words import cells, mark, markdown_table, number_table
from ctl_helpers.results.labels import Buffers, Lemma, Scale

NAMES = {
    "product": "product",
    "curvature": "$\\lambda_{\\max}$ alone",
    "squared_distance": "$\\lVert\\theta_i - \\theta_j\\rVert^2$ alone",
}
"""What a reader sees of each regressor."""

Explained = dict[str, dict[str, Finding]]


def convexity(induced: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Theorem 3.3: in how many cases both steps of its proof hold."""
    return (
        "**Check** (Section 3, on copies of one network, trained apart): both steps hold in "
        f"{held(induced, panels)}."
    )


def transitivity(triples: pd.DataFrame, lemmas: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Conjecture 4.1 and the lemmas: the largest errors over those of given pairs."""
    rows = {
        "Conjecture 4.1, third pair": cells(panels, worst_ratio, triples),
        **{
            f"Lemma {lemma}, mixed pair": cells(panels, mixed_over_parts, lemmas, lemma=lemma)
            for lemma in Lemma
        },
    }
    return (
        "**Check** (Section 4.1). The first row divides the squared error of the third pair by the "
        "larger squared error of the given ones; it is the largest number over all triples. The "
        "other rows divide the largest error of a mixed pair by the largest error of any pair of "
        f"its networks.{number_table(panels, rows)}"
    )


def many(table: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Theorem 4.2: how the distance grows with the number of networks."""
    counts = table.groupby("setting")["k"]
    rows = {
        "networks": [f"{counts.min()[name]} to {counts.max()[name]}" for name in panels],
        "growth of the distance": cells(panels, growth, table),
    }
    return (
        "**Check** (Section 4.2). How much the distance between both sides grows as networks join, "
        f"mean over layers, with equal weights:{number_table(panels, rows)}"
    )


def task_vectors(theorem: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Theorem 4.3 with all task vectors."""
    rows = {
        "distance at the block and scheme of α where it is largest": cells(
            panels, theorem_distance, theorem
        ),
        "baseline over distance, divided by k + 1, median over blocks": cells(
            panels, theorem_nearer, theorem
        ),
    }
    return (
        "**Check** (Section 4.3), with all task vectors. For comparison: the second row would be 1 "
        "if the left side did not move from the pretrained feature, and the parts on the right "
        f"moved equally far in unrelated directions.{number_table(panels, rows)}"
    )


def explained(pairs: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """R² of each regressor with its interval, also with running statistics, and the paper's."""
    lines = []
    for setting, title in panels.items():
        rows = pairs[pairs["setting"] == setting]
        for theta in Buffers if _has_buffers(rows) else [Buffers.PARAMETERS]:
            name = title if theta == Buffers.PARAMETERS else f"{title}, {theta}"
            for scale in Scale:
                fits = _fits(rows, theta=theta, scale=scale)
                cells = [_with_interval(fits[regressor].get(setting)) for regressor in REGRESSORS]
                lines.append([name, scale, *cells])
    paper = [published.EXPLAINED[regressor] for regressor in REGRESSORS]
    lines.append(["the paper, ResNet-20 on CIFAR-10", Scale.LINEAR, *paper])
    return markdown_table(["setting", "scale", *NAMES.values()], lines, texts=2)


def by_starts(pairs: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """R² of each regressor as the starts with least pretraining are left out."""
    lines = [
        [
            panels[setting],
            start_name(left[0]),
            str(len(left)),
            *(str(fits[name].get(setting, "–")) for name in REGRESSORS),
        ]
        for setting, left, fits in _cuts(pairs, panels)
    ]
    return markdown_table(["setting", "from", "starts", *NAMES.values()], lines, texts=2)


def inequality(pairs: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Both sides of Theorem 5.1: shares of the bound, and the third-order rest."""
    columns = {
        "δ under the bound": under_bound.by_setting(pairs),
        "δ / bound": share_of_bound.by_setting(pairs, term="delta"),
        "second order / bound": share_of_bound.by_setting(pairs, term="second_order"),
        "rest / second order": rest_over_second_order.by_setting(pairs),
    }
    counts = pairs.groupby("setting").size()
    lines = [
        [title, str(counts[name]), *(mark(of[name]) for of in columns.values())]
        for name, title in panels.items()
    ]
    return markdown_table(["setting", "pairs", *columns], lines)


def nearer_start(nearer: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """How far the deviation is off its second-order term as networks come nearer to the start."""
    rows = {
        f"t = {scale:g}": [
            text if text != "–" else ""
            for text in cells(panels, off_second_order, nearer, scale=scale)
        ]
        for scale in sorted(nearer["scale"].unique(), reverse=True)
    }
    pairs = nearer.groupby(["setting", "scale"]).size().groupby("setting").max()
    return number_table(panels, {**rows, "pairs": [str(pairs[name]) for name in panels]})


def curvature_seen(pairs: pd.DataFrame, nearer: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """What came of Theorem 5.1: the bound, who explains δ, the rest, and what is left near by."""
    cuts = [
        (setting, _best(fits, setting) == "product") for setting, _, fits in _cuts(pairs, panels)
    ]
    won = [[product for own, product in cuts if own == name] for name in panels]
    smallest = {name: nearer.loc[nearer["setting"] == name, "scale"].min() for name in panels}
    off = [
        f"{cells({name: panels[name]}, off_second_order, nearer, scale=t)[0]} at t = {t:g}"
        for name, t in smallest.items()
    ]
    rows = {
        "pairs under the bound": cells(panels, under_bound, pairs),
        "δ over the bound, median": cells(panels, share_of_bound, pairs, term="delta"),
        "R² of the product minus that of its better factor": cells(panels, explained_more, pairs),
        "choices of starts where the product has the highest R²": [
            f"{sum(best)} of {len(best)}" for best in won
        ],
        "largest product, divided by the smallest": cells(panels, predictor_span, pairs),
        "third-order rest, divided by second order, median": cells(
            panels, rest_over_second_order, pairs
        ),
        "off second order nearest to the start, median": off,
    }
    return (
        "A bound that is far above δ holds, but says little about δ: see the first two rows."
        f"{number_table(panels, rows)}"
    )


def _fits(pairs: pd.DataFrame, **arguments: str) -> Explained:
    """Regressor → setting → R²."""
    return {name: explained_by.by_setting(pairs, name=name, **arguments) for name in REGRESSORS}


def _best(fits: Explained, setting: str) -> str:
    known = [name for name in REGRESSORS if setting in fits[name]]
    return max(known, key=lambda name: float(fits[name][setting]))


def _cuts(pairs: pd.DataFrame, panels: Mapping[str, str]) -> list[tuple[str, list[str], Explained]]:
    """Setting, the starts that are left, and their R²; two starts at least are left."""
    cuts = []
    for setting in panels:
        rows = pairs[pairs["setting"] == setting]
        starts = list(dict.fromkeys(rows["start"]))
        for first in range(len(starts) - 1):
            left = starts[first:]
            cuts.append((setting, left, _fits(rows[rows["start"].isin(left)])))
    return cuts


def _has_buffers(pairs: pd.DataFrame) -> bool:
    return bool((pairs["product"] != pairs["product_buffers"]).any())


def _with_interval(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    interval = finding.sample.interval()
    if interval is None:
        return str(finding)
    low, high = (finding.write(end) for end in interval)
    return f"{finding} [{low}, {high}]"
