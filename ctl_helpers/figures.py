"""Interactive figures of tidy result tables.

Every figure's title is its takeaway, computed from the table, and every figure carries a text
alternative in ``layout.meta.alt``. Without a kernel a reader chooses the pair in one menu and α in
another, and reads exact values by hovering.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito's palette: told apart by colour-blind readers, in light and dark.
_BLUE, _GREEN, _VERMILION, _PURPLE, _ORANGE = "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00"
_COLOURS = (_BLUE, _GREEN, _VERMILION, _PURPLE, _ORANGE)
_GREY = "#8a8a8a"
_ALL = "mean over pairs"


@dataclass(frozen=True)
class _Line:
    """One trace: where it stands, how it looks, and its data for each choice of the first menu."""

    name: str
    colour: str
    data: Mapping[str, Mapping[str, list]]
    row: int = 1
    column: int = 1
    group: str = ""
    look: Mapping[str, object] = field(default_factory=dict)


def _draw(
    lines: Sequence[_Line],
    title: str,
    alt: str,
    *,
    rows: Sequence[str] = ("",),
    columns: Sequence[str] = ("",),
    height: int = 420,
    shared_y: str | bool = True,
    spacing: float = 0.06,
    min_width: int = 0,
) -> go.Figure:
    """Traces in a grid of panels, under a menu of their data's keys and one of their groups."""
    figure = make_subplots(
        len(rows),
        len(columns),
        shared_xaxes=len(rows) > 1,
        shared_yaxes=shared_y,
        column_titles=list(columns) if any(columns) else None,
        horizontal_spacing=0.05,
        vertical_spacing=spacing,
    )
    for number, label in enumerate(rows, 1):
        figure.update_yaxes(title_text=label, row=number, col=1)
    choices = list(lines[0].data)
    named: set[str] = set()
    for line in lines:
        trace = go.Scatter(
            name=line.name,
            legendgroup=line.name,
            showlegend=line.name not in named,
            marker_color=line.colour,
            line_color=line.colour,
        )
        trace.update({**line.look, **_nested(line.data[choices[0]])})
        figure.add_trace(trace, line.row, line.column)
        named.add(line.name)
    menus = []
    if len(choices) > 1:
        menus.append(
            [
                _button(choice, {key: [line.data[choice][key] for line in lines] for key in keys})
                for choice in choices
                for keys in [lines[0].data[choice]]
            ]
        )
    groups = [group for group in dict.fromkeys(line.group for line in lines) if group]
    if len(groups) > 1:
        shown = {"every α": [True] * len(lines)} | {
            group: [line.group in ("", group) for line in lines] for group in groups
        }
        menus.append([_button(name, {"visible": visible}) for name, visible in shown.items()])
    wrapped = "<br>".join(textwrap.wrap(title, 64))
    # The book's pages set the title above the figure, and take its space away.
    title_height = 30 + 18 * wrapped.count("<br>")
    controls_height = 84 if menus else 40
    figure.update_layout(
        title={
            "text": wrapped,
            "font": {"size": 15},
            "x": 0.01,
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 10},
        },
        meta={"alt": f"{title}. {alt}", "min_width": min_width, "title_height": title_height},
        updatemenus=[
            {"buttons": menu, "x": 0.3 * place, "xanchor": "left", "yanchor": "bottom"}
            | {"y": 1 + 30 / (height - controls_height - 72), "font": {"size": 12}}
            for place, menu in enumerate(menus)
        ],
        height=height + title_height,
        margin={"l": 64, "r": 30, "t": title_height + controls_height, "b": 84},
        legend={"orientation": "h", "yanchor": "bottom", "yref": "container", "y": 0, "x": 0},
        template="plotly_white",
    )
    return figure


def _button(label: str, change: Mapping[str, list]) -> dict[str, object]:
    return {"label": label, "method": "restyle", "args": [dict(change)]}


def _nested(data: Mapping[str, list]) -> dict[str, list]:
    """Attribute paths as plotly.py writes them: ``error_y.array`` → ``error_y_array``."""
    return {key.replace(".", "_"): value for key, value in data.items()}


def _digits(values: pd.Series, digits: int = 4) -> list[float]:
    """Rounded to significant digits: what a reader can use, in a fraction of the page's size."""
    return [float(f"{value:.{digits}g}") for value in values]


