"""The tables that a person reads first, from those that a probe keeps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ctl_helpers.probing.aligning import ALL
from ctl_helpers.probing.outcome import Outcome

Row = Mapping[str, Any]


def shown(outcome: Outcome) -> Iterator[tuple[str, str, Sequence[Row]]]:
    """Title, what it says in a sentence, and rows, of each table that there is."""
    tables = outcome.tables
    if "vectors" in tables:
        rows = [
            {
                "checkpoint": row["checkpoint"],
                "length of τ": row["length"],
                "beside BASE": row["relative"],
                "correlation with BASE": row["correlation"],
            }
            for row in tables["vectors"]
            if row["layer"] == ALL
        ]
        yield "Task vectors", "Fine-tunes correlate 0.95 to 1 with BASE, strangers 0.", rows
    if pairs := [row for row in tables.get("pairs", ()) if row["layer"] == ALL]:
        rows = [
            {
                "pair": f"{row['i']} + {row['j']}",
                "cosine": row["cosine"],
                "signs against": row["conflict"],
            }
            for row in pairs
        ]
        words = "Signs against: by magnitude; one half for vectors of no common direction."
        yield "Pairs of task vectors", words, rows
    if "sets" in tables:
        yield from _sets(outcome)
    for measure in ("perplexity", "accuracy"):
        if measure in tables:
            rows = [
                {
                    "network": row["network"],
                    "λ": None if math.isnan(row["lam"]) else row["lam"],
                    measure: row[measure],
                }
                for row in tables[measure]
            ]
            yield measure.capitalize(), f"Of {outcome.facts['samples']}.", rows


def _sets(outcome: Outcome) -> Iterator[tuple[str, str, Sequence[Row]]]:
    rows = [
        {
            "merge of": row["set"],
            "λ": row["average"],
            "worst ε": row["worst"],
            "in layer": row["layer"],
            "random": row["random"],
            "ε passes ½ at λ": f"over {row['most']:.3g}" if row["half"] is None else row["half"],
        }
        for row in outcome.tables["sets"]
    ]
    words = (
        "ε is 0 where the mix's features are the mix of features, and 1 where they are no nearer "
        "to it than one checkpoint's are."
    )
    yield "Linearity at the average", words, rows
    if trials := outcome.tables.get("remedies"):
        rows = [
            {
                "merge of": row["members"],
                "tried": row["remedy"],
                "worst ε before": row["before"],
                "after": row["after"],
            }
            for row in trials
        ]
        words = "Layers kept at BASE's weights, or statistics recomputed. A smaller ε would help."
        yield "What was tried", words, rows


def written(value: object) -> str:
    """A cell: numbers with three digits, and a dash for nothing."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3g}"
    return "–" if value is None else str(value)
