"""Runs: which there are, what makes them stale, and executing them whatever happens meanwhile."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from unittest.mock import Mock
from urllib.error import URLError

import cloudpickle
import pandas as pd
import pytest
import small_runs
from conftest import ROOT, refused
from dask.system import cpu_count
from distributed import CancelledError, Client
from filelock import FileLock
from papermill.exceptions import PapermillExecutionError
from small_runs import gone, ran, start, stored, wait_until

import ctl_helpers
from ctl_helpers import cli, results, settings
from ctl_helpers.project import MissingDataError, SettingError
from ctl_helpers.runs import cluster, execute, expected, failures, kernels, plan
from ctl_helpers.runs.plan import Job
from ctl_helpers.store import status
from ctl_helpers.store.artifacts import Store

# The plan.


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def copied(package: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copied checkout whose settings, notebooks and helpers the plan is made of."""
    monkeypatch.chdir(checkout)
    return checkout


def test_a_grid_is_expanded_and_a_profile_overrides_it() -> None:
    found = plan.jobs("embedded", "4.1", "digits-mlp")
    assert [job.label for job in found] == [f"4.1 digits-mlp seed={n}" for n in range(3)]
    assert [job.name for job in found] == [f"digits-mlp-seed-{n}" for n in range(3)]
    (fast,) = plan.jobs("fast", "4.1", "digits-mlp")
    assert fast.parameters == {
        "setting_name": "digits-mlp", "samples": 64, "alphas": [0.5], "seed": 0,
    }  # fmt: skip
    assert fast.point == {"seed": 0}
    assert fast.title == "4.1 · Digits MLP · seed 0"


def test_a_grid_of_two_parameters_is_a_product(copied: Path) -> None:
    grids = "grid: {seed: [0, 1], lam: [0.1, 0.2, 0.3]}"
    rewrite(copied / "settings" / "digits-mlp.yaml", "grid: {seed: [0, 1, 2]}", grids)
    names = [job.name for job in plan.jobs("embedded", "4.1", "digits-mlp")]
    assert len(set(names)) == 6
    assert names[1] == "digits-mlp-seed-0-lam-0.2"
    # A profile's grid stands in for the setting's own, and adds no other parameter.
    rewrite(copied / "settings" / "profiles.yaml", "grid: {seed: [0]}", "grid: {seed: [5], t: [1]}")
    found = [job.point for job in plan.jobs("fast", "4.1", "digits-mlp")]
    assert found == [{"seed": 5, "lam": lam} for lam in (0.1, 0.2, 0.3)]


def test_a_profile_changes_one_section_alone(copied: Path) -> None:
    rewrite(copied / "settings" / "profiles.yaml", '"4.1": {alphas: [0.5]}', '"4.1": {alphas: [1]}')
    for section, found in (("4.1", [1]), ("3", None)):
        for job in plan.jobs("fast", section, "digits-mlp"):
            assert job.parameters.get("alphas") == found
            assert job.parameters["samples"] == {"4.1": 64, "3": 200}[section]


def test_runs_are_chosen_by_kind_setting_and_section() -> None:
    kinds = {job.setting: settings.load(job.setting).kind for job in plan.jobs("paper")}
    assert kinds
    assert set(kinds.values()) == {"paper"}
    assert {job.setting for job in plan.jobs("embedded", setting="mnist-mlp")} == {"mnist-mlp"}
    assert {job.section for job in plan.jobs("real", section="4.1")} == {"4.1"}
    assert {job.setting for job in plan.jobs("real")} == set(settings.names())


def test_every_run_of_every_profile_fits_its_notebook() -> None:
    for profile in ("fast", "real"):
        for job in plan.jobs(profile):
            execute.check_parameters(job)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: plan.jobs("embedded", "9.9"), "section '9.9'; there are ['3', '4.1'"),
        (lambda: plan.jobs("slow"), "no profile 'slow'"),
        (lambda: plan.jobs("fast", setting="nowhere"), "no setting 'nowhere'"),
        (
            lambda: execute.check_parameters(Job("4.1", "digits-mlp", {"seed": 0, "sed": 1}, {})),
            "a parameter 'sed', which 4_1.ipynb does not have; it has ['alphas'",
        ),
        (
            lambda: execute.check_parameters(Job("9.9", "digits-mlp", {}, {})),
            "section 9.9 has no 9_9.ipynb",
        ),
    ],
)
def test_what_is_not_there_is_refused(call: Callable[[], object], sentence: str) -> None:
    with refused(SettingError, re.escape(sentence)):
        call()


