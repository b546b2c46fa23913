"""How ε grows with λ, and what that says of each set of checkpoints that may be merged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ctl_helpers.probing import limits, track_record
from ctl_helpers.probing.remarks import Remark

REACHES = (0.2, 0.6, 1.0, 1.4, 2.0)
"""The grid: λ is one of these over the number of task vectors. At 1 the mix is their average."""

AVERAGE = 1.0

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Curve:
    """How the worst layer's ε of a set grows with λ.

    Attributes:
        members: the set, as the table names it.
        k: how many task vectors it has.
        lams, worst, layers: λ, the largest ε at it, and in which layer.
        breaks: the first layer, on the way through the network, whose ε is over ½ at the average;
            empty where there is none.
    """

    members: str
    k: int
    lams: Sequence[float]
    worst: Sequence[float]
    layers: Sequence[str]
    breaks: str

    def half(self) -> float:
        """The λ from which the worst layer's ε is over ½, on lines between the λ that were run.

        Infinite where it stays under.
        """
        before = (0.0, 0.0)
        for lam, worst in zip(self.lams, self.worst, strict=True):
            if worst > limits.LINEAR:
                share = (limits.LINEAR - before[1]) / (worst - before[1])
                return before[0] + share * (lam - before[0])
            before = lam, worst
        return math.inf

    def at_average(self) -> tuple[float, str]:
        """The worst ε at λ = 1/k, and its layer."""
        place = min(range(len(self.lams)), key=lambda n: abs(self.lams[n] - AVERAGE / self.k))
        return self.worst[place], self.layers[place]


def curves(rows: Rows) -> list[Curve]:
    """The curve of each set, in the order of the table."""
    table = pd.DataFrame(rows)
    found = []
    for (members, k), part in table.groupby(["set", "k"], sort=False):
        lams, worst, layers = [], [], []
        for lam, at in part.groupby("lam"):
            known = at.dropna(subset=["epsilon"])
            if len(known):
                most = known.loc[known["epsilon"].idxmax()]
                lams.append(float(lam))
                worst.append(float(most["epsilon"]))
                layers.append(str(most["layer"]))
        average = part[(part["reach"] == AVERAGE) & (part["epsilon"] > limits.LINEAR)]
        breaks = str(average["layer"].iloc[0]) if len(average) else ""
        found.append(Curve(str(members), int(k), lams, worst, layers, breaks))
    return [curve for curve in found if curve.lams]


def remarks(found: Sequence[Curve]) -> Iterator[Remark]:
    """What the curves say of each set, and how often that came true."""
    records = track_record.rows()
    for curve in found:
        worst, layer = curve.at_average()
        half, average = curve.half(), AVERAGE / curve.k
        reached = f"ε is {worst:.2f} at λ = {average:.2g} in the worst layer, which is {layer}"
        if curve.breaks not in ("", layer):
            reached += f"; {curve.breaks} is the first to break"
        said = track_record.level(worst)
        if said == "broken":
            fact = f"the mix breaks: {reached}"
            yield Remark("linear", "stop", curve.members, fact, _smaller(half))
        elif said == "not linear":
            fact = f"the mix is not linear: {reached}"
            yield Remark("linear", "doubt", curve.members, fact, _smaller(half))
        else:
            end = f"λ = {min(half, curve.lams[-1]):.2f}"
            more = ", the largest that was tried" if math.isinf(half) else ""
            fact = f"the mix is linear up to {end}{more}: {reached}"
            yield Remark("linear", "note", curve.members, fact)
        if known := track_record.remark(curve.members, said, records):
            yield known


def _smaller(half: float) -> str:
    if half < 0.02:
        return "do not merge these: even a small λ leaves the linear range"
    return f"keep λ under {half:.2f}, where the worst layer's ε passes ½"


def summed_up(found: Sequence[Curve], controls: Rows) -> Rows:
    """A row for each set: what is asked first.

    Args:
        found: the curves.
        controls: the rows of random vectors.

    Returns:
        ``set``; ``average``, 1/k; ``worst``, the largest ε there, in ``layer``; ``breaks``, the
        first layer over ½; ``half``, the λ from which the worst ε is over ½, None where it is at
        none of those that were run; ``most``, the largest of them; and ``random``, the worst ε of
        random vectors of the same effect.
    """
    table = pd.DataFrame(controls)
    random = table.groupby("set", sort=False)["epsilon"].max()
    return [
        {
            "set": curve.members,
            "average": AVERAGE / curve.k,
            "worst": curve.at_average()[0],
            "layer": curve.at_average()[1],
            "breaks": curve.breaks,
            "half": None if math.isinf(curve.half()) else curve.half(),
            "most": curve.lams[-1],
            "random": float(random[curve.members]),
        }
        for curve in found
    ]


def against(sets: Rows) -> Iterator[Remark]:
    """Whether task vectors are more linear than random ones of the same effect."""
    for row in sets:
        if row["worst"] >= limits.NO_BETTER * row["random"]:
            fact = (
                f"no more linear than random vectors of the same effect (ε {row['worst']:.2f} and "
                f"{row['random']:.2f}): what is linear here is the network, not the tasks"
            )
            yield Remark("control", "note", row["set"], fact)
