"""Environments other than the one of the tests, with a kernel, and notebooks that run in them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import papermill
from conftest import ROOT, copied

from ctl_helpers.runs import notebook_pairs
from ctl_helpers.runs.plan import Job

COLAB = ROOT / "tests" / "colab-constraints.txt"
PREINSTALLED = [
    line.partition("==")[0]
    for line in COLAB.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
NOTEBOOK = ("ipywidgets", "nbformat", "pip")  # what any machine has that opens notebooks
UV = [sys.executable, "-m", "uv", "--quiet"]


def versions(python: Path) -> dict[str, str]:
    """What is installed in an environment."""
    asked = [*UV[:-1], "pip", "list", "--format", "json", "--python", python]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return {package["name"]: package["version"] for package in json.loads(found)}


def kernel(folder: Path, python: str, *installs: Sequence[str | Path]) -> Path:
    """A folder with a kernel in an environment of its own, made by some calls of uv's installer."""
    home = folder / "venv" / "bin" / "python"
    subprocess.run([*UV, "venv", "--python", python, folder / "venv"], check=True)
    for asked in installs:
        subprocess.run([*UV, "pip", "install", "--python", home, *asked], check=True)
    place = folder / "jupyter" / "kernels" / "elsewhere"
    place.mkdir(parents=True)
    start = [str(home), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "Elsewhere", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(spec))
    return folder


def with_notebooks(folder: Path) -> Path:
    """A folder with notebooks whose setup clones a copy of this checkout."""
    repository = copied(folder / "repository")
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for arguments in (["init"], ["add", "."], ["commit", "-m", "A copy"]):
        subprocess.run([*git, *arguments], cwd=repository, check=True, capture_output=True)
    for source in (repository / "notebooks").glob("*.md"):
        text = notebook_pairs.twin(source)
        unset, address = (json.dumps(f'repository = "{to}"')[1:-1] for to in ("", repository))
        assert unset in text
        (folder / f"{source.stem}.ipynb").write_text(text.replace(unset, address))
    return folder


def executed(folder: Path, job: Job) -> list[dict]:
    """The outputs of a notebook that was run in a folder's kernel."""
    done = papermill.execute_notebook(
        str(folder / job.notebook.name),
        str(folder / f"done-{job.notebook.name}"),
        parameters=dict(job.parameters),
        kernel_name="elsewhere",
        cwd=str(folder),
        progress_bar=False,
    )
    return [output for cell in done.cells for output in cell.get("outputs", ())]


def by_hand(outputs: list[dict]) -> list[tuple[float, float]]:
    """What a notebook computes by hand, and what its helper says; a difference is to be 0."""
    number = r"[\d.]+(?:e[-+]\d+)?"
    text = "".join(o["text"] for o in outputs if o.get("name") == "stdout")
    pairs = re.findall(rf"by hand (-?{number}), by [\w. ]+ (-?{number})", text)
    pairs += [(off, "0") for off in re.findall(rf"(?:difference.*|off by) ({number})", text)]
    return [(float(a), float(b)) for a, b in pairs]


def warned(outputs: list[dict]) -> list[str]:
    return [o["text"] for o in outputs if o.get("name") == "stderr" and "arning" in o["text"]]
