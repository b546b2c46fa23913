"""Sphinx extension: figures are numbered page by page, theorems as the paper numbers them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import cast

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

_OF_THE_PAPER = re.compile(r"(?:conjecture|definition|lemma|theorem)-([\dAB])-(\d)(?:-theory)?")


def figure_label(docname: str) -> str:
    """What comes before a figure's number: its page, but for the front page and those of runs.

    ``book/4_1_resnets`` → ``4.1-resnets-``. So a number does not depend on other pages, of which a
    machine that has run more has more.
    """
    path = PurePosixPath(docname)
    if path.parent.name != "book" or path.name == "index":
        return ""
    return re.sub(r"_(?=\d)", ".", path.name).replace("_", "-") + "-"


def _number(app: Sphinx, env: BuildEnvironment) -> list[str]:
    # Sphinx joins the parts of a number with dots, whatever they are.
    numbers = cast("dict[str, dict[str, dict[str, tuple[object, ...]]]]", env.toc_fignumbers)
    for docname, kinds in numbers.items():
        label = figure_label(docname)
        for count, anchor in enumerate(kinds.get("figure", {}), 1):
            kinds["figure"][anchor] = (f"{label}{count}",)
        for anchors in kinds.values():
            for anchor in anchors:
                if found := _OF_THE_PAPER.fullmatch(anchor):
                    anchors[anchor] = found.groups()
    return []  # pages whose numbers change are known to Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    # After Sphinx has numbered them through all pages (priority 500).
    app.connect("env-get-updated", _number, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
