"""What is printed on terminals of any kind, whatever names are in it."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from ctl_helpers.terminal import Terminal, plain, show_any_character


def test_names_cannot_move_the_cursor_or_rename_the_window() -> None:
    assert plain("a\x1b[31mb\x1b]0;c\x07\x9b d\n\te") == "a\\x1b[31mb\\x1b]0;c\\x07\\x9b d\n\te"
    file = io.StringIO()
    Terminal(file=file, force_terminal=True).print("no \x1b[2J", style="red")
    assert "\\x1b[2J" in file.getvalue()
    assert "\x1b[2J" not in file.getvalue()


def test_of_long_words_the_ends_are_shown() -> None:
    told = plain(f"before {'x' * 10**5}end after")
    assert told.startswith("before xxx")
    assert told.endswith("xend after")
    assert len(told) < 300
    assert plain("y" * 250) == "y" * 250


def test_a_terminal_of_ascii_shows_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    show_any_character()
    Terminal().print("ε – 0.5")
    sys.stdout.flush()
    assert written.getvalue() == b"? ? 0.5\n"


def test_an_interruption_during_imports_is_no_traceback() -> None:
    code = """
import sys

class Interrupts:
    def find_spec(self, name, *_):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from ctl_helpers.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
