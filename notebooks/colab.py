# On Colab: fetch the book and what is missing there; torch, numpy and their kin stay.
# It comes from the address below, else from what you upload beside `sample_data`:
# the project as a zip or a folder, or the wheel that `make wheel` builds.
import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys
import zipfile

repository = ""  # @param {type:"string"}
if importlib.util.find_spec("ctl_helpers") is None:
    here = pathlib.Path.cwd()
    clone, uploaded = here / "ctl-book", sorted(here.glob("*.zip"))
    if repository and not clone.exists():
        git = ["git", "clone", "--quiet", "--depth", "1"]
        subprocess.run([*git, repository, clone], check=True)
    for archive in map(zipfile.ZipFile, () if clone.exists() else uploaded):
        if "ctl_helpers/project.py" in " ".join(archive.namelist()):
            archive.extractall(clone)
    places = [clone, *clone.glob("*/"), *sorted(here.glob("*/"))]
    projects = [place for place in places if (place / "ctl_helpers").is_dir()]
    sources = [*projects, *sorted(here.glob("ctl_helpers-*.whl"))]
    if not sources:
        raise SystemExit(
            "Type the repository's address into this cell's field, or upload the "
            f"project to {here}: a zip, a folder or a wheel. Then run the cell again."
        )
    kin = "torch torchvision numpy pandas scipy scikit-learn pyarrow transformers"
    stay = {
        name: importlib.metadata.version(name)
        for name in kin.split()
        if list(importlib.metadata.distributions(name=name))
    }
    pins = here / "ctl-book-stay.txt"
    pins.write_text("\n".join(f"{name}=={stay[name]}" for name in stay))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "-c", pins]
    editable = ["--editable"] if sources[0].is_dir() else []
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run([*pip, *editable, sources[0]], env=quiet, check=True)
    if editable:
        sys.path.insert(0, str(sources[0]))
    importlib.invalidate_caches()
    print(f"The book is installed from {sources[0]}.")
    print("As they were:", ", ".join(map(" ".join, stay.items())) + ".")
