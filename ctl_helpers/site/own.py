"""The page on a reader's own checkpoints: an example's output, and ε in the book's settings."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from IPython.display import HTML, Markdown

from ctl_helpers import settings
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.project import root
from ctl_helpers.site.claim_marks import claim_link, marked, number
from ctl_helpers.site.stacked_tables import stacked_table

SCRIPT = "book/probe_digits.py"
CLAIMS = ("ctl-direction", "avg-direction", "add-direction")
"""Those whose first number is the ε of a pair at its worst layer."""

_FIXED = "\N{NO-BREAK SPACE}"


def example() -> tuple[Markdown, HTML]:
    """Run the example in a folder of its own: what it prints, and the report that it saves.

    Raises:
        CalledProcessError: the example fails.
    """
    with TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, root() / SCRIPT],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(root()), "COLUMNS": "78"},
            capture_output=True,
            text=True,
            check=True,
        )
        page = (Path(folder) / "report" / "report.html").read_text(encoding="utf-8")
    title = "The example's report"
    frame = f'<iframe title="{title}" srcdoc="{html.escape(page)}"></iframe>'
    printed = Markdown(f"```text\n{ran.stdout.strip()}\n```")
    return printed, HTML(f'<div class="report">{frame}</div>')


def linearity(judged: Sequence[Verdict]) -> Markdown:
    """ε at the worst layer in every setting that was run, best grade first, then by ε.

    Args:
        judged: of :func:`ctl_helpers.findings.verdicts.verdicts`.
    """
    ran = [each for each in judged if each.claim in CLAIMS and each.word != "not run"]
    ran.sort(key=lambda each: (each.grade, each.parts[0].number.value or 0.0))
    rows = []
    for each in ran:
        first = each.parts[0]
        rows.append(
            [
                f"{settings.describe(each.setting).title}, {each.grade}",
                claim_link(each.claim, each.name),
                number(first.number).replace(" ", _FIXED),
                number(first.control).replace(" ", _FIXED),
                marked(each.word).replace(" ", _FIXED),
            ]
        )
    head = ["setting, grade", "claim", "ε", "pretrained apart", "verdict"]
    return Markdown(stacked_table(head, rows))
