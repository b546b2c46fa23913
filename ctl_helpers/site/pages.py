"""What narrative pages need to know of the stored runs: panels, origins and claims' verdicts."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from IPython.display import HTML, Markdown
from plotly.graph_objects import Figure

from ctl_helpers import results, settings
from ctl_helpers.findings import verdicts as claims
from ctl_helpers.findings.verdicts import Check, Verdict
from ctl_helpers.findings.words import by_panel

Made = TypeVar("Made")

_SORTS = {
    "embedded": "stand-in, needs no download",
    "paper": "the paper's own",
    "real": "real data in place of the paper's",
}
_MARKS = {"holds": "✓ holds", "fails": "✗ fails", "not run": "– not run"}


NOT_RUN = "*Not run yet.*"


class Page:
    """What a narrative page shows of one section: settings, figures, sentences and verdicts.

    Each is drawn or written by a function of tables, and stands as *not run yet* where no run has
    stored them.

    Args:
        section: such as ``"4.1"``.
        networks: a part of the architecture's name; networks of one kind share their layers.
        numbered: call tasks D₁, D₂, … where there are several settings, so that they share a menu.

    Attributes:
        panels: setting → panel title, for the settings that have results, stand-ins last.
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

    def figure(self, draw: Callable[..., Figure], *names: str, **options: Any) -> Figure | Markdown:
        """A figure of stored tables: ``draw(*tables, panels, **options)``."""
        return self._made(draw, names, options)

    def say(self, write: Callable[..., str], *names: str, **options: Any) -> Markdown:
        """A paragraph or table that is computed: ``write(*tables, panels, **options)``."""
        text = self._made(write, names, options)
        return text if isinstance(text, Markdown) else Markdown(text)

    def settings(self) -> Markdown:
        """See :func:`state_of_settings`."""
        return state_of_settings(self._section, networks=self._networks)

    def verdicts(self) -> Markdown:
        """See :func:`verdicts`."""
        return verdicts(self.panels, self._section)

    def _made(
        self, make: Callable[..., Made], names: Sequence[str], options: Any
    ) -> Made | Markdown:
        try:
            tables = [self.table(name) for name in names]
        except FileNotFoundError:
            return Markdown(NOT_RUN)
        return make(*tables, self.panels, **options) if self.panels else Markdown(NOT_RUN)


def panels(section: str, networks: str = "") -> dict[str, str]:
    """Setting → panel title, for the settings that have results of a section, stand-ins last.

    Args:
        section: such as ``"4.1"``.
        networks: a part of the architecture's name; networks of one kind share their layers.
    """
    stored = {str(run.facts["setting"]) for run in results.runs(section)}
    found = [settings.load(name) for name in reversed(settings.names()) if name in stored]
    found = [setting for setting in found if networks in setting.model.architecture]
    return {
        setting.name: f"{setting.title}{' (stand-in)' if setting.kind == 'embedded' else ''}"
        for setting in found
    }


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The table with fine-tuning tasks called D₁, D₂, … in its columns ``i`` and ``j``."""
    names = {
        (setting, task): f"D{'₀₁₂₃₄₅₆₇₈₉'[number]}"
        for setting in table["setting"].unique()
        for number, task in enumerate(settings.load(setting).finetune, 1)
    }
    renamed = {
        column: [
            names.get(key, key[1]) for key in zip(table["setting"], table[column], strict=True)
        ]
        for column in ("i", "j")
        if column in table
    }
    return table.assign(**renamed)


def state_of_settings(*sections: str, networks: str = "") -> Markdown:
    """A list of some sections' settings: what each is, and where its results come from.

    Those that were not run are named, and folded up with what they need.

    Args:
        sections: such as ``"4.1"``.
        networks: a part of the architecture's name.
    """
    stored = {section: results.runs(section) for section in sections}
    lines, waiting = [], {}
    for name in settings.names():
        setting = settings.load(name)
        own = [section for section in sections if section in setting.sections]
        if own and networks in setting.model.architecture:
            runs = {
                section: [run for run in stored[section] if run.facts["setting"] == name]
                for section in own
            }
            origin = _origin(runs, setting.missing())
            kind = _SORTS[setting.kind]
            line = f"- **{setting.title}** (`{name}`), *{kind}*. {setting.about} {origin}"
            if any(runs.values()):
                lines.append(line)
            else:
                waiting[setting.title] = line
    if waiting:
        summary = f"<summary>Not run: {', '.join(waiting)}. What they need</summary>"
        # Markdown between tags wants empty lines around it.
        lines += ["", f"<details>{summary}", "", *waiting.values(), "", "</details>"]
    return Markdown("\n".join(lines))


def _origin(runs: Mapping[str, list[results.Run]], missing: str | None) -> str:
    """Where a setting's results come from, section by section where there are several."""
    found = [run for part in runs.values() for run in part]
    if not found:
        # The data folder, by default in this machine's home.
        return f"**Not run**: {(missing or 'run it').replace(str(Path.home()), '~')}."
    said = []
    for section, part in runs.items():
        text = _seeds(part) if part else "not run"
        said.append(f"{section}: {text}" if len(runs) > 1 else text)
    made = "published with the book" if found[0].published else "run with this build"
    day = max(str(run.facts["finished"]) for run in found)[:10]
    devices = _by_fact(found, "device")
    where = " and ".join(
        f"{device} ({_seeds(own)})" if len(devices) > 1 else device
        for device, own in devices.items()
    )
    parts = [f"{_seeds(own)} {text}" for text, own in _by_fact(found, "partial").items()]
    partial = f" In part: {'; '.join(parts)}." if parts else ""
    return f"*Results*: {'; '.join(said)} ({made}, {day}, on {where}).{partial}"


