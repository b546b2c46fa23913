"""Tier 1: what the weights say about where the checkpoints come from and how they disagree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ctl_helpers.probing import limits
from ctl_helpers.probing.aligning import ALL
from ctl_helpers.probing.remarks import Remark, some
from ctl_helpers.probing.scan import Scan, Sums

Rows = list[dict[str, Any]]


def tables(found: Scan) -> dict[str, Rows]:
    """Layer by layer, and over all of them, without BatchNorm's statistics.

    Args:
        found: one reading of all weights.

    Returns:
        - ``vectors``: a row for each layer and checkpoint: ``length`` ``‖τ‖``, ``relative``
          ``‖τ‖ / ‖θ_PT‖``, and ``correlation`` of θ with θ_PT over the entries of matrices.
        - ``pairs``: a row for each layer and pair: ``cosine`` of τ_i and τ_j, ``correlation`` of
          θ_i and θ_j, ``conflict``, the share of ``Σ|τ_i τ_j|`` in which signs disagree, and
          ``entries``, the share of the entries that both change in which they do.
        - ``together``: a row for each layer: ``cancels``, ``1 − Σ|Σ_i τ_i| / Σ Σ_i |τ_i|``.
    """
    layers = [*found.groups().items(), (ALL, found.weights)]
    vectors, pairs, together, names = [], [], [], found.names
    for layer, tensors in layers:
        sums, correlation = found.total(tensors), found.correlations(tensors)
        vectors += [
            {"layer": layer, "checkpoint": name, **_vector(sums, correlation, number)}
            for number, name in enumerate(names)
        ]
        pairs += [
            {
                "layer": layer,
                "i": found.names[i],
                "j": found.names[j],
                **_pair(sums, correlation, i, j),
            }
            for i, j in combinations(range(len(found.names)), 2)
        ]
        cancels = 1 - _ratio(sums.size_of_sum, sums.sum_of_sizes)
        together.append({"layer": layer, "cancels": cancels})
    return {"vectors": vectors, "pairs": pairs, "together": together}


def _vector(sums: Sums, correlation: np.ndarray, number: int) -> dict[str, float]:
    squares = sums.products.diagonal()
    length = math.sqrt(squares[1 + number])
    return {
        "length": length,
        "relative": _ratio(length, math.sqrt(squares[0])),
        "correlation": float(correlation[0, 1 + number]),
    }


def _pair(sums: Sums, correlation: np.ndarray, i: int, j: int) -> dict[str, float]:
    squares = sums.products.diagonal()
    product = float(sums.products[1 + i, 1 + j])
    return {
        "cosine": _ratio(product, math.sqrt(squares[1 + i] * squares[1 + j])),
        "correlation": float(correlation[1 + i, 1 + j]),
        "conflict": (1 - _ratio(product, sums.sizes[i, j])) / 2,
        "entries": (1 - _ratio(sums.signs[i, j], sums.moved[i, j])) / 2,
    }


def _ratio(a: float, b: float) -> float:
    return float(a / b) if b else math.nan


def remarks(found: Scan, rows: Mapping[str, Rows]) -> list[Remark]:
    """What tier 1's rules say.

    Args:
        found: one reading of all weights.
        rows: its :func:`tables`.
    """
    origins = list(_pretraining(found, rows))
    strangers = {one.about for one in origins if one.grade == "stop"}
    vectors = [row for row in rows["vectors"] if row["checkpoint"] not in strangers]
    pairs = [row for row in rows["pairs"] if not strangers & {row["i"], row["j"]}]
    return [
        *_finite(found),
        *origins,
        *_equal(found, rows),
        *_lengths(vectors),
        *_angles(pairs),
        *_headroom(found),
    ]


def _finite(found: Scan) -> Iterator[Remark]:
    for number, name in enumerate(("BASE", *found.names)):
        broken = [key for key, sums in found.tensors.items() if sums.broken[number]]
        if broken:
            fact = f"has NaN or infinite numbers in {len(broken)} tensors: {some(broken)}"
            remedy = "fetch it again; if the file is whole, its training diverged"
            yield Remark("finite", "stop", name, fact, remedy)


def _pretraining(found: Scan, rows: Mapping[str, Rows]) -> Iterator[Remark]:
    """Whether each checkpoint's matrices are BASE's, but for what fine-tuning changes."""
    strangers = []
    for name in found.names:
        layers = {
            row["layer"]: row["correlation"]
            for row in rows["vectors"]
            if row["checkpoint"] == name
            and row["layer"] != ALL
            and not math.isnan(row["correlation"])
        }
        if not layers:
            continue
        middle = float(np.median([*layers.values()]))
        apart = [layer for layer, value in layers.items() if value < limits.STRANGER]
        if middle < limits.STRANGER:
            strangers.append(name)
            fact = f"does not come from BASE: its matrices correlate {middle:.2f} with BASE's"
            remedy = "stop: these do not share a pretraining, and no λ makes a merge of them"
            yield Remark("pretraining", "stop", name, fact, remedy)
        elif apart:
            fact = f"has layers that do not come from BASE: {some(apart)}"
            remedy = f"leave these layers out of the merge: {some(apart)}"
            yield Remark("pretraining", "doubt", name, fact, remedy)
        elif middle < limits.FAR:
            fact = f"is far from BASE: its matrices correlate {middle:.2f} with BASE's"
            remedy = "make sure that BASE is what it was trained from, and try a small λ"
            yield Remark("pretraining", "doubt", name, fact, remedy)
    for row in rows["pairs"]:
        both = row["layer"] == ALL and {row["i"], row["j"]} <= {*strangers}
        if both and row["correlation"] > limits.FAR:
            fact = f"share a pretraining with each other ({row['correlation']:.2f}), but not BASE's"
            remedy = "give the network that they were trained from as BASE"
            yield Remark("pretraining", "note", f"{row['i']} and {row['j']}", fact, remedy)


def _equal(found: Scan, rows: Mapping[str, Rows]) -> Iterator[Remark]:
    for row in _overall(rows["vectors"]):
        if row["length"] == 0:
            fact, remedy = (
                "is BASE itself, number by number",
                "leave it out, or fetch the fine-tune",
            )
            yield Remark("equal", "doubt", row["checkpoint"], fact, remedy)
    squares = found.total(found.weights).products
    for i, j in combinations(range(len(found.names)), 2):
        a, b = i + 1, j + 1
        apart = squares[a, a] + squares[b, b] - 2 * squares[a, b]
        if squares[a, a] > 0 and apart <= 1e-12 * squares[a, a]:
            about = f"{found.names[i]} and {found.names[j]}"
            fact, remedy = "are one network, number by number", "leave one of them out"
            yield Remark("equal", "doubt", about, fact, remedy)


def _lengths(vectors: Rows) -> Iterator[Remark]:
    rows = [row for row in _overall(vectors) if row["length"] > 0]
    for row in rows:
        if row["relative"] >= limits.LONG:
            fact = f"has a task vector {row['relative']:.2f} times as long as BASE's weights are"
            remedy = "try a small λ; weights that far away seldom mix"
            yield Remark("length", "doubt", row["checkpoint"], fact, remedy)
    if len(rows) > 1:
        short, long = (pick(rows, key=lambda row: row["length"]) for pick in (min, max))
        ratio = long["length"] / short["length"]
        if ratio >= limits.UNEQUAL:
            fact = f"has a task vector {ratio:.1f} times as long as {short['checkpoint']}'s"
            remedy = f"give it a λ about {ratio:.1f} times smaller, or it outweighs the others"
            yield Remark("length", "note", long["checkpoint"], fact, remedy)


def _angles(pairs: Rows) -> Iterator[Remark]:
    for row in _overall(pairs):
        about = f"{row['i']} and {row['j']}"
        cosine, conflict = row["cosine"], row["conflict"]
        if cosine <= limits.OPPOSED:
            fact = f"have task vectors that point against each other (cosine {cosine:.2f})"
            remedy = "expect each to undo the other; merge one of them at a time"
            yield Remark("angle", "doubt", about, fact, remedy)
        elif cosine >= limits.ALIKE:
            fact = f"have task vectors of nearly one direction (cosine {cosine:.2f})"
            remedy = "average them; their sum goes twice as far along it"
            yield Remark("angle", "note", about, fact, remedy)
        if conflict > limits.CONFLICT:
            fact = f"disagree in sign in {conflict:.0%} of their magnitude"
            remedy = "resolve signs before the sum, as TIES does"
            yield Remark("signs", "doubt", about, fact, remedy)


def _headroom(found: Scan) -> Iterator[Remark]:
    largest = found.total().largest
    bound = limits.HEADROOM * limits.HALF_LARGEST
    for number, name in enumerate(("BASE", *found.names, "the sum of all")):
        if largest[number] >= bound:
            fact = (
                f"has a weight of {largest[number]:,.0f}, where float16 ends at "
                f"{limits.HALF_LARGEST:,.0f}"
            )
            remedy = "save and run the mix in bfloat16 or float32"
            yield Remark("headroom", "doubt", name, fact, remedy)


def _overall(rows: Sequence[dict[str, Any]]) -> Rows:
    return [row for row in rows if row["layer"] == ALL]
