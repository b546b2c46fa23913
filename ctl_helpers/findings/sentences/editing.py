"""What the pages on Section 4.3 say in numbers, of images and of texts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.findings.editing import (
    control_ratio,
    edit_extreme_length,
    edit_mean,
    edit_mean_length,
    edit_times_nearer,
    edit_worst_distance,
    nearest_to,
    theorem_mean,
    theorem_mean_length,
    worst_block,
)
from ctl_helpers.findings.stitching import (
    TUNED,
    WHOLE,
    added_accuracy,
    added_lambda,
    nearest_classes,
    nearest_share,
    negated_accuracy,
    negation_accuracy,
    negation_agreement,
    negation_lambda,
    negation_left,
    network_accuracy,
    stitch_accuracy,
    stitch_agreement,
    stitch_alone,
    stitch_kept,
    stitch_single,
)
from ctl_helpers.findings.words import by_panel, mark, plain, said
from ctl_helpers.results.labels import (
    PAPER_LAMBDA,
    AddedModel,
    Control,
    Metric,
    Pooling,
    Role,
    Scheme,
    Split,
)

Panels = Mapping[str, str]


def networks(accuracy: pd.DataFrame, panels: Panels, *, samples: str = "images") -> str:
    """What the networks can do before and after fine-tuning; ``samples`` is what they are asked."""
    start, own, other = (
        said(panels, network_accuracy, accuracy, of=of) for of in ("start", "own", "other")
    )
    first = "Before fine-tuning" if "majority" in accuracy else "Zero-shot"
    text = (
        f"{first}, the pretrained network is right on {start} of test {samples} (mean over "
        f"tasks). Fine-tuned, a network is right on {own} of its own task's {samples}, and on "
        f"{other} of the other tasks'."
    )
    if "majority" in accuracy:
        usual = said(panels, network_accuracy, accuracy, of="majority")
        text += f" Always giving the most frequent training answer would be right on {usual}."
    return text


def edited(
    addition: pd.DataFrame, negation: pd.DataFrame, panels: Panels, *, samples: str = "images"
) -> str:
    """What all task vectors added, and one subtracted, do to accuracy."""
    rows = negation[(negation["split"] == Split.TEST) & negation["chosen"]]
    scalings = {
        str(setting): " to ".join(dict.fromkeys([plain(lams.min()), plain(lams.max())]))
        for setting, lams in rows.groupby("setting")["lam"]
    }
    own, control = (
        [
            said(panels, negated_accuracy, negation, role=role, before=before)
            for before in (True, False)
        ]
        for role in (Role.FIRST, Role.PRETRAINING)
    )
    return (
        f"Held-out {samples} choose λ = {said(panels, added_lambda, addition)} (mean over seeds). "
        f"With it, the network is right on {said(panels, added_accuracy, addition)} of test "
        f"{samples}, and reaches {said(panels, added_accuracy, addition, share=True)} of what the "
        "tasks' own networks do.\n\n"
        "Negation, $\\theta_{\\text{PT}} - \\lambda\\tau_i$, is to make the network forget "
        "$\\mathcal D_i$ and nothing else. λ is the largest that keeps 95% of the accuracy on "
        f"$\\mathcal D_{{\\text{{PT}}}}$, on held-out {samples}, which is "
        f"{by_panel(panels, scalings)} for the single tasks. On test {samples} the accuracy on "
        f"$\\mathcal D_i$ then goes from {own[0]} to {own[1]}, on $\\mathcal D_{{\\text{{PT}}}}$ "
        f"from {control[0]} to {control[1]} (means over tasks)."
    )


def nearer(table: pd.DataFrame, panels: Panels) -> str:
    """How linear Equation 2 or 3 is at λ = 0.4: distance, its largest, and lengths."""
    where = {str(name): worst_block(rows) for name, rows in table.groupby("setting")}
    least, most = (edit_extreme_length.by_setting(table, least=least) for least in (True, False))
    lengths = {name: f"{mark(least[name])} and {mark(most[name])}" for name in least}
    return (
        f"At λ = {PAPER_LAMBDA:g} the two sides are {said(panels, edit_times_nearer, table)} "
        "nearer to each other than the baseline, in the median over blocks and edits. The "
        f"distance, in the median over edits, is largest at {by_panel(panels, where)}: "
        f"{said(panels, edit_worst_distance, table)}; mean length coefficients are between "
        f"{by_panel(panels, lengths)}."
    )


def reached(eq2: pd.DataFrame, panels: Panels) -> str:
    """How far Equation 2's distance and baseline go from λ = 0.4 to the largest λ."""
    top = float(eq2["lam"].max())
    (start, end), (moved, far) = (
        [said(panels, edit_mean, eq2, metric=metric, lam=lam) for lam in (PAPER_LAMBDA, top)]
        for metric in (Metric.DISTANCE, Metric.BASELINE)
    )
    return (
        f"From λ = {PAPER_LAMBDA:g} to λ = {top:g} the distance of Equation 2 goes from {start} to "
        f"{end} (mean over pairs and blocks), its baseline from {moved} to {far}."
    )


