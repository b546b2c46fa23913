"""The page of errors: each kind of mistake, what helps, and the sentences that are about it."""

from __future__ import annotations

import yaml
from IPython.display import Markdown
from pydantic import TypeAdapter

from ctl_helpers.errors import kind_of
from ctl_helpers.project import root
from ctl_helpers.settings.schema import Checked
from ctl_helpers.site.raised import sentences

FILE = "book/errors.yml"


class Kind(Checked):
    """A kind of mistake."""

    title: str
    symptom: str
    cause: str
    fix: str


def load() -> dict[str, Kind]:
    """The kinds by the anchor that sentences lead to."""
    content = yaml.safe_load((root() / FILE).read_text(encoding="utf-8"))
    return TypeAdapter(dict[str, Kind]).validate_python(content)


def kinds() -> Markdown:
    """Every kind under a heading, which links reach as ``errors.html#KIND``."""
    return Markdown("\n\n".join(_told(anchor, kind) for anchor, kind in load().items()))


def words(anchor: str) -> list[str]:
    """The sentences of a kind, each once."""
    mine = [one for one in sentences() if kind_of(one.module, one.function, one.error) == anchor]
    return list(dict.fromkeys(one.words for one in mine))


def _told(anchor: str, kind: Kind) -> str:
    said = words(anchor)
    return "\n".join(
        [
            f"({anchor})=",
            f"## {kind.title}",
            "",
            f"- *Symptom.* {kind.symptom}",
            f"- *Cause.* {kind.cause}",
            f"- *What to do.* {kind.fix}",
            "",
            f":::{{dropdown}} {_counted(len(said))}",
            ":class-container: sentences",
            "",
            *(f"- `` {sentence} ``" for sentence in said),
            ":::",
        ]
    )


def _counted(number: int) -> str:
    return "Its one sentence" if number == 1 else f"Its {number} sentences"
