"""Words of change say what a verdict on the same numbers would, and signs are true ones."""

from __future__ import annotations

import numpy as np
import pytest

from ctl_helpers.findings import changes, words
from ctl_helpers.findings.finding import Finding, signed
from ctl_helpers.findings.replicates import Sample


def of_seeds(*values: float) -> Finding:
    """A number of several seeds."""
    sample = Sample(np.array(values), list(range(len(values))), "seeds", np.mean)
    return Finding("made", "one", sample, words.plain)


ONES = of_seeds(1.0, 1.01, 0.99, 1.0)


@pytest.mark.parametrize(
    ("last", "text"),
    [
        (of_seeds(0.31, 0.3, 0.3, 0.29), "falls from 1 to 0.3"),
        (of_seeds(1.9, 2.0, 2.1, 2.0), "rises from 1 to 2"),
        (of_seeds(0.9, 0.9, 0.9, 0.89), "falls by less than a quarter, from 1 to 0.9"),
        (
            of_seeds(0.6, 0.8, 0.7, 0.9),
            "falls (its 95% interval allows a change of less than a quarter) from 1 to 0.75",
        ),
        (of_seeds(0.95, 1.05, 1.0, 1.02), "changes by less than a quarter, from 1 to 1"),
        (of_seeds(0.2, 2.0, 1.0, 0.5), "may fall or rise, from 1 to 0.93"),
    ],
)
def test_how_a_number_goes_is_told_as_a_verdict_would(last: Finding, text: str) -> None:
    assert changes.changes({"one": "A"}, {"one": ONES}, {"one": last}) == text


def test_one_seed_goes_from_here_to_there() -> None:
    ends = of_seeds(1.0), of_seeds(0.1)
    assert changes.changes({"one": "A"}, *({"one": end} for end in ends)) == "goes from 1 to 0.1"


def test_panels_that_go_alike_share_their_words() -> None:
    panels = {"one": "A (A)", "two": "B (D)", "three": "C (D)"}
    low = of_seeds(0.31, 0.3, 0.3, 0.29)
    text = changes.changes(panels, dict.fromkeys(panels, ONES), {**dict.fromkeys(panels, low)})
    assert text == "falls from 1 to 0.3 (A, B and C)"
    mixed = {"one": low, "two": ONES, "three": low}
    assert changes.changes(panels, dict.fromkeys(panels, ONES), mixed) == (
        "falls from 1 to 0.3 (A and C), and stays at 1 (B)"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-0.0 points", "0.0 points"), ("+0.0 points", "0.0 points"), ("-0.05", "−0.05"),
        ("-10%", "−10%"), ("+0.7 points", "+0.7 points"), ("−0.0002", "−0.0002"), ("0", "0"),
    ],
)  # fmt: skip
def test_a_minus_is_one_and_zero_has_none(text: str, shown: str) -> None:
    assert signed(text) == shown
