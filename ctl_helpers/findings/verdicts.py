"""What stored results say of each claim, setting by setting.

Nothing here says what that is: see ``book/claims.yml`` and :mod:`ctl_helpers.findings.claims`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from pydantic import TypeAdapter

from ctl_helpers import results, settings
from ctl_helpers.findings import claims
from ctl_helpers.findings.claims import Claim, Measured
from ctl_helpers.findings.judging import Judged, Word, holm, judge, together
from ctl_helpers.findings.replicates import Sample
from ctl_helpers.findings.stored_numbers import StoredNumbers
from ctl_helpers.findings.verdict import Gate, Number, Part, Verdict
from ctl_helpers.project import SettingError
from ctl_helpers.store.artifacts import Store, digest
from ctl_helpers.store.code_keys import module_checksum
from ctl_helpers.weights.checksums import file_checksum

_STORED = "verdicts.json"
_VERDICTS = TypeAdapter(list[Verdict])

IDEAL_CONTROL = "the control is as good as the ideal"
"""The gate that every part with a measured control has."""

SPAN = 0.1
"""How far a measured control has to be from the ideal."""


def verdicts(section: str | None = None) -> list[Verdict]:
    """Every claim's verdict on every setting that its section runs on, from stored results.

    Args:
        section: only the claims that this section's results decide, such as ``"4.1"``.

    Raises:
        SettingError: ``book/claims.yml`` is not written right, or no claim has this section.
    """
    judged = claims.load()
    sections = list(dict.fromkeys(number for claim in judged.values() for number in claim.sections))
    if section not in (None, *sections):
        raise SettingError(f"no claim has a section {section!r}; there are {sections}")
    described = [settings.describe(name) for name in settings.names()]
    listed, code = [], module_checksum("findings.verdicts")
    for number in sections if section is None else [section]:
        stored = results.runs(number)
        of_section = {key: claim for key, claim in judged.items() if number in claim.sections}
        for setting in described:
            if number in setting.sections:
                runs = [run for run in stored if run.facts["setting"] == setting.name]
                listed += _of_setting(of_section, number, setting.name, runs, code)
    order = list(judged)
    return sorted(listed, key=lambda verdict: order.index(verdict.claim))


def _of_setting(
    judged: Mapping[str, Claim], section: str, setting: str, runs: Sequence[results.Run], code: str
) -> list[Verdict]:
    """One setting's verdicts, from the store where they have been computed: several pages ask."""

    def made() -> list[Verdict]:
        tables = StoredNumbers(section, runs)
        return [
            _verdict(key, claim, setting, tables.of(claim.tables_of.get(section, {})))
            for key, claim in judged.items()
        ]

    def build(folder: Path) -> None:
        (folder / _STORED).write_text(json.dumps([asdict(verdict) for verdict in made()]))

    files = sorted(path for run in runs for path in run.folder.glob("*.parquet"))
    key = {
        "claims": {name: claim.model_dump() for name, claim in judged.items()},
        "setting": [section, setting, settings.describe(setting).grade],
        "points": [run.point() for run in runs],
        "tables": [[path.parent.name, path.name, file_checksum(path)] for path in files],
        "code": code,
    }
    try:
        stored = Store().make("verdicts", digest(key), build) / _STORED
    except OSError:  # no place to keep them, which to see them does not need
        return made()
    return _VERDICTS.validate_python(json.loads(stored.read_text()))


def _verdict(key: str, claim: Claim, setting: str, tables: StoredNumbers) -> Verdict:
    measured = [_measured(part, tables) for part in claim.parts]
    known = [judged for _, judged in measured if judged is not None]
    words = holm(known) if len(known) == len(measured) else []
    parts = [part for part, _ in measured]
    if words:
        parts = [replace(part, word=word) for part, word in zip(parts, words, strict=True)]
    open_ones = [one for one, word in zip(known, words, strict=False) if word == "undecided"]
    gates = [_gate(gate, tables) for gate in claim.gates]
    gates += map(partial(_ideal_control, tables), claim.parts, parts)
    word: Word = together(words) if words else "not run"
    if any(gate.closed for gate in gates):
        word = "not testable"
    return Verdict(
        claim=key,
        name=claim.name,
        section=tables.section,
        setting=setting,
        grade=settings.describe(setting).grade,
        statement=claim.statement,
        word=word,
        paper=claim.paper,
        evidence=claim.figure(tables.section, setting),
        parts=tuple(parts),
        gates=tuple(gate for gate in gates if gate.closed is not None or gate.measure),
        shown=tuple(_shown(one, tables) for one in claim.shown),
        needed=max(open_ones, key=lambda one: one.draws).needed if open_ones else None,
    )


def _measured(part: claims.Part, tables: StoredNumbers) -> tuple[Part, Judged | None]:
    """A part's numbers, and where its deciding number is; None where results are too few."""
    made = replace(_shown(part, tables), ideal=part.ideal, paper=part.paper or None)
    sample = tables.sample(part)
    control: Sample | float | None
    if isinstance(part.control, Measured):
        control = tables.sample(part.control)
        made = replace(made, control=_number(control), control_effect=part.control.effect)
    else:
        made = replace(made, control=Number(part.control))
        control = part.control
    if sample is None or control is None:
        return made, None
    judged = replace(judge(sample, control, part.ideal, part.paper_number), exact=part.exact)
    if math.isnan(judged.estimate.value):
        return made, None
    made = replace(made, units=judged.estimate.units)
    if part.ideal is not None or part.paper_number is not None:
        place, reach = judged.estimate.value, judged.estimate.interval()
        made = replace(made, position=place, position_interval=reach)
    return made, judged


def _shown(one: claims.Shown, tables: StoredNumbers) -> Part:
    return Part(tables.name(one), one.effect, one.unit, one.reason, _number(tables.sample(one)))


def _number(sample: Sample | None) -> Number:
    return Number() if sample is None else Number(sample.effect, sample.interval())


def _gate(gate: claims.Gate, tables: StoredNumbers) -> Gate:
    number = _number(tables.sample(gate))
    closed = None if number.value is None else not gate.is_open(number.value)
    return Gate(gate.says, gate.effect, tables.name(gate), number, gate.threshold, closed)


def _ideal_control(tables: StoredNumbers, part: claims.Part, made: Part) -> Gate:
    """Whether a measured control leaves nothing to tell."""
    number = made.control or Number()
    if not isinstance(part.control, Measured) or part.ideal is None or number.value is None:
        return Gate(IDEAL_CONTROL, "", "", number, "", None)
    apart = abs(number.value - part.ideal)
    effect, limit = part.control.effect, f"at least {SPAN:g} from the ideal"
    says = f"the control ({effect}) is as good as the ideal"
    named = f"the control, {effect}"
    return Gate(says, named, tables.name(part.control), number, limit, apart < SPAN)