def _seeds(runs: Sequence[results.Run]) -> str:
    """Such as "seeds 0, 1"."""
    seeds = sorted({str(dict(run.facts["parameters"]).get("seed")) for run in runs})
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}"


def _by_fact(runs: Sequence[results.Run], fact: str) -> dict[str, list[results.Run]]:
    """A fact of provenance → the runs that have it so; runs without it are left out."""
    found: dict[str, list[results.Run]] = {}
    for run in runs:
        if fact in run.facts:
            found.setdefault(str(run.facts[fact]), []).append(run)
    return found


def dashboard(found: Sequence[Verdict]) -> HTML:
    """Every claim, how many settings say what of it, and on a click each setting's number.

    Counts and filters are for readers with a script; without one all is there, unfiltered.

    Args:
        found: :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
    """
    titles = {name: settings.load(name).title for name in settings.names()}
    words = [word for word in _MARKS if any(each.verdict == word for each in found)]
    counts = ", ".join(f"{_count(found, word)} {_MARKS[word]}" for word in words)
    used = dict.fromkeys(each.setting for each in found)
    sections = dict.fromkeys(each.section for each in found)
    menus = [
        ("section", [(name, name) for name in sections]),
        ("setting", [(name, titles[name]) for name in used]),
        ("verdict", [(word, _MARKS[word]) for word in words]),
    ]
    rows = [
        _row(name, row, [each for each in found if each.claim == name], titles)
        for name, row in claims.load().items()
    ]
    return HTML(
        f'<div class="dashboard"><p><strong>{len(rows)} claims, {len(found)} verdicts</strong>: '
        f"{counts}.</p><form>{''.join(_menu(*menu) for menu in menus)}</form>"
        f'<p class="dashboard-shown" aria-live="polite"></p>{"".join(rows)}</div>'
    )


def _count(found: Sequence[Verdict], word: str) -> int:
    return sum(each.verdict == word for each in found)


def _menu(name: str, choices: Sequence[tuple[str, str]]) -> str:
    options = "".join(
        f'<option value="{value}">{html.escape(text)}</option>' for value, text in choices
    )
    every = '<option value="">all</option>'
    return f'<label>{name} <select name="{name}">{every}{options}</select></label>'


def _row(name: str, row: claims.Claim, own: Sequence[Verdict], titles: Mapping[str, str]) -> str:
    said = [word for word in _MARKS if _count(own, word)]
    marks = " ".join(
        f'<span class="{word.replace(" ", "-")}">{_MARKS[word]}: {_count(own, word)}</span>'
        for word in said
    )
    first = row.conditions[0]
    unit = f" ({first.unit})" if first.unit else ""
    cells = "".join(
        f'<tr data-section="{each.section}" data-setting="{each.setting}" '
        f'data-verdict="{each.verdict}"><td>{html.escape(titles[each.setting])}</td>'
        f"<td>{_word(each)}</td><td>{_number(each.checks[0])}</td>"
        f"<td>{_link(each.evidence, 'figure') if each.effect is not None else '–'}</td></tr>"
        for each in own
    )
    return (
        f'<details id="row-{name}"><summary><strong>{name}</strong> '
        f"{html.escape(row.statement)} <span class='marks'>{marks}</span></summary>"
        f"<p><em>In the paper</em>: {html.escape(row.paper)}</p>"
        f"<table><thead><tr><th>setting</th><th>verdict</th>"
        f"<th>{html.escape(first.effect + unit)}: {first.threshold}</th><th>evidence</th></tr>"
        f"</thead><tbody>{cells}</tbody></table>"
        f"<p>{_link(f'claims.html#claim-{name}', 'All conditions and the reasons')}</p></details>"
    )


