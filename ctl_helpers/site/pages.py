"""What a narrative page shows of a section: its settings, figures, sentences and verdicts."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from IPython.display import Markdown
from plotly.graph_objects import Figure

from ctl_helpers import results, settings
from ctl_helpers.findings.sentences import answers
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.verdicts import verdicts
from ctl_helpers.project import data_folder
from ctl_helpers.settings import Described
from ctl_helpers.site.beside_paper import strip
from ctl_helpers.site.claim_pages import NOT_RUN, verdict_lines
from ctl_helpers.site.published import page_of

Made = TypeVar("Made")

_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Page:
    """What a narrative page shows of one section: settings, figures, sentences and verdicts.

    Each is drawn or written by a function of tables, and stands as *not run yet* where no run has
    stored them.

    Args:
        section: such as ``"4.1"``.
        networks: a part of the architecture's name; networks of one kind share their layers.
        numbered: call tasks D₁, D₂, … where there are several settings, so that they share a menu.

    Attributes:
        panels: setting → title and grade, for settings that have results, in order of grade.
    """

    def __init__(self, section: str, networks: str = "", *, numbered: bool = False) -> None:
        self._section, self._networks = section, networks
        self.panels = panels(section, networks)
        self._numbered = numbered and len(self.panels) > 1

    def table(self, name: str) -> pd.DataFrame:
        """A stored table of the page's settings."""
        table = results.tables(self._section, name)
        table = table[table["setting"].isin(list(self.panels))]
        return numbered(table) if self._numbered else table

    def figure(
        self, draw: Callable[..., Figure], *names: str, controls: str = "", **options: Any
    ) -> Figure | Markdown:
        """A figure of stored tables: ``draw(*tables, panels, **options)``.

        Args:
            draw: a function of :mod:`ctl_helpers.figures`.
            names: of stored tables.
            controls: that of a stored table of controls, which the figure draws where there is one.
            options: the function's own.
        """
        if controls:
            with suppress(FileNotFoundError):
                options["controls"] = self.table(controls)
        return self._made(draw, names, options)

    def say(self, write: Callable[..., str], *names: str, **options: Any) -> Markdown:
        """A paragraph or table that is computed: ``write(*tables, panels, **options)``."""
        text = self._made(write, names, options)
        return text if isinstance(text, Markdown) else Markdown(text)

    def settings(self, *others: Page) -> Markdown:
        """See :func:`state_of_settings`; with those of other parts of the page.

        What settings that were not run need is on the front page.
        """
        parts = [self, *others]
        networks = {part._networks for part in parts}
        return state_of_settings(
            *dict.fromkeys(part._section for part in parts),
            networks=self._networks if len(networks) == 1 else "",
            needs=False,
            numbered=any(part._numbered for part in parts),
        )

    def verdicts(self, *others: Page) -> Markdown:
        """See :func:`ctl_helpers.site.claim_pages.verdict_lines`; with those of other parts."""
        parts = [self, *others]
        panels = {name: title for part in parts for name, title in part.panels.items()}
        return verdict_lines(panels, *dict.fromkeys(part._section for part in parts))

    def answer(self, *others: Page) -> Markdown:
        """What was found in three sentences, told from the verdicts; with those of other parts."""
        judged, shown = self._judged(others)
        return Markdown(answers.answered(judged, shown) if shown else NOT_RUN)

    def beside_paper(self, *others: Page) -> Markdown:
        """See :func:`ctl_helpers.site.beside_paper.strip`; with the claims of other parts."""
        return strip(*self._judged(others)) or Markdown(NOT_RUN)

    def _judged(self, others: Sequence[Page]) -> tuple[list[Verdict], dict[str, str]]:
        """The verdicts on the claims of some parts' sections, and the parts' panels by grade."""
        parts = [self, *others]
        panels = {name: title for part in parts for name, title in part.panels.items()}
        shown = {one.name: panels[one.name] for one in by_grade() if one.name in panels}
        sections = dict.fromkeys(part._section for part in parts)
        judged = [each for section in sections for each in verdicts(section)]
        return [each for each in judged if each.setting in shown], shown

    def _made(
        self, make: Callable[..., Made], names: Sequence[str], options: Any
    ) -> Made | Markdown:
        try:
            tables = [self.table(name) for name in names]
        except FileNotFoundError:
            return Markdown(NOT_RUN)
        results.refuse_merged(*tables)
        return make(*tables, self.panels, **options) if self.panels else Markdown(NOT_RUN)


