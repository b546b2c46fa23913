"""The door of the ``ctl`` command, which is open before anything long is imported."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; a person's Ctrl-C ends it without a traceback, also while it is imported."""
    try:
        from ctl_helpers.cli import main as command

        command()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
