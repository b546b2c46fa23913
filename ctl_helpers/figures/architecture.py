"""What each part of a network does to linearity: dots of ratios, and runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from ctl_helpers.analysis import levels
from ctl_helpers.figures.choices import Line
from ctl_helpers.figures.drawing import (
    BLUE,
    COLOURS,
    DOTTED,
    GREY,
    SYMBOLS,
    VERMILION,
    Figure,
    draw,
    in_panels,
    marks,
    significant,
)
from ctl_helpers.figures.frame import by_setting
from ctl_helpers.findings.architecture import (
    PARTS,
    explained_by_displacement,
    part_doublings,
    variants_of,
)
from ctl_helpers.findings.finding import Finding, quoted
from ctl_helpers.findings.words import by_panel
from ctl_helpers.results.labels import Level, Variant, Where

_KINDS = (
    (Level.DISPLACEMENT, BLUE, "circle", -0.16),
    (Level.ACCURACY, VERMILION, "square", 0.16),
)
_TICKS = (0.25, 0.5, 1, 2, 4)
_EPSILONS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)
_DISTANCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)
_DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot")


def ratios(matched: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε of each variant over ε of the centre, a row a variant and a panel a setting.

    Bars are 95% intervals over seeds, where there are several. The menu chooses the layer.

    Args:
        matched: columns ``variant``, ``at``, ``where``, ``epsilon`` and ``gain``.
    """
    matched = matched[matched["setting"].isin(list(panels))]
    variants = variants_of(matched)
    found = {
        (variant, at, where): part_doublings.by_setting(
            matched, variant=variant, at=at, where=where
        )
        for variant in variants
        for at in Level
        for where in Where
    }
    lines = [
        line
        for column, setting in enumerate(panels, 1)
        for line in _dots(found, variants, setting, column)
    ]
    main = {one: found[one, Level.DISPLACEMENT, Where.WORST] for one in variants}
    figure = draw(
        lines,
        by_setting(panels, lambda one: _takeaway(main, one)),
        "A row for each changed part: the linearity error of the network with that part changed, "
        "divided by that of the centre, on a logarithmic axis with a line at 1. Circles: where "
        "features have moved equally far; squares: where the own accuracy is equal. Bars: 95% "
        "intervals over seeds.",
        columns=list(panels.values()),
        height=170 + 27 * len(variants),
        menu="layer",
        gap=0.04,
        findings=quoted(*(_extremes(main, setting) for setting in panels)),
    )
    _rows(figure, variants, len(panels))
    return figure


def _dots(
    found: Mapping[tuple[Variant, Level, Where], Mapping[str, Finding]],
    variants: Sequence[Variant],
    setting: str,
    column: int,
) -> list[Line]:
    """The dots of one panel, of both levels, over the line at 1."""
    ends = {"x": [1, 1], "y": [-0.5, len(variants) - 0.5]}
    lines = [Line("centre", GREY, {"": ends}, 1, column, look=DOTTED, listed=False)]
    for at, colour, symbol, offset in _KINDS:
        data = {}
        for where in Where:
            places = [n for n, one in enumerate(variants) if setting in found[one, at, where]]
            shown = [found[variants[n], at, where][setting] for n in places]
            data[str(where)] = {
                "x": significant(2**one.value for one in shown),
                "y": [n + offset for n in places],
                "text": [str(variants[n]) for n in places],
                **_bars(shown),
            }
        hover = f"%{{text}}: %{{x:.2f}} times<extra>{at}</extra>"
        look = {
            **marks(hover, symbol, mode="markers"),
            "error_x": {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3},
        }
        lines.append(Line(str(at), colour, data, 1, column, look=look))
    return lines


def _bars(findings: Sequence[Finding]) -> dict[str, list[float]]:
    """Intervals as error bars, of length 0 where there is none."""
    ends = [one.sample.interval() or (one.value, one.value) for one in findings]
    pairs = list(zip(findings, ends, strict=True))
    return {
        "error_x.array": significant(max(2**high - 2**one.value, 0) for one, (_, high) in pairs),
        "error_x.arrayminus": significant(max(2**one.value - 2**low, 0) for one, (low, _) in pairs),
    }