def test_a_mistake_on_the_command_line_is_one_sentence(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["ctl", "run", "--profile", "slow"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().out.startswith("ctl: there is no profile 'slow'; there are")


def test_long_runs_start_first_and_unknown_ones_before_them(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(results.stored, "published_folder", lambda: tmp_path)
    todo = plan.jobs("embedded", "4.1", "digits-mlp")
    other = replace(todo[0], setting="another")
    for job, seconds in ((todo[0], 5.0), (todo[2], 50.0), (other, 1.0)):
        folder = tmp_path / "4_1" / job.name
        folder.mkdir(parents=True)
        facts = {"setting": job.setting, "seconds": seconds}
        (folder / "provenance.json").write_text(json.dumps(facts), encoding="utf-8")
    assert expected.in_order(todo, 2) == [todo[1], todo[2], todo[0]]
    # What is only wished for may be unreadable.
    for name, content in (("a", "{"), ("z", "[]")):
        (tmp_path / "4_1" / name).mkdir()
        (tmp_path / "4_1" / name / "provenance.json").write_text(content, encoding="utf-8")
    assert expected.in_order(todo, 2) == [todo[1], todo[2], todo[0]]
    # Runs of one setting wait for each other's training.
    assert expected.in_order([*todo, other], 1) == [todo[1], todo[2], todo[0], other]
    assert expected.in_order([*todo, other], 2) == [todo[1], other, todo[2], todo[0]]


YAML = "settings/digits-mlp.yaml"


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        (YAML, "lr: 0.03", "lr: 0.02", True),
        (YAML, "67.5°", "68°", True),
        (YAML, "alphas: [0.25", "alphas: [0.2", True),
        (YAML, "title:", "# A remark.\ntitle:", False),
        (YAML, "[0, 1, 2]", "[0, 1, 2, 3]", False),
        ("settings/mnist-mlp.yaml", "lr: 0.1", "lr: 0.2", False),
        ("notebooks/4_1.ipynb", "**The question.**", "**A question.**", True),
        ("notebooks/4_1.ipynb", "import numpy", "import  numpy", True),
        ("book/4_1.md", "a", "b", False),
        *((f"ctl_helpers/{name}.py", '"""', '"""The ', True) for name in (
            "engine/compare", "results/record", "training/loop", "data/tasks", "data/sets/digits",
        )),
        *((f"ctl_helpers/{name}.py", '"""', '"""The ', False) for name in (
            "runs/plan", "models/resnet", "data/sets/scenes", "analysis/curvature",
        )),
    ],
)  # fmt: skip
def test_a_run_is_stale_when_what_it_uses_changes(copied: Path, name, old, new, stale) -> None:
    def keys() -> list[str]:
        return [job.key() for job in plan.jobs("embedded", "4.1", "digits-mlp")[:3]]

    before = keys()
    assert len(set(before)) == 3
    assert keys() == before
    rewrite(copied / name, old, new)
    assert len(set(before) & set(keys())) == (0 if stale else 3)


def test_a_profile_may_ask_less_of_one_setting_alone() -> None:
    less, whole, other = (
        plan.jobs(profile, "4.3", setting)[0].parameters.get("feature_samples")
        for profile, setting in (
            ("embedded", "scenes-clip"), ("seeds", "scenes-clip"), ("embedded", "real-minilm"),
        )
    )  # fmt: skip
    assert (less, whole, other) == (200, None, 60)


def test_a_key_depends_on_parameters_and_on_no_place(copied: Path, monkeypatch) -> None:
    (fast,), embedded, real = (plan.jobs(name, "4.1", "digits-mlp") for name in (
        "fast", "embedded", "real",
    ))  # fmt: skip
    assert [job.key() for job in embedded] == [job.key() for job in real]
    assert fast.key() not in {job.key() for job in embedded}
    here = fast.key()
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    assert fast.key() == here


def test_a_setting_is_asked_for_a_key_once_until_its_file_or_code_changes(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, *_ = plan.jobs("fast", "4.1", "digits-mlp")
    key = job.key()
    asked = Mock(side_effect=settings.load)
    monkeypatch.setattr(settings, "load", asked)
    assert (job.key(), asked.call_count) == (key, 0)
    remarks = (YAML, "title:", "# A remark.\ntitle:"), ("ctl_helpers/cli.py", "import", "import  ")
    for count, (name, old, new) in enumerate(remarks, 1):
        rewrite(copied / name, old, new)
        job.key()
        assert asked.call_count == count


def test_trainings_that_go_on_are_shown_and_dead_ones_are_not(work_folder: Path) -> None:
    assert status.lines() == []
    # Left by a process that was killed, and whose number is this one's.
    path = status.status_folder() / f"{platform.node()}-{os.getpid()}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a setting: 1 of 3 epochs", encoding="utf-8")
    assert status.lines() == []
    assert not path.exists()
    with status.telling() as tell:
        tell("a setting: 2 of 3 epochs, 4 s left")
        assert status.lines() == ["a setting: 2 of 3 epochs, 4 s left"]
    assert status.lines() == []


def test_what_is_told_inside_is_told_until_its_end(work_folder: Path) -> None:
    with status.telling() as train:
        train("a training")
        with status.telling() as wait:
            wait("waiting")
            assert status.lines() == ["waiting"]
        assert status.lines() == ["a training"]
    assert status.lines() == []


def test_who_waits_for_another_says_so(work_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_AT_ONCE", 0.1)
    lock, made = work_folder / "x.lock", Event()

    def work() -> None:
        with status.waiting_for(lock, "making of runs/x"):
            made.set()

    with FileLock(lock):
        waits = Thread(target=work)
        waits.start()
        told = f"waiting for the making of runs/x by another process, which holds {lock}"
        wait_until(lambda: status.lines() == [told], 20, "what is told")
        assert not made.is_set()
    waits.join(timeout=20)
    assert made.is_set()
    assert status.lines() == []


@pytest.fixture
def tiny(checkout: Path, shared: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copied checkout with one notebook, which logs seed, kernel, worker."""
    small_runs.simplify(checkout)
    # What settings' classes say, which takes an import of torch, is the same in each copy.
    (said := shared / "settings").mkdir(exist_ok=True)
    (checkout / ".ctl" / "store").mkdir(parents=True)
    (checkout / ".ctl" / "store" / "settings").symlink_to(said)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    monkeypatch.setenv("CTL_STORE", str(checkout / ".ctl"))
    if sys.dont_write_bytecode:
        # The many processes of these tests would spend half their time on compiling.
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "")
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "bytecode"))
    return checkout


@pytest.fixture
def ctl(tiny: Path, monkeypatch, capsys) -> Callable[..., tuple[object, str]]:
    """The command in this process: its exit code and what it prints."""

    def call(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["ctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().out

    return call


@pytest.mark.slow
def test_two_commands_at_once_run_each_once_and_a_third_nothing(
    tiny: Path, ctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    both = [start("run", "--profile", "fast") for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert not any("Warning" in output for output in outputs), outputs
    assert [*(tmp_path / "HOME").iterdir(), *(tmp_path / "TMPDIR").iterdir()] == []
    assert len(ran(tiny)) == 1
    assert stored(tiny) == [0]
    assert ctl("run", "--profile", "fast") == (0, "1 of 1 runs are stored and up to date\n")
    assert len(ran(tiny)) == 1


@pytest.mark.slow
def test_a_run_alone_has_every_core(tiny: Path, ctl) -> None:
    assert ctl("run", "--profile", "fast")[0] == 0
    # torch takes the least of these, and Dask's workers begin with 1 for each.
    given = json.loads((tiny / "threads.json").read_text())
    assert {"OMP_NUM_THREADS", "MKL_NUM_THREADS"} <= given.keys()
    assert set(given.values()) == {str(cpu_count())}


@pytest.mark.slow
def test_a_run_that_fails_leaves_the_others_and_is_told_in_one_screen(tiny: Path, ctl) -> None:
    (tiny / "broken-1").touch()
    process = start("run", "--setting", "digits-mlp", "--retries", "1")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert stored(tiny) == [0, 2]
    kept = tiny / ".ctl" / "failed" / "4.1-digits-mlp-seed-1.ipynb"
    for part in (
        "failed 4.1 digits-mlp seed=1",
        '    raise RuntimeError(f"seed {seed} is broken")',
        "RuntimeError: seed 1 is broken",
        f"The notebook as far as it got: {kept}",
        "2 runs done, 1 failed",
    ):
        assert part in output, output
    assert len(output.splitlines()) <= 75  # once a screen
    assert re.search(r"failed .* in \d+ s; it is tried again \(\d of 3", output), output
    assert "RuntimeError" in kept.read_text()
    (tiny / "broken-1").unlink()
    code, output = ctl("run", "--setting", "digits-mlp")
    assert code == 0, output
    assert "2 of 3 runs are stored and up to date\nrunning 1: 4.1 digits-mlp seed=1\n" in output
    assert sorted(seed for seed, *_ in ran(tiny)) == [0, 1, 1, 1, 2]
    assert stored(tiny) == [0, 1, 2]


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_and_is_made_by_the_next(tiny: Path, ctl) -> None:
    (tiny / "sleep").touch()
    for number, kind in enumerate([signal.SIGINT, signal.SIGKILL], 1):
        process = start("run", "--profile", "fast")
        wait_until(lambda n=number: len(ran(tiny)) == n, 60, "the cell")
        os.killpg(process.pid, kind)  # as a terminal does on Ctrl-C
        output, _ = process.communicate(timeout=180)
        assert process.returncode == (130 if kind == signal.SIGINT else -kind), output
        assert ("interrupted: what is done is kept" in output) == (kind == signal.SIGINT)
        assert len(output.splitlines()) < 10, output
        kernel = ran(tiny)[-1][1]
        wait_until(lambda kernel=kernel: gone(kernel), 20, "the kernel to end")
    assert not list((tiny / ".ctl" / "store" / "runs").glob("*/manifest.json"))
    (tiny / "sleep").unlink()
    code, output = ctl("run", "--profile", "fast")
    assert code == 0, output
    assert len(ran(tiny)) == 3
    assert stored(tiny) == [0]


# A worker that dies takes along what has just ended on it, so that its command has no other run.
ENDS = [
    (
        ("--setting", "digits-mlp"),
        {
            "sleep-0": r"the kernel took no processor time for 0\.1 minutes and was ended .*, at",
            "kill-kernel-1": "the kernel was killed, or ran out of memory, at",
        },
    ),
    (
        ("--profile", "fast"),
        {"kill-worker-0": "the worker was killed, or ran out of memory, at"},
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "ends"), ENDS, ids=["kernels", "worker"])
def test_what_ends_without_a_word_is_told_with_its_cell(
    tiny: Path, ctl, chosen: tuple[str, ...], ends: dict[str, str]
) -> None:
    for file in ends:
        (tiny / file).touch()
    # A worker that is silent for as long is begun anew, which is not to be tried here.
    idle = ("--idle-minutes", "0.1") if "sleep-0" in ends else ()
    output, _ = start("run", *chosen, *idle).communicate(timeout=180)
    for seed, sentence in enumerate(ends.values()):
        kept = tiny / ".ctl" / "failed" / f"4.1-digits-mlp-seed-{seed}.ipynb"
        assert re.search(rf"{sentence} cell [23]\b", output), output
        assert f"The notebook as far as it got: {kept}" in output, output
        assert kept.is_file()
    assert len(output.splitlines()) < 20, output
    assert "KeyError" not in output, output
    for file in ends:
        (tiny / file).unlink()
    code, output = ctl("run", *chosen)
    assert code == 0, output
    assert stored(tiny) == ([0, 1, 2] if idle else [0])


def test_kernels_are_talked_to_by_files_where_their_names_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "short")
    one, other = kernels.file_sockets().KernelManager, kernels.file_sockets().KernelManager
    assert one.transport == other.transport == "ipc"
    assert one.connection_file != other.connection_file
    monkeypatch.setattr(tempfile, "tempdir", "long/" * 20)
    assert kernels.file_sockets() == {}


def test_a_full_disk_is_one_sentence(work_folder: Path) -> None:
    (job,) = plan.jobs("fast", "4.1", "digits-mlp")
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x.parquet")
    sentence = f"no space is left on the disk of {work_folder}: make room; what is done is kept"
    assert failures.other(full).startswith(sentence)
    in_cell = PapermillExecutionError(7, 3, "save()", "OSError", str(full), ["a trace"] * 30)
    assert failures.failed_cell(job, in_cell).startswith(f"cell 7: {sentence}")
    assert failures.other(ValueError("no")) == "ValueError: no"


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a part of a Dask cluster in a process and a folder of its own."""
    started = []

    def begin(folder: Path, part: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", part, "--scheduler-file", str(tmp_path / "dask")]
        # Each worker reads the checkout of its own folder.
        environment = os.environ | {"PYTHONPATH": str(folder)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started.append(subprocess.Popen([*command, *options], cwd=folder, env=environment, **quiet))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_workers_with_checkouts_of_their_own_share_a_store_and_one_that_dies_loses_nothing(
    tiny: Path, ctl, dask, tmp_path: Path
) -> None:
    dask(tmp_path, "scheduler", "--port", "0", "--no-dashboard")
    folders = [tmp_path / name for name in ("with-0", "with-1", "without")]
    workers = []
    for folder in folders:
        for name in ("ctl_helpers", "notebooks", "settings"):
            shutil.copytree(tiny / name, folder / name)
        for name in ("_toc.yml", "pyproject.toml"):
            shutil.copy(tiny / name, folder)
        offer = () if folder.name == "without" else ("--resources", "GPU=1")
        workers.append(dask(folder, "worker", "--nthreads", "1", "--no-nanny", *offer))
    wait_until((tmp_path / "dask").is_file, 60, "the scheduler")
    address = json.loads((tmp_path / "dask").read_text())["address"]
    with Client(address) as client:
        client.wait_for_workers(3, timeout=60)
    command = ("run", "--setting", "digits-mlp", "--scheduler", address, "--resources")
    code, output = ctl(*command, "GPU=2")
    assert code == 2
    assert f"of 3 workers of '{address}' none offers GPU=2; start one by" in output
    (folders[0] / "sleep").touch()

    def kill_in_the_middle() -> None:
        wait_until(lambda: len(ran(folders[0])) == 1, 60, "a cell of the first worker")
        workers[0].kill()

    killing = Thread(target=kill_in_the_middle)
    killing.start()
    code, output = ctl(*command, "GPU=1")
    killing.join()
    assert code == 0, output
    assert re.search(r"done .* in \d+ s \(1 of 3, about 1 min left\)", output), output
    assert stored(tiny) == [0, 1, 2]
    # The second made all three, the one that the first had begun among them.
    assert [len(ran(folder)) for folder in folders] == [1, 3, 0]
    assert sorted(seed for seed, *_ in ran(folders[1])) == [0, 1, 2]
    assert {process for *_, process in ran(folders[1])} == {workers[1].pid}
    wait_until(lambda: gone(ran(folders[0])[0][1]), 20, "the kernel of the dead worker to end")


def test_a_worker_with_another_checkout_or_store_is_named(
    work_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = plan.jobs("fast", "4.1", "digits-mlp")
    outcome = execute.execute(job, None, key="another")
    assert outcome.error is not None
    assert outcome.error.startswith(f"the checkout {ROOT} of this worker, on {platform.node()}")
    assert not (work_folder / "store" / "runs").exists()
    monkeypatch.setattr(execute, "_LATE_SECONDS", 0)
    assert not execute._is_seen(job)
    Store().make("runs", job.key(), lambda folder: None)
    assert execute._is_seen(job)


def test_a_part_of_the_comparisons_can_be_sent_to_a_worker(net, around, inputs) -> None:
    states, asked, batches = around(net, "abc"), ctl_helpers.pairs("abc", 0.5), [inputs(5)]
    whole = ctl_helpers.compare(net, states, asked, batches)
    measure = partial(ctl_helpers.compare, net, states, batches=batches)
    sent = cloudpickle.loads(cloudpickle.dumps(measure))
    for first in range(2):
        rows = whole[whole["comparison"] % 2 == first].drop(columns="comparison")
        found = sent(asked[first::2]).drop(columns="comparison")
        pd.testing.assert_frame_equal(found, rows.reset_index(drop=True))


@pytest.mark.parametrize("text", ["GPU", "GPU=", "GPU=0", "GPU=-1", "GPU=inf", "=1", "GPU=1,x"])
def test_resources_are_names_and_numbers_of_a_scheduler(text: str) -> None:
    assert cluster.asked_for("GPU=1,MEMORY=16e9", "tcp://a:1") == {"GPU": 1, "MEMORY": 16e9}
    assert cluster.asked_for("", None) == {}
    with refused(SettingError, "give names and numbers, such as GPU=1"):
        cluster.asked_for(text, "tcp://a:1")
    with refused(SettingError, "name it by --scheduler"):
        cluster.asked_for("GPU=1", None)


def test_the_time_that_is_left_goes_by_what_is_known() -> None:
    last = {"a": 100.0, "b": 200.0, "c": 300.0}
    assert expected.seconds_left({}, {}, ["x"], 1) is None
    assert expected.seconds_left(last, {}, ["b", "c"], 1) == 500
    assert expected.seconds_left(last, {}, ["b", "c"], 2) == 300  # the longest alone
    # This machine takes half of the time; what was never stored takes the middle of 50, 100, 150.
    assert expected.seconds_left(last, {"a": 50.0}, ["b", "c", "x"], 1) == 350
    assert expected.seconds_left(last, {"a": 50.0}, [], 1) == 0


@pytest.mark.parametrize(
    ("ends", "sentence"),
    [
        ([CancelledError()], "the Dask scheduler at tcp://x:1 has ended: what is done is kept"),
        ([TimeoutError()] * 9, "at tcp://x:1 has not answered for 0.001 minutes: what is done is"),
    ],
)
def test_a_scheduler_that_is_gone_or_stands_still_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, ends: list[Exception], sentence: str
) -> None:
    monkeypatch.setattr(cluster, "wait", Mock(side_effect=ends))

    def silence(*_: object, **__: object) -> None:
        time.sleep(0.02)
        raise TimeoutError

    client = Mock(sync=silence, scheduler=Mock(address="tcp://x:1"))
    with refused(SettingError, sentence):
        list(cluster.ended([Mock()], client, 0.001))


def test_a_scheduler_that_answers_may_be_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    future = Mock()
    ends = [TimeoutError(), TimeoutError(), Mock(done={future})]
    monkeypatch.setattr(cluster, "wait", Mock(side_effect=ends))
    assert next(cluster.ended([future], Mock(), 0.0001)) == future
    monkeypatch.setattr(cluster, "wait", Mock(side_effect=ends))
    silent = Mock(sync=Mock(side_effect=OSError))
    assert next(cluster.ended([future], silent, 0)) == future


def test_a_damaged_file_of_data_is_not_answered_by_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    damaged, absent = "x.gz is damaged: delete it", "MNIST is not in a folder"
    no_network = "MNIST could not be downloaded: connect to the network"
    setting = Mock(fetch=Mock(side_effect=MissingDataError(no_network)))
    monkeypatch.setattr(settings, "describe", lambda name: setting)
    for missing, told in ((damaged, damaged), (absent, no_network)):
        setting.missing.return_value = missing
        assert cli._missing("mnist-mlp", fetch=True) == told


def test_a_setting_without_its_data_is_named_or_skipped(tiny: Path, ctl, monkeypatch) -> None:
    unreachable = Mock(side_effect=URLError("no network"))
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", unreachable)
    monkeypatch.setenv("CTL_DATA_DIR", str(tiny / "empty"))
    code, output = ctl("run", "--setting", "mnist-mlp")
    assert code == 1
    assert output.startswith("not run mnist-mlp: MNIST could not be downloaded into")
    assert output.endswith(
        "or set CTL_DATA_DIR to a folder that holds MNIST/raw (book/errors.html#data)\n"
    )
    assert output.count("\n") == 1
    # Only the paper's own settings, so that there is nothing else to run.
    rewrite(tiny / "settings" / "profiles.yaml", "[embedded, paper, real]", "[paper]")
    code, output = ctl("run", "--profile", "real")
    assert code == 0
    assert output.startswith("not run mnist-mlp: MNIST is not in")
    assert output.count("\n") == 1
