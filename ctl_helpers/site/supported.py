"""The table of library networks that are compared by default, as the tests have written it."""

from __future__ import annotations

import pandas as pd
from IPython.display import Markdown

from ctl_helpers.project import root

FILE = "book/supported_networks.csv"
COLUMNS = ("library", "layers", "blocks", "pooling")


def networks(library: str) -> Markdown:
    """A library's networks, the layers that are tapped by default, and their classes."""
    table = pd.read_csv(root() / FILE, keep_default_na=False)
    rows = table[table["library"] == library]
    lines = ["| network | layers | blocks | pooling |", "|:--|:--|:--|:--|"]
    for row in rows.itertuples():
        name = str(row.network).removeprefix(f"{library}.")
        lines.append(f"| `{name}` | {_code(row.layers)} | {_code(row.blocks)} | {row.pooling} |")
    return Markdown("\n".join(lines))


def _code(names: object) -> str:
    return ", ".join(f"`{name}`" for name in str(names).split(", "))
