"""Settings and profiles by name.

:func:`describe`, :func:`names` and :func:`missing` import no torch; the module of a kind is
imported when a setting is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from glob import glob
from importlib import import_module
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from ctl_helpers.project import SettingError, root
from ctl_helpers.settings.schema import Checked, Described
from ctl_helpers.settings.yaml_files import parsed, text_of

Made = TypeVar("Made")

# Looked up by name, so that a run's key leaves out the kinds that it does not use.
_KINDS = {
    "cifar-resnet": ("published_resnet", "PublishedResNet"),
    "parts-mlp": ("parts", "InParts"),
    "parts-resnet": ("parts", "InParts"),
    "parts-vit": ("parts", "InParts"),
    "clip": ("clip", "ClipSetting"),
    "clip-objectives": ("objectives", "ByObjective"),
    "t5": ("text", "T5Setting"),
    "llama": ("text", "LlamaSetting"),
    "bert-published": ("published_encoder", "PublishedEncoder"),
    "efficientnet-published": ("published_images", "PublishedImages"),
    "llama-gguf-published": ("tuned_llama", "TunedLlama"),
    "clip-published": ("published_clip", "PublishedClip"),
    "t5-published": ("published_text", "PublishedText"),
    "llama-published": ("published_text", "PublishedText"),
}


def load(name: str) -> Any:
    """The setting ``settings/<name>.yaml``: a :class:`~ctl_helpers.settings.schema.Setting`.

    Raises:
        SettingError: there is no such file, or a key in it is unknown, missing or of a wrong type.
    """
    return _made(name, _kind)


def describe(name: str) -> Described:
    """What a reader needs to know of a setting; errors as :func:`load`, but not of every key."""
    return _made(name, _described)


def missing(name: str) -> str | None:
    """What of a setting is not on this machine and how to get it; None if all is here."""
    return describe(name).missing()


def names() -> list[str]:
    """The names of all settings, embedded ones first."""
    return sorted(_stems(), key=lambda name: (describe(name).kind != "embedded", name))


def _made(name: str, kind: Callable[[object], type[Described]]) -> Described:
    path = root() / "settings" / f"{name}.yaml"
    if name not in _stems():
        raise SettingError(f"there is no setting {name!r}; there are {_stems()}")
    return _parsed(path.name, text_of(path), kind)


# Plans ask for every setting again and again.
@lru_cache(maxsize=128)
def _parsed(file: str, text: str, kind: Callable[[object], type[Described]]) -> Described:
    name = file.removesuffix(".yaml")
    return _read(file, text, lambda content: kind(content)(name=name, **content))


def _described(content: object) -> type[Described]:
    return Described


def _kind(content: object) -> type[Described]:
    model = content.get("model") if isinstance(content, Mapping) else None
    architecture = model.get("architecture") if isinstance(model, Mapping) else None
    module, name = _KINDS.get(str(architecture), ("scratch", "Scratch"))
    if isinstance(content, Mapping) and "ingredients" in content:
        name = "ModelSoup"
    return getattr(import_module(f"ctl_helpers.settings.{module}"), name)


def _stems() -> list[str]:
    stems = sorted(file[: -len(".yaml")] for file in glob("*.yaml", root_dir=root() / "settings"))
    return [stem for stem in stems if stem != _PROFILES]


class Profile(Checked):
    """Which kinds of setting to run, and parameters that replace the settings' own.

    Attributes:
        kinds: settings of these kinds.
        parameters: for every run, in place of what the setting says.
        sections: the same for the runs of one section.
        settings: the same for the runs of one setting, by section.
        grid: the same for grids.
        skip_missing: leave settings out whose data is not on this machine.
    """

    kinds: list[Literal["embedded", "paper", "real"]]
    parameters: dict[str, Any] = Field(default_factory=dict)
    sections: dict[str, dict[str, Any]] = Field(default_factory=dict)
    settings: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    skip_missing: bool = False


def profile(name: str) -> Profile:
    """A profile of ``settings/profiles.yaml``; errors as :func:`load`."""
    path = root() / "settings" / f"{_PROFILES}.yaml"
    text = text_of(path)
    profiles = _read(path.name, text, dict)
    if name not in profiles:
        raise SettingError(f"there is no profile {name!r}; there are {sorted(profiles)}")
    return _read(path.name, text, lambda profiles: Profile(**profiles[name]))


_PROFILES = "profiles"


def _read(file: str, text: str, make: Callable[[Any], Made]) -> Made:
    try:
        return make(parsed(file, text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SettingError(f"{file}: {place!r}: {first['msg'].lower()}") from None
    except SettingError:
        raise
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SettingError(f"{file} is not a mapping in YAML: {reason}") from None
