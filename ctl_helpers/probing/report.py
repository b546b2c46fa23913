"""What a probe gives: its outcome as text, JSON and one HTML file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ctl_helpers.probing.outcome import Outcome
from ctl_helpers.probing.page import fragment, page
from ctl_helpers.probing.summary import summary


class Report(Outcome):
    """Will these checkpoints merge, and if not, where does it break?

    ``print`` shows it as text; :meth:`to_json` and :meth:`save` are for programs and browsers.
    """

    def to_json(self) -> str:
        """Everything, as JSON: numbers that are not finite become null."""
        verdict = self.verdict
        content = {
            "verdict": verdict.word,
            "exit_code": verdict.exit_code,
            "reasons": verdict.reasons,
            "advice": verdict.advice,
            **asdict(self),
        }
        return json.dumps(_finite(content), indent=1, ensure_ascii=False, allow_nan=False)

    def to_html(self) -> str:
        """One page that needs nothing else."""
        return page(self)

    def save(self, folder: str | Path) -> None:
        """Writes ``report.html`` and ``report.json`` into a folder, made where it is missing."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_text(self.to_html(), encoding="utf-8")
        (folder / "report.json").write_text(self.to_json(), encoding="utf-8")

    def __str__(self) -> str:
        return summary(self)

    def _repr_html_(self) -> str:
        return fragment(self)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
