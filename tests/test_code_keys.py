"""Checksums of code: they change with every helper that it reaches, and with no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ctl_helpers import settings
from ctl_helpers.runs import plan
from ctl_helpers.store import code_keys

OF_HOOKS = ("hooks", "outputs", "layers", "blocks", "stages", "arguments")
HOOKS = {f"engine/{module}.py" for module in OF_HOOKS}
OF_MIX = (
    *("mix", "checkpoints", "arguments", "lazy_state", "precision", "tensor_kinds", "tensor_sums"),
    "ties",
)
MIX = {f"engine/{module}.py" for module in OF_MIX}
CHECKSUMS = {"project.py", "weights/checksums.py"}
DATA = {f"data/{name}.py" for name in ("images", "batches", "dataset", "tasks", "sets/mnist")}
MNIST = {*DATA, "store/artifacts.py", "store/status.py", *CHECKSUMS}


def keys_changed(path: Path, keys: Callable[[], dict[str, str]]) -> set[str]:
    """The names of those keys that change when a comment is added to a module."""
    content, found = path.read_bytes(), []
    for more in (b"", b"# changed\n"):
        path.write_bytes(content + more)
        found.append(keys())
    path.write_bytes(content)
    before, after = found
    return {name for name, key in after.items() if key != before[name]}


def changing(package: Path, code: str) -> set[str]:
    """The modules that change the checksum of ``code`` when a comment is added to them."""
    before, found = code_keys.checksum(code), set()
    for path in package.rglob("*.py"):
        content = path.read_bytes()
        path.write_bytes(content + b"# changed\n")
        if code_keys.checksum(code) != before:
            found.add(path.relative_to(package).as_posix())
        path.write_bytes(content)
    assert code_keys.checksum(code) == before
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import ctl_helpers as ctl", set()),
        ("import ctl_helpers as ctl\nctl.unknown, other.compare", set()),
        ("import ctl_helpers\nctl_helpers.Mix", MIX),
        ("import ctl_helpers.engine.mix\nctl_helpers.taps", {*MIX, *HOOKS}),
        ("import ctl_helpers.engine.mix as m\nctl.taps", MIX),
        (
            "from ctl_helpers import taps as t, project\nfrom ctl_helpers.weights import checksums",
            {*HOOKS, *CHECKSUMS},
        ),
        ("from ctl_helpers.engine.similarity import coef", {"engine/similarity.py"}),
        ("from ctl_helpers.data.sets import mnist", MNIST),
        ("def f():\n    from ctl_helpers.data.sets.mnist import fetch", MNIST),
        ("import ctl_helpers_of_others, torch\nfrom compare import compare", set()),
    ],
)
def test_a_checksum_changes_with_what_the_code_reaches(package, code: str, expected) -> None:
    assert changing(package, code) == expected


def test_a_measurement_reaches_the_engine_and_nothing_else(package: Path) -> None:
    found = changing(package, "import ctl_helpers as ctl\nctl.compare()")
    assert {"engine/compare.py", "engine/passes.py", *HOOKS, *MIX} <= found
    assert {path.split("/")[0] for path in found} == {"engine"}


def test_a_module_reaches_what_it_imports(package: Path) -> None:
    code = "import ctl_helpers.training.loop"
    reached = {"training/loop", "training/class_mask", "data/images", "data/batches"}
    assert changing(package, code) == {f"{module}.py" for module in reached}
    assert code_keys.module_checksum("training.loop") == code_keys.checksum(code)


def test_a_run_depends_on_what_its_setting_and_notebook_reach(package: Path) -> None:
    def keys() -> dict[str, str]:
        return {job.setting: job.key() for job in plan.jobs("embedded", "3")}

    def changed(module: str) -> set[str]:
        return keys_changed(package / module, keys)

    assert keys().keys() == {"digits-mlp", "scenes-resnet"}
    for foreign in (
        *("models/llama", "settings/clip", "settings/text", "settings/published_resnet"),
        *("settings/tuned", "training/steps", "data/sets/clip8", "data/tokens", "weights/hub"),
        *("site/build", "cli", "findings/verdicts"),
    ):
        assert changed(f"{foreign}.py") == set()
    assert changed("models/mlp.py") == changed("data/sets/digits.py") == {"digits-mlp"}
    for shared in ("engine/mix", "training/loop", "settings/scratch", "results/record"):
        assert changed(f"{shared}.py") == {"digits-mlp", "scenes-resnet"}


def test_a_checkpoint_depends_on_its_network_data_and_training(package: Path) -> None:
    names = ("digits-mlp", "scenes-resnet", "scenes-clip", "text-t5")

    def changed(module: str) -> set[str]:
        return keys_changed(
            package / module,
            lambda: {name: settings.load(name).source_checksum() for name in names},
        )

    assert changed("training/loop.py") == set(names)
    assert changed("training/steps.py") == {"scenes-clip", "text-t5"}
    assert changed("models/mlp.py") == {"digits-mlp"}
    assert changed("models/t5.py") == changed("data/sets/sentences.py") == {"text-t5"}
    assert changed("data/sketches.py") == {"scenes-clip"}
    assert changed("models/llama.py") == changed("settings/scratch.py") == set()


def test_what_is_imported_for_hints_alone_is_not_reached(package: Path) -> None:
    code = "if TYPE_CHECKING:\n    from ctl_helpers.engine import mix"
    assert changing(package, code) == set()


def test_a_new_import_is_followed(package: Path) -> None:
    code = "from ctl_helpers.engine import similarity"
    before = code_keys.checksum(code)
    path = package / "engine" / "similarity.py"
    path.write_text(path.read_text() + "from ctl_helpers import new\n")
    (package / "new.py").write_text("from ctl_helpers.deeper import x\n")
    (package / "deeper.py").touch()
    assert code_keys.checksum(code) != before
    assert changing(package, code) == {"engine/similarity.py", "new.py", "deeper.py"}


def test_the_code_itself_counts_and_places_do_not(package: Path) -> None:
    code = "import ctl_helpers as ctl\nctl.path"
    here = code_keys.checksum(code)
    assert here != code_keys.checksum(code + " ")
    package.rename(package.with_name("moved"))
    code_keys._PACKAGE = package.with_name("moved")  # put back by the fixture
    code_keys._exports.cache_clear()
    code_keys._module_imports.cache_clear()
    assert code_keys.checksum(code) == here
