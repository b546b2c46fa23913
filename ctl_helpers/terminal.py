"""What is printed on a terminal, whatever names are in it and whatever it can show."""

from __future__ import annotations

import re
import sys
from typing import Any

from rich.console import Console

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LONG = re.compile(r"(\S{200})\S{100,}(\S{50})")


class Terminal(Console):
    """A console that shows control characters as codes, and of long words their ends.

    Args:
        options: as for :class:`rich.console.Console`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, soft_wrap=True, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """As the console of rich does it, but for what a text must not do to a terminal."""
        super().print(*(plain(one) if isinstance(one, str) else one for one in objects), **options)


def plain(text: str) -> str:
    """A text whose control characters are codes, and whose words are of a length to read."""
    coded = _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return _LONG.sub(r"\1…\2", coded)


def show_any_character() -> None:
    """Let a terminal that has only ASCII show what it lacks as question marks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
