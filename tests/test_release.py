"""Once per release (``make release``): all notebooks on Colab's Python with all of its versions,
torch too, and on the oldest Python with the oldest versions that pyproject.toml declares."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import copied
from environments import (
    COLAB,
    NOTEBOOK,
    PREINSTALLED,
    by_hand,
    executed,
    kernel,
    warned,
    with_notebooks,
)

from ctl_helpers.runs import plan
from ctl_helpers.runs.plan import Job

JOBS = {job.section: job for job in reversed(plan.jobs("fast"))}


@pytest.fixture(scope="module", params=["colab", "oldest"])
def machine(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "colab":
        kernel(folder, "3.13", ["--constraint", COLAB, *PREINSTALLED, *NOTEBOOK])
    else:
        oldest = ["--resolution", "lowest-direct", copied(folder / "project")]
        kernel(folder, "3.10", oldest, ["ipykernel", *NOTEBOOK])
    return request.param, with_notebooks(folder)


@pytest.mark.release
@pytest.mark.parametrize("job", JOBS.values(), ids=list(JOBS))
def test_every_notebook_runs(
    machine: tuple[str, Path], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = machine
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    monkeypatch.setenv("CTL_STORE", str(folder / "work"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    outputs = executed(folder, job)
    assert list((folder / "results-by-hand" / job.section / job.setting).glob("*.parquet"))
    ((hand, told),) = by_hand(outputs)
    assert hand == pytest.approx(told, rel=0.01, abs=1e-6 if told else 1e-3)
    assert name == "oldest" or warned(outputs) == []
