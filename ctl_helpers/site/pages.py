"""What a narrative page shows of a section: its settings, figures, sentences and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pandas as pd
from IPython.display import Markdown
from plotly.graph_objects import Figure

from ctl_helpers import results, settings
from ctl_helpers.findings.sentences import answers
from ctl_helpers.findings.signatures import CLAIMS
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.verdicts import verdicts
from ctl_helpers.site.beside_paper import strip
from ctl_helpers.site.claim_pages import NOT_RUN, verdict_lines
from ctl_helpers.site.setting_lists import badges, by_grade, has_network, task_number

Made = TypeVar("Made")


class Page:
    """What a narrative page shows of one section: settings, figures, sentences and verdicts.

    Each is drawn or written by a function of tables, and stands as *not run yet* where no run has
    stored them.

    Args:
        section: such as ``"4.1"``.
        networks: a pattern in the architecture's name; networks of one kind share their layers.
        numbered: call tasks D₁, D₂, … where there are several settings, so that they share a menu.

    Attributes:
        panels: setting → title and grade, for settings that have results, in order of grade.
    """

    def __init__(self, section: str, networks: str = "", *, numbered: bool = False) -> None:
        self._section, self._networks = section, networks
        self.panels = panels(section, networks)
        self._numbered = numbered and len(self.panels) > 1

    def table(self, name: str) -> pd.DataFrame:
        """A stored table of the page's settings; ``"3/curves"`` is another section's."""
        section, _, own = name.rpartition("/")
        table = results.tables(section or self._section, own)
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
        """See :func:`ctl_helpers.site.setting_lists.badges`; with those of other parts."""
        parts = [self, *others]
        networks = {part._networks for part in parts}
        return badges(
            *dict.fromkeys(part._section for part in parts),
            networks=self._networks if len(networks) == 1 else "",
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
        told = [each for each in judged if each.setting in shown and each.claim not in CLAIMS]
        return told, shown

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
        if setting.name in stored and has_network(setting, networks)
    }


class _TaskNames(dict[str, dict[str, str]]):
    """Setting → number → the task's own name; never changed, so that no table needs its own."""

    # Of what a table's attrs hold, pandas makes a copy at each step.
    def __deepcopy__(self, memo: object) -> _TaskNames:
        return self


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with fine-tuning tasks called D₁, D₂, … wherever it names them.

    ``attrs["tasks"]`` says what they are: setting → number → the task's own name.
    """
    tasks = _TaskNames()
    for setting in table["setting"].unique():
        own = settings.describe(setting).finetune
        tasks[setting] = {task_number(n): task for n, task in enumerate(own, 1)}
    names = {
        (setting, task): number for setting, own in tasks.items() for number, task in own.items()
    }
    renamed = {
        column: [
            names.get(key, key[1]) for key in zip(table["setting"], table[column], strict=True)
        ]
        for column in ("i", "j", "k", "network", "task")
        if column in table
    }
    table = table.assign(**renamed)
    table.attrs["tasks"] = tasks
    return table