def panels(section: str, networks: str = "") -> dict[str, str]:
    """As :attr:`Page.panels`; arguments as :class:`Page`."""
    stored = {run.facts["setting"] for run in results.runs(section)}
    return {
        setting.name: f"{setting.title} ({setting.grade})"
        for setting in by_grade()
        if setting.name in stored and networks in setting.architecture
    }


def by_grade() -> list[Described]:
    """All settings, those first that are nearest to the paper's."""
    return sorted(map(settings.describe, settings.names()), key=lambda each: each.grade)


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with fine-tuning tasks called D₁, D₂, … in its columns ``i``, ``j``, ``task``.

    ``attrs["tasks"]`` says what they are: setting → number → the task's own name.
    """
    tasks = {
        setting: {_number(n): task for n, task in enumerate(settings.describe(setting).finetune, 1)}
        for setting in table["setting"].unique()
    }
    names = {
        (setting, task): number for setting, own in tasks.items() for number, task in own.items()
    }
    renamed = {
        column: [
            names.get(key, key[1]) for key in zip(table["setting"], table[column], strict=True)
        ]
        for column in ("i", "j", "task")
        if column in table
    }
    table = table.assign(**renamed)
    table.attrs["tasks"] = tasks
    return table


def _number(n: int) -> str:
    """Such as D₁."""
    return "D" + str(n).translate(_LOWERED)


def state_of_settings(
    *sections: str, networks: str = "", needs: bool = True, numbered: bool = False
) -> Markdown:
    """A list of some sections' settings: what each is, and where its results come from.

    Those that were not run are named in a line, which unfolds to what they are.

    Args:
        sections, networks: as :class:`Page` takes them.
        needs: whether it unfolds to what is missing, too; else that is linked to.
        numbered: whether the page calls tasks D₁, D₂, …, which the list then explains.
    """
    stored = {section: results.runs(section) for section in sections}
    lines: list[str] = []
    waiting: dict[str, str] = {}
    for setting in by_grade():
        name = setting.name
        if networks not in setting.architecture or not setting.sections.keys() & stored:
            continue
        runs = {
            section: [run for run in section_runs if run.facts["setting"] == name]
            for section, section_runs in stored.items()
            if section in setting.sections
        }
        grade = f"grade {setting.grade}, *{setting.badge}*"
        line = f"- **{setting.title}** (`{name}`), {grade}. {setting.about}"
        if numbered:
            tasks = (f"{_number(n)} {task}" for n, task in enumerate(setting.finetune, 1))
            line += f" *Tasks*: {', '.join(tasks)}."
        if any(runs.values()):
            lines.append(f"{line} {_origin(runs)}")
        else:
            waiting[name] = line
    if waiting:
        titles = "; ".join(settings.describe(name).title for name in waiting)
        told = _missing(list(waiting)) if needs else [_ELSEWHERE]
        # Markdown between tags wants empty lines around it.
        lines += ["", f"<details><summary>Not run: {titles}</summary>", "", *waiting.values(), ""]
        lines += [*told, "", "</details>"]
    return Markdown("\n".join(lines))


_MORE = r" \(([^()]*) (?:are|is) missing\)$"
_ELSEWHERE = "The front page lists what they need, beside {ref}`all settings <what-is-here>`."


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
    seeds = [
        f"{section}: " * (len(by_section) > 1) + (_linked(part) if part else "not run")
        for section, part in by_section.items()
    ]
    made = "published with the book" if runs[0].published else "run with this build"
    day = max(str(run.facts["finished"]) for run in runs)[:10]
    devices = _by_fact(runs, "device")
    where = " and ".join(
        f"{device} ({_seeds(part)})" if len(devices) > 1 else device
        for device, part in devices.items()
    )
    gaps = [f"{_seeds(part)} {text}" for text, part in _by_fact(runs, "partial").items()]
    partial = f" In part: {'; '.join(gaps)}." if gaps else ""
    return f"*Results*: {'; '.join(seeds)} ({made}, {day}, on {where}).{partial}"


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
