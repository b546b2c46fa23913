"""Narrative pages: executed in shared kernels, and none of them knows of another."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_cache import get_cache

from ctl_helpers.site import execute_pages as execution

PAGE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---

# A page

```{{code-cell}} ipython3
{code}
```
"""


def written(folder: Path, **pages: str) -> None:
    for name, code in pages.items():
        (folder / f"{name}.md").write_text(PAGE.format(code=code), encoding="utf-8")


def executed(folder: Path) -> dict[str, str]:
    """What each page in the cache has printed, once all were executed."""
    execution.execute_pages(folder, folder / "cache")
    cache = get_cache(str(folder / "cache"))
    bundles = [cache.get_cache_bundle(record.pk) for record in cache.list_cache_records()]
    return {
        Path(bundle.record.uri).stem: bundle.nb.cells[0].outputs[0].text.strip()
        for bundle in bundles
    }


@pytest.mark.slow
def test_pages_share_kernels_but_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution.os, "cpu_count", lambda: 1)
    code = "import os\nprint('name' in globals(), os.getpid(), os.getcwd())\nname = 1"
    written(tmp_path, first=code, second=code + "\n")
    (tmp_path / "text.md").write_text("# No code\n")
    found = executed(tmp_path)
    first = found["first"].split()
    assert first == found["second"].split()
    assert (first[0], first[2]) == ("False", str(tmp_path))


@pytest.mark.slow
def test_what_is_in_the_cache_is_left_alone_and_what_failed_is_left_out(tmp_path: Path) -> None:
    printing = "import os; print(os.getpid())"
    written(tmp_path, broken="print('begun')\n1 / 0", fine=printing)
    once = executed(tmp_path)
    assert list(once) == ["fine"]
    written(tmp_path, broken="print('mended')")
    assert executed(tmp_path) == {**once, "broken": "mended"}
