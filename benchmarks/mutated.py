"""Weight files that were changed at random, read under a watch of what runs and a limit of memory.

The limit is on what a process claims to write to, as in ``tests/test_larger_than_memory.py``; the
watch is an audit hook, which refuses and counts what a reader of weights has no need of.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import random
import re
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from fault_rows import Row
from safetensors.torch import save_file
from torch import nn

import ctl_helpers as ctl
from ctl_helpers.project import MissingDataError
from ctl_helpers.weights.files import read
from ctl_helpers.weights.pickles import read_module_pickle

LIMIT = 2**29
SECONDS = 5  # of a core
_PICKLE = "whole/data.pkl"
_PACKAGE = str(Path(ctl.__file__).parent)
_FOREIGN = re.compile(
    r"os\.(system|exec|spawn|posix_spawn|fork|forkpty|startfile|remove|rmdir|rename|mkdir|chmod"
    r"|kill|putenv)|subprocess\.Popen|socket\.|shutil\.|webbrowser\.|ctypes\.dlopen|ftplib|urllib"
)
_CALLS = (
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"),
    ("subprocess", "getoutput"), ("builtins", "__import__"), ("torch.hub", "load"),
    ("torch.nn.modules.module", "warnings.sys.modules"), ("runpy", "run_path"),
)  # fmt: skip


class Watch:
    """Counts, and refuses, what no reader of weights has to do."""

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if self.on and self._is_foreign(event, given):
            self.seen.append(f"{event} {str(given)[:80]}")
            raise PermissionError(f"{event} was refused")

    @staticmethod
    def _is_foreign(event: str, given: tuple[Any, ...]) -> bool:
        if event == "open":
            mode = given[1]
            return isinstance(mode, str) and any(letter in mode for letter in "wax+")
        if event == "exec":  # a string's code has no file
            return bool(given) and getattr(given[0], "co_filename", "").startswith("<string")
        return _FOREIGN.match(event) is not None


# Files to begin with.


Archive = dict[str, bytes]
"""Name of a record → its content."""


def archives() -> list[Archive]:
    """What torch saves, harmless and hostile."""
    state = OrderedDict(w=torch.ones(4, 3), b=torch.ones(4).half(), n=torch.tensor(3))
    nested = {"epoch": 3, "state_dict": state, "options": [1, (2, "x"), {"lr": 0.1}]}
    made = [_archive(content) for content in (state, nested, nn.Sequential(nn.Linear(3, 4)))]
    return made + [{**made[0], _PICKLE: _calling(module, name)} for module, name in _CALLS]


def _archive(content: object) -> Archive:
    torch.save(content, "whole.pt")
    with zipfile.ZipFile("whole.pt") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _calling(module: str, name: str) -> bytes:
    return b"\x80\x02" + _call(module, name) + b"."


def _call(module: str, name: str) -> bytes:
    code = "open('trace', 'w')" if name in ("eval", "exec") else "touch trace"
    return f"c{module}\n{name}\n(V{code}\ntR".encode()


def _odd(draw: random.Random) -> bytes:
    """A few instructions of a pickle that nobody expects."""
    large = draw.choice([2**31 - 1, 2**29, 2**20, 300])
    return draw.choice(
        [
            _call(*draw.choice(_CALLS)),
            b"r" + struct.pack("<I", large),
            b"\x96" + struct.pack("<Q", draw.choice([2**63 - 1, 2**33, 100])),
            b"\x8d" + struct.pack("<Q", draw.choice([2**63 - 1, 2**33])),
            b"2\x86" * draw.randrange(1, 60),
            b"(" * draw.randrange(1, 5000),
            b"](" * 3000 + b"e" * 3000,
            b"\x8a" + bytes([255]) + bytes([255]) * 255,
            b"i" + b"os\nsystem\n",
            *(code.code.encode("latin1") for code in draw.sample(pickletools.opcodes, 8)),
        ]
    )


def mutated_pickle(draw: random.Random, content: bytes, others: list[bytes]) -> bytes:
    """A pickle with one to four changes, half of them between its instructions."""
    for _ in range(draw.choice([1, 1, 2, 4])):
        place = draw.randrange(len(content) + 1)
        if draw.random() < 0.5:
            with suppress(Exception):
                places = [at for *_, at in pickletools.genops(content) if at is not None]
                place = draw.choice(places)
        end = min(len(content), place + draw.choice([1, 2, 5, 30]))
        other = draw.choice(others)
        content = draw.choice(
            [
                content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :],
                content[:place] + content[end:],
                content[:end] + content[place:],
                content[:place] + _odd(draw) + content[place:],
                content[:place] + _odd(draw) + content[end:],
                content[:place] + other[draw.randrange(len(other)) :],
            ]
        )
    return content


def packed(path: Path, archive: Archive, draw: random.Random) -> None:
    """A file as torch writes it, with right checksums; one in ten in the format before 1.6."""
    if draw.random() < 0.1:
        numbers = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
        begin = b"".join(pickle.dumps(part, 2) for part in numbers)
        path.write_bytes(begin + archive[_PICKLE])
        return
    how = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in archive.items():
            file.writestr(name, content)


_VALUES = (
    *(-1, 0, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 1.5, float("nan"), None, True, "", "F32"),
    *([], {}, [1] * 5000, [-4, 0], [2**32, 2**32], [0, 2**63], {"shape": []}, "\x1b[2J", "é" * 999),
)


def mutated_header(draw: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header is another: its values, its text or its length."""
    size = int.from_bytes(content[:8], "little")
    text, numbers = content[8 : 8 + size], content[8 + size :]
    if draw.random() < 0.6:
        header = json.loads(text)
        for _ in range(draw.randrange(1, 4)):
            tensor = header.setdefault(draw.choice([*header, "\x1b]0;x\x07", "a" * 10**5]), {})
            if isinstance(tensor, dict):
                tensor[draw.choice(["dtype", "shape", "data_offsets", "x"])] = draw.choice(_VALUES)
        if draw.random() < 0.1:
            header[draw.choice([*header, "__metadata__"])] = draw.choice(_VALUES)
        text = json.dumps(header).encode()
    else:
        place = draw.randrange(len(text))
        end = place + draw.choice([1, 3, 20])
        text = draw.choice(
            [
                text[:place] + bytes([draw.randrange(256)]) + text[place + 1 :],
                text[:place] + text[end:],
                text[:end] + text[place:],
                text[:place] + b"[" * 50_000 + text[place:],
                text[:-1] + b"," + text[1:],
                text + b" " * draw.randrange(9),
            ]
        )
    length = (
        len(text) if draw.random() < 0.8 else draw.choice([0, 1, size, 2**63, 2**64 - 1, 10**8])
    )
    return length.to_bytes(8, "little") + text + numbers[: draw.choice([None, None, None, -4, 0])]


