"""Numbers and trends in words, for figures' titles and for the sentences that pages compute."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ctl_helpers.findings.finding import Finding, Measure

FLOOR = 1e-6
"""Smaller values cannot be told from 0, and are not drawn on a log axis."""

LINEAR = 0.5
"""ε up to which features count as linear, where something has to be one or the other."""

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plain(value: float) -> str:
    """A number in a sentence, to two significant digits: 1200, 0.31, −0.0002, 3·10⁻⁵, 0."""
    if abs(value) < FLOOR:
        return "0"
    mantissa, _, power = f"{value:.1e}".partition("e")
    if int(power) < -4:
        text = f"{float(mantissa):g}·{power_of_ten(int(power))}"
    else:
        text = f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
    return text.replace("-", "−")


def times(value: float) -> str:
    """A ratio: "21 times", "3.8 times"."""
    return f"{value:.0f} times" if value >= 10 else f"{value:.1f} times"


def power_of_ten(exponent: int) -> str:
    """Such as 10⁻³."""
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def extent(table: pd.DataFrame, column: str, panels: Mapping[str, str]) -> str:
    """From where to where a column goes in each panel: "from 0 to 20"."""
    by_setting = table[table["setting"].isin(list(panels))].groupby("setting")[column]
    ends = set(zip(by_setting.min(), by_setting.max(), strict=True))
    if len(ends) > 1:
        return "from least to most"
    low, high = ends.pop()
    return f"from {plain(low)} to {plain(high)}"


def linear_words(epsilon: float, control: float | None = None) -> str:
    """What a linearity error ε amounts to: "nearly linear", "partly linear" or "not linear".

    Of the way from the ideal (ε = 0) to the control, the first quarter is nearly linear and the
    last not, as a verdict has it. Where the control is beyond ε = 1, at which a mixed network's
    feature is no nearer to the mix than one of its parts is, nearly linear is a quarter of that.

    Args:
        epsilon: ε of the networks that are judged.
        control: ε of what must not be linear, such as networks pretrained apart; 1 if None.
    """
    limit = 1.0 if control is None or math.isnan(control) else control
    if epsilon < min(limit, 1.0) / 4:
        return "nearly linear"
    return "partly linear" if epsilon < 3 * limit / 4 else "not linear"


def mark(finding: Finding) -> str:
    """A finding's words for a page, whose mark-up says which finding it is."""
    return f'<span data-finding="{finding.name}" data-setting="{finding.setting}">{finding}</span>'


def with_interval(finding: Finding) -> str:
    """A finding as :func:`mark` has it, with its 95% interval: "1.33× (0.99× to 1.78×)"."""
    ends = finding.sample.interval()
    if ends is None:
        return mark(finding)
    low, high = map(finding.write, ends)
    return f"{mark(finding)} ({low} to {high})"


def in_each(panels: Mapping[str, str], findings: Mapping[str, Finding]) -> list[str]:
    """Each panel's finding with its interval; a dash where there is none."""
    return [with_interval(findings[name]) if name in findings else "–" for name in panels]


def quote(panels: Mapping[str, str], findings: Mapping[str, Finding]) -> str:
    """As :func:`by_panel`, with each number marked as the finding it is."""
    return by_panel(panels, {setting: mark(one) for setting, one in findings.items()})


def said(
    panels: Mapping[str, str], measure: Measure, *tables: pd.DataFrame, **arguments: object
) -> str:
    """A measure's number in each panel, marked as the finding it is; a dash where there is none."""
    return in_turn(panels, cells(panels, measure, *tables, **arguments))


def cells(
    panels: Mapping[str, str], measure: Measure, *tables: pd.DataFrame, **arguments: object
) -> list[str]:
    """As :func:`said`, panel by panel: what a row of a :func:`number_table` takes."""
    return in_columns(panels, measure.by_setting(*tables, **arguments))


def in_columns(panels: Mapping[str, str], findings: Mapping[str, Finding]) -> list[str]:
    """Each panel's finding with its mark; a dash where there is none."""
    return [mark(findings[name]) if name in findings else "–" for name in panels]


def spans(
    panels: Mapping[str, str], *findings: Mapping[str, Finding], form: str = "{} to {}"
) -> list[str]:
    """Several numbers in each panel: what a row of a :func:`number_table` takes."""
    columns = zip(*(in_columns(panels, of) for of in findings), strict=True)
    return [form.format(*texts) for texts in columns]


def number_table(panels: Mapping[str, str], rows: Mapping[str, Sequence[str]]) -> str:
    """A table of numbers, a row each and a column for each panel, between empty lines."""
    lines = [[name, *texts] for name, texts in rows.items()]
    return f"\n\n{markdown_table(['', *panels.values()], lines)}\n\n"


def in_turn(panels: Mapping[str, str], texts: Sequence[str]) -> str:
    """As :func:`by_panel`, of a text for each panel in order."""
    return by_panel(panels, dict(zip(panels, texts, strict=True)))


def short(title: str) -> str:
    """A panel's title without its grade."""
    return title.split(" (")[0]


def by_panel(panels: Mapping[str, str], values: Mapping[str, object], form: str = "{}") -> str:
    """Setting → value as one phrase: "0.31 (Digits MLP) and 0.1 (MNIST MLP and Scenes ResNet)".

    Args:
        panels: setting → panel title, in order; those without a value are left out.
        values: setting → number or text; where there is one panel it needs no name.
        form: how a value is written, such as ``"{:.2f} nats"``.
    """
    named: dict[str, list[str]] = {}
    for name, title in panels.items():
        if name in values:
            named.setdefault(form.format(values[name]), []).append(short(title))
    if len(panels) == 1 or not named:
        return next(iter(named), "–")
    return listed([f"{text} ({listed(titles)})" for text, titles in named.items()])


def listed(texts: Sequence[str], word: str = "and") -> str:
    """One, two and three."""
    *most, last = texts
    return f"{', '.join(most)} {word} {last}" if most else last


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """A table whose first columns are texts and whose others are numbers."""
    ruler = [":--"] * texts + ["--:"] * (len(head) - texts)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ruler, *rows])
