"""On Colab: an environment with little in it, the setup cell, then whole notebooks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
from conftest import ROOT, copied

from ctl_helpers.runs import notebook_pairs, plan

# What a machine that opens notebooks has.
NOTEBOOK = ("ipykernel", "ipywidgets", "nbformat", "pip")
PREINSTALLED = ("torch", "torchvision", "numpy", "pandas", "plotly", *NOTEBOOK)


def versions(python: Path) -> dict[str, str]:
    """What is installed in an environment."""
    asked = [sys.executable, "-m", "uv", "pip", "list", "--format", "json", "--python", python]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    return {package["name"]: package["version"] for package in json.loads(found)}


@pytest.fixture
def colab(tmp_path: Path) -> Path:
    """A folder with notebooks whose setup clones a copy of this checkout, and a bare kernel."""
    folder = tmp_path / "colab"
    folder.mkdir()
    repository = copied(folder / "repository")
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for arguments in (["init"], ["add", "."], ["commit", "-m", "A copy"]):
        subprocess.run([*git, *arguments], cwd=repository, check=True, capture_output=True)
    for source in (repository / "notebooks").glob("*.md"):
        text = notebook_pairs.twin(source)
        unset = json.dumps("repository = None\n")[1:-1]
        assert unset in text
        address = json.dumps(f"repository = 'file://{repository}'\n")[1:-1]
        (folder / f"{source.stem}.ipynb").write_text(text.replace(unset, address))
    uv, python = [sys.executable, "-m", "uv", "--quiet"], folder / "venv" / "bin" / "python"
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    subprocess.run([*uv, "venv", "--python", sys.executable, folder / "venv"], check=True)
    install = [*uv, "pip", "install", "--python", python]
    subprocess.run([*install, *lock, *PREINSTALLED], check=True)
    kernel = folder / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "Colab", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    return folder


def test_a_notebook_says_how_to_have_a_first_look() -> None:
    jobs = {job.section: job for job in plan.jobs("fast")}
    for job in jobs.values():
        text = job.notebook.with_suffix(".md").read_text(encoding="utf-8")
        (said,) = re.findall(r"^\*For a first look, .*: `(.*)`\.\*$", text, re.M)
        call = ast.parse(f"dict({said})", mode="eval").body
        given = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
        assert given == {name: job.parameters[name] for name in given}
        fast = {"setting_name", "seed", *given}
        usual = plan.jobs("embedded", job.section, job.setting)[0].parameters
        assert all(
            usual.get(name) == job.parameters[name] for name in job.parameters if name not in fast
        )


@pytest.mark.slow
def test_a_notebook_runs_from_top_to_bottom(colab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(colab / "jupyter"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (job, *_) = plan.jobs("fast", "4.1", "digits-mlp")
    before = versions(colab / "venv" / "bin" / "python")
    done = papermill.execute_notebook(
        str(colab / job.notebook.name),
        str(colab / f"done-{job.notebook.name}"),
        parameters=dict(job.parameters),
        kernel_name="colab",
        cwd=str(colab),
        progress_bar=False,
    )
    after = versions(colab / "venv" / "bin" / "python")
    assert {name: after[name] for name in before} == before
    assert list((colab / "results-by-hand").glob("4.1/digits-mlp/*.parquet"))
    outputs = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    assert [o.text for o in outputs if o.get("name") == "stderr" and "Warning" in o.text] == []
