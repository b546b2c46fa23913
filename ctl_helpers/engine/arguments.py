"""Arguments that are nearly right: taken as they are meant, or refused in one sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from numbers import Real
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Name = TypeVar("Name", bound=Hashable)


def distinct(names: Iterable[Name]) -> list[Name]:
    """The names; refused are one that occurs twice (ValueError), and what is none (TypeError)."""
    if not isinstance(names, Iterable):
        raise TypeError(f"names are expected, not {names!r}; give a list, such as ['a', 'b']")
    given = list(names)
    if repeated := [name for name, count in Counter(given).items() if count > 1]:
        where = f"{given}, the letters of {names!r}" if isinstance(names, str) else f"{given}"
        remedy = "give a list of names" if isinstance(names, str) else "name each once"
        raise ValueError(f"{repeated[0]!r} occurs twice in {where}; {remedy}")
    return given


def numbers(values: float | Iterable[float], argument: str) -> list[float]:
    """Finite numbers, each once; a single one counts as a list of one.

    Args:
        values: a list, a range, an array or a tensor of them.
        argument: its name, for the error.

    Raises:
        TypeError: what is no number.
        ValueError: a number that is not finite, or that occurs twice.
    """
    if isinstance(values, (Tensor, np.ndarray)):
        values = values.tolist()
    given = [values] if isinstance(values, (str, Real)) else values
    if not isinstance(given, Iterable):
        raise TypeError(f"{argument} is {values!r}; give a list of numbers, such as [0.25, 0.5]")
    found = [_number(value, argument) for value in given]
    if repeated := [value for value, count in Counter(found).items() if count > 1]:
        raise ValueError(f"{repeated[0]} occurs twice in {argument}, {found}; give each once")
    return found


def _number(value: object, argument: str) -> float:
    is_number = isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
    if not is_number or isinstance(value, bool):
        raise TypeError(f"{argument} has {value!r}, which is no number; give numbers such as 0.5")
    number = float(value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        raise ValueError(f"{argument} has {number}; give finite numbers")
    return number


def task_names(tasks: Iterable[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """The tasks that are named, where one string is one task; others where there are none."""
    if tasks is None:
        return default
    return (tasks,) if isinstance(tasks, str) else tuple(tasks)


def check_types(model: object, checkpoints: object, max_memory: object = None) -> None:
    """Refuse what is no network, no mapping of checkpoints and no number of bytes.

    Raises:
        TypeError: another type.
        ValueError: no memory.
    """
    check_model(model)
    check_mapping(checkpoints)
    if max_memory is not None and not isinstance(max_memory, Real):
        raise TypeError(f"max_memory is {max_memory!r}; give a number of bytes, such as 8e9")
    if max_memory is not None and not float(max_memory) > 0:
        raise ValueError(f"max_memory is {max_memory}; give bytes above 0, or leave it out")


def check_model(model: object) -> None:
    """Refuse what is no network (TypeError)."""
    if not isinstance(model, nn.Module):
        what = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TypeError(
            f"model is {what}; give a torch.nn.Module, made from its configuration, such as "
            "AutoModel.from_pretrained(…)"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError(
            "model is a TorchScript program, whose weights cannot be replaced; give the "
            "torch.nn.Module that it was made from"
        )


def check_mapping(checkpoints: object) -> None:
    """Refuse what is no mapping of names to checkpoints (TypeError)."""
    if not isinstance(checkpoints, Mapping):
        raise TypeError(
            f"checkpoints is a {type(checkpoints).__name__}; give a mapping of name to checkpoint, "
            "such as {'a': …, 'b': …}"
        )


def unknown_checkpoint(name: str, known: Iterable[str]) -> KeyError:
    """What to raise for a name that no checkpoint has."""
    names = sorted(known)
    # A string where a list is wanted is one of names with one letter.
    is_letter = len(name) == 1 and all(len(other) > 1 for other in names)
    remedy = "; give names as a list, since a string is read letter by letter" * is_letter
    return KeyError(f"no checkpoint named {name!r}; there are {names}{remedy}")
