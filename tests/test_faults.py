"""The table of faults in short: `make faults` makes the long one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import small_runs
from conftest import ROOT

from ctl_helpers import results
from ctl_helpers.store.artifacts import Store

sys.path.insert(0, str(ROOT / "benchmarks"))

import damaged
import killed
import mutated

linux = pytest.mark.skipif(sys.platform != "linux", reason="signals, mounts and limits of Linux")


@linux
@pytest.mark.slow
def test_runs_are_killed_and_stores_damaged_with_nothing_lost(
    checkout: Path, tmp_path: Path
) -> None:
    small_runs.simplify(checkout)
    work = killed.Work(checkout, ("run", "--profile", "fast"), tmp_path / "stores", seconds=5)
    row = killed.killed(2, 0, work)
    assert (row.tries, row.wrong, row.repeated) == (2, [], 0)
    assert sorted(Path(name).name for name in work.usual) == ["class.json", "table.parquet"]
    row = damaged.store(20, 0, tmp_path / "stores" / "store-1" / "store", tmp_path / "store")
    assert (row.tries, row.wrong) == (20, [])


def test_no_damaged_file_of_published_results_changes_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results"
    shutil.copytree(ROOT / "results" / "3", folder / "3")
    shutil.copyfile(ROOT / "results" / results.checksums.NAME, folder / results.checksums.NAME)
    monkeypatch.setattr(results.stored, "published_folder", lambda: folder)
    row = damaged.results(25, 0, folder)
    assert (row.tries, row.wrong) == (25, [])
    assert row.ends["refused"] > 20


@linux
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pickles", "headers"])
def test_mutated_weight_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    row = mutated.fault(kind, 30, 0, tmp_path)
    assert (row.tries, row.wrong, row.foreign) == (90, [], 0)
    assert row.ends["refused"] > 10
    assert row.mebibytes < 100


def test_the_watch_sees_what_runs(tmp_path: Path) -> None:
    watch = mutated.Watch()
    watch("os.system", (b"x",))
    assert watch.seen == []
    watch.on = True
    for event in ("os.system", "subprocess.Popen", "socket.connect", "os.posix_spawn"):
        with pytest.raises(PermissionError):
            watch(event, ("x",))
    with pytest.raises(PermissionError):
        watch("open", (str(tmp_path / "trace"), "w", 0))
    with pytest.raises(PermissionError):
        watch("exec", (compile("1", "<string>", "eval"),))
    watch("open", (str(tmp_path / "weights"), "rb", 0))
    watch("pickle.find_class", ("os", "system"))
    assert len(watch.seen) == 6


@linux
def test_on_a_full_disk_an_artifact_is_whole_or_not_there(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        for number in range(4):
            (folder / f"{number}.bin").write_bytes(bytes([number]) * 6000)

    ends = []
    for pages in range(1, 14):
        folder = tmp_path / str(pages)
        folder.mkdir()
        with killed.small_disk(folder, 4096 * pages) as is_there:
            if not is_there:
                pytest.skip("no right to mount a small disk")
            try:
                Store(folder / "store").make("runs", "k", write)
                ends.append("made")
            except OSError:
                ends.append("full")
            assert not list(folder.glob("store/runs/.*"))
            assert (Store(folder / "store").get("runs", "k") is not None) == (ends[-1] == "made")
    assert ends == sorted(ends)
    assert set(ends) == {"full", "made"}