# Reading them.


def _probe(path: Path) -> str:
    return str(ctl.probe(str(path), str(path), tier=0))


def _tensors(path: Path) -> object:
    return [tensor.sum() for tensor in dict(read(path)).values()]


READERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "pickles": (_tensors, read_module_pickle, _probe),
    "headers": (_tensors, ctl.read, _probe),
}


def _attempt(reader: Callable[[Path], object], path: Path) -> tuple[str, str | None]:
    """How reading ended, and what was wrong with that."""
    try:
        reader(path)
    except _TooLong:
        return "hung", f"{reader.__name__} took over {SECONDS} s"
    except (MissingDataError, ValueError) as error:
        trace = error.__traceback__
        while trace and trace.tb_next:
            trace = trace.tb_next
        is_own = trace is not None and trace.tb_frame.f_code.co_filename.startswith(_PACKAGE)
        if is_own and "\n" not in str(error):
            return "refused", None
        return "raw error", f"{reader.__name__}: {type(error).__name__}: {str(error)[:150]}"
    except BaseException as error:
        return "raw error", f"{reader.__name__}: {type(error).__name__}: {str(error)[:150]}"
    return "read", None


def _status(name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 2**10 if found else 0


def _limit_memory() -> None:
    import resource

    most = _status("VmData") + LIMIT
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))


class _TooLong(BaseException):
    """Which no reader catches."""


def _stop(*_: object) -> None:
    raise _TooLong


def read_all(kind: str, count: int, seed: int) -> Row:
    """Read mutated files of a kind in this process, in the current folder."""
    draw, watch = random.Random(seed), Watch()
    row = Row(f"mutated {kind}", foreign=0, mebibytes=0.0)
    path = Path("file.pt" if kind == "pickles" else "file.safetensors")
    save_file({"w": torch.ones(4, 3), "b": torch.ones(4).half()}, "whole.safetensors")
    whole, known = Path("whole.safetensors").read_bytes(), archives()
    pickled = [archive[_PICKLE] for archive in known]
    signal.signal(signal.SIGPROF, _stop)
    for number in range(-8, count):  # the first ones load what readers need, and are not counted
        if number == 0:
            _limit_memory()
            sys.addaudithook(watch)
        if kind == "pickles":
            begin = draw.choice(draw.choice([known, known[:3]]))  # the harmless are few
            changed = mutated_pickle(draw, begin[_PICKLE], pickled)
            packed(path, {**begin, _PICKLE: changed}, draw)
        else:
            path.write_bytes(mutated_header(draw, whole))
        for reader in READERS[kind]:
            Path("/proc/self/clear_refs").write_text("5")
            before, begun = _status("VmRSS"), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            watch.on = number >= 0
            end, wrong = _attempt(reader, path)
            watch.on = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            seconds = time.process_time() - begun
            if number < 0:
                continue
            row.mebibytes = max(row.mebibytes or 0, (_status("VmHWM") - before) / 2**20)
            row.add(end, seconds, wrong and f"{kind} {seed}/{number}: {wrong}")
    row.foreign = len(watch.seen) + Path("trace").exists()
    row.wrong += watch.seen
    return row


def fault(kind: str, count: int, seed: int, folder: Path) -> Row:
    """Read mutated files of a kind in another process.

    Args:
        kind: ``"pickles"`` or ``"headers"``.
        count: how many files; each is read in three ways.
        seed: of the changes.
        folder: an empty one, for the files.
    """
    code = (
        f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import mutated; "
        f"print(json.dumps(mutated.read_all({kind!r}, {count}, {seed}).to_json()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        row = Row(f"mutated {kind}")
        row.add("the process ended", 0.0, f"{done.returncode}: {done.stderr[-300:]}")
        return row
    return Row.of_json(json.loads(done.stdout.splitlines()[-1]))
