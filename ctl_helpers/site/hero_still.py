"""The front page's picture without a script: both spaces at α = ½, from the same networks."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ctl_helpers.engine.mix import StateDict, combine, interpolate
from ctl_helpers.site import live

LAYER = 2
"""The layer whose features are drawn, from 0: the one that the page opens with."""

_I, _J, _MIX = "#0b62c4", "#d4500c", "#7b5e8a"
_INK = "#333333"
_STEPS = 40  # of the path from α = 0 to 1


def draw(networks: Mapping[str, StateDict], images: Tensor) -> str:
    """Weight space and feature space of two networks with one pretraining, side by side.

    Args:
        networks, images: as :func:`ctl_helpers.site.hero.script` takes them.

    Returns:
        An SVG image on white.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ctl", "font.size": 11}):
        canvas = Figure(figsize=(7.2, 2.9))
        left, right = canvas.subplots(1, 2)
        _ends(left, weights(networks), "Weight space", "θ", above=True)
        _ends(right, features(networks, images), "Feature space: hidden layer 3", "f(θ", ")")
        for axes in (left, right):
            axes.set_aspect("equal", "datalim")
            axes.margins(0.25)
            axes.set_axis_off()
        file = io.BytesIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        canvas.savefig(file, format="svg", bbox_inches="tight", facecolor="white", metadata=nothing)
        return file.getvalue().decode()


def weights(networks: Mapping[str, StateDict]) -> dict[str, Tensor]:
    """Places of θ_j, θ_i, their mean and θ_PT whose distances are those of the weights."""
    flat = {name: live.flat(networks[name]).double() for name in ("PT", "i", "j")}
    length, first, second = (
        float(torch.dist(flat[a], flat[b])) for a, b in (("i", "j"), ("PT", "j"), ("PT", "i"))
    )
    along = (first**2 + length**2 - second**2) / (2 * length)
    down = -math.sqrt(max(first**2 - along**2, 0))
    places = {"j": (0, 0), "i": (length, 0), "dot": (length / 2, 0), "PT": (along, down)}
    return {name: torch.tensor(place, dtype=torch.double) for name, place in places.items()}


def features(networks: Mapping[str, StateDict], images: Tensor) -> dict[str, Tensor]:
    """Places of both networks' features of one image, their mean, the mixed network's, its path.

    The plane goes along the line between both features, and to where the path leaves it most. The
    image is the one whose error ε is nearest to that of all.
    """
    pair = {name: networks[name] for name in ("i", "j")}
    alphas = [step / _STEPS for step in range(_STEPS + 1)]
    paths = torch.stack([_layer(combine(pair, interpolate("i", "j", a)), images) for a in alphas])
    start, end, half = paths[0], paths[-1], paths[_STEPS // 2]
    gaps = ((half - (start + end) / 2) ** 2).sum(1)
    spread = ((end - start) ** 2).sum(1)
    image = int((gaps / spread - gaps.sum() / spread.sum()).abs().argmin())
    path = paths[:, image] - start[image]
    across = path[-1] / path[-1].norm()
    off = path - (path @ across)[:, None] * across
    up = off[off.norm(dim=1).argmax()]
    plane = torch.stack([across, up / up.norm()], 1)
    places = path @ plane
    mean = path[-1] / 2 @ plane
    return {"j": places[0], "i": places[-1], "ring": mean, "dot": places[_STEPS // 2]} | {
        "path": places
    }


def _layer(state: StateDict, images: Tensor) -> Tensor:
    values = images.double()
    tensors = [value.double() for value in state.values()]
    for weight, bias in list(zip(tensors[::2], tensors[1::2], strict=True))[: LAYER + 1]:
        values = torch.relu(values @ weight.T + bias)
    return values


def _ends(
    axes: Axes,
    places: Mapping[str, Tensor],
    title: str,
    symbol: str,
    after: str = "",
    *,
    above: bool = False,
) -> None:
    """Lines, marks and names of one space."""
    axes.set_title(title, fontsize=11, fontweight="bold")
    axes.plot(
        *zip(places["j"].tolist(), places["i"].tolist(), strict=True), color="#aaaaaa", zorder=1
    )
    if "PT" in places:
        for name, colour in (("i", _I), ("j", _J)):
            axes.plot(*zip(places["PT"].tolist(), places[name].tolist(), strict=True), color=colour)
        axes.plot(*places["PT"], "o", color=_INK)
        axes.annotate(
            r"$\theta_{\mathrm{PT}}$",
            _at(places["PT"]),
            (0, -16),
            textcoords="offset points",
            ha="center",
        )
    if "path" in places:
        axes.plot(*places["path"].T.tolist(), color=_MIX, linewidth=1.5)
        axes.plot(*places["ring"], "o", markersize=15, fillstyle="none", color=_INK)
    for name, colour in (("i", _I), ("j", _J)):
        axes.plot(*places[name], "o", color=colour, markersize=8)
        offset = (0, 9 if above else -18)
        axes.annotate(
            f"{symbol}$_{name}${after}", _at(places[name]), offset,
            textcoords="offset points", ha="center",
        )  # fmt: skip
    axes.plot(*places["dot"], "o", color=_MIX, markersize=9, zorder=5)


def _at(place: Tensor) -> tuple[float, float]:
    x, y = place.tolist()
    return x, y
