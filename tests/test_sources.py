"""Checksums of code: they change with every helper that it reaches, and with no other."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from ctl_helpers import sources

COMPARE = {
    "batches.py", "compare.py", "derivatives.py", "features.py", "folds.py", "memory.py",
    "metrics.py", "mix.py", "passes.py", "stages.py", "streaming.py", "tangent.py", "weights.py",
}  # fmt: skip
MNIST = {"data/files.py", "data/mnist.py", "data/images.py", "project.py", "store.py"}


@pytest.fixture
def package(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that checksums are taken of, with caches of its own."""
    monkeypatch.setattr(sources, "_PACKAGE", checkout / "ctl_helpers")
    for name in ("_exports", "_module_imports"):
        monkeypatch.setattr(sources, name, cache(getattr(sources, name).__wrapped__))
    return checkout / "ctl_helpers"


def changing(package: Path, code: str) -> set[str]:
    """The modules that change the checksum of ``code`` when a comment is added to them."""
    before, found = sources.checksum(code), set()
    for path in package.rglob("*.py"):
        content = path.read_bytes()
        path.write_bytes(content + b"# changed\n")
        if sources.checksum(code) != before:
            found.add(path.relative_to(package).as_posix())
        path.write_bytes(content)
    assert sources.checksum(code) == before
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import ctl_helpers as ctl", set()),
        ("import ctl_helpers as ctl\nctl.compare()", COMPARE),
        ("import ctl_helpers as ctl\nctl.unknown, other.compare", set()),
        ("import ctl_helpers\nctl_helpers.Mix", {"mix.py"}),
        ("import ctl_helpers.mix\nctl_helpers.taps", {"mix.py", "features.py"}),
        ("import ctl_helpers.mix as m\nctl.taps", {"mix.py"}),
        ("from ctl_helpers import taps as t, store", {"features.py", "store.py", "project.py"}),
        ("from ctl_helpers.metrics import coef", {"metrics.py"}),
        ("from ctl_helpers.data import mnist", MNIST),
        ("def f():\n    from ctl_helpers.data.mnist import fetch", MNIST),
        ("import ctl_helpers_of_others, torch\nfrom compare import compare", set()),
    ],
)
def test_a_checksum_changes_with_what_the_code_reaches(package, code: str, expected) -> None:
    assert changing(package, code) == expected


def test_a_module_reaches_what_it_imports(package: Path) -> None:
    assert changing(package, "import ctl_helpers.training") == {
        "training.py", "data/images.py",
    }  # fmt: skip
    assert sources.module_checksum("training") == sources.checksum("import ctl_helpers.training")
    reached = changing(package, "from ctl_helpers import settings")
    assert {"settings.py", "training.py", "trajectories.py", "tasks.py", "store.py"} < reached
    # A setting's own network and data set are looked up by name; see Setting.source_checksum.
    assert not reached & {"models/mlp.py", "data/digits.py"}
    assert not reached & {"compare.py", "evaluate.py", "figures/drawing.py", "runs.py", "cli.py"}


def test_a_new_import_is_followed(package: Path) -> None:
    code = "from ctl_helpers import metrics"
    before = sources.checksum(code)
    path = package / "metrics.py"
    path.write_text(path.read_text() + "from ctl_helpers import new\n")
    (package / "new.py").write_text("from ctl_helpers.deeper import x\n")
    (package / "deeper.py").touch()
    sources._module_imports.cache_clear()
    assert sources.checksum(code) != before
    assert changing(package, code) == {"metrics.py", "new.py", "deeper.py"}


def test_the_code_itself_counts_and_places_do_not(package: Path) -> None:
    code = "import ctl_helpers as ctl\nctl.path"
    here = sources.checksum(code)
    assert here != sources.checksum(code + " ")
    package.rename(package.with_name("moved"))
    sources._PACKAGE = package.with_name("moved")  # put back by the fixture
    sources._exports.cache_clear()
    assert sources.checksum(code) == here
