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
    under_bound,
)
from ctl_helpers.findings.curvature import explained as explained_by
from ctl_helpers.findings.editing import theorem_distance, theorem_nearer
from ctl_helpers.findings.finding import Finding
from ctl_helpers.findings.spawning import broken_steps
from ctl_helpers.findings.transitivity import mixed_over_parts, worst_ratio
from ctl_helpers.findings.words import by_panel, mark, markdown_table, quote
from ctl_helpers.results.labels import Buffers, Lemma, Scale

NAMES = {
    "product": "product",
    "curvature": "λ_max alone",
    "squared_distance": "‖θ_i − θ_j‖² alone",
}
"""What a reader sees of each regressor."""

Explained = dict[str, dict[str, Finding]]


def convexity(induced: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Theorem 3.3: how many mixed networks break a step of its proof."""
    return (
        "**Check** (Section 3, spawned copies of one network): of "
        f"{int((~induced['alpha'].isin([0, 1])).sum())} mixed networks "
        f"{quote(panels, broken_steps.by_setting(induced))} break one of the two steps."
    )


def transitivity(triples: pd.DataFrame, lemmas: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Conjecture 4.1 and the lemmas: the largest errors over those of given pairs."""
    largest = {
        lemma: by_panel(panels, mixed_over_parts.by_setting(lemmas[lemmas["lemma"] == lemma]))
        for lemma in Lemma
    }
    return (
        "**Check** (Section 4.1): over all triples the third pair's squared error is at most "
        f"{quote(panels, worst_ratio.by_setting(triples))} the larger of the two given ones. The "
        "largest error of a mixed pair is, against the largest error of any pair of these "
        f"networks, {largest[Lemma.B2]} as large for Lemma B.2 and {largest[Lemma.B3]} for B.3."
    )


def many(table: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Theorem 4.2: how the distance grows with the number of networks."""
    counts = table.groupby("setting")["k"]
    fewest, most = (_alike(panels, ends) for ends in (counts.min(), counts.max()))
    return (
        f"**Check** (Section 4.2): from k = {fewest} to k = {most} networks of equal weight the "
        "distance of the two sides (mean over layers) becomes "
        f"{quote(panels, growth.by_setting(table))} as large."
    )


def task_vectors(theorem: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """Theorem 4.3 with all task vectors."""
    return (
        "**Check** (Section 4.3): with all task vectors both sides are "
        f"{quote(panels, theorem_distance.by_setting(theorem))} apart in direction (at the block "
        "and for the reading of the weights where it is most). The left side is farther "
        "from the parts of the right one, in units of k + 1, by "
        f"{quote(panels, theorem_nearer.by_setting(theorem))} (median over blocks)."
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
        [panels[setting], left, *(str(fits[name].get(setting, "–")) for name in REGRESSORS)]
        for setting, left, fits in _cuts(pairs, panels)
    ]
    return markdown_table(["setting", "starts", *NAMES.values()], lines, texts=2)


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
    lines = []
    for scale in sorted(nearer["scale"].unique(), reverse=True):
        off = off_second_order.by_setting(nearer, scale=scale)
        cells = [mark(off[name]) if name in off else "" for name in panels]
        lines.append([f"t = {scale:g}", *cells])
    return markdown_table(["", *panels.values()], lines)


def curvature_seen(pairs: pd.DataFrame, nearer: pd.DataFrame, panels: Mapping[str, str]) -> str:
    """What came of Theorem 5.1: the bound, who explains δ, the rest, and what is left near by."""
    fits = _fits(pairs)
    best = sum(_best(fits, name) == "product" for name in panels)
    cuts = [_best(part, setting) for setting, _, part in _cuts(pairs, panels)]
    off = {}
    for name in panels:
        scale = nearer.loc[nearer["setting"] == name, "scale"].min()
        one = off_second_order.by_setting(nearer, scale=scale)[name]
        off[name] = f"{mark(one)} at t = {scale:g}"
    lines = [
        "The bound of second order holds, even without the rest, for "
        f"{quote(panels, under_bound.by_setting(pairs))} of the pairs; but the median δ is "
        f"{quote(panels, share_of_bound.by_setting(pairs, term='delta'))} of it, so far under that "
        "holding says little about δ.",
        f"Over all starts the product explains δ best in {best} of {len(panels)} settings (linear "
        f"axes); over the choices of starts in the table above in {cuts.count('product')} of "
        f"{len(cuts)}.",
        "R² of the product less that of the better of its factors is "
        f"{quote(panels, explained_more.by_setting(pairs))}; its largest value is "
        f"{quote(panels, predictor_span.by_setting(pairs))} its smallest.",
        *_with_statistics(pairs, panels),
        "The third-order rest is, in the median, "
        f"{quote(panels, rest_over_second_order.by_setting(pairs))} times the second-order term.",
        "At the smallest t the deviation is still off its second-order term by "
        f"{by_panel(panels, off)}.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _with_statistics(pairs: pd.DataFrame, panels: Mapping[str, str]) -> list[str]:
    """A sentence for each setting whose running statistics count."""
    lines = []
    for setting, title in panels.items():
        rows = pairs[pairs["setting"] == setting]
        if _has_buffers(rows):
            fits = _fits(rows, theta=Buffers.ALL)
            numbers = ", ".join(mark(fits[name][setting]) for name in REGRESSORS)
            names = ", ".join(NAMES.values())
            lines.append(f"{title}, {Buffers.ALL}: R² {numbers} for {names}.")
    return lines


def _fits(pairs: pd.DataFrame, **arguments: str) -> Explained:
    """Regressor → setting → R²."""
    return {name: explained_by.by_setting(pairs, name=name, **arguments) for name in REGRESSORS}


def _best(fits: Explained, setting: str) -> str:
    known = [name for name in REGRESSORS if setting in fits[name]]
    return max(known, key=lambda name: float(fits[name][setting]))


def _cuts(pairs: pd.DataFrame, panels: Mapping[str, str]) -> list[tuple[str, str, Explained]]:
    """Setting, the starts that are left, and their R²; two starts at least are left."""
    cuts = []
    for setting in panels:
        rows = pairs[pairs["setting"] == setting]
        starts = list(dict.fromkeys(rows["start"]))
        for first in range(len(starts) - 1):
            left = starts[first:]
            cuts.append((setting, ", ".join(left), _fits(rows[rows["start"].isin(left)])))
    return cuts


def _alike(panels: Mapping[str, str], values: pd.Series) -> str:
    """A number for each setting, or the one that they share."""
    one = str(values.iloc[0])
    return (
        one
        if values.nunique() == 1
        else by_panel(panels, {str(name): values[name] for name in values.index})
    )


def _has_buffers(pairs: pd.DataFrame) -> bool:
    return bool((pairs["product"] != pairs["product_buffers"]).any())


def _with_interval(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    interval = finding.sample.interval()
    ends = "" if interval is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    return f"{finding}{ends}"
