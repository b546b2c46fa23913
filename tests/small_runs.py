"""Runs of seconds and the processes that make them, to be watched, stopped and killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd
import yaml

from ctl_helpers.runs import execute
from ctl_helpers.store.artifacts import Store

STILL = """<svg xmlns="http://www.w3.org/2000/svg" width="300" height="40">
<text y="20">inside the image</text></svg>"""
CELLS = [
    """import json, os, pathlib, time
with open("log.txt", "a") as log:
    log.write(f"{seed} {os.getpid()} {os.getppid()}\\n")
threads = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
pathlib.Path("threads.json").write_text(json.dumps(threads))
def is_told_to(what):
    return any(pathlib.Path(name).exists() for name in (what, f"{what}-{seed}"))
if is_told_to("sleep"):
    time.sleep(600)
while pathlib.Path("busy").exists():
    pass
for name, process in (("kernel", os.getpid()), ("worker", os.getppid())):
    if is_told_to(f"kill-{name}"):
        os.kill(process, 9)
        time.sleep(60)
if is_told_to("broken"):
    raise RuntimeError(f"seed {seed} is broken")""",
    """import pandas as pd
tables = pathlib.Path(results_folder)
tables.mkdir()
pd.DataFrame({"seed": [seed]}).to_parquet(tables / "table.parquet")
(tables / "provenance.json").write_text(json.dumps({"seed": seed}))""",
]


def simplify(checkout: Path) -> None:
    """Leave a copied checkout one notebook, which logs seed, kernel and worker, and two settings.

    Files in the checkout tell the notebook what to do: ``busy``, and ``sleep``, ``kill-kernel``,
    ``kill-worker`` and ``broken``, all seeds or the one whose number is added, as ``broken-1``.
    """
    names = ("setting_name", "seed", "alphas", "samples", "results_folder")
    parameters = "\n".join(f"{name} = None" for name in names)
    new = nbformat.v4
    cells = [new.new_code_cell(text) for text in (parameters, *CELLS)]
    cells[0].metadata["tags"] = ["parameters"]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = new.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, checkout / "notebooks" / "4_1.ipynb")
    for path in (checkout / "settings").glob("*.yaml"):
        if path.stem not in ("digits-mlp", "mnist-mlp", "profiles"):
            path.unlink()
    for path in (checkout / "settings").glob("*-mlp.yaml"):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["sections"] = {"4.1": content["sections"]["4.1"]}
        path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def start(*arguments: str, folder: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    """The command in a process group of its own, as a terminal starts it."""
    # A shell that runs the tests in the background has them ignore SIGINT.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from ctl_helpers.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ran(folder: Path) -> list[list[int]]:
    """The lines of the log: seed, process of the kernel, process of the worker."""
    path = folder / "log.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [list(map(int, line.split())) for line in lines]


def stored(folder: Path) -> list[int]:
    """The seeds of the stored runs, after a look that they are whole and nothing else is there."""
    root = folder / ".ctl" / "store" / "runs"
    names = sorted(path.name for path in root.iterdir() if path.suffix != ".lock")
    found = [Store(root.parent).get("runs", name) for name in names]
    assert None not in found
    assert all((path / execute.NOTEBOOK).is_file() for path in found)
    tables = [pd.read_parquet(path / execute.TABLES / "table.parquet") for path in found]
    return sorted(int(table["seed"][0]) for table in tables)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.1)


def gone(process: int) -> bool:
    """Whether a process has ended, or is a zombie."""
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state == "Z"


def small_site(place: Path) -> Path:
    """A site of two pages that link to each other, to a page of a run and to the web."""
    folder = place / "html" / "book"
    folder.mkdir(parents=True)
    (folder / "still.svg").write_text(STILL)
    pages = {
        "one": '<p><a href="two.html#part">over</a> <a href="runs/a.html">run</a> '
        '<a href="https://example.org/">web</a></p>'
        '<img loading="lazy" src="still.svg" style="margin-top: 3000px">',
        "two": '<p style="break-before: page">Text</p><section id="part"><h2>A part</h2></section>'
        "<details><summary>More</summary>What was folded up</details>",
    }
    for name, content in pages.items():
        (folder / f"{name}.html").write_text(
            "<!doctype html><meta charset='utf-8'><style>@page { margin: 10mm; @bottom-center "
            "{ content: 'page ' counter(page); } }</style><body><article>"
            f'<section id="top"><h1>Chapter {name}<a class="headerlink">#</a></h1>{content}'
            "</section></article></body>"
        )
    return place / "html"
