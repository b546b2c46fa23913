"""The site: pages of runs come and go with what is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctl_helpers.site import build


def test_pages_of_runs_that_are_laid_out_no_more_are_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, built = tmp_path / "pages", tmp_path / "built"
    monkeypatch.setattr(build, "pages_folder", lambda: pages)
    for path in (pages / "3" / "a-0.5.ipynb", built / "3" / "a-0.5.html", built / "3" / "b.html"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    build.sweep(built)
    assert [path.name for path in built.rglob("*.html")] == ["a-0.5.html"]
    build.sweep(tmp_path / "never built")