def control(controls: pd.DataFrame, panels: Panels, *, samples: str = "images") -> str:
    """The linearity error of task vectors beside those of null controls."""
    own, apart, random, other = (
        said(panels, edit_mean, controls, metric=Metric.EPSILON, control=kind) for kind in Control
    )
    return (
        f"At λ = {PAPER_LAMBDA:g} the error ε of Equation 2 is {own} for task vectors (mean over "
        "pairs and blocks). For random vectors that move the features as far it is "
        f"{random}, {said(panels, control_ratio, controls)} that; for task vectors of networks "
        f"pretrained apart {apart}, and for features of other {samples} {other}."
    )


def averaged(stitched: pd.DataFrame, panels: Panels) -> str:
    """What averaged features know of both tasks of a pair."""
    lams = stitched["lam"].unique()
    half, most = nearest_to(lams, TUNED), float(lams.max())
    both, merged = (
        said(panels, stitch_accuracy, stitched, model=model)
        for model in (AddedModel.FEATURES, AddedModel.WEIGHTS)
    )
    own, other = (said(panels, stitch_alone, stitched, own=own) for own in (True, False))
    start = said(panels, stitch_accuracy, stitched, model=AddedModel.WEIGHTS, lam=0.0)
    last = said(panels, stitch_accuracy, stitched, model=AddedModel.FEATURES, lam=most)
    return (
        f"At λ = {half:g}, the averaged features are right on {both} of both tasks' images (mean "
        f"over pairs), the merged weights' on {merged}. One network's features are right on {own} "
        f"of its own task's images and on {other} of the other's; the pretrained network on "
        f"{start}. That is {said(panels, stitch_kept, stitched)} of what either network gains, on "
        "the task where a pair loses more; the other network's features would bring "
        f"{said(panels, stitch_single, stitched)}. Averaged features and merged weights differ by "
        f"{said(panels, stitch_agreement, stitched)} of what the averages gain up to there, and "
        f"by {said(panels, stitch_agreement, stitched, beyond=True)} beyond. At λ = {most:g}, "
        "where the average has about all that either task vector adds to a feature, it is right "
        f"on {last}."
    )


def forgotten(stitched: pd.DataFrame, panels: Panels) -> str:
    """What a network forgets whose feature has a task vector's part subtracted."""
    own, kept = (
        [
            said(panels, negation_accuracy, stitched, role=role, at=at)
            for at in ("start", "chosen", "last")
        ]
        for role in (Role.FIRST, Role.PRETRAINING)
    )
    left = said(panels, negation_left, stitched, role=Role.FIRST)
    return (
        "Held-out images choose the largest λ that keeps 95% of the accuracy on "
        "$\\mathcal D_{\\text{PT}}$ with Δ subtracted: "
        f"{said(panels, negation_lambda, stitched)} (means over task vectors). There the accuracy "
        f"on $\\mathcal D_i$ goes from {own[0]} to {own[1]}, and {left} of what it is over chance "
        f"are left; on $\\mathcal D_{{\\text{{PT}}}}$ it goes from {kept[0]} to {kept[1]}. At the "
        f"largest λ the accuracies are {own[2]} and {kept[2]}. The two sides of Equation 4 differ "
        f"on $\\mathcal D_i$ by {said(panels, negation_agreement, stitched)} of what the accuracy "
        f"falls, over λ up to {WHOLE:g}."
    )


