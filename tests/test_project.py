"""The project's own promises: pins, reasons, who imports whom, and notebooks as pairs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ctl_helpers import notebooks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(PYPROJECT)["project"]
DIRECT = [
    Requirement(text)
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in texts
]
PIN = re.compile(r"([a-z0-9-]+)==([\w.+!]+)( ; .+)?")
LOCK = [
    line
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line and not line.startswith("#")
]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def pinned(python: str) -> dict[str, list[str]]:
    """Package → its versions in the lock, on Linux with some Python."""
    machine = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    machine |= {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    machine |= {"python_version": python, "python_full_version": f"{python}.9"}
    found: dict[str, list[str]] = {}
    for line in LOCK:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(machine):
            (specifier,) = requirement.specifier
            found.setdefault(requirement.name, []).append(specifier.version)
    return found


# What is installed.


def test_the_lock_has_exact_pins_only() -> None:
    assert len(LOCK) > 100
    assert [line for line in LOCK if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_requirement(python: str) -> None:
    versions = pinned(python)
    assert [name for name, found in versions.items() if len(found) != 1] == []
    for requirement in DIRECT:
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            (version,) = versions[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} has {version}"


def test_conda_installs_what_the_lock_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *plain, extra = environment["dependencies"]
    (python,) = [text.split("=")[1] for text in plain if text.startswith("python=")]
    assert "pip" in plain
    options = [line for line in extra["pip"] if line.startswith("-")]
    assert options == ["--constraint requirements.lock"]
    entries = [PIN.fullmatch(line) for line in extra["pip"] if line not in options]
    versions = pinned(python)
    assert [m[0] for m in entries if versions.get(m[1]) != [m[2]]] == []
    wanted = {
        canonicalize_name(r.name)
        for r in DIRECT
        if r.marker is None or r.marker.evaluate({"python_version": python})
    }
    assert {m[1] for m in entries} == wanted


def test_every_dependency_has_its_reason() -> None:
    lines = [line for line in PYPROJECT.splitlines() if re.match(r'\s+"[\w.-]+[^"]*",', line)]
    assert len(lines) >= len(DIRECT)
    assert [line for line in lines if not re.search(r'",\s+# \w', line)] == []


# Who imports whom.

FLOORS = [
    "project",
    "connectivity derivatives execution memory metrics mix printed regression schema selection "
    "sources stages store terms",
    "batches features folds gallery notebooks samples task_vectors weights "
    "data/__init__ data/captions data/cifar10 "
    "data/cifar100 data/clip8 data/clip8_files data/digits data/files data/imagenet data/images "
    "data/instructions data/kinds data/mnist data/nlp6 data/prompts data/real_files "
    "data/real_kinds data/real_texts data/scenes data/sentences data/sketches data/text_files "
    "data/text_sets data/texts data/tinyimagenet data/tokens "
    "models/__init__ models/clip models/llama models/mlp models/resnet models/t5 models/text",
    "batchnorm checkpoints curvature lazy_weights measures_averaging measures_editing "
    "measures_factors measures_linear published_weights streaming tangent tasks training",
    "passes weight_files",
    "clip_weights compare evaluate measures text_training trajectories tuning",
    "cost edits stitching taylor tuned_settings",
    "arithmetic clip_settings disentangle text_settings",
    "published_clip published_text",
    "settings",
    "results live figures/__init__ figures/averaging figures/disentangled figures/dots "
    "figures/drawing figures/editing figures/factors figures/frame figures/heatmaps "
    "figures/lengths figures/linearity figures/many figures/paradigms figures/paths "
    "figures/phrases figures/spawning figures/static figures/statistics figures/stitched "
    "figures/taylor figures/theory",
    "claims downloads plan stills",
    "book pages runs under_figures",
    "site",
    "cli",
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names.split()}
ENGINE = (
    *("mix", "metrics", "memory", "stages", "batches", "folds", "features", "derivatives"),
    *("tangent", "weights", "streaming", "passes"),
    *("compare", "evaluate", "edits", "stitching", "disentangle", "task_vectors", "taylor"),
)
HEAVY = {
    "plotly": {"figures/drawing", "figures/frame", "figures/heatmaps"},
    "papermill": {"runs"},
    "distributed": {"runs"},
    "typer": {"cli"},
    "rich": {"cli"},
    "seaborn": {"figures/static"},
    "playwright": {"printed"},
    "pypdf": {"printed"},
    "curvlinops": {"curvature"},
    "sphinx": {"book", "terms", "under_figures"},
}
PACKAGE = ROOT / "ctl_helpers"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module imports, at any depth: ``ctl_helpers.data.mnist``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                place = inner.removeprefix("ctl_helpers.").replace(".", "/")
                if f"{place}/__init__" in MODULES:
                    yield f"{inner}.__init__"
                else:
                    yield inner if place in MODULES else str(node.module)


def inner(module: str) -> set[str]:
    """The modules of the package that one of them imports."""
    names = {n for n in imported(MODULES[module]) if n.split(".")[0] == "ctl_helpers"}
    return {name.removeprefix("ctl_helpers.").replace(".", "/") for name in names}


def outer(module: str) -> set[str]:
    """The other packages that it imports, but for the standard library."""
    names = {name.split(".")[0] for name in imported(MODULES[module])}
    return names - {"ctl_helpers"} - sys.stdlib_module_names


def test_every_module_has_its_floor() -> None:
    assert MODULES.keys() - FLOOR.keys() == {"__init__"}
    assert FLOOR.keys() <= MODULES.keys()


@pytest.mark.parametrize("module", sorted(FLOOR))
def test_a_module_imports_only_from_floors_under_its_own(module: str) -> None:
    for other in inner(module):
        folder = module.rpartition("/")[0]
        beside = folder in ("data", "models", "figures") and other.startswith(f"{folder}/")
        assert beside or FLOOR[other] < FLOOR[module], f"{module} imports {other}"


def test_the_engine_stands_alone() -> None:
    assert inner("__init__") <= set(ENGINE)
    for module in ENGINE:
        assert inner(module) <= set(ENGINE)
        assert outer(module) <= {"torch", "numpy", "pandas"}, module


@pytest.mark.parametrize("library", sorted(HEAVY))
def test_a_tool_is_imported_where_its_job_is(library: str) -> None:
    assert {module for module in MODULES if library in outer(module)} == HEAVY[library]


def test_importing_the_engine_loads_no_tool() -> None:
    tools = {"plotly", "papermill", "distributed", "typer", "sphinx", "sklearn", "torchvision"}
    tools |= {"scipy", "curvlinops", "transformers", "seaborn"}
    code = f"import sys, ctl_helpers; print({tools!r} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_notebook_needs_no_more_than_is_installed_for_it() -> None:
    """Colab has what the package itself asks for, and none of what makes the book."""
    installed = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    providers = packages_distributions() | {"tomli": ["tomli"]}
    makes_the_book = {"execution", "figures/static", "gallery", "notebooks", "printed", "terms"}
    lacking = {
        f"{module} imports {library}"
        for module, floor in FLOOR.items()
        if floor <= FLOOR["results"] and module not in makes_the_book
        for library in outer(module)
        if not installed & set(map(canonicalize_name, providers[library]))
    }
    assert lacking == set()


# Notebooks and files.


def setup_cell(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    (found,) = [text for cell in cells if '"clone"' in (text := "".join(cell["source"]))]
    return found


def test_twins_agree_with_their_sources_and_hold_no_outputs() -> None:
    twins = sorted((ROOT / "notebooks").glob("*.ipynb"))
    sources = [path.with_suffix(".ipynb") for path in sorted((ROOT / "notebooks").glob("*.md"))]
    assert twins == sources != []
    assert notebooks.sync(write=False) == []
    for path in twins:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("address", [None, "https://github.com/owner/name"])
def test_the_setup_cell_knows_the_repository(checkout: Path, monkeypatch, address) -> None:
    monkeypatch.chdir(checkout)
    text = re.sub(r"^(# )?Repository = .*\n", "", PYPROJECT, flags=re.MULTILINE)
    line = f'[project.urls]\nRepository = "{address}"' if address else "[project.urls]"
    (checkout / "pyproject.toml").write_text(text.replace("[project.urls]", line))
    (checkout / "notebooks" / "4_1.ipynb").unlink()
    assert checkout / "notebooks" / "4_1.ipynb" in notebooks.sync()
    assert notebooks.sync(write=False) == []
    assert f"\nrepository = {address!r}\n" in setup_cell(checkout / "notebooks" / "4_1.ipynb")


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    places = [f"/{name}/" for name in ("work", "tmp/probe", "root")]
    found = []
    for path in filter(Path.is_file, map(ROOT.joinpath, done.stdout.split("\0"))):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a table or an image
        found += [f"{path.name}: {place}" for place in places if place in text]
    assert found == []
