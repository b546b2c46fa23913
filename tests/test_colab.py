"""On Colab: its versions, the setup cell whatever there is to install from, and whole notebooks."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import util
from pathlib import Path
from unittest.mock import Mock

import pytest
from conftest import ROOT, copied, refused
from environments import (
    COLAB,
    NOTEBOOK,
    PREINSTALLED,
    UV,
    by_hand,
    executed,
    kernel,
    versions,
    warned,
    with_notebooks,
)

from ctl_helpers.runs import plan

TORCH = re.compile(r"^torch(?:vision)?==.*$", re.M)


@pytest.fixture
def colab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Colab's versions, but for torch: its own takes minutes to fetch, that of the lock is here."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    pins, lock = (path.read_text("utf-8") for path in (COLAB, ROOT / "requirements.lock"))
    here = "\n".join(match[0].removesuffix(" \\") for match in TORCH.finditer(lock))
    assert TORCH.search(pins)
    (tmp_path / "pins.txt").write_text(TORCH.sub("", pins) + here)
    wanted = ["--constraint", tmp_path / "pins.txt", *PREINSTALLED, *NOTEBOOK]
    return with_notebooks(kernel(tmp_path, sys.executable, wanted))


# The first look.


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
        for name, value in given.items():
            (default,) = re.findall(rf"^{name} = (.*?)(?:  #.*)?$", text, re.M)
            most = ast.literal_eval(default)
            size = len if isinstance(value, list) else abs
            assert most is None or size(value) <= size(most), f"{job.section}: {name}"


# The setup cell.


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The commands of a setup cell, none of which is run, on a machine without the book."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    ran = Mock()
    monkeypatch.setattr(subprocess, "run", ran)
    return ran


def set_up(address: str = "") -> None:
    text = (ROOT / "notebooks" / "colab.py").read_text(encoding="utf-8")
    unset = 'repository = ""'
    assert unset in text
    exec(text.replace(unset, f'repository = "{address}"'), {})


def project(folder: Path) -> Path:
    (folder / "ctl_helpers").mkdir(parents=True)
    (folder / "ctl_helpers" / "project.py").touch()
    return folder


def upload_folder(here: Path) -> Path:
    return project(here / "my copy")


def upload_zip(here: Path) -> Path:
    (here / "another.zip").write_bytes(b"PK\x05\x06" + bytes(18))  # of something else
    shutil.make_archive(str(here / "book"), "zip", project(here.parent / "x" / "name-main").parent)
    return here / "ctl-book" / "name-main"


def upload_wheel(here: Path) -> Path:
    path = here / "ctl_helpers-0.1.0-py3-none-any.whl"
    path.touch()
    return path


def no_upload(here: Path) -> Path:
    return here / "ctl-book"


@pytest.mark.parametrize("upload", [upload_folder, upload_zip, upload_wheel])
def test_the_setup_cell_takes_what_was_uploaded(upload, installed, tmp_path, capsys) -> None:
    source = upload(tmp_path)
    set_up()
    ((command,), _) = installed.call_args
    installed.assert_called_once()
    assert command[-1] == source
    assert ("--editable" in command) == (sys.path[0] == str(source)) == source.is_dir()
    first, second = capsys.readouterr().out.splitlines()
    assert str(source) in first
    assert re.search(r"torch [\d.]+", second)


def test_a_setup_cell_that_failed_runs_again(installed, tmp_path) -> None:
    """The clone that the first try left is used, and the address would not be asked again."""

    def fails(command: list, **_: object) -> None:
        if "clone" in command:
            project(command[-1])
        else:
            raise subprocess.CalledProcessError(1, command)

    installed.side_effect = fails
    with pytest.raises(subprocess.CalledProcessError):
        set_up("https://github.com/owner/name")
    assert installed.call_args_list[0].args[0][-2:] == [
        "https://github.com/owner/name", tmp_path / "ctl-book",
    ]  # fmt: skip
    installed.reset_mock(side_effect=True)
    set_up("https://github.com/owner/name")
    installed.assert_called_once()
    assert installed.call_args.args[0][-1] == tmp_path / "ctl-book"


def test_a_setup_cell_with_nothing_to_install_says_what_to_do(installed, tmp_path) -> None:
    (tmp_path / "sample_data").mkdir()
    with refused(SystemExit, "field", "zip", "wheel"):
        set_up()
    installed.assert_not_called()


# Whole notebooks.


@pytest.mark.slow
def test_a_wheel_is_enough_for_notebooks(tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    subprocess.run([*UV, "build", "--wheel", "--out-dir", tmp_path, checkout], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    names = sorted(path.stem for path in (ROOT / "settings").glob("*.yaml"))
    code = (
        "from ctl_helpers import project, settings; from ctl_helpers.findings import claims; "
        "print(sorted(p.stem for p in (project.root() / 'settings').glob('*.yaml')) == "
        f"{names}, len(claims.load()) > 0, settings.load('digits-mlp').name, "
        "project.work_folder())"
    )
    alone = {name: value for name, value in os.environ.items() if name != "CTL_STORE"}
    alone["PYTHONPATH"] = str(tmp_path / "installed")
    here = {"cwd": tmp_path, "env": alone, "check": True, "text": True, "capture_output": True}
    said = subprocess.run([sys.executable, "-c", code], **here).stdout
    assert said.split() == ["True", "True", "digits-mlp", str(tmp_path / ".ctl")]


@pytest.mark.slow
def test_a_notebook_runs_from_top_to_bottom(colab: Path) -> None:
    python = colab / "venv" / "bin" / "python"
    before = versions(python)
    outputs = executed(colab, plan.jobs("fast", "4.1", "digits-mlp")[0])
    after = versions(python)
    assert {name: after[name] for name in before} == before
    assert list((colab / "results-by-hand").glob("4.1/digits-mlp/*.parquet"))
    assert any("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    assert warned(outputs) == []
    ((hand, told),) = by_hand(outputs)
    assert hand == pytest.approx(told, rel=0.01, abs=1e-6)
