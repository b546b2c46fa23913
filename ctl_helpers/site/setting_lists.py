"""Lists of settings: badges on a section's page, and all that is known of them on their own."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from IPython.display import Markdown

from ctl_helpers import results, settings
from ctl_helpers.project import data_folder
from ctl_helpers.results.labels import section_title
from ctl_helpers.settings import Described
from ctl_helpers.settings.schema import GRADES
from ctl_helpers.site.published import page_of

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def by_grade() -> list[Described]:
    """All settings, those first that are nearest to the paper's."""
    return sorted(map(settings.describe, settings.names()), key=lambda each: each.grade)


def grades() -> Markdown:
    """What each grade means."""
    return Markdown("\n".join(f"- **{grade}**: {text}" for grade, text in GRADES.items()))


def has_network(setting: Described, networks: str) -> bool:
    """Whether its architecture has a pattern: ``clip-published`` has ``clip`` and not ``clip$``."""
    return re.search(networks, setting.architecture) is not None


def task_number(n: int) -> str:
    """Such as D₁."""
    return "D" + str(n).translate(_LOWERED)


def badges(*sections: str, networks: str = "", numbered: bool = False) -> Markdown:
    """A section's settings in brief: grade, name and where the results come from.

    Each leads to its place on the page of settings. Those that were not run are named in a line.

    Args:
        sections, networks: as :class:`ctl_helpers.site.pages.Page` takes them.
        numbered: whether the page calls tasks D₁, D₂, …, which the list then explains.
    """
    run, waiting = [], []
    for setting, runs in _state(sections, networks):
        badge = (
            f'<abbr class="grade" title="{html.escape(setting.badge)}">{setting.grade}</abbr> '
            f'<a href="settings.html#{_anchor(setting)}">{html.escape(setting.title)}</a>'
        )
        if any(runs.values()):
            tasks = (f"{task_number(n)} {task}" for n, task in enumerate(setting.finetune, 1))
            run.append(f"- {badge}, {_runs(runs)}{'. ' + ', '.join(tasks) if numbered else ''}")
        else:
            waiting.append(badge)
    # Markdown between tags wants empty lines around it.
    lines = ['<div class="setting-badges">', "", *run, "", "</div>"] if run else []
    if waiting:
        lines += ["", f"<small>Not run: {', '.join(waiting)}.</small>"]
    return Markdown("\n".join(lines))


def settings_run(*sections: str) -> Markdown:
    """A list of settings that were run: what each is, and where its results are from.

    Args:
        sections: those to look at; all when none is named.
    """
    lines = [
        f"- {_described(setting)} {_origin(runs)}"
        for setting, runs in _state(sections)
        if any(runs.values())
    ]
    return Markdown("\n".join(lines))


def settings_not_run(*sections: str) -> Markdown:
    """A list of settings that were not run, and what they need; arguments as above."""
    waiting = [setting for setting, runs in _state(sections) if not any(runs.values())]
    lines = [f"- {_described(setting)}" for setting in waiting]
    return Markdown("\n".join([*lines, "", *_missing([s.name for s in waiting])]))


def _state(
    sections: Sequence[str], networks: str = ""
) -> Iterator[tuple[Described, dict[str, list[results.Run]]]]:
    """Settings by grade, each with its runs of those sections in which it can run."""
    known = (section for setting in by_grade() for section in setting.sections)
    stored = {section: results.runs(section) for section in sections or sorted({*known})}
    for setting in by_grade():
        if has_network(setting, networks) and setting.sections.keys() & stored:
            yield (
                setting,
                {
                    section: [run for run in runs if run.facts["setting"] == setting.name]
                    for section, runs in stored.items()
                    if section in setting.sections
                },
            )


def _anchor(setting: Described) -> str:
    return f"setting-{setting.name}"


def _described(setting: Described) -> str:
    grade = f"grade {setting.grade}, *{setting.badge}*"
    return (
        f'<span id="{_anchor(setting)}"></span>**{setting.title}** (`{setting.name}`), {grade}. '
        f"{setting.about}"
    )


_MORE = r" \(([^()]*) (?:are|is) missing\)$"


def _missing(names: Sequence[str]) -> list[str]:
    """What settings lack, each remedy once, without this machine's folders."""
    place = re.compile(rf"{re.escape(str(data_folder()))}(/[\w./-]*\w)?")
    lacking: dict[str, list[str]] = {}
    for setting in map(settings.describe, names):
        sentence, more, *_ = [*re.split(_MORE, setting.missing() or "nothing is missing"), ""]
        told = place.sub(
            lambda found: f"`DATA{found[1] or ''}`", html.escape(sentence, quote=False)
        )
        told = told.replace(str(Path.home()), "~")
        lacking.setdefault(told, []).append(setting.title + (f" (and {more})" if more else ""))
    return [
        "To run them: `ctl data SETTING` downloads what can be downloaded, `ctl run --setting "
        "SETTING` runs it. What this build lacked (`DATA` is the data folder, which `CTL_DATA_DIR` "
        "names):",
        "",
        *(f"- {'; '.join(titles)}: {told}." for told, titles in lacking.items()),
    ]


def _origin(by_section: Mapping[str, list[results.Run]]) -> str:
    """Where a setting's results come from, section by section where there are several."""
    runs = [run for section_runs in by_section.values() for run in section_runs]
    made = "published with the book" if runs[0].published else "run with this build"
    day = max(str(run.facts["finished"]) for run in runs)[:10]
    devices = _by_fact(runs, "device")
    where = " and ".join(
        f"{device} ({_seeds(part)})" if len(devices) > 1 else device
        for device, part in devices.items()
    )
    gaps = [f"{_seeds(part)} {text}" for text, part in _by_fact(runs, "partial").items()]
    partial = f" In part: {'; '.join(gaps)}." if gaps else ""
    return f"*Results*: {_runs(by_section)} ({made}, {day}, on {where}).{partial}"


def _runs(by_section: Mapping[str, list[results.Run]]) -> str:
    """The seeds that were run, section by section where there are several."""
    return "; ".join(
        f"{section_title(section)}: " * (len(by_section) > 1)
        + (_linked(part) if part else "not run")
        for section, part in by_section.items()
    )


def _linked(runs: Sequence[results.Run]) -> str:
    """Their seeds, with links to where they come from."""
    pages = list(dict.fromkeys(map(page_of, runs)))
    if len(pages) == 1:
        return f"[{_seeds(runs)}]({pages[0]})"
    numbers = (f"[{run.facts['parameters'].get('seed')}]({page_of(run)})" for run in runs)
    return f"seeds {', '.join(numbers)}"


def _seeds(runs: Sequence[results.Run]) -> str:
    """Such as "seeds 0, 1"."""
    seeds = sorted({str(run.facts["parameters"].get("seed")) for run in runs})
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"


def _by_fact(runs: Sequence[results.Run], fact: str) -> dict[str, list[results.Run]]:
    """A fact of provenance → the runs that have it so; runs without it are left out."""
    by_fact: dict[str, list[results.Run]] = {}
    for run in runs:
        if fact in run.facts:
            by_fact.setdefault(str(run.facts[fact]), []).append(run)
    return by_fact
