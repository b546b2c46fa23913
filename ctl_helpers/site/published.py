"""Pages that say where the results come from that are published with the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ctl_helpers import results, settings
from ctl_helpers.findings.words import markdown_table
from ctl_helpers.results.record import plain

_COLUMNS = ("code", "finished", "seconds", "peak memory", "device")
_ABOVE = """# Notebooks of Section {section}

Below this page in the contents stands what was run of `notebooks/{folder}.ipynb`: with code and
outputs where this build ran it, as a list of runs where results are published with the book.
"""
_APART = {*_COLUMNS, "setting", "section", "parameters"}


def page_of(run: results.Run) -> PurePosixPath:
    """A run's page, below the folder of the narrative pages.

    One that was made here is a notebook, those published of a setting share a page.
    """
    folder = PurePosixPath("runs") / results.folder_name(run.facts["section"])
    if run.published:
        return folder / f"{run.facts['setting']}-published.md"
    return folder / f"{run.folder.name}.ipynb"


def pages() -> dict[PurePosixPath, str]:
    """The pages of all published runs, whether or not this machine has run their settings again.

    Each section has one more, under which its runs' pages stand in the contents.

    Returns:
        path as from :func:`page_of` → Markdown.
    """
    of_page: dict[PurePosixPath, list[results.Run]] = {}
    above = {}
    described = map(settings.describe, settings.names())
    for section in sorted({part for setting in described for part in setting.sections}):
        folder = PurePosixPath("runs") / results.folder_name(section)
        above[folder.with_suffix(".md")] = _ABOVE.format(section=section, folder=folder.name)
        for run in results.published_runs(section):
            of_page.setdefault(page_of(run), []).append(run)
    return above | {path: _page(runs) for path, runs in of_page.items()}


def _page(runs: Sequence[results.Run]) -> str:
    """What is the same for all runs as a list, the rest as a table with a row a run."""
    setting = settings.describe(runs[0].facts["setting"])
    section = runs[0].facts["section"]
    facts = [_facts(run) for run in runs]
    names = list(dict.fromkeys(name for each in facts for name in each))
    differ = [
        n for n in names if n in ("seed", *_COLUMNS) or len({each.get(n) for each in facts}) > 1
    ]
    order = [name for name in names if name not in _COLUMNS] + list(_COLUMNS)
    columns = [name for name in order if name in differ]
    rows = [[each.get(name, "–") for name in columns] for each in facts]
    same = [f"- *{name}*: {facts[0][name]}" for name in names if name not in differ]
    profile = "seeds" if setting.kind == "embedded" else "real"
    return "\n".join(
        [
            f"# {section} · {setting.title} · published runs",
            "",
            "These results are published with the book. Pages show them where this build has no "
            "runs of its own of the setting. To make them again: "
            f"`ctl run --profile {profile} --setting {setting.name} --section {section}`.",
            "",
            markdown_table(columns, rows, texts=len(columns)),
            "",
            "For all of them:",
            "",
            *same,
            "",
        ]
    )


def _facts(run: results.Run) -> dict[str, str]:
    """The provenance of a run in the order of its table, its parameters one by one."""
    parameters: Mapping[str, Any] = run.facts["parameters"]
    facts = {"seed": parameters.get("seed")}
    facts |= {name.replace("_", " "): value for name, value in parameters.items()}
    facts |= {name: value for name, value in run.facts.items() if name not in _APART}
    facts |= {name: run.facts[name] for name in _COLUMNS if name in run.facts}
    facts["finished"] = str(facts["finished"])[:16].replace("T", " ")
    return {name: plain(value) for name, value in facts.items()}
