"""Fixtures: small networks, a work folder of one's own, and a copy of the checkout to build."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from numpy.typing import ArrayLike
from safetensors.torch import save_file
from torch import Tensor, nn

from ctl_helpers.data import tasks
from ctl_helpers.runs import plan
from ctl_helpers.store import code_keys

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = os.environ.get("CTL_DATA_DIR")  # before a test sets its own
_GENERATED = (".git", ".venv", ".ctl", "_build", "__pycache__", "*.egg-info", ".*_cache")


def copied(folder: Path) -> Path:
    """A copy of this checkout without anything generated."""
    generated, pages = shutil.ignore_patterns(*_GENERATED), str(ROOT / "book")

    def left_out(parent: str, names: list[str]) -> set[str]:
        return generated(parent, names) | ({"runs"} if parent == pages else set())

    return Path(shutil.copytree(ROOT, folder, ignore=left_out))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, but what needs the site last, which is built meanwhile.

    Each test process begins with two tests in a row, so the first one builds the site. Of those
    that need it, the ones that look at every page, each at a part of them, come first.
    """

    def rank(item: pytest.Item) -> int:
        if "site" in getattr(item, "fixturenames", ()):
            return 2 if "part" in item.fixturenames else 3
        return 0 if item.get_closest_marker("slow") else 1

    items.sort(key=rank)
    first = next((place for place, item in enumerate(items) if rank(item) >= 2), len(items))
    items[:] = items[first : first + 2] + items[:first] + items[first + 2 :]


def pytest_collection_finish() -> None:
    """What all tests import stays, and is not looked through at each collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a test sets for processes that it starts is not there for the next one's."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own store."""
    monkeypatch.setenv("CTL_STORE", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.fixture
def swept(tmp_path: Path) -> Iterator[None]:
    """What a test leaves is removed at its end, as it takes hundreds of megabytes."""
    yield
    shutil.rmtree(tmp_path)


@pytest.fixture
def net() -> nn.Module:
    """A small ReLU network in float64, so that an oracle can agree to many digits."""
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)]
    return nn.Sequential(*layers).double()


def small_tower(image_size: int = 16, width: int = 16) -> nn.Module:
    """CLIP's image tower with two blocks and random weights."""
    from ctl_helpers.models.clip import ImageTower, small_clip

    torch.manual_seed(0)
    sizes = {"image_size": image_size, "patch": 8, "width": width, "layers": 2, "heads": 2}
    text = {"text_width": 8, "text_layers": 1, "text_heads": 1, "context": 4, "vocabulary": 5}
    return ImageTower(small_clip(**sizes, **text, embedding=6).visual, (0.4, 0.5, 0.6), (0.2,) * 3)


def small_mlp() -> nn.Module:
    from ctl_helpers.models.mlp import MLP

    torch.manual_seed(3)
    return MLP(6, 8, 2, 3)


@pytest.fixture(params=[(small_mlp, 6), (small_tower, 3, 16, 16)], ids=["mlp", "tower"])
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    """A small network and three inputs, in float64."""
    make, *shape = request.param
    return make().double(), torch.rand(3, *shape, dtype=torch.float64)


@pytest.fixture
def around() -> Callable[..., dict[str, dict[str, Tensor]]]:
    """Makes checkpoints near a network's own weights: name → state dict."""

    def make(model: nn.Module, names: str, scale: float = 0.3) -> dict[str, dict[str, Tensor]]:
        torch.manual_seed(1)
        return {
            name: {
                key: value + scale * torch.randn_like(value)
                if value.is_floating_point()
                else value.clone()
                for key, value in model.state_dict().items()
            }
            for name in names
        }

    return make