def _by_pair(table: pd.DataFrame, keys: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Pair → rows with seeds averaged, the mean over all pairs first."""
    named = table.assign(pair=table["i"] + " – " + table["j"])
    numbers = [c for c in named.select_dtypes("number") if c not in (*keys, "seed", "comparison")]

    def averaged(part: pd.DataFrame) -> pd.DataFrame:
        return part.groupby(list(keys), sort=False)[numbers].mean().reset_index()

    pairs = {pair: averaged(part) for pair, part in named.groupby("pair", sort=False)}
    return {_ALL: averaged(named)} | pairs


def _points(rows: pd.DataFrame) -> dict[str, list]:
    """Means by layer with quartiles over samples as error bars."""
    return {
        "y": _digits(rows["mean"]),
        "error_y.array": _digits((rows["q75"] - rows["mean"]).clip(lower=0)),
        "error_y.arrayminus": _digits((rows["mean"] - rows["q25"]).clip(lower=0)),
        "customdata": list(zip(_digits(rows["q25"]), _digits(rows["q75"]), strict=True)),
    }


def _point_look(layers: Sequence[str], symbol: str, label: str) -> dict[str, object]:
    return {
        "x": list(dict.fromkeys(layers)),
        "mode": "lines+markers",
        "marker_symbol": symbol,
        "marker_size": 9,
        "line_width": 1.5,
        "line_dash": "solid" if symbol == "circle" else "dot",
        "error_y": {"type": "data", "symmetric": False, "thickness": 1.2, "width": 4},
        "hovertemplate": "%{x}: %{y}<br>quartiles %{customdata[0]} to %{customdata[1]}"
        f"<extra>{label}</extra>",
    }


def times_nearer(table: pd.DataFrame) -> float:
    """The median of baseline over distance, over settings, seeds, pairs, α and layers."""
    known = ("setting", "seed", "i", "j", "alpha", "layer")
    keys = [name for name in known if name in table]
    wide = table.pivot_table(index=keys, columns="metric", values="mean", observed=True)
    return float((wide["baseline"] / wide["distance"]).median())


def direction(table: pd.DataFrame, panels: Mapping[str, str]) -> go.Figure:
    """``E[1 − cosine_α]`` by layer with its baseline, a panel a setting (Figures 2, 13, 15).

    Args:
        table: :func:`ctl_helpers.compare` over pairs, with columns ``setting`` and ``seed``;
            seeds are averaged. Error bars are the lower and upper quartile over samples.
        panels: setting → panel title, in order.
    """
    lines = []
    for column, setting in enumerate(panels, 1):
        chosen = table[table["setting"] == setting]
        alphas = sorted(chosen["alpha"].unique())
        series = [
            ("distance", a, f"α = {a:g}", _COLOURS[n], "circle") for n, a in enumerate(alphas)
        ]
        series.append(("baseline", alphas[0], "baseline", _GREY, "diamond"))
        for metric, alpha, name, colour, symbol in series:
            rows = chosen[(chosen["metric"] == metric) & (chosen["alpha"] == alpha)]
            data = {pair: _points(part) for pair, part in _by_pair(rows, ["layer"]).items()}
            group = name if metric == "distance" else ""
            look = _point_look(rows["layer"], symbol, name)
            lines.append(_Line(name, colour, data, 1, column, group, look))
    ratio = times_nearer(table)
    figure = _draw(
        lines,
        f"Features of the mixed network are {ratio:.0f} times nearer to the mixed features than "
        "the two networks' features are to each other",
        "Mean of one minus cosine by layer on a log scale. Coloured circles, one series for each "
        "alpha, compare the interpolated network with the interpolated features; grey diamonds "
        "are the baseline between the two fine-tuned networks.",
        rows=["E[1 − cosine]"],
        columns=list(panels.values()),
        height=460,
        min_width=340 * len(panels),
    )
    return figure.update_yaxes(type="log", exponentformat="power", dtick=1)


def length(histograms: pd.DataFrame, panels: Mapping[str, str]) -> go.Figure:
    """How ``coef_α`` is distributed over samples, a row a layer (Figures 3, 14, 16).

    Args:
        histograms: :meth:`ctl_helpers.Linearity.histogram` of ``coef`` with columns ``setting``
            and ``seed``; seeds are averaged.
        panels: setting → panel title, in order.
    """
    layers = list(dict.fromkeys(histograms["layer"]))
    lines = []
    for column, setting in enumerate(panels, 1):
        for row, layer in enumerate(layers, 1):
            part = histograms[(histograms["setting"] == setting) & (histograms["layer"] == layer)]
            for n, (alpha, rows) in enumerate(part.groupby("alpha")):
                name = f"α = {alpha:g}"
                bins = _by_pair(rows, ["low", "high"])
                data = {pair: {"y": _digits(part["share"], 3)} for pair, part in bins.items()}
                middles = _digits((bins[_ALL]["low"] + bins[_ALL]["high"]) / 2)
                look = {
                    "x": middles,
                    "mode": "lines",
                    "line_shape": "hvh",
                    "line_width": 1.8,
                    "hovertemplate": "coef %{x}: %{y:.1%} of samples<extra>" + name + "</extra>",
                }
                lines.append(_Line(name, _COLOURS[n], data, row, column, name, look))
    middle = (histograms["low"] + histograms["high"]) / 2
    mean = (middle * histograms["share"]).sum() / histograms["share"].sum()
    figure = _draw(
        lines,
        f"The mixed network's features have {mean:.0%} of the mixed features' length on average",
        "For each layer, the share of samples by coefficient: the length of the interpolated "
        "network's feature along the interpolated features, where one means equal length.",
        rows=layers,
        columns=list(panels.values()),
        height=170 + 130 * len(layers),
        shared_y=False,
        min_width=340 * len(panels),
    )
    figure.add_vline(x=1, line_dash="dot", line_color=_GREY)
    figure.update_yaxes(tickformat=".0%", nticks=4, rangemode="tozero")
    filled = middle[histograms["share"] > 0.01]
    figure.update_xaxes(range=[filled.min() - 0.03, filled.max() + 0.03])
    return figure.update_xaxes(title_text="coef", row=len(layers))


def paths(curves: pd.DataFrame, panels: Mapping[str, str]) -> go.Figure:
    """Loss and accuracy along ``θ_α`` on ``D_i``, ``D_j`` and ``D_PT`` (Section 4.1).

    Args:
        curves: :func:`ctl_helpers.evaluate` of :func:`ctl_helpers.path` with columns ``setting``,
            ``seed`` and ``role``, which says whose task it is; seeds are averaged.
        panels: setting → panel title, in order.
    """
    lines = []
    roles = list(dict.fromkeys(curves["role"]))
    for column, setting in enumerate(panels, 1):
        for n, role in enumerate(roles):
            rows = curves[(curves["setting"] == setting) & (curves["role"] == role)]
            by_pair = _by_pair(rows, ["alpha"])
            for row, (measure, form) in enumerate((("loss", ".3f"), ("accuracy", ".1%")), 1):
                data = {pair: {"y": _digits(part[measure])} for pair, part in by_pair.items()}
                hover = f"α = %{{x}}: {measure} %{{y:{form}}}<extra>on {role}</extra>"
                look = {"x": by_pair[_ALL]["alpha"].tolist(), "hovertemplate": hover}
                look["mode"] = "lines+markers"
                lines.append(_Line(f"on {role}", _COLOURS[n], data, row, column, "", look))
    ends = curves[curves["alpha"].isin([0.0, 1.0])]
    keys = ["setting", "seed", "i", "j", "role"]
    rise = (curves.groupby(keys)["loss"].max() - ends.groupby(keys)["loss"].min()).median()
    figure = _draw(
        lines,
        f"Between two fine-tuned networks the loss rises by {rise:.1f} nats over its better end "
        "(median): no linear mode connectivity across tasks",
        "Loss above and accuracy below against alpha, from network j at zero to network i at one, "
        "on both fine-tuning tasks and on the pretraining task.",
        rows=["loss", "accuracy"],
        columns=list(panels.values()),
        height=560,
        shared_y="rows",
        min_width=320 * len(panels),
    )
    figure.update_yaxes(tickformat=".0%", row=2)
    return figure.update_xaxes(title_text="α (weight of network i)", row=2)


def controls(table: pd.DataFrame, panels: Mapping[str, str]) -> go.Figure:
    """Distance and length by layer beside those of null controls, which should be far off.

    Args:
        table: :func:`ctl_helpers.compare` with columns ``setting``, ``seed`` and ``control``, the
            real comparison first.
        panels: setting → panel title, in order.
    """
    kinds = list(dict.fromkeys(table["control"]))
    measures = {"distance": "E[1 − cosine]", "coef": "coef"}
    lines = []
    for column, setting in enumerate(panels, 1):
        for n, kind in enumerate(kinds):
            for row, metric in enumerate(measures, 1):
                chosen = table[
                    (table["setting"] == setting)
                    & (table["control"] == kind)
                    & (table["metric"] == metric)
                ]
                points = {_ALL: _points(_by_pair(chosen, ["layer"])[_ALL])}
                symbol = ("circle", "diamond", "square")[n % 3]
                look = _point_look(chosen["layer"], symbol, kind)
                lines.append(_Line(kind, _COLOURS[n], points, row, column, "", look))
    last = table[table["layer"] == table["layer"].iloc[-1]]
    means = last.groupby(["metric", "control"])["mean"].mean()
    real, apart = (means[:, kind] for kind in kinds[:2])
    figure = _draw(
        lines,
        f"The measures can fail: at the output, networks pretrained apart are "
        f"{apart['distance'] / real['distance']:.0f} times farther from linear, and the length "
        f"falls from {real['coef']:.2f} to {apart['coef']:.2f}",
        "By layer, one minus cosine above on a log scale and the length coefficient below: for "
        "networks with shared pretraining, networks pretrained apart, and permuted samples.",
        rows=list(measures.values()),
        columns=list(panels.values()),
        height=600,
        shared_y="rows",
        min_width=320 * len(panels),
    )
    return figure.update_yaxes(type="log", exponentformat="power", dtick=1, row=1)


def transitivity(triples: pd.DataFrame, panels: Mapping[str, str]) -> go.Figure:
    """CTL error of (i, k) against the larger of those of (i, j) and (j, k) (Conjecture 4.1).

    Args:
        triples: rows of ``setting``, ``seed``, ``i``, ``j``, ``k``, ``group``, ``premise`` (the
            larger error of the two given pairs) and ``conclusion`` (the third pair's error).
        panels: setting → panel title, in order.
    """
    lines = []
    top = triples[["premise", "conclusion"]].to_numpy().max() * 1.3
    low = triples[["premise", "conclusion"]].to_numpy().min() / 1.3
    look = {"mode": "lines", "line_dash": "dot", "hoverinfo": "skip"}
    for column, setting in enumerate(panels, 1):
        diagonal = {"": {"x": [low, top], "y": [low, top], "text": ["", ""]}}
        lines.append(_Line("equal errors", _GREY, diagonal, 1, column, "", look))
        chosen = triples[triples["setting"] == setting]
        for n, (group, rows) in enumerate(chosen.groupby("group", sort=False)):
            text = [f"i {r.i}, j {r.j}, k {r.k}, seed {r.seed}" for r in rows.itertuples()]
            data = {
                "x": _digits(rows["premise"]),
                "y": _digits(rows["conclusion"]),
                "text": text,
            }
            style = {
                "mode": "markers",
                "marker_symbol": ("circle", "square", "diamond", "x")[n % 4],
                "marker_size": 8,
                "opacity": 0.75,
                "hovertemplate": "%{text}<br>(i,j), (j,k) up to %{x}<br>(i,k) %{y}<extra></extra>",
            }
            lines.append(_Line(group, _COLOURS[n], {"": data}, 1, column, "", style))
    factor = (triples["conclusion"] / triples["premise"]).max()
    figure = _draw(
        lines,
        f"The third pair's error is at most {factor:.1f} times the larger error of the two given "
        "pairs, over all triples",
        "Scatter plot on log scales. Each point is a triple of networks; the horizontal place is "
        "the larger CTL error of the two given pairs, the vertical one the third pair's error.",
        rows=["error of (i, k)"],
        columns=list(panels.values()),
        height=480,
        min_width=330 * len(panels),
    )
    figure.update_xaxes(title_text="larger error of (i, j), (j, k)")
    figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    return figure.update_yaxes(type="log", exponentformat="power", dtick=1)
