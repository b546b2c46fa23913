"""Which of this package's modules a piece of code depends on, and their checksum.

What is stored under a key that holds this checksum is made again when a helper changes, and only
when a helper that it uses does.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_NAME = _PACKAGE.name


def checksum(code: str) -> str:
    """SHA-256 of some Python code together with every module of this package it reaches.

    ``import ctl_helpers as ctl`` alone reaches nothing; each ``ctl.name`` reaches the module that
    defines the name.
    """
    total = hashlib.sha256(code.encode())
    for path in sorted(_reached(code)):
        total.update(path.relative_to(_PACKAGE).as_posix().encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def module_checksum(module: str) -> str:
    """SHA-256 of one module of this package, as ``"training.loop"``, and all that it reaches."""
    return checksum(f"import {_NAME}.{module}")


def _reached(code: str) -> set[Path]:
    found: set[Path] = set()
    waiting = list(_imports(ast.parse(code)))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _module_imports(path.read_text(encoding="utf-8"))
    return found


@cache
def _module_imports(code: str) -> tuple[Path, ...]:
    return tuple(_imports(ast.parse(code)))


def _imports(tree: ast.AST) -> Iterator[Path]:
    """Files of this package that a syntax tree imports, at any depth in it, but for hints alone."""
    aliases = set()
    tree = _WithoutHints().visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for imported in node.names:
                if imported.name == _NAME:
                    aliases.add(imported.asname or _NAME)
                elif imported.name.startswith(f"{_NAME}."):
                    yield from _file(imported.name)
                    aliases |= set() if imported.asname else {_NAME}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _NAME:
            for imported in node.names:
                # Either a module of that name, or a name that the imported module defines.
                inner = list(_file(f"{node.module}.{imported.name}"))
                yield from inner or _definition(node.module or _NAME, imported.name)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attr) if name in aliases:
                yield from _definition(_NAME, attr)


class _WithoutHints(ast.NodeTransformer):
    """Takes out what type checkers alone read: no result depends on it."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_hint = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_hint else self.generic_visit(node)


def _definition(module: str, name: str) -> Iterator[Path]:
    """The file that defines ``module.name``; the package itself only re-exports."""
    if module != _NAME:
        yield from _file(module)
    elif name in _exports():
        yield _exports()[name]


@cache
def _exports() -> dict[str, Path]:
    tree = ast.parse((_PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    return {
        name.asname or name.name: path
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        for path in _file(f"{_NAME}.{node.module}")
    }


def _file(module: str) -> Iterator[Path]:
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file() and candidate != _PACKAGE / "__init__.py":
            yield candidate
