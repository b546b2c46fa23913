"""The lines of a notebook that compute a table, and where the functions in them are written."""

from __future__ import annotations

import ast
import html
import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import jupytext

from ctl_helpers.project import repository, root


def lines(tables: Sequence[str]) -> str:
    """The cells of notebooks that compute tables, without the lines that store them.

    Args:
        tables: such as ``"4_1/direction"``.
    """
    chosen = {cell: None for table in tables for cell in _saving(table)}
    kept = (
        "\n".join(line for line in cell.splitlines() if not line.startswith("recorder.save("))
        for cell in chosen
    )
    return "\n\n".join(filter(None, kept))


def functions(tables: Sequence[str]) -> str:
    """HTML that names the package's functions in these lines, and the file and line of each."""
    found = {
        name: function
        for table in tables
        for cell in _saving(table)
        for name, function in _called(cell, table)
    }
    address = repository(root())
    return ", ".join(_place(name, function, address) for name, function in found.items())


@cache
def _cells(path: Path, _changed: float) -> list[str]:
    return [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]


def _notebook(table: str) -> list[str]:
    path = root() / "notebooks" / f"{table.partition('/')[0]}.md"
    return _cells(path, path.stat().st_mtime)


def _saving(table: str) -> list[str]:
    call = f'recorder.save("{table.partition("/")[2]}"'
    return [cell for cell in _notebook(table) if call in cell]


def _called(cell: str, table: str) -> Iterator[tuple[str, Callable[..., object]]]:
    """The functions of the package that a cell names, as it names them."""
    imports = {
        alias.asname or alias.name: [node.module, alias.name]
        if isinstance(node, ast.ImportFrom)
        else [alias.name]
        for code in _notebook(table)
        if "import ctl_helpers as ctl" in code or "from ctl_helpers" in code
        for node in ast.parse(code).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    for node in ast.walk(ast.parse(cell)):
        first, *rest = ast.unparse(node).split(".")
        if first not in imports or not all(map(str.isidentifier, rest)):
            continue
        known = _resolved([*imports[first], *rest])
        if inspect.isfunction(known):
            yield ast.unparse(node), inspect.unwrap(known)


def _resolved(names: Sequence[str]) -> object:
    """What a dotted name of the package stands for; None of another's, or of an unknown one."""
    if names[0].partition(".")[0] != "ctl_helpers":
        return None
    known: object = import_module(names[0])
    for place, name in enumerate(names[1:], start=1):
        if not hasattr(known, name) and hasattr(known, "__path__"):
            path = ".".join(names[: place + 1])
            known = import_module(path) if find_spec(path) else None
        else:
            known = getattr(known, name, None)
    return known


def _place(name: str, function: Callable[..., object], address: str | None) -> str:
    file = Path(inspect.getfile(function)).resolve()
    path = file.relative_to(Path(__file__).resolve().parents[2]).as_posix()
    line = inspect.getsourcelines(function)[1]
    place = html.escape(f"{path}, line {line}")
    if address:
        place = f'<a href="{address}/blob/main/{path}#L{line}">{place}</a>'
    return f"<code>{html.escape(name)}</code> ({place})"
