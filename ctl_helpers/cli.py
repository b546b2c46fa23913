"""The ``ctl`` command: run notebooks, see what is stored, get data, build and publish.

What takes long to import, such as torch, is imported by the commands that need it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ctl_helpers import project, settings
from ctl_helpers.errors import Linking, link
from ctl_helpers.project import MissingDataError, ProjectError, data_folder, root, work_folder
from ctl_helpers.results import folder_name, published_folder
from ctl_helpers.runs import plan
from ctl_helpers.store.status import lines as status_lines
from ctl_helpers.terminal import Terminal, show_any_character

if TYPE_CHECKING:
    from ctl_helpers.runs.execute import Outcome

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Terminal()

# typer reads these annotations when the command runs; Python 3.10 needs Optional there.
Profile = Annotated[str, typer.Option(help="A profile of settings/profiles.yaml.")]
Section = Annotated[Optional[str], typer.Option(help="One section only, such as 4.1.")]  # noqa: UP045
OneSetting = Annotated[Optional[str], typer.Option(help="One setting only.")]  # noqa: UP045


@app.command()
def run(
    profile: Profile = "embedded",
    section: Section = None,
    setting: OneSetting = None,
    scheduler: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Address of a Dask scheduler whose workers share the work folder."),
    ] = None,
    resources: Annotated[
        str, typer.Option(help="What each run asks of that scheduler's workers, such as GPU=1.")
    ] = "",
    retries: Annotated[int, typer.Option(min=0, help="How often a failed run is tried again.")] = 0,
    idle_minutes: Annotated[
        float, typer.Option(min=0, help="How long a kernel may stand still; 0 for ever.")
    ] = 15.0,
) -> None:
    """Execute every run of a profile whose inputs have changed since it was stored."""
    from ctl_helpers.runs import cluster, execute

    asked = cluster.asked_for(resources, scheduler)
    planned = plan.jobs(profile, section, setting)
    for job in planned:
        execute.check_parameters(job)
    skip = settings.profile(profile).skip_missing and setting is None
    missing = {
        name: sentence
        for name in dict.fromkeys(job.setting for job in planned)
        if (sentence := _missing(name, fetch=not skip))
    }
    for name, sentence in missing.items():
        console.print(f"not run {name}: {sentence}", style="yellow")
    at_hand = [job for job in planned if job.setting not in missing]
    todo = [job for job in at_hand if job.artifact() is None]
    if done := len(at_hand) - len(todo):
        console.print(f"{done} of {len(at_hand)} runs are stored and up to date")
    how = {"scheduler": scheduler, "resources": asked, "retries": retries}
    if (todo and _execute(todo, idle_minutes=idle_minutes, **how)) or (missing and not skip):
        raise typer.Exit(1)


class _ProgressWithTraining(Progress):
    """Bars of runs, and under them how far each training is."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(f"  {line}", style="dim") for line in status_lines())


def _execute(todo: list[plan.Job], **how: Any) -> int:
    """Execute runs, with a bar for each on a terminal and a line anywhere; how many failed."""
    from ctl_helpers.runs import execute

    name, elapsed = TextColumn("{task.description}"), TimeElapsedColumn()
    columns = (name, BarColumn(), MofNCompleteColumn(), elapsed)
    start = time.monotonic()
    console.print(f"running {len(todo)}: {', '.join(job.label for job in todo)}")
    with _ProgressWithTraining(*columns, console=console, transient=True) as progress:
        bars = {job.label: progress.add_task(job.label, total=None) for job in todo}

        def on_cell(label: str, cell: int, cells: int) -> None:
            if label in bars:  # a worker may tell of it late
                progress.update(bars[label], total=cells, completed=cell - 1)

        def on_end(outcome: Outcome) -> None:
            if not outcome.again:
                progress.remove_task(bars.pop(outcome.job.label))
            state, style = ("failed", "red") if outcome.error else ("done", "green")
            end = f"{state} {outcome.job.label} in {outcome.seconds:.0f} s{outcome.rest(len(todo))}"
            console.print(end, style=style)
            if outcome.error:
                console.print(outcome.error)

        try:
            outcomes = execute.run(todo, on_cell=on_cell, on_end=on_end, **how)
        except KeyboardInterrupt:
            progress.stop()
            console.print("interrupted: what is done is kept, and the same command goes on")
            os._exit(130)  # Dask's threads would wait for the workers
    failures = sum(outcome.error is not None for outcome in outcomes)
    done, seconds = len(todo) - failures, time.monotonic() - start
    console.print(f"{done} runs done, {failures} failed, in {seconds:.0f} s")
    return failures


def _missing(name: str, fetch: bool) -> str | None:
    """What a setting lacks, after trying to download it."""
    setting = settings.describe(name)
    sentence = setting.missing()
    if sentence is None or not fetch:
        return sentence
    try:
        setting.fetch()
    except MissingDataError as error:
        link(error)
        # Of a file that is there and damaged, no network is the lesser part of the news.
        return sentence if "is damaged" in sentence else str(error)
    return setting.missing()


