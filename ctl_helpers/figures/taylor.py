"""The network's first-order expansion against the network (Appendix A)."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ctl_helpers.figures.axes import every_layer, log_axis
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.dots import Kind, dots
from ctl_helpers.figures.drawing import BLUE, GREY, VERMILION, Figure, band, draw, marks, xy
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.editing import blocks
from ctl_helpers.findings.finding import quoted
from ctl_helpers.findings.taylor import taylor_gained, taylor_times_farther
from ctl_helpers.findings.words import FLOOR, by_panel
from ctl_helpers.results.labels import Expansion

_LOOKS = {
    "Taylor model and network": (VERMILION, "square"),
    "cross-task linearity": (BLUE, "circle"),
}


def taylor(table: pd.DataFrame, ctl: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Error of the Taylor model and of Equation 1 by block, each as a share of its baseline.

    Args:
        table: rows of ``i``, ``layer``, ``metric`` and ``mean``: the mean of 1 − cosine between
            the features of fine-tuned network ``i`` and of its first-order expansion
            (``"distance"``) and of the pretrained network (``"baseline"``).
        ctl: :func:`ctl_helpers.compare` of :func:`ctl_helpers.pairs` at one α.
    """
    frames = {
        setting: [_shares(each[each["setting"] == setting]) for each in (table, ctl)]
        for setting in panels
    }
    lines = []
    for column, both in enumerate(frames.values(), 1):
        for (name, (colour, symbol)), frame in zip(_LOOKS.items(), both, strict=True):
            lines.append(band(name, colour, {"": frame}, "place", (1, column)))
            hover = f"%{{text}}: %{{y:.3g}} of the baseline<extra>{name}</extra>"
            look = marks(hover, symbol, text=frame["layer"].tolist())
            data = {"": xy(frame, "place", "mean")}
            lines.append(Line(name, colour, data, 1, column, look=look))
    times = taylor_times_farther.by_setting(table, ctl)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "As a share of its baseline, the distance of the Taylor model is "
                f"{by_panel(one, times)} that of Equation 1, at the block where this ratio is "
                "smallest"
            ),
        ),
        "By block on a log scale, one minus cosine as a share of its baseline: between a "
        "fine-tuned network's features and those of its first-order expansion, against how far "
        "fine-tuning moved them (squares), and between the features of mixed weights and mixed "
        "features, against how far the two networks are apart (circles). Medians over networks "
        "or pairs and seeds, with their range as an area.",
        rows=["distance / baseline"],
        columns=list(panels.values()),
        height=440,
        findings=quoted(times.values()),
    )
    for column, (frame, _) in enumerate(frames.values(), 1):
        some = frame[:: every_layer(len(frame))]
        labels = some["layer"].str.removeprefix("block ").tolist()
        figure.update_xaxes(tickvals=some["place"].tolist(), ticktext=labels, col=column)
    drawn = [value for both in frames.values() for frame in both for value in frame["mean"]]
    return figure.update_xaxes(title_text="block", zeroline=False).update_yaxes(**log_axis(drawn))


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    """Distance over baseline by block: the median over networks or pairs and seeds, and the range.

    What cannot be told from 0 counts as :data:`FLOOR`; a baseline that cannot be is left out.
    """
    keys = [name for name in ("setting", "seed", "i", "j", "layer") if name in table]
    wide = blocks(table).pivot_table(index=keys, columns="metric", values="mean", sort=False)
    wide = wide[wide["baseline"] >= FLOOR]
    share = wide["distance"].clip(lower=FLOOR) / wide["baseline"]
    spread = share.groupby("layer", sort=False).agg(mean="median", low="min", high="max")
    places = {name: place for place, name in enumerate(blocks(table)["layer"].unique(), 1)}
    return spread.reset_index().assign(place=lambda frame: frame["layer"].map(places))


def taylor_accuracy(table: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """Accuracy of fine-tuned networks and of their first-order expansions on their own tasks.

    Args:
        table: rows of ``setting``, ``seed``, ``model`` (``"network"`` or ``"taylor"``),
            ``network`` (a task, or ``"PT"``, the pretrained network), ``task`` and ``accuracy``.
    """
    own = table[table["network"] == table["task"]]
    parts = {
        "pretrained": table[table["network"] == "PT"],
        "fine-tuned network": own[own["model"] == Expansion.NETWORK],
        "its Taylor model": own[own["model"] == Expansion.TAYLOR],
    }
    looks = ((GREY, "x"), (BLUE, "circle"), (VERMILION, "square"))
    gained, tuned = (
        taylor_gained.by_setting(table, model=model)
        for model in (Expansion.TAYLOR, Expansion.NETWORK)
    )
    both = {name: f"{gained[name]} of {tuned[name]} points" for name in panels}
    return dots(
        [Kind(name, *look, rows) for (name, rows), look in zip(parts.items(), looks, strict=True)],
        panels,
        by_setting(
            panels,
            lambda one: (
                "Of the accuracy that fine-tuning gains, the Taylor model has "
                f"{by_panel(one, both)} (mean over tasks)"
            ),
        ),
        "A row for each task and one for their mean: test accuracy of the pretrained network "
        "(crosses), the fine-tuned one (circles) and its first-order expansion around the "
        "pretrained weights (squares); bars from the lowest seed to the highest.",
        findings=quoted(gained.values(), tuned.values()),
    )
