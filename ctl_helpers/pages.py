"""What narrative pages need to know of the stored runs: panels, and where results come from."""

from __future__ import annotations

from IPython.display import Markdown

from ctl_helpers import results, settings

_SORTS = {
    "embedded": "stand-in, needs no download",
    "paper": "the paper's own",
    "real": "real data in place of the paper's",
}


def panels(section: str) -> dict[str, str]:
    """Setting → panel title, for the settings that have results of a section, stand-ins last."""
    stored = {str(run.facts["setting"]) for run in results.runs(section)}
    found = [settings.load(name) for name in reversed(settings.names()) if name in stored]
    return {
        setting.name: f"{setting.title}{' (stand-in)' if setting.kind == 'embedded' else ''}"
        for setting in found
    }


def state_of_settings(section: str) -> Markdown:
    """A list of a section's settings: what each is, and where its results come from."""
    stored = results.runs(section)
    lines = []
    for name in settings.names():
        setting = settings.load(name)
        if section in setting.sections:
            runs = [run for run in stored if run.facts["setting"] == name]
            origin = _origin(runs) if runs else f"**Not run**: {setting.missing() or 'run it'}."
            kind = _SORTS[setting.kind]
            lines.append(f"- **{setting.title}** (`{name}`), *{kind}*. {setting.about} {origin}")
    return Markdown("\n".join(lines))


def _origin(runs: list[results.Run]) -> str:
    seeds = ", ".join(str(dict(run.facts["parameters"]).get("seed")) for run in runs)
    facts = runs[0].facts
    made = "published with the book" if runs[0].published else "run with this build"
    return f"*Results*: seeds {seeds}; {made}, {facts['finished'][:10]}, on {facts['device']}."
