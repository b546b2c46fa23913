"""Reading the YAML files that people write, with one sentence for what is wrong in one."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ctl_helpers.project import SettingError


class _OncePerKey(yaml.SafeLoader):
    """YAML's safe loader keeps the last of two equal keys and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, (place, _) in zip(keys, node.value, strict=False):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", place.start_mark
                )
        return super().construct_mapping(node, deep)


def text_of(path: Path) -> str:
    """A file's text.

    Raises:
        SettingError: there is none, or it is not in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path.name} cannot be read: {error}; give a text in UTF-8") from None


def parsed(file: str, text: str) -> Any:
    """What a YAML text says.

    Args:
        file: what an error calls it.
        text: the file's.

    Raises:
        SettingError: it is no YAML, says a key twice, or nests too deep.
    """
    try:
        return yaml.load(text, _OncePerKey)
    except RecursionError:
        raise SettingError(f"{file} is not YAML that can be read: it nests too deep") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingError(
            f"{file} is not YAML that can be read: {' '.join(str(error).split())}"
        ) from None
