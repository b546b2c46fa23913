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


def trend(values: pd.Series, small: float = 0.0) -> str:
    """How a series goes from its first value to its last: "falls from 0.31 to 0.02".

    Args:
        values: by what changes, in its order; what is not known is left out.
        small: a difference that does not count. One of less than a tenth never does.
    """
    values = values.dropna()
    by = [float(place) for place in values.index]
    first, last = values.iloc[0], values.iloc[-1]
    low, high = sorted((first, last))
    if high - low <= max(small, 0.1 * max(abs(low), abs(high))):
        text = f"stays at about {plain(values.iloc[[0, -1]].mean())}"
    else:
        text = f"{'falls' if last < first else 'rises'} from {plain(first)} to {plain(last)}"
    if values.max() - high > max(small, abs(high) / 2):
        return f"{text}, with a peak of {plain(values.max())} at {plain(by[values.argmax()])}"
    if low - values.min() > max(small, abs(low) / 3):
        return f"{text}, with a low of {plain(values.min())} at {plain(by[values.argmin()])}"
    return text


def extent(table: pd.DataFrame, column: str, panels: Mapping[str, str]) -> str:
    """From where to where a column goes in each panel: "from 0 to 20"."""
    by_setting = table[table["setting"].isin(list(panels))].groupby("setting")[column]
    ends = set(zip(by_setting.min(), by_setting.max(), strict=True))
    if len(ends) > 1:
        return "from lowest to highest"
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


def quote(panels: Mapping[str, str], findings: Mapping[str, Finding]) -> str:
    """As :func:`by_panel`, with each number marked as the finding it is."""
    return by_panel(panels, {setting: mark(one) for setting, one in findings.items()})


def said(
    panels: Mapping[str, str], measure: Measure, *tables: pd.DataFrame, **arguments: object
) -> str:
    """A measure's number in each panel, marked as the finding it is; a dash where there is none."""
    findings = measure.by_setting(*tables, **arguments)
    numbers = {name: mark(finding) for name, finding in findings.items()}
    return by_panel(panels, dict.fromkeys(panels, "–") | numbers)


def by_panel(panels: Mapping[str, str], values: Mapping[str, object], form: str = "{}") -> str:
    """Setting → value as one phrase: "0.31 (Digits MLP), 0.2 (MNIST MLP) and 0.1 (Scenes ResNet)".

    Args:
        panels: setting → panel title, in order; those without a value are left out.
        values: setting → number or text; where there is one panel it needs no name.
        form: how a value is written, such as ``"{:.2f} nats"``.
    """
    texts = {
        title.split(" (")[0]: form.format(values[name])
        for name, title in panels.items()
        if name in values
    }
    if len(panels) == 1 or not texts:
        return next(iter(texts.values()), "–")
    *most, last = [f"{text} ({title})" for title, text in texts.items()]
    return f"{', '.join(most)} and {last}" if most else last


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int = 1) -> str:
    """A table whose first columns are texts and whose others are numbers."""
    ruler = [":--"] * texts + ["--:"] * (len(head) - texts)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ruler, *rows])
