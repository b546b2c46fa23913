"""The site: lay out stored runs as pages, then build the book from what is there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from ctl_helpers import settings
from ctl_helpers.findings import probe_record
from ctl_helpers.project import root, work_folder
from ctl_helpers.results import checksums, current_folder, folder_name, published_folder
from ctl_helpers.runs.execute import NOTEBOOK, TABLES
from ctl_helpers.runs.kernels import prepare_kernels
from ctl_helpers.runs.plan import Job, jobs
from ctl_helpers.site import gallery, hero, live, own, published, supported, table_files
from ctl_helpers.site.execute_pages import execute_pages
from ctl_helpers.store.artifacts import digest
from ctl_helpers.weights.checksums import file_checksum

# Asked for by `book/live.md` and `book/index.md`.
_NETWORKS = {
    "live-data.js": live.write,
    "hero-data.js": hero.write,
    "hero.svg": hero.write_still,
}


def pages_folder() -> Path:
    """Where executed notebooks become pages."""
    return root() / "book" / "runs"


def lay_out(profile: str) -> list[Job]:
    """Show exactly the runs that are stored for the code as it is now, of settings of any kind.

    Tables go to the folder that pages read, notebooks become pages; those of runs that have
    become stale are taken away, so that no page shows what other code has made.

    Returns:
        The runs that are shown.
    """
    wanted: dict[Path, bytes] = {}
    listed: dict[str, str] = {}
    shown = []
    known = [job for name in settings.names() for job in jobs(profile, setting=name)]
    for job in known:
        stored = job.artifact()
        if stored is None:
            continue
        shown.append(job)
        section = folder_name(job.section)
        wanted[pages_folder() / section / f"{job.name}.ipynb"] = _page(job, stored / NOTEBOOK)
        for file in (stored / TABLES).iterdir():
            name = f"{section}/{job.name}/{file.name}"
            wanted[current_folder() / name] = file.read_bytes()
            listed[name] = file_checksum(file)
    if listed:
        wanted[current_folder() / checksums.NAME] = checksums.written(listed)
    for page, text in published.pages().items():
        wanted[root() / "book" / page] = text.encode()
    for folder in (pages_folder(), current_folder()):
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            if path not in wanted:
                path.unlink()
    for path, content in wanted.items():
        # A page that did not change keeps its date, and is not built again.
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return shown


def _page(job: Job, notebook: Path) -> bytes:
    """The executed notebook under a heading that names its setting and grid point."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    heading = content["cells"][0]
    lines = "".join(heading["source"]).splitlines(keepends=True)
    heading["source"] = [f"# {job.title}\n", *lines[1:]]
    # Papermill's own records hold dates and paths of the machine.
    content["metadata"].pop("papermill", None)
    for cell in content["cells"]:
        cell["metadata"].pop("papermill", None)
        if "injected-parameters" in cell["metadata"].get("tags", []):
            # Where the tables were written is a path of this machine.
            cell["source"] = [line for line in cell["source"] if "results_folder" not in line]
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def build(profile: str) -> Path:
    """Lay out the stored runs and build the book.

    Returns:
        The folder of the built site.

    Raises:
        CalledProcessError: the book tool reported a warning or an error.
    """
    work_folder().mkdir(parents=True, exist_ok=True)
    prepare_kernels()
    output = root() / "_build"
    # Two builds at once would write the same pages.
    with FileLock(work_folder() / "site.lock"):
        lay_out(profile)
        stamp, now = output / ".results", _results_digest()
        changed = not stamp.is_file() or stamp.read_text() != now
        if changed:
            # The book tool's caches do not know of results and helpers that pages read.
            for cache in (".jupyter_cache", ".doctrees"):
                shutil.rmtree(output / cache, ignore_errors=True)
        execute_pages(root() / "book", output / ".jupyter_cache")
        html = output / "html"
        tool = Path(sys.executable).with_name("jupyter-book")
        strict = ["-n", "-W", "--keep-going", "--quiet"]
        # The book tool uses one core and leaves alone what it did not write.
        with ThreadPoolExecutor(max_workers=1) as pool:
            beside = [
                pool.submit(write, html / "_static" / name) for name, write in _NETWORKS.items()
            ]
            if changed:
                beside.append(pool.submit(table_files.write, html))
            subprocess.run([str(tool), "build", str(root()), *strict], check=True)
        for each in beside:
            each.result()
        sweep(html / "book" / "runs")
        if not (html / "index.html").is_file():
            raise FileNotFoundError(f"the book tool left no index.html in {html}")
        stamp.write_text(now)
    return html


def sweep(built: Path) -> None:
    """Take out of the built pages of runs those laid out no more, which the book tool leaves."""
    for page in built.rglob("*.html"):
        source = pages_folder() / page.relative_to(built)
        if not any(source.with_suffix(kind).is_file() for kind in (".ipynb", ".md")):
            page.unlink()


def publish(chosen: Iterable[Job]) -> list[Path]:
    """Copy the tables of stored runs to the folder of results that come with the book."""
    written = []
    for job in chosen:
        stored = job.artifact()
        if stored is not None:
            target = published_folder() / folder_name(job.section) / job.name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(stored / TABLES, target)
            written.append(target)
    checksums.update(published_folder(), written)
    if written:
        probe_record.write()
    return written


def _results_digest() -> str:
    """Digest of what narrative pages read when they are executed: results, claims, helpers, …"""
    folders = (current_folder(), published_folder(), root() / "settings", root() / "ctl_helpers")
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    files += [root() / "book" / name for name in ("claims.yml", "errors.yml", "figures.yml")]
    files += [root() / supported.FILE, root() / own.SCRIPT]
    files += sorted((root() / "notebooks").glob("*.md"))  # whose lines stand under figures
    read = (".parquet", ".json", ".yaml", ".yml", ".py", ".csv", ".md")
    kept = [path for path in files if path.suffix in read]
    figures = gallery.load().model_dump()  # from the metadata of other pages' cells
    return digest({str(path): file_checksum(path) for path in kept} | {"figures": figures})