def _rows(figure: Figure, variants: Sequence[Variant], columns: int) -> None:
    """Name the rows, and part those of different parts."""
    count = len(variants)
    figure.update_yaxes(
        tickvals=list(range(count)),
        ticktext=[str(one) for one in variants],
        range=[count - 0.5, -0.5],
        zeroline=False,
        showgrid=False,
    )
    part_of = {variant: part for part, changed in PARTS.items() for variant in changed}
    for place in range(1, count):
        if part_of[variants[place]] != part_of[variants[place - 1]]:
            for column in range(1, columns + 1):
                figure.add_hline(y=place - 0.5, line_width=1, opacity=0.4, row=1, col=column)
    _ticks(figure.update_xaxes, _TICKS)
    figure.update_xaxes(title_text="ε over the centre's")


def _extremes(main: Mapping[Variant, Mapping[str, Finding]], setting: str) -> list[Finding]:
    """Of a setting, the least and the largest ratio."""
    own = [of_setting[setting] for of_setting in main.values() if setting in of_setting]
    return sorted(own, key=float)[:: max(len(own) - 1, 1)]


def _takeaway(main: Mapping[Variant, Mapping[str, Finding]], panels: Mapping[str, str]) -> str:
    (setting,) = list(panels)[:1]
    ends = _extremes(main, setting)
    if len(ends) < 2:
        return "No two variants have gone equally far"
    names = {id(of[setting]): variant for variant, of in main.items() if setting in of}
    low, high = ends
    return (
        f"At equal displacement, the worst layer's ε is {low} the centre's with "
        f"“{names[id(low)]}” and {high} with “{names[id(high)]}”"
    )


def runs(snapshots: pd.DataFrame, panels: Mapping[str, str]) -> Figure:
    """ε against how far features have moved, along each variant's run of fine-tuning.

    The menu chooses the layer, the slider the part that is changed; the centre is always there.

    Args:
        snapshots: :func:`ctl_helpers.compare` with ``variant`` and ``steps``.
    """
    lines = [
        _run(_mean_curve(rows, variant), variant, part, place, column)
        for column, _, rows in in_panels(snapshots, panels)
        for part, variants in {"": (Variant.CENTRE,), **PARTS}.items()
        for place, variant in enumerate(variants)
        if variant in set(rows["variant"])
    ]
    explained = explained_by_displacement.by_setting(snapshots)
    figure = draw(
        lines,
        by_setting(
            panels,
            lambda one: (
                "How far features moved explains "
                f"{by_panel(one, explained)} of how log ε varies over variants and snapshots"
            ),
        ),
        "The linearity error against the baseline distance between both networks' features, mean "
        "over layers, a line for each variant and a point for each snapshot of its run, both axes "
        "logarithmic.",
        rows=["linearity error ε"],
        columns=list(panels.values()),
        menu="layer",
        slider="changed part",
        height=440,
        findings=quoted(explained.values()),
    )
    _ticks(figure.update_yaxes, _EPSILONS)
    _ticks(figure.update_xaxes, _DISTANCES)
    return figure.update_xaxes(title_text="distance of features")


def _ticks(update: Callable[..., object], places: Sequence[float]) -> None:
    """A logarithmic axis with numbers that a reader knows."""
    update(type="log", tickvals=list(places), ticktext=[f"{place:g}" for place in places])


def _mean_curve(rows: pd.DataFrame, variant: Variant) -> pd.DataFrame:
    """What is read off one variant's runs, mean over seeds."""
    of_seeds = rows[rows["variant"] == variant].groupby("seed")
    return pd.concat([levels.features(part) for _, part in of_seeds]).groupby("steps").mean()


def _run(along: pd.DataFrame, variant: Variant, part: str, place: int, column: int) -> Line:
    """A part has a colour, and each of its variants a symbol and a dash."""
    colour = COLOURS[list(PARTS).index(part)] if part else GREY
    symbol = SYMBOLS[place % len(SYMBOLS)]
    look = marks(f"%{{x}}: ε %{{y}}<extra>{variant}</extra>", symbol, size=7)
    data = {
        str(where): {"x": significant(along["moved"]), "y": significant(along[where])}
        for where in Where
    }
    dashed = {**look, "line_dash": _DASHES[place], "line_width": 1.5 if part else 3}
    return Line(str(variant), colour, data, 1, column, group=part, look=dashed)