def failures(found: Sequence[Verdict]) -> Markdown:
    """A table of the claims that fail somewhere: the first condition missed, and where to look.

    Args:
        found: :func:`ctl_helpers.findings.verdicts.verdicts`.
    """
    lines = ["| claim | setting | what was missed | number | evidence |", "|:--|:--|:--|:--|:--|"]
    for each in found:
        if each.verdict == "fails":
            missed = next(check for check in each.checks if check.holds is False)
            asked = f"{missed.effect}: {missed.threshold}".replace("|", "\\|")
            link = _link(f"claims.html#claim-{each.claim}", each.claim)
            cells = [link, settings.load(each.setting).title, asked, _number(missed)]
            cells.append(_link(each.evidence, "figure"))
            lines.append(f"| {' | '.join(cells)} |")
    return Markdown("\n".join(lines))


def verdicts(panels: Mapping[str, str], *sections: str) -> Markdown:
    """A line a claim: what it came to in each setting that a page shows and that was run.

    Args:
        panels: setting → panel title.
        sections: whose claims, such as ``"4.1"``.
    """
    said: dict[str, dict[str, str]] = {}
    for section in sections:
        for each in claims.verdicts(section):
            if each.setting in panels and each.verdict != "not run":
                said.setdefault(each.claim, {})[each.setting] = _word(each)
    lines = [
        f"- {_link(f'claims.html#claim-{name}', name)}: {by_panel(panels, words)}."
        for name, words in said.items()
    ]
    return Markdown("\n".join(lines) or NOT_RUN)


def claim(found: Sequence[Verdict], name: str) -> Markdown:
    """All about one claim: what is asked, why, what the paper has, and every setting's numbers.

    Args:
        found: :func:`ctl_helpers.findings.verdicts.verdicts`, of its section at least.
        name: its id.
    """
    row = claims.load()[name]
    lines = [row.statement, "", f"*In the paper*: {row.paper}", ""]
    for number, asked in enumerate(row.conditions, 1):
        limit = f"**{asked.threshold}**" if asked.threshold else "shown, decides nothing"
        unit = f" ({asked.unit})" if asked.unit else ""
        lines.append(f"{number}. {asked.effect}{unit}: {limit}. {asked.reason}")
    own = [verdict for verdict in found if verdict.claim == name]
    if not own:
        return Markdown("\n".join([*lines, "", "**– not run**: no setting has this section."]))
    columns = [f"({number})" for number in range(1, len(row.conditions) + 1)]
    table = [["setting", "verdict", *columns, "interval over", "evidence"]]
    table.append([":--"] * len(table[0]))
    for verdict in own:
        seen = any(check.value is not None for check in verdict.checks)
        table.append(
            [
                settings.load(verdict.setting).title,
                f"**{_word(verdict)}**",
                *map(_number, verdict.checks),
                verdict.replicates or "–",
                _link(verdict.evidence, "figure") if seen else "–",
            ]
        )
    rows = ["| " + " | ".join(cells) + " |" for cells in table]
    return Markdown("\n".join([*lines, "", *rows]))


def _word(verdict: Verdict) -> str:
    """A verdict with its mark; a reader need not see colours."""
    unsure = verdict.verdict != "not run" and not verdict.clear
    return _MARKS[verdict.verdict] + (", not clearly" if unsure else "")


def _number(check: Check) -> str:
    """A number with its interval and, where it is asked for something, whether it is met."""
    if check.value is None:
        return "–"
    met = {True: " ✓", False: " ✗", None: ""}[check.holds]
    low, high = check.interval or (None, None)
    interval = "" if low is None else f" [{_digits(low)}, {_digits(high)}]"
    return f"{_digits(check.value)}{interval}{met}"


def _digits(value: float) -> str:
    # What rounding alone leaves of a difference is nothing.
    return f"{round(value, 12) + 0.0:.3g}".replace("-", "−")


def _link(address: str, text: str) -> str:
    """A link to a page that the book tool need not know."""
    return f'<a href="{address}">{text}</a>'
