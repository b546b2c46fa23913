"""Files that would take far more memory or time than their bytes, told before they are read."""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import IO

# No pickler of torch writes these: arrays of a length that nobody has checked, and copies.
_NEVER = ("BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER", "DUP", "FROZENSET")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_TUPLES = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
_MOST_VALUES = 2**20
_LONGEST_NAME = 1000  # torch tells of a name by expressions that take time as its square
_MARK = 0
_GROWTH, _SMALL = 16, 2**26  # numbers of a network hardly shrink when they are packed


class DisproportionError(Exception):
    """What is wrong with a file, as a clause."""


def most_bytes(path: Path) -> int:
    """How many bytes what is in a file may have once it is unpacked."""
    return max(_GROWTH * path.stat().st_size, _SMALL)


def is_archive(path: Path) -> bool:
    """Whether torch wrote this as an archive, as since 1.6; perhaps a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:
        return True


def check_sizes(path: Path) -> None:
    """Refuse an archive that unpacks to far more than it has, before anything of it is read.

    Raises:
        DisproportionError: such an archive.
        Exception: zipfile's own, for a damaged one.
    """
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > most_bytes(path):
        raise DisproportionError(f"its {path.stat().st_size} bytes would unpack to {unpacked}")


def check_pickle(content: IO[bytes]) -> None:
    """Follow a pickle without making anything of it, and refuse what grows out of all proportion.

    A memo of places that are not used one after the other is memory for those between them; a tuple
    of the same tuple twice, and so on, takes 2ⁿ steps wherever it is hashed; and what torch refuses
    to call it tells of, however long that is.

    Args:
        content: read up to the pickle's end.

    Raises:
        DisproportionError: such a pickle.
        ValueError, IndexError, KeyError: a damaged one.
    """
    # How many values each entry is made of, tuples in tuples counted anew; below 0 for plain data.
    stack: list[int] = []
    memo: dict[int, int] = {}
    for code, argument, _ in pickletools.genops(content):
        if code.name in _NEVER:
            raise DisproportionError(f"it has {code.name}, which torch does not write")
        if code.name in _PUTS:
            place = len(memo) if argument is None else int(argument)
            if place > len(memo):
                raise DisproportionError("it keeps values at places far apart")
            memo[place] = stack[-1]
        elif code.name in _GETS:
            stack.append(memo[int(argument or 0)])
        elif code.name == "MARK":
            stack.append(_MARK)
        else:
            taken = _taken(code, stack)
            made = 1 + sum(map(abs, taken)) if code.name in _TUPLES else 1
            if made > _MOST_VALUES:
                raise DisproportionError("it has tuples in tuples of more than a million values")
            if code.name in ("GLOBAL", "INST") and (length := len(str(argument))) > _LONGEST_NAME:
                raise DisproportionError(f"it asks for a name of {length} characters")
            if code.name == "REDUCE" and taken[-1] < 0:
                raise DisproportionError("it calls what is no function")
            is_plain = pickletools.anyobject not in code.stack_after
            stack += [-made if is_plain else made] * len(code.stack_after)


def _taken(code: pickletools.OpcodeInfo, stack: list[int]) -> list[int]:
    """Take from the stack what an instruction does."""
    before = list(code.stack_before)
    if code.name == "POP" and stack[-1] == _MARK:
        before = [pickletools.markobject]
    taken: list[int] = []
    if pickletools.markobject in before:
        while (top := stack.pop()) != _MARK:
            taken.append(top)
        before = before[: before.index(pickletools.markobject)]
    return taken + [stack.pop() for _ in before]
