"""Stored results: written with provenance, and read with those made here before published ones."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, refused
from IPython.core.interactiveshell import InteractiveShell

from ctl_helpers import results, settings
from ctl_helpers.data import tasks
from ctl_helpers.findings.finding import Measure
from ctl_helpers.findings.replicates import Sample
from ctl_helpers.project import SettingError, TableError
from ctl_helpers.results import checksums, shapes
from ctl_helpers.results.columns import Column
from ctl_helpers.settings.schema import Section
from ctl_helpers.site import pages, setting_lists


def write(folder: Path, setting: str, seed: int, value: float, **parameters: object) -> None:
    given = {"seed": seed, **parameters}
    recorder = results.Recorder(settings.load(setting), "9.9", given, str(folder))
    recorder.save("numbers", pd.DataFrame({"value": [value]}))
    recorder.finish()


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.TABLES, "9.9", {"numbers": [Column("value")]})


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "published"
    monkeypatch.setattr(results.stored, "published_folder", lambda: folder)
    return folder


def test_provenance_says_what_made_a_result(tmp_path: Path) -> None:
    write(tmp_path / "run", "digits-mlp", 3, 1.0)
    facts = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert (facts["setting"], facts["parameters"]) == ("digits-mlp", {"seed": 3})
    assert facts["data checksum"] == settings.load("digits-mlp").data_checksum()
    assert facts["packages"]["torch"]
    assert facts["seconds"] >= 0
    assert 0 < float(facts["peak memory"].removesuffix(" GB")) < 1000
    table = results.Provenance(facts)._repr_html_()
    assert "digits-mlp" in table
    assert "<script>" not in results.Provenance({"a": "<script>"})._repr_html_()


def test_a_flipped_bit_of_published_results_is_no_number(published: Path) -> None:
    for seed in (0, 1):
        write(published / "9_9" / f"digits-mlp-seed-{seed}", "digits-mlp", seed, float(seed))
    runs = sorted(published.glob("9_9/*"))
    checksums.update(published, runs)
    assert results.tables("9.9", "numbers")["value"].tolist() == [0.0, 1.0]
    for name in ("numbers.parquet", "provenance.json"):
        path = runs[1] / name
        bytes_before = path.read_bytes()
        for place in range(0, len(bytes_before), 7):
            flipped = bytearray(bytes_before)
            flipped[place] ^= 1 << place % 8
            path.write_bytes(flipped)
            with refused(TableError, "is not what was stored"):
                results.tables("9.9", "numbers")
        path.write_bytes(bytes_before)
    (runs[0] / "numbers.parquet").replace(runs[0] / "kept")
    (runs[0] / "numbers.parquet").write_bytes((runs[1] / "numbers.parquet").read_bytes())
    with refused(TableError, "is not what was stored"):
        results.tables("9.9", "numbers")


def test_published_results_are_those_that_are_listed(published: Path) -> None:
    folder = published / "9_9" / "digits-mlp-seed-0"
    write(folder, "digits-mlp", 0, 1.0)
    checksums.update(published, [])
    with refused(TableError, "provenance.json is not in"):
        results.runs("9.9")
    checksums.update(published, [folder])
    assert len(results.runs("9.9")) == 1
    write(folder, "digits-mlp", 0, 2.0)
    checksums.update(published, [folder])
    assert results.tables("9.9", "numbers")["value"].item() == 2.0
    (folder / "numbers.parquet").unlink()
    with refused(TableError, "numbers.parquet is listed and not there"):
        results.runs("9.9")
    (published / checksums.NAME).write_bytes(b"nonsense \xff")
    with refused(TableError, "line 1 of .* is no checksum and name"):
        results.runs("9.9")


def test_the_book_s_own_results_are_whole() -> None:
    folder = ROOT / "results"
    # Of runs, and beside their folders those of benchmarks.
    files = [path for path in folder.glob("*/**/*") if path.is_file()]
    for path in files:
        checksums.verify(path, folder)
    assert len((folder / checksums.NAME).read_text("utf-8").splitlines()) == len(files)


def test_local_runs_come_before_published_ones_of_the_same_setting(published: Path) -> None:
    for setting, seed, value in (("digits-mlp", 0, 1.0), ("mnist-mlp", 0, 2.0)):
        write(published / "9_9" / f"{setting}-seed-{seed}", setting, seed, value)
    write(results.current_folder() / "9_9" / "digits-mlp-seed-7", "digits-mlp", 7, 3.0)
    table = results.tables("9.9", "numbers")
    found = set(table[["setting", "seed", "value"]].itertuples(index=False, name=None))
    assert found == {("digits-mlp", 7, 3.0), ("mnist-mlp", 0, 2.0)}
    assert list(pages.panels("9.9")) == ["mnist-mlp", "digits-mlp"]
    assert pages.panels("9.9")["digits-mlp"] == "Digits MLP (D)"


def test_a_table_is_as_stored_whatever_was_done_to_one_that_was_read_before(
    published: Path,
) -> None:
    folder = published / "9_9" / "digits-mlp-seed-0"
    write(folder, "digits-mlp", 0, 1.0)
    table = results.tables("9.9", "numbers")
    (run,) = results.runs("9.9")
    for read in (table, run.table("numbers")):
        read.loc[0, "value"] = 5.0
        read["other"] = read.attrs["other"] = "mine"
    again = results.tables("9.9", "numbers")
    assert again["value"].tolist() == [1.0]
    assert "other" not in [*again.columns, *again.attrs]
    write(folder, "digits-mlp", 0, 2.0)
    assert results.tables("9.9", "numbers")["value"].tolist() == [2.0]


def mean(table: pd.DataFrame) -> Sample:
    return Sample(table["value"].to_numpy(), table["seed"].tolist(), "seeds", np.mean)


def test_runs_of_other_grid_points_are_told_apart_and_never_averaged(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"seed": [0, 1], "rate": [0.1, 0.2], "tasks": [["a", "b"]]}
    plain = settings.describe("digits-mlp")
    made_up = plain.model_copy(update={"sections": {"9.9": Section(grid=grid)}})
    monkeypatch.setattr(settings, "describe", lambda name: made_up)
    for seed, rate in product(grid["seed"], grid["rate"]):
        folder = published / "9_9" / f"digits-mlp-seed-{seed}-rate-{rate}"
        write(folder, "digits-mlp", seed, 10 * rate + seed, rate=rate, tasks=["a", "b"])
    table = results.tables("9.9", "numbers")
    points = set(table[["seed", "grid_rate", "value"]].itertuples(index=False, name=None))
    assert points == {(0, 0.1, 1.0), (0, 0.2, 2.0), (1, 0.1, 2.0), (1, 0.2, 3.0)}
    assert set(table["grid_tasks"]) == {"['a', 'b']"}
    measure = Measure(mean, "{:.1f}".format)
    with pytest.raises(TableError, match=r"digits-mlp: runs differ in rate \(0\.1, 0\.2\)"):
        measure.by_setting(table)
    one = measure.by_setting(table[table["grid_rate"] == 0.1])["digits-mlp"]
    assert (str(one), one.name) == ("1.5", "mean(9.9/numbers)")
    page = pages.Page("9.9")
    with pytest.raises(TableError, match="choose one value of the column 'grid_rate'"):
        page.say(lambda table, panels: str(len(table)), "numbers")


def test_a_run_without_a_table_is_left_out_of_it_and_without_any_it_is_said_how_to_get_them(
    published: Path,
) -> None:
    with pytest.raises(FileNotFoundError, match=r"make book SECTION=9\.9"):
        results.tables("9.9", "numbers")
    for setting in ("digits-mlp", "mnist-mlp"):
        write(published / "9_9" / f"{setting}-seed-0", setting, 0, 1.0)
    (published / "9_9" / "mnist-mlp-seed-0" / "numbers.parquet").unlink()
    assert list(results.tables("9.9", "numbers")["setting"]) == ["digits-mlp"]
    with pytest.raises(FileNotFoundError, match=r"9\.9 with a table 'letters' are stored: run"):
        results.tables("9.9", "letters")


def test_panels_are_chosen_by_network_and_tasks_numbered(published: Path) -> None:
    for setting in ("digits-mlp", "scenes-resnet", "cifar100-resnet18"):
        write(published / "9_9" / f"{setting}-seed-0", setting, 0, 1.0)
    assert list(pages.panels("9.9", "mlp")) == ["digits-mlp"]
    resnets = pages.panels("9.9", "resnet")
    assert list(resnets) == ["cifar100-resnet18", "scenes-resnet"]
    table = pd.DataFrame(
        [(name, *settings.load(name).finetune[:2]) for name in resnets]
        + [("digits-mlp", "0°", "90°")],
        columns=["setting", "i", "j"],
    )
    found = pages.numbered(table)
    assert found.i.tolist() == ["D₁", "D₁", "0°"]
    assert found.j.tolist() == ["D₂", "D₂", "D₄"]
    assert found.attrs["tasks"]["scenes-resnet"]["D₁"] == settings.load("scenes-resnet").finetune[0]
    assert table.i[0] == "classes 6–10"
    for column in ("network", "task"):
        assert pages.numbered(table.rename(columns={"j": column}))[column].tolist() == list(found.j)


def test_the_list_of_settings_says_which_seeds_ran_where_and_which_in_part(
    published: Path,
) -> None:
    given = {0: {"device": "GPU"}, 1: {"device": "GPU"}, 2: {"device": "CPU", "partial": "no maps"}}
    for seed, facts in given.items():
        folder = published / "4_1" / f"digits-mlp-seed-{seed}"
        write(folder, "digits-mlp", seed, 1.0)
        path = folder / "provenance.json"
        finished = {"finished": f"2026-01-0{seed + 1}T00:00:00+00:00"}
        path.write_text(json.dumps(json.loads(path.read_text()) | facts | finished))
    (line,) = re.findall(".*`digits-mlp`.*", setting_lists.settings_run("4.1").data)
    assert line.endswith(
        "*Results*: [seeds 0, 1, 2](runs/9_9/digits-mlp-published.md) (published with the "
        "book, 2026-01-03, on GPU (seeds 0, 1) and CPU (seed 2)). In part: seed 2 no maps."
    )


def test_a_setting_without_data_is_shown_as_not_run(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CTL_DATA_DIR", str(tmp_path / "nothing"))
    tasks.forget()
    text = setting_lists.settings_not_run("4.1").data
    assert '<span id="setting-mnist-mlp"></span>**MNIST MLP**' in text
    (badges,) = re.findall("Not run: (.*)", setting_lists.badges("4.1").data)
    assert '<a href="settings.html#setting-mnist-mlp">MNIST MLP</a>' in badges
    assert "MNIST is not in `DATA`" in text
    assert "ctl data mnist-mlp" in text


def test_a_notebooks_parameters_are_what_its_parameters_cell_sets(tmp_path: Path) -> None:
    shell = InteractiveShell.instance()
    try:
        shell.run_cell("import math", store_history=True)
        with pytest.raises(SettingError, match="run the notebook from the top"):
            results.Recorder.of_notebook(settings.load("digits-mlp"), "9.9")
        cell = "setting_name = 'digits-mlp'\nseed = 0\nsamples = None"
        shell.run_cell(f"{cell}\nresults_folder = None  # beside it", store_history=True)
        shell.run_cell(f"samples = 5\nresults_folder = {str(tmp_path)!r}", store_history=True)
        shell.run_cell("other = 7", store_history=True)
        results.Recorder.of_notebook(settings.load("digits-mlp"), "9.9").finish()
    finally:
        InteractiveShell.clear_instance()
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["parameters"] == {"samples": 5, "seed": 0}
