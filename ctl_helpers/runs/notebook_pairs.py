"""Notebooks come in pairs: a MyST .md source and its .ipynb twin, without outputs, for Colab."""

from __future__ import annotations

from pathlib import Path

import jupytext

from ctl_helpers.project import repository, root

_PLACE = "# Setup: on Colab, the notebook fetches the book here."
_UNSET = 'repository = ""'


def twin(source: Path) -> str:
    """The .ipynb text of a .md source.

    Its setup cell is ``notebooks/colab.py``, with the repository's address where that is set.
    """
    notebook = jupytext.read(source)
    notebook.metadata.pop("jupytext", None)
    setup = (source.parent / "colab.py").read_text(encoding="utf-8").strip()
    if address := repository(root()):
        setup = setup.replace(_UNSET, f'repository = "{address}"')
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        if cell.source == _PLACE:
            cell.source = setup
    return jupytext.writes(notebook, fmt="ipynb") + "\n"


def sync(write: bool = True) -> list[Path]:
    """Bring every twin up to date.

    Args:
        write: if False, change nothing.

    Returns:
        The twins that differed from their sources.
    """
    stale = []
    for source in sorted((root() / "notebooks").glob("*.md")):
        path, text = source.with_suffix(".ipynb"), twin(source)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
            if write:
                path.write_text(text, encoding="utf-8")
    return stale
