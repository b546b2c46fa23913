"""What the page on running at scale says in numbers of ``benchmarks/scale.py``'s tables."""

from __future__ import annotations

import pandas as pd

from ctl_helpers.findings.words import markdown_table

MANY = 1000
"""How many checkpoints the page speaks of."""


def answer(growth: pd.DataFrame, plans: pd.DataFrame) -> str:
    """Memory, time, pairs and intervals, a line each.

    Args:
        growth, plans: as ``benchmarks/scale.py`` stores them.
    """
    mlps = growth[growth["network"] == "MLP"].sort_values("checkpoints")
    few, most = mlps.iloc[0], mlps.iloc[-1]
    many = growth[growth["checkpoints"] == MANY].iloc[0]
    first = growth[growth["network"] == many["network"]].iloc[0]
    plan = plans[plans["partners"] == many["partners"]].iloc[0]
    return (
        f"- **Memory.** All pairs of {most['checkpoints']} MLPs are "
        f"{most['comparisons'] / few['comparisons']:.0f} times as many comparisons as those of "
        f"{few['checkpoints']}. They took {most['mib'] / few['mib']:.1f} times the memory.\n"
        f"- **Time.** Among {MANY:,} small networks a comparison took {many['ratio']:.1f} times as "
        f"long as among {first['checkpoints']}.\n"
        f"- **Pairs.** {MANY:,} checkpoints have {many['all_pairs']:,} pairs. A plan of a few "
        f"partners each has {many['pairs']:,}.\n"
        "- **Intervals.** In a trial with fewer checkpoints, whose pairs are all known, "
        f"{plan['covered']:.0%} of the plans with {many['partners']} partners had the mean over "
        "all pairs in their 95% interval."
    )


def costs(growth: pd.DataFrame) -> str:
    """A row a case: what was measured, its time by comparison and its memory."""
    rows = [
        [
            str(case["network"]),
            f"{case['checkpoints']:,}",
            "all pairs"
            if case["pairs"] == case["all_pairs"]
            else f"{case['partners']} partners each",
            f"{case['pairs']:,}",
            f"{case['comparisons']:,}",
            f"{case['ratio']:.2f}",
            f"{case['mib']:,.0f}",
        ]
        for case in growth.to_dict("records")
    ]
    head = ["network", "checkpoints", "measured", "pairs", "comparisons", "time of one", "MiB"]
    return markdown_table(head, rows, texts=3)


def intervals(plans: pd.DataFrame) -> str:
    """A row a number of partners: how often and how closely plans give the mean over all pairs."""
    rows = [
        [
            f"{plan.partners}",
            f"{plan.pairs:,}",
            f"{plan.covered:.0%}",
            f"±{plan.reach:.1%}",
            f"{plan.against_any:.2f}",
        ]
        for plan in plans.itertuples()
    ]
    head = [
        "partners each",
        "pairs",
        "intervals with the mean",
        "interval",
        "its width, over random pairs'",
    ]
    return markdown_table(head, rows, texts=0)


def workers(shares: pd.DataFrame) -> str:
    """A row a number of GPUs: the passes of the busiest, and of all together, over those of one."""
    rows = [
        [f"{one.workers}", f"{one.busiest:.0%}", f"{one.sum:.2f}"] for one in shares.itertuples()
    ]
    head = ["GPUs", "passes on the busiest", "passes of all, over one GPU's"]
    return markdown_table(head, rows, texts=0)