def many(theorem: pd.DataFrame, panels: Panels) -> str:
    """Both sides of Theorem 4.3 with the most task vectors, for both schemes of α."""

    def mean(metric: Metric, scheme: Scheme) -> str:
        return said(panels, theorem_mean, theorem, metric=metric, scheme=scheme)

    lengths = [
        said(panels, theorem_mean_length, theorem, scheme=scheme)
        for scheme in (Scheme.FALLING, Scheme.CONSTANT)
    ]
    most = {str(name): rows["k"].max() for name, rows in theorem.groupby("setting")}
    return (
        f"With {by_panel(panels, most)} task vectors the distance is "
        f"{mean(Metric.DISTANCE, Scheme.FALLING)} for a factor that shrinks (baseline "
        f"{mean(Metric.BASELINE, Scheme.FALLING)}) and {mean(Metric.DISTANCE, Scheme.CONSTANT)} "
        f"for a fixed one (baseline {mean(Metric.BASELINE, Scheme.CONSTANT)}), lengths are "
        f"{lengths[0]} and {lengths[1]} (means over blocks)."
    )


def neighbours(nearest: pd.DataFrame, panels: Panels) -> str:
    """A table of what the images have in common that move most along each task vector."""
    head = [
        "task vector",
        "of its kind",
        "by chance",
        "most frequent class",
        "its share",
        "classes",
    ]
    lines = [f"| {' | '.join(head)} |", "|:--|--:|--:|:--|--:|--:|"]
    first = nearest.groupby("setting")["seed"].transform("min")
    for row in nearest[nearest["seed"] == first].itertuples():
        name = f"{panels[row.setting]}, {row.i}" if len(panels) > 1 else row.i
        cells = [name, f"{row.own:.0%}", f"{row.chance:.0%}"]
        cells += [row.commonest, f"{row.share:.0%}", str(row.classes)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def common(nearest: pd.DataFrame, panels: Panels) -> str:
    """The same in the mean over task vectors."""
    return (
        "Of the nearest images, fifty or all there are, "
        f"{said(panels, nearest_share, nearest)} are of the task vector's own kind, where "
        f"{said(panels, nearest_share, nearest, chance=True)} would be by chance; they belong to "
        f"{said(panels, nearest_classes, nearest)} classes in the mean. As far as it is the "
        "*kind* of image that they share, the mean direction tells which images the task vector "
        "acts on, and little of which class they are: it is one direction, and fine-tuning teaches "
        "many classes."
    )


def sides(eq2: pd.DataFrame, norms: pd.DataFrame, panels: Panels) -> str:
    """Encoder and decoder, and the decoder's state after the final norm."""
    (near, far), (still, moved) = (
        [said(panels, edit_mean, eq2, metric=metric, layer=side) for side in ("encoder", "decoder")]
        for metric in (Metric.DISTANCE, Metric.BASELINE)
    )
    distance, baseline = (
        said(panels, edit_mean, norms, metric=metric, layer="decoder.norm")
        for metric in (Metric.DISTANCE, Metric.BASELINE)
    )
    return (
        f"The decoder's features move farther, with a baseline of {moved} (mean over blocks) where "
        f"the encoder's is {still}, and its sides are farther apart: {far} against {near}. After "
        f"the decoder's final norm the distance is {distance} and the baseline {baseline}."
    )


def readings(table: pd.DataFrame, panels: Panels) -> str:
    """The state of one token against the mean over the answer's."""
    last, answer = (
        [
            said(panels, edit_mean, table, metric=metric, reading=way)
            for metric in (Metric.DISTANCE, Metric.BASELINE)
        ]
        + [said(panels, edit_mean_length, table, reading=way)]
        for way in (Pooling.LAST, Pooling.ANSWER)
    )
    return (
        f"With the last token the mean distance over blocks is {last[0]} and the baseline "
        f"{last[1]}; with the mean over the answer's states they are {answer[0]} and {answer[1]}. "
        f"Lengths are {last[2]} and {answer[2]}."
    )