@pytest.fixture
def inputs() -> Callable[..., Tensor]:
    """Random float64 inputs of shape (samples, 6), the same for the same seed."""

    def make(samples: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(samples, 6, generator=generator, dtype=torch.float64)

    return make


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty data folder, with nothing remembered of another."""
    monkeypatch.setenv("CTL_DATA_DIR", str(tmp_path / "data"))
    tasks.forget()
    yield tmp_path / "data"
    tasks.forget()


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Gives the data folder of the machine, or skips the test if that does not hold a set."""

    def find(name: str) -> Path:
        if REAL_DATA is None or not (Path(REAL_DATA) / name).is_dir():
            pytest.skip(f"CTL_DATA_DIR names no folder that holds {name}")
        monkeypatch.setenv("CTL_DATA_DIR", REAL_DATA)
        return Path(REAL_DATA)

    return find


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copied(tmp_path / "checkout")


@pytest.fixture
def package(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that checksums of code are taken of, with caches of its own."""
    for module in (code_keys, plan):
        monkeypatch.setattr(module, "_PACKAGE", checkout / "ctl_helpers")
    for name in ("_exports", "_module_imports"):
        monkeypatch.setattr(code_keys, name, cache(getattr(code_keys, name).__wrapped__))
    return checkout / "ctl_helpers"


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    """What an error says to a person: one sentence."""
    assert "\n" not in str(error.value)
    return str(error.value)


@contextmanager
def refused(kind: type[Exception], *patterns: str) -> Iterator[None]:
    """What is inside is refused in one sentence, in which all patterns are found."""
    with pytest.raises(kind) as caught:
        yield
    sentence = one_line(caught)
    assert all(re.search(pattern, sentence) for pattern in patterns), sentence


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return a.keys() == b.keys() and all(
        a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]) for key in a
    )


def formulas(
    left: ArrayLike,
    right: ArrayLike,
    base: Iterable[tuple[ArrayLike, ArrayLike]],
    parts: Sequence[tuple[float, ArrayLike]] = (),
) -> dict[str, np.ndarray]:
    """The paper's three metrics as it writes them, and ε, which needs the parts of the right side.

    Each for every sample; NaN where a feature has no length, or all parts are one.
    """

    def norm(a: ArrayLike) -> np.ndarray:
        return np.linalg.norm(a, axis=1)

    def cos(a: ArrayLike, b: ArrayLike) -> np.ndarray:
        return np.einsum("nd,nd->n", a, b) / (norm(a) * norm(b))

    found = {
        "distance": 1 - cos(left, right),
        "baseline": 1 - np.mean([cos(a, b) for a, b in base], axis=0),
        "coef": norm(left) * cos(left, right) / norm(right),
    }
    if parts:
        above, below = error_parts(left, parts)
        found["epsilon"] = np.sqrt(np.where(below > 0, above / below, np.nan))
    return found


def error_parts(
    left: ArrayLike, parts: Sequence[tuple[float, ArrayLike]]
) -> tuple[np.ndarray, np.ndarray]:
    """For each sample what is above and below the line in ε²."""
    right = sum(weight * np.asarray(part) for weight, part in parts)
    above = ((np.asarray(left) - right) ** 2).sum(1)
    below = sum(weight * ((np.asarray(part) - right) ** 2).sum(1) for weight, part in parts)
    return above, np.asarray(below)


def epsilon(left: ArrayLike, parts: Sequence[tuple[float, ArrayLike]]) -> float:
    """ε of all samples together."""
    above, below = error_parts(left, parts)
    return float(np.sqrt(above.sum() / below.sum()))


def statistics(values: np.ndarray, mean: float | None = None) -> dict[str, float]:
    """A metric's columns in a table, of the samples that have a value.

    Args:
        mean: in place of the samples' own.
    """
    found = pd.Series(values)
    quartiles = dict(zip(("q25", "median", "q75"), found.quantile([0.25, 0.5, 0.75]), strict=True))
    own = found.mean() if mean is None else mean
    return {"n": found.count(), "mean": own, "std": found.std(), **quartiles}


def sharded(folder: Path, state: Mapping[str, Tensor], shards: int) -> Path:
    """Writes a state dict into so many safetensors files in turn; the path of their index."""
    where = {name: f"model-{1 + n % shards}.safetensors" for n, name in enumerate(state)}
    for shard in set(where.values()):
        save_file({name: state[name] for name in state if where[name] == shard}, folder / shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return index


_CTL = "from ctl_helpers.cli import main; main()"

RUN_ELSEWHERE = [
    "4.1.batchnorm", "4.2", "4.2.many", "4.3", "4.3.text", "5.similarity", "A", "linear",
    "many-tasks",
]  # fmt: skip
"""Sections that other tests run from top to bottom; the tests' site shows them as published."""

# A run of each other section, of its first setting.
_ONE_A_SECTION = f"""from ctl_helpers.runs import plan
every, others = plan.jobs, {RUN_ELSEWHERE}
plan.jobs = lambda *how: [*{{
    job.section: job for job in reversed(every(*how)) if job.section not in others
}}.values()]
"""


def command(
    folder: Path, *arguments: str, code: str = _CTL, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``ctl`` with the package, settings and store of a copied checkout."""
    environment: Mapping[str, str] = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "CTL_STORE": str(folder / ".ctl"),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A folder that the first of several test processes makes, while the others wait."""
    done = folder.with_suffix(".done")
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            assert not folder.exists(), f"{folder.name} could not be made, as another test says"
            make(folder)
            done.touch()
    return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what all test processes use."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def site(shared: Path) -> Path:
    """The built site of a fresh copy of the checkout, on the fast profile."""

    def make(folder: Path) -> None:
        settings = copied(folder) / "settings"
        # Pages look alike whatever the networks have learned: a third of a first look's training,
        # half of some samples, and narrower networks.
        for name, old, new in (
            ("profiles", "training: 0.1", "training: 0.03"),
            ("profiles", "samples: 30", "samples: 15"),
            ("profiles", "samples: 24", "samples: 12"),
            ("profiles", "samples: 16", "samples: 8"),
            ("scenes-clip", " width: 128", " width: 64"),
            ("scenes-resnet", " width: 8", " width: 4"),
        ):
            text = (path := settings / f"{name}.yaml").read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new), encoding="utf-8")
        home, temporary = shared / "home", shared / "temporary"
        home.mkdir()
        temporary.mkdir()
        for action, code in (("run", _ONE_A_SECTION + _CTL), ("site", _CTL)):
            own = {"HOME": str(home), "TMPDIR": str(temporary)}
            done = command(folder, action, "--profile", "fast", code=code, **own)
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]

    return made_once(shared / "book", make) / "_build" / "html"


@pytest.fixture(scope="session")
def outside(site: Path, shared: Path) -> list[Path]:
    """What running and building left in the user's home and the folder of temporary files."""
    return sorted(path for name in ("home", "temporary") for path in (shared / name).rglob("*"))


FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
