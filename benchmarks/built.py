"""Building the site and printing it, killed at random moments and done again."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pypdf
import small_runs
from fault_rows import Row
from killed import Work, kill_all

from ctl_helpers.weights.checksums import file_checksum

_PRINT = """
import sys
from pathlib import Path
from ctl_helpers.site import printed
site, target = map(Path, sys.argv[1:])
print(printed.make(site, ["book/one", "book/two"], target))
"""


def pdfs(count: int, seed: int, folder: Path) -> Row:
    """Kill the printing of a small site; at every moment the PDF is whole, or not there."""
    draw, row = random.Random(seed), Row("printing (`ctl pdf`) killed")
    if not count or not shutil.which("chromium"):
        return row
    site, target = small_runs.small_site(folder), folder / "book.pdf"

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _PRINT, str(site), str(target)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    begun = time.monotonic()
    output, _ = start().communicate(timeout=600)
    took, pages = time.monotonic() - begun, len(pypdf.PdfReader(target).pages)
    for number in range(count):
        target.unlink(missing_ok=True) if number % 2 else None
        process = start()
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.2 * took, took))
        if process.poll() is None:
            kill_all(process)
        wrong = None
        with suppress(FileNotFoundError):
            try:
                wrong = None if len(pypdf.PdfReader(target).pages) == pages else "fewer pages"
            except pypdf.errors.PyPdfError as error:
                wrong = f"half a PDF: {error}"
        begun = time.monotonic()
        output, _ = start().communicate(timeout=600)
        if len(pypdf.PdfReader(target).pages) != pages:
            wrong = output[-300:]
        row.add("printed then", time.monotonic() - begun, wrong)
    return row


def sites(count: int, seed: int, checkout: Path) -> Row:
    """Kill the building of the site, from nothing; the next build is as an undisturbed one."""
    draw, row = random.Random(seed), Row("`ctl site` killed")
    if not count:
        return row
    work = Work(checkout, ("site",), checkout)
    code, output, work.seconds = work.finish(checkout / ".ctl")
    if code:
        raise RuntimeError(output)
    usual = _pages(checkout)
    for _ in range(count):
        shutil.rmtree(checkout / "_build")
        process = work.start(checkout / ".ctl")
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, work.seconds))
        if process.poll() is None:
            kill_all(process)
        code, output, seconds = work.finish(checkout / ".ctl")
        after = _pages(checkout)
        other = sorted(name for name in usual | after if usual.get(name) != after.get(name))
        wrong = f"{len(other)} pages are other ones, such as {other[0]}" if other else None
        row.add("built then", seconds, f"{code}: {output[-300:]}" if code else wrong)
    return row


def _pages(checkout: Path) -> dict[str, str]:
    """Pages of the site → checksums."""
    html = checkout / "_build" / "html"
    return {str(path.relative_to(html)): file_checksum(path) for path in html.rglob("*.html")}
