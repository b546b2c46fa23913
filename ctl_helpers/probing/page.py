"""A report as one HTML page that needs nothing else: no network, no script, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from ctl_helpers.probing.charts import legend, svg
from ctl_helpers.probing.figures import figures
from ctl_helpers.probing.outcome import Outcome
from ctl_helpers.probing.remarks import joined
from ctl_helpers.probing.rules import RULES
from ctl_helpers.probing.shown import shown, written
from ctl_helpers.probing.summary import depth, size

_GRADES = {"stop": "Stop", "doubt": "Doubt", "note": "Note"}
_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#d8dee4;--card:#f6f8fa;
--stop:#b3261e;--doubt:#8a5300;--note:#0b5cad;--good:#1a6b35;
--c0:#0072b2;--c1:#d55e00;--c2:#00806a;--c3:#a3508a;--c4:#8a6d00;--c5:#4a5568}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6e9ec;--soft:#a0a9b3;--line:#343b43;
--card:#1d2127;--stop:#ff8f87;--doubt:#f0b450;--note:#7fb8ff;--good:#6fd08c;
--c0:#56b4e9;--c1:#ff9a57;--c2:#3fc7a5;--c3:#e59ac8;--c4:#e5cc4b;--c5:#a8b3c4}}
.ctl-probe{font:16px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);
max-width:62rem;margin:0 auto;padding:1rem;overflow-wrap:anywhere}
.ctl-probe h1{font-size:1.5rem;margin:.2rem 0}.ctl-probe h2{font-size:1.15rem;margin:2rem 0 .4rem}
.ctl-probe .verdict{border-left:.4rem solid var(--v);background:var(--card);padding:.8rem 1rem;
border-radius:.3rem}.ctl-probe .verdict h1{color:var(--v)}.ctl-probe .verdict p{margin:.3rem 0}
.ctl-probe .verdict ol{margin:.4rem 0;padding-left:1.4rem}
.ctl-probe .soft{color:var(--soft);font-size:.92rem}
.ctl-probe .wide{overflow-x:auto}
.ctl-probe table{border-collapse:collapse;font-size:.92rem}
.ctl-probe th,.ctl-probe td{text-align:left;padding:.25rem .9rem .25rem 0;
border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:normal}
.ctl-probe th{color:var(--soft);font-weight:600}
.ctl-probe td.n{font-variant-numeric:tabular-nums}
.ctl-probe .remark{border-top:1px solid var(--line);padding:.5rem 0}
.ctl-probe .remark p{margin:.1rem 0}
.ctl-probe .tag{display:inline-block;min-width:3.6rem;font-weight:700;color:var(--t)}
.ctl-probe .figures{display:grid;gap:1rem 2rem;margin-top:1.5rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr))}
.ctl-probe figure{margin:0}.ctl-probe figcaption{font-weight:600;font-size:.95rem}
.ctl-probe svg{width:100%;height:auto;max-width:32rem}
.ctl-probe svg .small{font:11px system-ui,sans-serif;fill:var(--soft)}
.ctl-probe svg .grid{stroke:var(--line)}.ctl-probe svg .bound{stroke:var(--soft);
stroke-dasharray:2 3}.ctl-probe svg .line{fill:none;stroke:var(--c);stroke-width:2}
.ctl-probe svg .dot{fill:var(--c)}.ctl-probe svg .dashed{stroke-dasharray:5 4}
.ctl-probe .legend{margin:.2rem 0;font-size:.85rem}
.ctl-probe .legend span{display:inline-block;margin-right:1rem}
.ctl-probe .key{display:inline-block;width:1.2rem;border-top:.18rem solid var(--c);
margin-right:.4rem;vertical-align:middle}.ctl-probe .key.dashed{border-top-style:dashed}
"""
_COLOURS = {"mergeable": "good", "doubtful": "doubt", "not mergeable": "stop"}


def page(outcome: Outcome) -> str:
    """The whole page."""
    names = " + ".join(name for name in outcome.sources if name != "BASE")
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(outcome.verdict.word)}: {escape(names)}</title>"
        f"<style>body{{margin:0;background:#fff}}@media (prefers-color-scheme:dark)"
        f"{{body{{background:#14171b}}}}</style></head><body>{fragment(outcome)}</body></html>"
    )


def fragment(outcome: Outcome) -> str:
    """What stands in the page, also for the output of a notebook's cell."""
    return f'<style>{_STYLE}</style><main class="ctl-probe">{"".join(_parts(outcome))}</main>'


def _parts(outcome: Outcome) -> Iterator[str]:
    yield _verdict(outcome)
    rows = [{"checkpoint": name, "where": source} for name, source in outcome.sources.items()]
    yield _table(rows)
    yield f'<p class="soft">{escape(size(outcome))}. {escape(depth(outcome))}.</p>'
    if charts := figures(outcome):
        yield '<div class="figures">'
        for chart in charts:
            yield (
                f"<figure><figcaption>{escape(chart.title)}</figcaption>{svg(chart)}"
                f"{legend(chart.lines)}</figure>"
            )
        yield "</div>"
    if remarks := joined(outcome.remarks):
        yield "<h2>What was found</h2>"
        for remark in remarks:
            remedy = f"<p>→ {escape(remark.remedy)}</p>" if remark.remedy else ""
            asks = RULES[remark.rule].asks
            yield (
                f'<div class="remark" style="--t:var(--{remark.grade})" title="{escape(asks)}">'
                f'<p><span class="tag">{_GRADES[remark.grade]}</span> '
                f"<b>{escape(remark.about)}</b>: {escape(remark.fact)}</p>{remedy}</div>"
            )
    for title, words, table in shown(outcome):
        yield f'<h2>{escape(title)}</h2><p class="soft">{escape(words)}</p>{_table(table)}'
    yield (
        '<p class="soft">Passing is not accuracy: a mix whose features are the mix of features '
        "can still be worse than its parts. Made by ctl probe.</p>"
    )


def _verdict(outcome: Outcome) -> str:
    verdict = outcome.verdict
    reasons = "".join(f"<p>{escape(reason)}</p>" for reason in verdict.reasons)
    advice = "".join(f"<li>{escape(one)}</li>" for one in verdict.advice)
    todo = f"<p><b>What to do</b></p><ol>{advice}</ol>" if advice else ""
    return (
        f'<div class="verdict" style="--v:var(--{_COLOURS[verdict.word]})">'
        f"<h1>{escape(verdict.word.capitalize())}</h1>{reasons}{todo}</div>"
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(key)}</th>" for key in rows[0])
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if isinstance(value, (int, float)) else ''}>{escape(written(value))}"
            "</td>"
            for value in row.values()
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
