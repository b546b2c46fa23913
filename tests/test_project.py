"""The project's own promises: pins, reasons, imports, house rules, and notebooks as pairs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import venv
from importlib.metadata import packages_distributions
from pathlib import Path

import jupytext
import pytest
import yaml
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ctl_helpers.runs import notebook_pairs

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
LOCKED = ROOT / "requirements.lock"
ENTRIES = re.findall(r"^[^#\s].*(?:\n .*)*", LOCKED.read_text(), re.M)
LOCK = [entry.partition(" \\\n")[0] for entry in ENTRIES]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


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


def wanted(python: str) -> list[tuple[str, Requirement]]:
    """Packages, and what the project asks of each with some Python."""
    version = {"python_version": python}
    asked = [each for each in DIRECT if each.marker is None or each.marker.evaluate(version)]
    return [(canonicalize_name(each.name), each) for each in asked]


# What is installed.


def test_the_lock_has_exact_pins_only() -> None:
    assert len(LOCK) > 100
    assert [line for line in LOCK if not PIN.fullmatch(line)] == []
    hashes = r"( \\\n    --hash=sha256:[0-9a-f]{64})+"
    assert [entry for entry in ENTRIES if not re.fullmatch(r"[^\\\n]+" + hashes, entry)] == []


def installed(tool: list[str], lock: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *tool, "--require-hashes", "--requirement", str(lock)]
    return subprocess.run(command, capture_output=True, text=True)


def test_all_of_the_lock_can_be_had_with_its_hashes(tmp_path: Path) -> None:
    venv.create(tmp_path / "empty")
    python = str(tmp_path / "empty" / "bin" / "python")
    done = installed(["uv", "pip", "install", "--dry-run", "--python", python], LOCKED)
    assert done.returncode == 0, done.stderr
    assert f"Would install {len(pinned(PYTHON))} packages" in done.stderr


def test_what_is_another_file_than_was_locked_is_not_installed(tmp_path: Path) -> None:
    (entry,) = [entry for entry in ENTRIES if entry.startswith("lazy-loader==")]
    one, into = tmp_path / "one.lock", ["--no-deps", "--target", str(tmp_path / "installed")]
    one.write_text(re.sub("sha256:.{8}", "sha256:00000000", entry))
    refused = installed(["pip", "install", *into], one)
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    one.write_text(entry)
    assert installed(["pip", "install", *into], one).returncode == 0
    assert (tmp_path / "installed" / "lazy_loader").is_dir()


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_requirement(python: str) -> None:
    versions = pinned(python)
    assert [name for name, found in versions.items() if len(found) != 1] == []
    for name, requirement in wanted(python):
        assert requirement.specifier.contains(versions[name][0]), f"{requirement}: {versions[name]}"


def test_conda_installs_what_the_lock_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, *rest = environment["dependencies"]
    assert python.removeprefix("python=") in PYTHONS
    assert rest == ["pip", {"pip": ["--requirement requirements.lock"]}]


def test_every_dependency_has_its_reason() -> None:
    lines = re.findall(r'^ +"[\w.-]+[^"\n]*",.*', PYPROJECT.partition("[tool")[0], re.M)
    assert len(lines) >= len(DIRECT)
    assert [line for line in lines if not re.search(r'",\s+# \w', line)] == []


# Who imports whom.

PACKAGE = ROOT / "ctl_helpers"


def imported(path: Path) -> set[str]:
    """The packages that a module imports when it runs, but for the standard library."""
    names, todo = set(), list(ast.parse(path.read_text(encoding="utf-8")).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(str(node.module).split(".")[0])
        todo += ast.iter_child_nodes(node)
    return names - {"ctl_helpers"} - sys.stdlib_module_names


TOOLS = {"plotly", "papermill", "distributed", "typer", "sphinx", "sklearn", "torchvision"}
TOOLS |= {"scipy", "curvlinops", "transformers", "seaborn"}
READ = "from ctl_helpers.results import tables; print(tables('4.1', 'direction'))"
HELP = "import sys; sys.argv[1:] = ['--help']; from ctl_helpers import cli; cli.main()"


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import ctl_helpers as ctl", {"torch", *TOOLS}),
        ("import ctl_helpers as ctl; ctl.compare", TOOLS),
        (READ, {"torch"}),
        (HELP, {"torch"}),
    ],
    ids=["import", "engine", "table", "help"],
)
def test_what_needs_no_tool_loads_none(code: str, absent: set[str]) -> None:
    told = f"import atexit, sys; atexit.register(lambda: print({absent!r} & sys.modules.keys()))"
    command = [sys.executable, "-c", f"{told}; {code}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_notebook_needs_no_more_than_is_installed_for_it() -> None:
    """Colab has what the package itself asks for, and none of what makes the book."""
    installed = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    installed.add("ipython")  # of which each kernel is made
    providers = packages_distributions() | {"tomli": ["tomli"]}
    asked = ("runs", "site", "cli.py", "terminal.py", "figures/static.py")  # what makes the book
    asked += ("weights/gguf_file.py",)  # for one setting, which says so where it is missing
    lacking = {
        f"{path.name} imports {library}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.relative_to(PACKAGE).as_posix().startswith(asked)
        for library in imported(path)
        if not installed & set(map(canonicalize_name, providers[library]))
    }
    assert lacking == set()


# House rules.

MODULES = sorted(PACKAGE.rglob("*.py"))


def lines(node: ast.AST) -> int:
    """The lines of a function besides its docstring."""
    count = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node):
        count -= node.body[0].end_lineno - node.body[0].lineno + 1
    return count


def test_modules_and_functions_are_short() -> None:
    long = []
    for path in MODULES:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(PACKAGE)
        if (count := len(text.splitlines())) > 300:
            long.append(f"{name}: {count} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and lines(node) > 50:
                long.append(f"{name}: {node.name} has {lines(node)} lines")
    assert long == []


@pytest.mark.parametrize(
    "wing", [path.parent for path in MODULES if path.name == "__init__.py"], ids=lambda p: p.name
)
def test_a_wing_has_a_line_on_each_of_its_rooms(wing: Path) -> None:
    told = ast.get_docstring(ast.parse((wing / "__init__.py").read_text(encoding="utf-8"))) or ""
    heads = "".join(re.findall(r"^- (``.*?``): ", told, re.M))
    rooms = {path.parent.name if path.name == "__init__.py" else path.stem
             for path in (*wing.glob("[!_]*.py"), *wing.glob("*/__init__.py"))}  # fmt: skip
    assert set(re.findall(r"``(\w+)``", heads)) == rooms - {"cli", "project", "terminal"}


@pytest.mark.parametrize("page", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.stem)
def test_a_page_computes_nothing_itself(page: Path) -> None:
    cells = [cell.source for cell in jupytext.read(page).cells if cell.cell_type == "code"]
    assert [text for text in cells if len(text.splitlines()) > 5 or "def " in text] == []


def test_files_named_in_the_page_on_the_design_are_there() -> None:
    named = re.findall(r"\{file\}`(.+?)`", (ROOT / "book" / "design.md").read_text("utf-8"))
    places = (ROOT, PACKAGE, ROOT / "book")
    assert named
    assert [n for n in named if not any((place / n).exists() for place in places)] == []


# Notebooks and files.


def test_twins_agree_with_their_sources_and_hold_no_outputs() -> None:
    twins = sorted((ROOT / "notebooks").glob("*.ipynb"))
    sources = [path.with_suffix(".ipynb") for path in sorted((ROOT / "notebooks").glob("*.md"))]
    assert twins == sources != []
    assert notebook_pairs.sync(write=False) == []
    for path in twins:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("address", [None, "https://github.com/owner/name"])
def test_the_setup_cell_knows_the_repository(checkout: Path, monkeypatch, address) -> None:
    monkeypatch.chdir(checkout)
    text = re.sub(r"^(# )?Repository = .*\n", "", PYPROJECT, flags=re.MULTILINE)
    line = f'[project.urls]\nRepository = "{address}"' if address else "[project.urls]"
    (checkout / "pyproject.toml").write_text(text.replace("[project.urls]", line))
    twin = checkout / "notebooks" / "4_1.ipynb"
    twin.unlink()
    assert twin in notebook_pairs.sync()
    assert notebook_pairs.sync(write=False) == []
    cells = ["".join(cell["source"]) for cell in json.loads(twin.read_text("utf-8"))["cells"]]
    (setup,) = [text for text in cells if '"clone"' in text]
    assert f'\nrepository = "{address or ""}"  # @param' in setup


def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    places = [f"/{name}/" for name in ("work", "tmp/probe", "root")]
    found = []
    for path in filter(Path.is_file, map(ROOT.joinpath, done.stdout.split("\0"))):
        content = path.read_bytes()
        found += [f"{path.name}: {place}" for place in places if place.encode() in content]
    assert found == []


@pytest.mark.slow
def test_building_the_book_writes_nothing_outside(outside: list[Path]) -> None:
    assert outside == []
