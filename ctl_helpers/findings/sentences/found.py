"""What was found: in one sentence and in six, for the front page, told from the verdicts alone.

What is called ``judged`` is of :func:`ctl_helpers.findings.verdicts.verdicts`, of all sections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ctl_helpers import settings
from ctl_helpers.findings.judging import WORDS, Word
from ctl_helpers.findings.signatures import CLAIMS as SIGNATURES
from ctl_helpers.findings.verdict import Verdict
from ctl_helpers.findings.words import listed, plain

Judged = Sequence[Verdict]

_APART = "pretrained apart"  # in the name of a part's control
_PUBLISHED = "B"  # the grade of settings with a published network

_LINEAR = {
    "ctl-direction": "between two tasks",
    "avg-direction": "for averages",
    "add-direction": "for added task vectors",
    "neg-direction": "for subtracted ones",
}
_MEANS: dict[Word, str] = {
    "reproduced": " (nearly linear)",
    "partly": " (more linear than networks pretrained apart, but not nearly linear)",
    "contradicted": " (hardly more linear than networks pretrained apart)",
}
_MERGED = {
    "avg-ensemble": "Averaging weights does what averaging outputs does",
    "add-stitch": "Two task vectors added keep both tasks, as averaged features do",
    "neg-stitch": "Subtracting a task vector takes away its own task and spares the others",
}
_PRETRAINED = {
    "pretrain-epochs": "More pretraining makes networks more linear",
    "similar-to-pretrain": "Fine-tuning on data nearer to those of pretraining does so, too",
    "curvature-bound": "Curvature times squared distance explains how far the loss is from linear "
    "(Theorem 5.1)",
}


def found(judged: Judged) -> str:
    """The six sentences as a list."""
    parts = (linear, special, merged, pretrained, linear_layers, broken)
    return "\n".join(f"{place}. {part(judged)}" for place, part in enumerate(parts, 1))


def between_tasks(judged: Judged) -> str:
    """Whether a mix of two networks mixes their features, in one line."""
    ran = _ran(judged, ["ctl-direction"])
    told = _told(ran)
    text = f"**Is it true?** {answer(ran)}."
    if told:
        words = [word for word in WORDS if any(verdict.word == word for verdict in told)]
        verb, plural = ("are", "s") if len(told) > 1 else ("is", "")
        either = listed([f"*{word}*{_MEANS.get(word, '')}" for word in words], "or")
        text += f" In the setting{plural} that could test it the verdict{plural} {verb} {either}."
        text += _errors(told)
    return text + _untestable(ran)


def linear(judged: Judged) -> str:
    """Whether networks of one pretraining are linear: two, averages, sums and differences."""
    ran = _ran(judged, _LINEAR)
    text = f"**Is a mixed network linear where pretraining is shared?** {answer(ran)}."
    told = _told(ran)
    if told:
        often = {
            phrase: _often(_ran(told, [claim]))
            for claim, phrase in _LINEAR.items()
            if _ran(told, [claim])
        }
        text += f" The claim of linear features is {_reproduced(told)}"
        if len(set(often.values())) > 1:
            text += f": {listed([f'{where} {phrase}' for phrase, where in often.items()])}"
        text += "."
    return text + _rest(ran)


def special(judged: Judged) -> str:
    """Whether task vectors are more linear than random vectors that move features as far."""
    ran = _ran(judged, ["special"])
    told = _told(ran)
    text = (
        "**Are task vectors more linear than random vectors that move features as far?** "
        f"{answer(ran)}."
    )
    if told:
        text += f" The claim that they clearly are is {_reproduced(told)}."
        if ratios := _known(_over_control(verdict) for verdict in told):
            text += f" Their ε, divided by that of random vectors, {_extent(ratios)}; less is "
            text += "more linear."
    return text + _rest(ran)


def merged(judged: Judged) -> str:
    """Whether merged networks do what their features say."""
    return _claims("Do merged networks do what their features say?", _MERGED, judged)


def pretrained(judged: Judged) -> str:
    """What pretraining does."""
    return _claims("Does linearity come from pretraining?", _PRETRAINED, judged)


def linear_layers(judged: Judged) -> str:
    """What is left of the second paper: its claims by how far they are reproduced."""
    keys = dict.fromkeys(each.claim for each in judged if each.claim.startswith("llo-"))
    ran = _ran(judged, keys)
    told = _told(ran)
    text = (
        "**Are task vectors better if only linear layers are fine-tuned (the second paper)?** "
        f"{answer(ran)}."
    )
    if told:
        where: dict[str, list[str]] = {}
        for key in keys:
            own = _ran(told, [key])
            if own:
                where.setdefault(_often(own), []).append(f"*{own[0].name}*")
        lists = [f" Reproduced {often}: {listed(names)}." for often, names in where.items()]
        text += f" Its claims are {_reproduced(told)}.{''.join(lists)}"
    return text + _rest(ran)


def broken(judged: Judged) -> str:
    """What is said to break linearity, by whether it does."""
    ran = _ran(judged, SIGNATURES)
    by_answer: dict[str, dict[str, None]] = {}
    for claim in SIGNATURES:
        if own := _ran(ran, [claim]):
            by_answer.setdefault(answer(own), {})[f"*{own[0].name}*"] = None
    text = f"**Does it break where it is said to?** {answer(ran)}."
    ranked = sorted(by_answer, key=lambda one: one not in ("Yes", "Mostly"))
    return text + "".join(f" {one}: {listed(list(by_answer[one]))}." for one in ranked)


def _errors(told: Judged) -> str:
    """From where to where ε goes, and how large it is at least with networks pretrained apart."""
    firsts = [verdict.parts[0] for verdict in told]
    apart = _known(
        part.control.value
        for part in firsts
        if part.control and _APART in (part.control_effect or "").lower()
    )
    errors = _known(part.number.value for part in firsts)
    if not errors:
        return ""
    text = f" With two networks mixed, ε at the worst layer (zero is linear) {_extent(errors)}"
    if not apart:
        return f"{text}."
    least = "at least " * (min(apart) < max(apart))
    return f"{text}; with networks pretrained apart it is {least}{plain(min(apart))}."


def _claims(question: str, phrases: Mapping[str, str], judged: Judged) -> str:
    """An answer over several claims, and for each in how many settings it is reproduced."""
    ran = _ran(judged, phrases)
    text = f"**{question}** {answer(ran)}."
    if not _told(ran):
        return text + _rest(ran)
    lines = []
    for claim, phrase in phrases.items():
        own = _ran(judged, [claim])
        told = _told(own)
        untold = "could not be tested" if own else "not run"
        lines.append(f"*{phrase}*: {_reproduced(told) if told else untold}.")
    return f"{text} {' '.join(lines)}{_rest(ran)}"


def _ran(judged: Judged, claims: Iterable[str]) -> list[Verdict]:
    wanted = set(claims)
    return [each for each in judged if each.claim in wanted and each.word != "not run"]


def _told(ran: Judged) -> list[Verdict]:
    return [verdict for verdict in ran if verdict.word != "not testable"]


def answer(ran: Judged) -> str:
    """The verdicts in a word or two; it never says more than they do."""
    told = [verdict.word for verdict in _told(ran)]
    if not told:
        return "Not testable here" if ran else "Not run yet"
    words, good = set(told), told.count("reproduced")
    only: dict[Word, str] = {"reproduced": "Yes", "contradicted": "No", "undecided": "Undecided"}
    if len(words) == 1:
        return only.get(told[0], "In part")
    if good >= 2 / 3 * len(told):
        return "Mostly"
    if good or "partly" in words:
        return "In part"
    return "Not shown"  # some contradicted, the others undecided


def _often(told: Judged) -> str:
    """In how many settings a claim is reproduced, in words."""
    good = sum(verdict.word == "reproduced" for verdict in told)
    if good in (0, len(told)):
        return "everywhere" if good else "nowhere"
    return "in most settings" if good > len(told) / 2 else "in some settings"


def _reproduced(told: Judged) -> str:
    """In how many settings: "reproduced in 3 of 5 settings (the others: undecided)"."""
    good = sum(verdict.word == "reproduced" for verdict in told)
    alone = len({verdict.setting for verdict in told}) == len(told)
    unit = f"{'setting' if alone else 'case'}{'s' * (len(told) > 1)}"
    if good == len(told):
        where = f"all {good} {unit}" if good > 1 else f"the one {unit} that could test it"
        return f"reproduced in {where}"
    others = {verdict.word for verdict in told} - {"reproduced"}
    rest = listed(sorted(others, reverse=True), "or")
    if len(told) == 1:
        return f"not reproduced in the one {unit} that could test it ({rest})"
    if good == 0:
        return f"reproduced in none of {len(told)} {unit} ({rest})"
    others_are = f"the other{'s' * (len(told) - good > 1)}: {rest}"
    return f"reproduced in {good} of {len(told)} {unit} ({others_are})"


def _over_control(verdict: Verdict) -> float | None:
    part = verdict.parts[0]
    if part.number.value is None or part.control is None or not part.control.value:
        return part.number.value
    return part.number.value / part.control.value


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _extent(values: Sequence[float]) -> str:
    """From where to where: "goes from 0.2 to 0.9", or "is 0.2"."""
    low, high = plain(min(values)), plain(max(values))
    return f"is {low}" if low == high else f"goes from {low} to {high}"


def _rest(ran: Judged) -> str:
    """How it went with published networks, and what could not be tested."""
    return _published(ran) + _untestable(ran)


def _published(ran: Judged) -> str:
    """The verdicts on networks that others pretrained and published, network by network."""
    words: dict[str, dict[str, None]] = {}
    for verdict in ran:
        if verdict.grade == _PUBLISHED:
            network = settings.describe(verdict.setting).title.split(" on ")[0]
            words.setdefault(network, {})[verdict.word] = None
    told = [f"{network} {listed(list(one), 'or')}" for network, one in words.items()]
    return f" *Published networks*: {'; '.join(told)}." if told else ""


def _untestable(ran: Judged) -> str:
    """What could not be tested, and why."""
    where: dict[str, dict[str, None]] = {}
    for verdict in ran:
        if verdict.word == "not testable":
            title = settings.describe(verdict.setting).title
            where.setdefault(verdict.gate or "a gate is closed", {})[title] = None
    told = [f"{', '.join(titles)} ({gate})" for gate, titles in where.items()]
    return f" Not testable: {'; '.join(told)}." if told else ""
