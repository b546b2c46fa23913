# On Colab: fetch the book and what is missing there; torch, numpy and their kin stay.
import importlib.metadata
import importlib.util
import pathlib
import subprocess
import sys

repository = None
if importlib.util.find_spec("ctl_helpers") is None:
    if repository is None:
        raise SystemExit(
            "Set [project.urls] Repository in pyproject.toml, then `ctl notebooks`."
        )
    subprocess.run(
        ["git", "clone", "--depth", "1", repository, "ctl-book"], check=True
    )
    stay = (
        "torch torchvision numpy pandas scipy scikit-learn pyarrow transformers"
    )
    pins = pathlib.Path("ctl-book-stay.txt")
    pins.write_text(
        "\n".join(
            f"{name}=={importlib.metadata.version(name)}"
            for name in stay.split()
            if list(importlib.metadata.distributions(name=name))
        )
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-c", pins, "--editable", "ctl-book"], check=True)
    sys.path.insert(0, "ctl-book")