@app.command()
def status(profile: Profile = "embedded", section: Section = None) -> None:
    """List every run: stored, stale, published, or what it lacks."""
    table = Table("run", "kind", "state")
    for name in settings.names():
        setting = settings.describe(name)
        missing = setting.missing()
        for job in plan.jobs(profile, setting=name):
            if section not in (None, job.section):
                continue
            stored = "stored" if job.artifact() else missing or "to run"
            shared = published_folder() / folder_name(job.section) / job.name
            state = f"{stored}; published" if shared.is_dir() else stored
            table.add_row(job.label, setting.kind, state)
    console.print(table)
    for line in status_lines():
        console.print(f"now: {line}")
    console.print(f"work folder {work_folder()}, data folder {data_folder()}")


@app.command()
def data(
    setting: Annotated[str | None, typer.Argument(help="Download for this one.")] = None,
) -> None:
    """Say which settings' data is on this machine, or download one setting's."""
    for name in [setting] if setting else settings.names():
        sentence = _missing(name, fetch=setting is not None)
        console.print(f"{name}: {sentence or 'all here'}")
        if sentence and setting:
            raise typer.Exit(1)


@app.command()
def site(profile: Profile = "embedded") -> None:
    """Build the book from stored and published results."""
    from ctl_helpers.site import build as pages

    start = time.monotonic()
    try:
        built = pages.build(profile)
    except subprocess.CalledProcessError:
        console.print("the book tool reported problems, above: mend them, build again", style="red")
        raise typer.Exit(1) from None
    console.print(f"site in {built / 'index.html'}, built in {time.monotonic() - start:.0f} s")


@app.command()
def pdf() -> None:
    """Print the built site as one PDF."""
    from ctl_helpers.site import contents, printed

    start, output = time.monotonic(), root() / "_build"
    target = output / "cross-task-linearity.pdf"
    count = printed.make(output / "html", contents.chapters(root() / "_toc.yml"), target)
    console.print(f"{count} pages in {target}, printed in {time.monotonic() - start:.0f} s")


@app.command()
def publish(
    profile: Profile = "embedded", section: Section = None, setting: OneSetting = None
) -> None:
    """Copy stored results into results/, to be committed with the book."""
    from ctl_helpers.site import build as pages

    written = pages.publish(plan.jobs(profile, section, setting))
    console.print("\n".join(map(str, written)) or "nothing is stored; `ctl run` first")


@app.command()
def claims(
    section: Section = None,
    as_json: Annotated[bool, typer.Option("--json", help="As a list for programs.")] = False,
) -> None:
    """Say which claims are reproduced, setting by setting, from stored results."""
    from ctl_helpers.findings import verdicts
    from ctl_helpers.site import claim_marks

    judged = verdicts.verdicts(section)
    if as_json:
        print(json.dumps([verdict.to_json() for verdict in judged], indent=1, allow_nan=False))
        return
    table = Table("claim", "setting", "grade", "verdict", "number", "control", "over", "why not")
    for verdict in judged:
        first = verdict.parts[0]
        table.add_row(
            verdict.claim,
            verdict.setting,
            verdict.grade,
            verdict.word,
            claim_marks.number(first.number),
            claim_marks.number(first.control),
            first.units or "–",
            claim_marks.reason(verdict),
        )
    console.print(table)


@app.command()
def probe(
    base: Annotated[str, typer.Argument(help="The pretrained network: a folder, file or hub id.")],
    checkpoints: Annotated[list[str], typer.Argument(help="What is to be merged.")],
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Samples: a folder of images, a file of texts by line, or owner/name."),
    ] = None,
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Where no config.json says it, such as timm:resnet18."),
    ] = None,
    tier: Annotated[
        int, typer.Option(min=0, max=2, help="0 headers, 1 also weights, 2 also passes.")
    ] = 2,
    samples: Annotated[int, typer.Option(min=2, help="How many to run; 8 to 64 do.")] = 32,
    out: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Folder for report.html and report.json."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report for programs.")] = False,
) -> None:
    """Say whether checkpoints will merge: exit code 0 mergeable, 1 doubtful, 2 not."""
    from ctl_helpers.probing.probe import probe as probed

    told = Terminal(stderr=True)
    report = probed(
        base, *checkpoints, tier=tier, data=data, model=model, samples=samples, tell=told.print
    )
    if out is not None:
        report.save(out)
    if as_json:
        print(report.to_json())
    else:
        first, _, rest = str(report).partition("\n")
        console.print(first, style=("green", "yellow", "red")[report.exit_code])
        console.print(rest)
    raise typer.Exit(report.exit_code)


@app.command()
def notebooks(check: Annotated[bool, typer.Option(help="Only say which differ.")] = False) -> None:
    """Write the .ipynb twins of the notebooks' .md sources."""
    from ctl_helpers.runs import notebook_pairs

    stale = notebook_pairs.sync(write=not check)
    for path in stale:
        console.print(f"{path.name} {'differs from' if check else 'written from'} its .md source")
    if check and stale:
        raise typer.Exit(1)


def main() -> None:
    """Run the command; a user's mistake is one sentence, not a traceback."""
    show_any_character()
    project.keep_tools_in_work_folder()
    try:
        with Linking():
            app()
    except (MissingDataError, ProjectError) as error:
        console.print(f"ctl: {error}", style="red")
        sys.exit(2)
