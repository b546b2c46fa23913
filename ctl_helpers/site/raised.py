"""The sentences that the package raises, taken from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_GAP = "…"


@dataclass(frozen=True)
class Sentence:
    """One sentence, and what raises it.

    Attributes:
        module: under the package, such as ``"engine.mix"``.
        function: the innermost one.
        error: the name of the exception's class.
        words: the sentence, with ``…`` for each value.
    """

    module: str
    function: str
    error: str
    words: str


@cache
def sentences() -> tuple[Sentence, ...]:
    """All sentences, each once per function that raises it, in the order of the source."""
    found: dict[Sentence, None] = {}
    for path in sorted(_PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(_PACKAGE).with_suffix("").parts)
        for node, function in _raises(_tree(module)):
            scope = _Scope(module, function)
            for error, words in scope.read(node.exc):
                if any(letter.isalpha() for letter in words):
                    name = function.name if function else ""
                    found[Sentence(module, name, error, words)] = None
    return tuple(found)


def _raises(
    tree: ast.AST, function: ast.FunctionDef | None = None
) -> Iterator[tuple[ast.Raise, ast.FunctionDef | None]]:
    """Where something is raised, and the function around it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Raise):
            yield node, function
        yield from _raises(node, node if isinstance(node, ast.FunctionDef) else function)


@cache
def _tree(module: str) -> ast.Module:
    path = _PACKAGE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class _Scope:
    """What names stand for inside of a function."""

    module: str
    function: ast.FunctionDef | None

    def read(self, node: ast.expr | None) -> Iterator[tuple[str, str]]:
        """The class and the sentence of every exception that an expression may be."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if (called := self._function(node.func.id)) is not None:
                for result in called.results():
                    yield from called.read(result)
            elif node.args:
                yield from ((node.func.id, words) for words in self._words(node.args[0]))

    def results(self) -> Iterator[ast.expr]:
        """What the function returns."""
        for node in ast.walk(self.function) if self.function else ():
            if isinstance(node, ast.Return) and node.value is not None:
                yield node.value

    def _words(self, node: ast.expr) -> Iterator[str]:
        """What an expression may read as, with a gap for each value."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(map(self._part, parts))
            case ast.Name(id=name):
                values = self._values(name)
                yield from [words for value in values for words in self._words(value)] or [_GAP]
            case ast.Call(func=ast.Name(id=name)) if called := self._function(name):
                for result in called.results():
                    yield from called._words(result)
            case ast.IfExp(body=one, orelse=other):
                yield from (*self._words(one), *self._words(other))
            case _:
                yield _GAP

    def _part(self, part: ast.expr) -> str:
        """A piece of an f-string: its text, or that of a value which is always the same."""
        value = part.value if isinstance(part, ast.FormattedValue) else part
        readings = list(self._words(value))
        return readings[0] if len(readings) == 1 else _GAP

    def _values(self, name: str) -> list[ast.expr]:
        """All that the function, or else the module, gives a name; nothing if not all is plain."""
        inside = [*ast.walk(self.function)] if self.function else []
        bound = [node for node in inside if _binds(node, name)]
        plain = _assigned(inside if bound else _tree(self.module).body, name)
        return plain if len(plain) == len(bound) or not bound else []

    def _function(self, name: str) -> _Scope | None:
        """A function of the package under the name that the module has for it."""
        for node in _tree(self.module).body:
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return _Scope(self.module, node)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ctl_helpers."):
                for imported in node.names:
                    if (imported.asname or imported.name) == name:
                        home = str(node.module).partition(".")[2]
                        return _Scope(home, None)._function(imported.name)
        return None


def _binds(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Name(id=other, ctx=ast.Store()) | ast.arg(arg=other):
            return other == name
    return False


def _assigned(nodes: Iterable[ast.AST], name: str) -> list[ast.expr]:
    """What a name alone is set to."""
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and _binds(node.targets[0], name)
    ]
