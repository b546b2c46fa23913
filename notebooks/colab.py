# On Colab: fetch the book and what is missing there; torch and numpy stay.
import importlib.util
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
    needed = {
        "filelock": "filelock",
        "pyarrow": "pyarrow",
        "pydantic": "pydantic",
        "plotly": "plotly",
        "safetensors": "safetensors",
        "yaml": "pyyaml",
        "open_clip": "open-clip-torch",
        "ftfy": "ftfy",
        "timm": "timm",
        "curvlinops": "curvlinops-for-pytorch",
        "backpack": "backpack-for-pytorch",
        "einconv": "einconv",
        "einops": "einops",
        "linear_operator": "linear-operator",
        "opt_einsum": "opt-einsum",
        "unfoldnd": "unfoldnd",
    }
    missing = [
        package
        for name, package in needed.items()
        if not importlib.util.find_spec(name)
    ]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--editable", "ctl-book", *missing], check=True)
    sys.path.insert(0, "ctl-book")
